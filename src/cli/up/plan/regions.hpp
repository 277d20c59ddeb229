// The shared regions of a system: made by weft up, which has them while it runs, and given to the children that they name.
//
//   std::vector<Mistake> mistakes = make_regions(manifest, &before, plan);   // the same regions go on, with what is in them
//   append_grants_of(plan.children.at(path).regions, options.grants);        // at each start of a child
//
// A region is the same as long as its name and its size are: who else has it, and how the manifest is written, does not matter. Any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/up/manifest/manifest.hpp"
#include "weft/grant.hpp"
#include "weft/shared_region.hpp"

namespace weft::cli {

struct Plan;

using PlannedRegions = std::map<std::string, SharedRegion>;  // by name

// Puts the regions into the plan, and to its children, which are there already. Those that are the same in `before`, if given, are taken from there. What could not
// be made: the machine has no room for it.
std::vector<Mistake> make_regions(const Manifest& manifest, const Plan* before, Plan& plan);

void append_grants_of(const PlannedRegions& regions, std::vector<Grant>& grants);

// Equal: the child has the same regions.
std::string signature_of(const PlannedRegions& regions);

// What becomes of regions when one plan takes the place of another, a line each: those that are new, those of another size, those that go.
std::vector<std::string> changes_of(const PlannedRegions& before, const PlannedRegions& after);

}  // namespace weft::cli
