// The one table of commands and flags. The parser, --help, the man page, the completions and the configuration file read it;
// nothing about a flag is written anywhere else.
//
//   for (const Flag& flag : find_command("run")->flags) …
//   Result<void> done = flag.apply(settings, "64MiB");
//
// Constant data, any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/settings.hpp"
#include "weft/error.hpp"

namespace weft::cli {

enum class Takes : std::uint8_t {
  kNothing,        // apply is given "true", or from the configuration file also "false"
  kValue,          // --flag VALUE, --flag=VALUE, -F VALUE, -FVALUE
  kOptionalValue,  // --flag or --flag=VALUE; apply is given the first of `words` when there is none
};

enum class Completes : std::uint8_t { kNothing, kFile, kDirectory, kWords };

struct Flag {
  std::string_view name;  // without the dashes
  char letter = '\0';     // short form, if any
  Takes takes = Takes::kNothing;
  std::string_view value_name = {};  // for people: SIZE, DURATION, …
  std::string_view group = {};       // heading in --help and the man page
  std::string_view help = {};
  bool repeats = false;  // may be given several times; a list in the configuration file
  bool in_file = true;   // may stand in the configuration file
  Completes completes = Completes::kNothing;
  std::vector<std::string_view> words = {};
  // The message says what is wrong with the value; the caller puts the flag's name and the value before it.
  Result<void> (*apply)(Settings&, std::string_view value) = nullptr;
};

struct Command {
  std::string_view name;
  std::string_view operands;     // for the usage line: "app.wasm [arguments…]"
  std::string_view summary;      // one line
  std::string_view description;  // for --help and the man page
  std::span<const Flag> flags;
  Completes completes = Completes::kNothing;  // its operands
  std::vector<std::string_view> words = {};
  bool hidden = false;
};

std::span<const Command> commands();
const Command* find_command(std::string_view name);
const Flag* find_flag(const Command& command, std::string_view name);

// The keys of -W and -S. Spelled as wasmtime's; they set the same things as our own flags.
struct GroupKey {
  char group;  // 'W' or 'S'
  std::string_view name;
  std::string_view value_name;  // empty: [=y|n]
  std::string_view help;
  Result<void> (*apply)(Settings&, std::string_view value);
};
std::span<const GroupKey> group_keys();

// One key of a group, as -W key=value and as the key of the table [W] of the configuration file.
Result<void> apply_group_key(char group, Settings& settings, std::string_view key, std::string_view value);

// The text of `-W help` or `-S help`.
std::string group_help(char group);

}  // namespace weft::cli
