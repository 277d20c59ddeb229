#include "cli/up/manifest/manifest_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "cli/suggest.hpp"
#include "cli/up/plan/channels.hpp"

namespace weft::cli {
namespace {

constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kShownMax = 100;   // mistakes
constexpr std::size_t kSharedMax = 256;  // ends of channels and regions, of a child: SpawnOptions::grants

bool is_name_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

std::uint64_t children_of(const ManifestGroup& group) {
  std::uint64_t count = 0;
  for (const ManifestMember& member : group.members) {
    const ManifestChild* child = member.child();
    count += child != nullptr ? child->copies : children_of(*member.group());
  }
  return count;
}

class Checker {
 public:
  explicit Checker(std::vector<Mistake>& mistakes) : mistakes_(mistakes) {}

  void check(const ManifestGroup& group, const std::string& above) {
    std::map<std::string, Place> taken;
    for (const ManifestMember& member : group.members) {
      const std::string& id = member.id();
      if (!id.empty()) {
        const auto [first, fresh] = taken.emplace(id, member.place());
        if (!fresh)
          refuse(member.place(),
                 fmt::format("id '{}' is taken: line {} has it; ids are unique among siblings", id, first->second.line));
      }
      if (member.child() != nullptr) {
        paths_.insert(above + id);
        continue;
      }
      const ManifestGroup& below = *member.group();
      if (below.significant && below.restart == Restart::kPermanent) {
        refuse(below.place, "significant is for groups that may end: say restart = \"transient\" or \"temporary\", too");
      }
      if (below.members.empty()) refuse(below.place, fmt::format("group '{}' has nothing in it; give it a [[group.child]]", id));
      check(below, above + id + "/");
    }
  }

  void check(const std::vector<ManifestChannel>& channels) {
    std::map<std::string, Place> taken;
    for (const ManifestChannel& channel : channels) {
      if (!channel.name.empty()) {
        const auto [first, fresh] = taken.emplace(channel.name, channel.place);
        if (!fresh)
          refuse(channel.place, fmt::format("the channel '{}' is there twice: line {} has it", channel.name, first->second.line));
      }
      const ChannelKind kind = channel.kind;
      const bool holds = kind == ChannelKind::kBounded || kind == ChannelKind::kBroadcast;
      if (channel.capacity && !holds) refuse(channel.place, "capacity is for bounded and broadcast channels; leave it out");
      if (channel.bytes_max && !holds && kind != ChannelKind::kUnbounded) {
        refuse(channel.place, "bytes-max is for bounded, unbounded and broadcast channels; leave it out");
      } else if (const Result<Channel> made = make_channel(options_of(channel)); !made) {
        refuse(channel.place, made.error().message);
      }
      if (channel.slow_receiver != SlowReceiver::kHoldsBack && kind != ChannelKind::kBroadcast) {
        refuse(channel.place, "slow-receiver is for broadcast channels; leave it out");
      }
      std::set<std::string> ends;
      check_ends(channel, channel.from, ends);
      check_ends(channel, channel.to, ends);
    }
  }

  // After the channels: a child asks for both by name.
  void check(const std::vector<ManifestRegion>& regions) {
    std::map<std::string, Place> taken;
    for (const ManifestRegion& region : regions) {
      if (!region.name.empty()) {
        const auto [first, fresh] = taken.emplace(region.name, region.place);
        if (!fresh)
          refuse(region.place, fmt::format("the region '{}' is there twice: line {} has it", region.name, first->second.line));
      }
      std::set<std::string> seen;
      for (const auto& [path, place] : region.children) check_holder(region.name, path, place, seen);
    }
  }

 private:
  void refuse(Place place, std::string message) { mistakes_.push_back({place, std::move(message)}); }

  // `seen`: the ends of the channel so far.
  void check_ends(const ManifestChannel& channel, const std::vector<std::string>& ends, std::set<std::string>& seen) {
    const std::vector<std::string_view> known(paths_.begin(), paths_.end());
    for (const std::string& end : ends) {
      if (!seen.insert(end).second) {
        refuse(channel.place,
               fmt::format("channel '{}': '{}' is there twice; a child has one end of a channel", channel.name, end));
      } else if (paths_.contains(end)) {
        share(channel.name, end, channel.place, true);
      }
      if (paths_.contains(end)) continue;
      refuse(channel.place, fmt::format("channel '{}': there is no child '{}'{}", channel.name, end, did_you_mean(end, known)));
    }
  }

  // `seen`: who has the region so far.
  void check_holder(const std::string& region, const std::string& path, Place place, std::set<std::string>& seen) {
    if (!paths_.contains(path)) {
      const std::vector<std::string_view> known(paths_.begin(), paths_.end());
      refuse(place, fmt::format("region '{}': there is no child '{}'{}", region, path, did_you_mean(path, known)));
    } else if (!seen.insert(path).second) {
      refuse(place, fmt::format("region '{}': '{}' is there twice", region, path));
    } else if (share(region, path, place, false)) {
      refuse(place, fmt::format("region '{0}': '{1}' has a channel '{0}', and asks for both by their names; call one of them "
                                "something else",
                                region, path));
    }
  }

  // True: the child has a channel of that name already. Of two channels of a name, and of two regions, it was said before.
  bool share(const std::string& name, const std::string& path, Place place, bool channel) {
    std::map<std::string, bool>& mine = shared_[path];
    const auto [had, fresh] = mine.emplace(name, channel);
    if (fresh && mine.size() == kSharedMax + 1)
      refuse(place, fmt::format("'{}' has more than {} channels and regions", path, kSharedMax));
    return !fresh && had->second;
  }

  std::vector<Mistake>& mistakes_;
  std::set<std::string> paths_;
  // By child: the names of its channels and regions, and whether it is a channel.
  std::map<std::string, std::map<std::string, bool>> shared_;
};

void look_for(const NamedFile& file, std::vector<Mistake>& mistakes) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(file.path, ignored);
  const auto refuse = [&](std::string_view what) {
    mistakes.push_back({file.place, fmt::format("{}: {} {}", file.key, file.path.string(), what)});
  };
  switch (file.must) {
    case NamedFile::Must::kBeFile:
      if (!std::filesystem::exists(status)) return refuse("is not there");
      if (std::filesystem::is_directory(status)) return refuse("is a directory, not a file");
      return;
    case NamedFile::Must::kBeDirectory:
      if (!std::filesystem::exists(status)) return refuse("is not there; it must be a directory");
      if (!std::filesystem::is_directory(status)) return refuse("is not a directory");
      return;
    case NamedFile::Must::kHaveParent: {
      const std::filesystem::path parent = file.path.parent_path();
      if (!parent.empty() && !std::filesystem::is_directory(parent, ignored))
        return refuse("cannot be there: there is no such directory");
      if (std::filesystem::is_directory(status)) return refuse("is a directory, not a file");
      return;
    }
  }
}

void look_for_all(const ManifestGroup& group, std::vector<Mistake>& mistakes) {
  for (const ManifestMember& member : group.members) {
    const ManifestChild* child = member.child();
    if (child == nullptr) {
      look_for_all(*member.group(), mistakes);
      continue;
    }
    for (const NamedFile& file : child->files) look_for(file, mistakes);
  }
}

}  // namespace

void check_manifest(const Manifest& manifest, std::vector<Mistake>& mistakes) {
  Checker checker(mistakes);
  checker.check(manifest.root, "");
  checker.check(manifest.channels);
  checker.check(manifest.regions);
  const std::uint64_t children = manifest.children();
  if (children > kManifestChildrenMax) {
    mistakes.push_back({{1, 1}, fmt::format("{} children with all copies; {} is the most", children, kManifestChildrenMax)});
  } else if (manifest.root.members.empty()) {
    mistakes.push_back({{1, 1}, "nothing to run; give it a [[child]] with id and module"});
  }
}

std::vector<Mistake> missing_files(const Manifest& manifest) {
  std::vector<Mistake> mistakes;
  look_for_all(manifest.root, mistakes);
  std::ranges::stable_sort(mistakes, {}, &Mistake::place);
  return mistakes;
}

std::vector<std::string> ManifestChild::ids() const {
  if (copies == 1) return {id};
  std::vector<std::string> list;
  list.reserve(copies);
  for (std::uint64_t copy = 1; copy <= copies; ++copy) list.push_back(fmt::format("{}#{}", id, copy));
  return list;
}

std::uint64_t Manifest::children() const { return children_of(root); }

Error Mistakes::error() const {
  // A file that cannot be read has no places.
  if (kind != ErrorKind::kBadArgument && list.size() == 1) return {kind, list.front().message, {}};
  const auto line_of = [this](const Mistake& mistake) {
    return fmt::format("{}:{}:{}: {}", file, mistake.place.line, mistake.place.column, mistake.message);
  };
  if (list.size() == 1) return {kind, line_of(list.front()), {}};
  Error error{kind, fmt::format("{}: {} mistakes", file, list.size()), {}};
  for (std::size_t at = 0; at < std::min(list.size(), kShownMax); ++at) error.detail += line_of(list[at]) + "\n";
  if (list.size() > kShownMax) error.detail += fmt::format("… and {} more\n", list.size() - kShownMax);
  return error;
}

bool is_manifest_name(std::string_view text) noexcept {
  if (text.empty() || text.size() > kNameBytesMax || text.front() == '-' || text.front() == '.' || text.front() == '_')
    return false;
  return std::ranges::all_of(text, is_name_character);
}

}  // namespace weft::cli
