// The keys of a manifest: the one table that the parser and the JSON schema read.
//
//   for (const Key<ManifestChild>& key : keys_of_child()) …
//   Result<void> done = key.set(child, "64MiB");
//
// Keys that are flags of weft run take their help and their values from there. Constant data, any thread.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "cli/flags.hpp"
#include "cli/up/manifest/manifest.hpp"

namespace weft::cli {

// What a value looks like in the file.
enum class Shape : std::uint8_t {
  kText,
  kWord,       // one of KeyInfo::words
  kCount,      // a whole number
  kNumber,     // a number
  kSwitch,     // true or false
  kSize,       // "64MiB", or bytes
  kDuration,   // "1.5s"
  kPriority,   // a word or a number
  kTexts,      // a text or a list of texts
  kVariables,  // a table, or a list of "NAME=VALUE"
  kTable,      // keys of its own
  kTables,     // several of that: [[key]]
};

// "a duration such as \"250ms\" or \"2m30s\"": what a value of that shape must be, for messages and the schema.
std::string_view described(Shape shape) noexcept;

struct KeyInfo {
  std::string_view name;
  Shape shape = Shape::kText;
  std::string_view help = {};
  std::vector<std::string_view> words = {};
  bool required = false;
  std::string_view table = {};  // kTable, kTables: which ("child", "group", "health", …)
};

template <class T>
struct Key : KeyInfo {
  Result<void> (*apply)(T&, std::string_view value) = nullptr;  // null for tables
  const Flag* flag = nullptr;                                   // of weft run, instead of apply

  Result<void> set(T& target, std::string_view value) const {
    if constexpr (requires { target.run; }) {
      if (flag != nullptr) return flag->apply(target.run, value);
    }
    return apply(target, value);
  }
};

std::span<const Key<Manifest>> keys_of_system();      // at the top only
std::span<const Key<ManifestGroup>> keys_of_rules();  // at the top and in groups
std::span<const Key<ManifestGroup>> keys_of_group();  // in groups only
std::span<const Key<ManifestChild>> keys_of_child();
std::span<const Key<ManifestHealth>> keys_of_health();
std::span<const Key<Backoff>> keys_of_backoff();
std::span<const Key<ManifestChannel>> keys_of_channel();
std::span<const Key<ManifestRegion>> keys_of_region();

}  // namespace weft::cli
