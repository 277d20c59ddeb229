#include "cli/up/plan/reload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace weft::cli {
namespace {

// A child of a supervisor as it was, or as it is to be.
struct Item {
  std::string id;
  std::string sameness;  // equal: unchanged, but for what is in a group
  const ManifestChild* child = nullptr;
  const ManifestGroup* group = nullptr;
};

std::vector<Item> items_of(const ManifestGroup& group, const std::string& above, const Plan& plan) {
  std::vector<Item> items;
  for (const ManifestMember& member : group.members) {
    if (const ManifestGroup* below = member.group()) {
      items.push_back({below->id, "group\n" + below->signature, nullptr, below});
      continue;
    }
    const ManifestChild& child = *member.child();
    const PlannedChild& planned = plan.children.at(above + child.id);
    const FileStamp& stamp = planned.module;
    const std::string sameness = fmt::format("child\n{}\n{}", stamp.written, stamp.bytes) + child.signature +
                                 signature_of(planned.ends) + signature_of(planned.regions);
    for (const std::string& id : child.ids()) items.push_back({id, sameness, &child, nullptr});
  }
  return items;
}

class Differ {
 public:
  Differ(const Plan& before, const Plan& after, Reload& reload) : before_(before), after_(after), reload_(reload) {}

  void compare(const ManifestGroup& was, const ManifestGroup& is, const std::string& above) {
    const std::vector<Item> old_items = items_of(was, above, before_);
    const std::vector<Item> new_items = items_of(is, above, after_);
    std::map<std::string, const Item*> old_by_id;
    std::map<std::string, const Item*> new_by_id;
    for (const Item& item : old_items) old_by_id.emplace(item.id, &item);
    for (const Item& item : new_items) new_by_id.emplace(item.id, &item);
    std::set<std::string> kept;
    std::size_t same = 0;
    const auto equal = [](const Item& a, const Item& b) { return a.id == b.id && a.sameness == b.sameness; };
    while (same < std::min(old_items.size(), new_items.size()) && equal(old_items[same], new_items[same])) ++same;
    for (std::size_t at = 0; at < new_items.size(); ++at) {
      const Item& item = new_items[at];
      const auto old = old_by_id.find(item.id);
      const bool keeps =
          old != old_by_id.end() && equal(*old->second, item) && (was.strategy != Strategy::kRestForOne || at < same);
      if (keeps) kept.insert(item.id);
    }
    for (auto item = old_items.rbegin(); item != old_items.rend(); ++item) {
      if (kept.contains(item->id)) continue;
      reload_.steps.push_back({.add = false, .group = above, .id = item->id});
      ++(new_by_id.contains(item->id) ? reload_.changed : reload_.removed);
    }
    for (const Item& item : new_items) {
      if (kept.contains(item.id)) continue;
      reload_.steps.push_back({.add = true, .group = above, .id = item.id, .child = item.child, .members = item.group});
      if (!old_by_id.contains(item.id)) ++reload_.added;
    }
    for (const Item& item : new_items) {
      if (item.group != nullptr && kept.contains(item.id))
        compare(*old_by_id.at(item.id)->group, *item.group, above + item.id + "/");
    }
  }

 private:
  const Plan& before_;
  const Plan& after_;
  Reload& reload_;
};

}  // namespace

Reload plan_reload(const Manifest& before, const Plan& plan_before, const Manifest& after, const Plan& plan_after) {
  Reload reload;
  if (before.root.id != after.root.id) {
    reload.refused = fmt::format("its name cannot change from {} to {} while it runs", before.root.id, after.root.id);
  } else if (before.signature != after.signature) {
    reload.refused =
        "what stands at the top of the manifest, outside of [[child]], [[group]], [[channel]] and [[region]], cannot change while "
        "it "
        "runs: "
        "start it again";
  }
  if (!reload.refused.empty()) return reload;
  Differ(plan_before, plan_after, reload).compare(before.root, after.root, "");
  reload.regions = changes_of(plan_before.regions, plan_after.regions);
  return reload;
}

std::string summary_of(const Reload& reload) {
  std::string text;
  const auto say = [&](std::uint64_t count, std::string_view what) {
    if (count != 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  say(reload.added, "added");
  say(reload.removed, "removed");
  say(reload.changed, "changed");
  return text.empty() ? "nothing has changed" : text;
}

}  // namespace weft::cli
