#include "cli/up/plan/regions.hpp"

#include <fmt/format.h>

#include <utility>

#include "cli/up/plan/plan.hpp"
#include "weft/units.hpp"

namespace weft::cli {

std::vector<Mistake> make_regions(const Manifest& manifest, const Plan* before, Plan& plan) {
  std::vector<Mistake> mistakes;
  for (auto& [path, child] : plan.children) child.regions.clear();
  for (const ManifestRegion& wanted : manifest.regions) {
    SharedRegion region;
    if (before != nullptr) {
      const auto same = before->regions.find(wanted.name);
      if (same != before->regions.end() && same->second.size() == wanted.bytes) region = same->second;
    }
    if (!region) {
      Result<SharedRegion> made = make_shared_region(wanted.bytes);
      if (!made) {
        mistakes.push_back({wanted.place, fmt::format("region '{}': {}", wanted.name, made.error().message)});
        continue;
      }
      region = std::move(*made);
    }
    plan.regions.emplace(wanted.name, region);
    for (const ManifestRegion::Holder& holder : wanted.children) plan.children.at(holder.path).regions.emplace(wanted.name, region);
  }
  return mistakes;
}

void append_grants_of(const PlannedRegions& regions, std::vector<Grant>& grants) {
  for (const auto& [name, region] : regions) grants.push_back({.name = name, .what = region});
}

// Of two plans, a region of one name and size is the same region.
std::string signature_of(const PlannedRegions& regions) {
  std::string text;
  for (const auto& [name, region] : regions) text += fmt::format("\nshares {}\n{}", name, region.size());
  return text;
}

std::vector<std::string> changes_of(const PlannedRegions& before, const PlannedRegions& after) {
  std::vector<std::string> changes;
  for (const auto& [name, region] : before) {
    const auto now = after.find(name);
    if (now == after.end()) {
      changes.push_back(fmt::format("region {} is gone, and what was in it", name));
    } else if (now->second.size() != region.size()) {
      changes.push_back(fmt::format("region {} has {} instead of {}: it is made anew, and what was in it is gone", name,
                                    format_size(now->second.size()), format_size(region.size())));
    }
  }
  for (const auto& [name, region] : after) {
    if (!before.contains(name)) changes.push_back(fmt::format("region {} of {} is new", name, format_size(region.size())));
  }
  return changes;
}

}  // namespace weft::cli
