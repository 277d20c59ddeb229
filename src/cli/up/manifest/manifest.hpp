// The manifest of a system: what `weft up` runs. TOML; docs/guide/up.md explains it, manifest_keys.hpp lists its keys.
//
//   name = "shop"
//   [[child]]
//   id = "cart"
//   module = "cart.wasm"          # from where the manifest is
//   max-memory = "64MiB"          # what weft run has a flag for has its name here
//   [[group]]
//   id = "payment"
//   strategy = "rest_for_one"
//   [[group.child]]
//   …
//
//   Result<Manifest, Mistakes> manifest = read_manifest("weft.toml");
//
// All mistakes are found at once, each with its place. Pure but for reading the file and looking for the files that it names.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cli/settings.hpp"
#include "weft/channel.hpp"
#include "weft/error.hpp"
#include "weft/supervisor.hpp"

namespace weft::cli {

inline constexpr std::uint64_t kManifestChildrenMax = 100'000;  // with all copies

struct Place {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  auto operator<=>(const Place&) const = default;
};

struct Mistake {
  Place place;
  std::string message;  // what is wrong, and what would be right
};

// All that is wrong with a manifest, in the order of places.
struct Mistakes {
  std::string file;  // as it stands in messages
  std::vector<Mistake> list;
  ErrorKind kind = ErrorKind::kBadArgument;  // of the whole: kNotFound, … when the file itself cannot be read

  // "weft.toml:3:7: …" of the only one, or how many there are, and each on a line of the detail.
  Error error() const;
};

struct ManifestHealth {
  Duration interval{0};                // the guest calls weft.alive at least so often, or it is killed
  std::optional<Duration> start = {};  // for the first call; unset: as interval
};

// A file that the manifest names, to be looked for before anything starts.
struct NamedFile {
  enum class Must : std::uint8_t { kBeFile, kBeDirectory, kHaveParent };
  Place place;
  std::string key;
  std::filesystem::path path;
  Must must = Must::kBeFile;
};

enum class GuestOutput : std::uint8_t { kPrefix, kPlain, kNone };

struct ManifestChild {
  std::string id;
  Settings run;  // what the flags of weft run set; the program is the module, its path made absolute or from where weft is
  Restart restart = Restart::kPermanent;
  std::optional<Duration> grace;
  bool significant = false;
  std::uint64_t copies = 1;
  std::optional<std::string> stdin_text;
  std::filesystem::path stdin_file;
  GuestOutput output = GuestOutput::kPrefix;
  std::filesystem::path output_file;
  std::optional<ManifestHealth> health;

  Place place;
  Place module_place;
  std::vector<NamedFile> files;
  std::string signature;  // what stands in the file, without comments and spaces: equal means unchanged

  // The ids of its copies: "cart", or "cart#1", "cart#2", …
  std::vector<std::string> ids() const;
};

struct ManifestMember;

struct ManifestGroup {
  std::string id;  // of the topmost: the system's name
  Strategy strategy = Strategy::kOneForOne;
  std::int64_t max_restarts = 10;
  Duration period = std::chrono::minutes(1);
  Backoff backoff{.first = std::chrono::milliseconds(100)};
  StopOrder stop_order = StopOrder::kReverse;
  AutoShutdown auto_shutdown = AutoShutdown::kNever;
  Restart restart = Restart::kPermanent;
  std::optional<Duration> grace;
  bool significant = false;
  std::vector<ManifestMember> members;  // in the order of the file, which is that of the start

  Place place;
  std::string signature;  // of the group itself, without its members
};

struct ManifestMember {
  std::variant<ManifestChild, ManifestGroup> is;

  const ManifestChild* child() const noexcept { return std::get_if<ManifestChild>(&is); }
  const ManifestGroup* group() const noexcept { return std::get_if<ManifestGroup>(&is); }
  const std::string& id() const noexcept { return child() != nullptr ? child()->id : group()->id; }
  Place place() const noexcept { return child() != nullptr ? child()->place : group()->place; }
};

struct ManifestChannel {
  std::string name;
  ChannelKind kind = ChannelKind::kBounded;
  std::optional<std::uint64_t> capacity;  // messages
  std::optional<std::uint64_t> bytes_max;
  SlowReceiver slow_receiver = SlowReceiver::kHoldsBack;
  std::vector<std::string> from;  // ids of children, below their groups: "payment/ledger"
  std::vector<std::string> to;
  Place place;
  std::string signature;  // equal: unchanged
};

// Memory that children share.
struct ManifestRegion {
  struct Holder {
    std::string path;  // the id of a child, below its groups
    Place place;
  };
  std::string name;
  std::uint64_t bytes = 0;
  std::vector<Holder> children;
  Place place;
};

struct Manifest {
  std::filesystem::path path;  // as it was given
  Settings run;                // what of weft run's flags holds for the whole system: workers, quantum, …
  std::uint64_t log_lines = 500;
  ManifestGroup root;
  std::vector<ManifestChannel> channels;
  std::vector<ManifestRegion> regions;
  std::string signature;  // of what stands at the top, without members

  std::uint64_t children() const;  // with all copies, in all groups
};

std::expected<Manifest, Mistakes> read_manifest(const std::filesystem::path& path);

// The same for text. `path` says where relative paths begin, and stands in messages. Does not look for the files.
std::expected<Manifest, Mistakes> parse_manifest(std::string_view text, const std::filesystem::path& path);

// What else read_manifest looks at: files and directories that are not there.
std::vector<Mistake> missing_files(const Manifest& manifest);

// Only the name, from a manifest that need not be right otherwise.
Result<std::string> manifest_name(const std::filesystem::path& path);

// A name of a system, or an id: letters, digits, '-', '_' and '.', at most 64, beginning with a letter or digit.
bool is_manifest_name(std::string_view text) noexcept;

}  // namespace weft::cli
