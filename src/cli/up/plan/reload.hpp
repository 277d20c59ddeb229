// What a new manifest changes in a running system, and nothing else: who is taken away, and who is added.
//
//   Reload reload = plan_reload(before, plan_before, after, plan_after);
//   if (!reload.refused.empty()) …                  // it cannot be done without starting anew
//   for (const ReloadStep& step : reload.steps) …    // in this order
//
// A child is the same when what stands in the manifest, of it and of its channels and regions, and the file of its module are. In a group whose strategy is rest_for_one the order counts: there
// all that comes after the first change is taken away and added again. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/up/plan/plan.hpp"

namespace weft::cli {

struct ReloadStep {
  bool add = false;   // else it is taken away
  std::string group;  // whose supervisor does it, with a '/' at its end; empty: the topmost
  std::string id;
  // To be added: one of the two, in the new manifest.
  const ManifestChild* child = nullptr;
  const ManifestGroup* members = nullptr;
};

struct Reload {
  std::vector<ReloadStep> steps;
  std::string refused;  // why not, one line; empty: it can be done
  std::uint64_t added = 0;
  std::uint64_t removed = 0;
  std::uint64_t changed = 0;              // taken away and added again
  std::vector<std::string> regions = {};  // what becomes of regions, a line each
};

Reload plan_reload(const Manifest& before, const Plan& plan_before, const Manifest& after, const Plan& plan_after);

std::string summary_of(const Reload& reload);  // "1 added, 2 changed", "nothing has changed"

}  // namespace weft::cli
