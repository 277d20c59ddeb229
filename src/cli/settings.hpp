// What one call of `weft` asks for: the sum of the configuration file and the command line. Plain data.
//
// Filled by Flag::apply (flags.hpp), first for each key of the file, then for each flag of the command line, in order: a later
// value replaces an earlier one, lists grow.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/bench/settings.hpp"
#include "cli/up/settings.hpp"
#include "weft/fibers.hpp"
#include "weft/limits.hpp"
#include "weft/process.hpp"
#include "weft/units.hpp"

namespace weft::cli {

enum class Format : std::uint8_t { kText, kJson };
enum class When : std::uint8_t { kAuto, kAlways, kNever };
enum class StdinMode : std::uint8_t { kInherit, kEmpty, kCopy };

struct Variable {
  std::string name;
  std::optional<std::string> value;  // unset: taken from weft's own environment, if it is there
};

struct Settings {
  // The guest.
  std::string program;
  std::vector<std::string> arguments;
  std::vector<Directory> directories;
  std::vector<Variable> environment;
  bool inherit_environment = false;
  bool network = false;
  std::optional<std::string> argv0;
  std::optional<std::string> invoke;
  std::optional<StdinMode> stdin_mode;  // unset: inherit for one copy, empty for several
  std::optional<std::string> name;

  // Copies and scheduling.
  std::uint64_t copies = 1;
  std::optional<std::uint64_t> at_once;  // unset: all
  unsigned workers = 0;
  Duration quantum = std::chrono::milliseconds(1);
  Priority priority = kPriorityNormal;
  bool preemption = true;
  Fibers fibers = Fibers::kAsync;
  bool strands_preemptive = false;
  OnDeadlock on_deadlock = OnDeadlock::kReport;

  // Limits of each copy. The stack is set for the whole runtime.
  Limits limits;
  std::optional<std::uint64_t> stack_bytes;

  // Compiled code.
  bool cache = true;
  std::filesystem::path cache_directory;
  bool allow_precompiled = false;

  // What weft itself says.
  std::optional<Format> stats;
  bool json = false;
  bool quiet = false;
  std::optional<bool> progress;  // unset: when standard error is a terminal
  When prefix = When::kAuto;
  std::filesystem::path trace;
  Duration grace = std::chrono::seconds(5);

  // Other commands.
  std::filesystem::path output;       // compile
  bool count_fuel = false;            // compile
  bool stacks = true;                 // dump
  BenchSettings bench;                // bench
  UpSettings up;                      // up, ps, top, kill, restart, logs, events
  std::vector<std::string> operands;  // what is no flag, for the commands that are not `run`
};

}  // namespace weft::cli
