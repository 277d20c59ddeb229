// -W and -S: wasmtime's spelling of what we have flags for. What it knows and we do not is unknown here, too: a setting that is
// taken and then ignored would be a lie.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "cli/run_flags.hpp"
#include "cli/suggest.hpp"
#include "cli/values.hpp"

namespace weft::cli {
namespace {

// The flag of ours that does the same: one meaning, one place.
Result<void> as_flag(std::string_view flag, Settings& settings, std::string_view value) {
  for (const Flag& candidate : run_flags()) {
    if (candidate.name == flag) return candidate.apply(settings, value);
  }
  return fail(ErrorKind::kInternal, fmt::format("no flag --{} behind this key", flag));
}

constexpr std::array kKeys = {
    GroupKey{'W', "fuel", "N", "as --fuel", [](Settings& s, std::string_view v) { return as_flag("fuel", s, v); }},
    GroupKey{'W', "timeout", "DURATION", "as --timeout", [](Settings& s, std::string_view v) { return as_flag("timeout", s, v); }},
    GroupKey{'W', "max-memory-size", "SIZE", "as --max-memory",
             [](Settings& s, std::string_view v) { return as_flag("max-memory", s, v); }},
    GroupKey{'W', "max-table-elements", "N", "as --max-table-elements",
             [](Settings& s, std::string_view v) { return as_flag("max-table-elements", s, v); }},
    GroupKey{'W', "max-instances", "N", "as --max-instances",
             [](Settings& s, std::string_view v) { return as_flag("max-instances", s, v); }},
    GroupKey{'W', "max-wasm-stack", "SIZE", "as --max-stack",
             [](Settings& s, std::string_view v) { return as_flag("max-stack", s, v); }},
    GroupKey{'W', "epoch-interruption", "", "n: as --no-preemption",
             [](Settings& s, std::string_view v) -> Result<void> {
               const Result<bool> on = parse_switch(v);
               if (!on) return std::unexpected(on.error());
               s.preemption = *on;
               return {};
             }},
    GroupKey{'S', "cli", "", "the interfaces of a command; always on",
             [](Settings&, std::string_view v) -> Result<void> {
               const Result<bool> on = parse_switch(v);
               if (!on) return std::unexpected(on.error());
               if (!*on) return fail(ErrorKind::kBadArgument, "cannot be switched off");
               return {};
             }},
    GroupKey{'S', "inherit-env", "", "as --inherit-env",
             [](Settings& s, std::string_view v) { return as_flag("inherit-env", s, v); }},
    GroupKey{'S', "inherit-network", "", "as --network", [](Settings& s, std::string_view v) { return as_flag("network", s, v); }},
};

std::vector<std::string_view> names_of(char group) {
  std::vector<std::string_view> names;
  for (const GroupKey& key : kKeys) {
    if (key.group == group) names.push_back(key.name);
  }
  return names;
}

}  // namespace

std::span<const GroupKey> group_keys() { return kKeys; }

Result<void> apply_group_key(char group, Settings& settings, std::string_view key, std::string_view value) {
  for (const GroupKey& candidate : kKeys) {
    if (candidate.group != group || candidate.name != key) continue;
    if (value.empty()) {
      if (!candidate.value_name.empty()) {
        return fail(ErrorKind::kBadArgument, fmt::format("{0} needs a value: {0}={1}", key, candidate.value_name));
      }
      value = "y";
    }
    Result<void> done = candidate.apply(settings, value);
    if (!done) done.error().message = fmt::format("{}={}: {}", key, value, done.error().message);
    return done;
  }
  return fail(ErrorKind::kBadArgument,
              fmt::format("no such key '{}'{}; -{} help lists them", key, did_you_mean(key, names_of(group)), group));
}

Result<void> apply_group_list(char group, Settings& settings, std::string_view list) {
  while (true) {
    const std::size_t comma = list.find(',');
    const std::string_view item = list.substr(0, comma);
    const std::size_t equals = item.find('=');
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
    if (Result<void> done = apply_group_key(group, settings, item.substr(0, equals), value); !done) return done;
    if (comma == std::string_view::npos) return {};
    list.remove_prefix(comma + 1);
  }
}

std::string group_help(char group) {
  std::string text = fmt::format("Keys of -{} (spelled as in wasmtime):\n\n", group);
  for (const GroupKey& key : kKeys) {
    if (key.group != group) continue;
    const std::string form = fmt::format("{}{}", key.name, key.value_name.empty() ? "[=y|n]" : fmt::format("={}", key.value_name));
    text += fmt::format("  -{} {:<32} {}\n", group, form, key.help);
  }
  return text;
}

}  // namespace weft::cli
