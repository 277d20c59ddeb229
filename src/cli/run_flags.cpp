// The flags of `weft run`: what it can be asked, in the order in which --help shows it.
#include "cli/run_flags.hpp"

#include <fmt/format.h>

#include <limits>

#include "cli/values.hpp"

namespace weft::cli {
namespace {

constexpr std::uint64_t kCopiesMax = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kWorkersMax = 1024;
constexpr std::uint64_t kThreadsMax = 1'000'000;
// As RuntimeOptions::stack_bytes has it.
constexpr std::uint64_t kStackBytesMin = 32U << 10;
constexpr std::uint64_t kStackBytesMax = 1U << 30;

// What most apply functions do: parse, then store.
template <class T, class Target>
Result<void> store(Result<T> parsed, Target& target) {
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  target = static_cast<Target>(std::move(*parsed));
  return {};
}
template <class T, class Target>
Result<void> store(Result<T> parsed, std::optional<Target>& target) {
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  target = static_cast<Target>(std::move(*parsed));
  return {};
}
template <class T>
Result<void> append(Result<T> parsed, std::vector<T>& target) {
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  target.push_back(std::move(*parsed));
  return {};
}

Result<void> choose_when(std::string_view value, When& target) {
  if (value == "auto")
    target = When::kAuto;
  else if (value == "always")
    target = When::kAlways;
  else if (value == "never")
    target = When::kNever;
  else
    return fail(ErrorKind::kBadArgument, "must be auto, always or never");
  return {};
}

Result<void> choose_on_deadlock(std::string_view value, OnDeadlock& target) {
  if (value == "report")
    target = OnDeadlock::kReport;
  else if (value == "kill")
    target = OnDeadlock::kKill;
  else if (value == "ignore")
    target = OnDeadlock::kIgnore;
  else
    return fail(ErrorKind::kBadArgument, "must be report, kill or ignore");
  return {};
}

Result<void> choose_fibers(std::string_view value, Fibers& target) {
  if (value == "async")
    target = Fibers::kAsync;
  else if (value == "continuations")
    target = Fibers::kContinuations;
  else
    return fail(ErrorKind::kBadArgument, "must be async or continuations");
  return {};
}

Result<void> choose_stdin(std::string_view value, Settings& s) {
  if (value == "inherit")
    s.stdin_mode = StdinMode::kInherit;
  else if (value == "empty")
    s.stdin_mode = StdinMode::kEmpty;
  else if (value == "copy")
    s.stdin_mode = StdinMode::kCopy;
  else
    return fail(ErrorKind::kBadArgument, "must be inherit, empty or copy");
  return {};
}

Result<void> choose_stats(std::string_view value, Settings& s) {
  if (value == "text" || value == "true")
    s.stats = Format::kText;
  else if (value == "json")
    s.stats = Format::kJson;
  else if (value == "false")
    s.stats.reset();
  else
    return fail(ErrorKind::kBadArgument, "must be text or json");
  return {};
}

Result<void> nonempty(std::string_view value, std::string& target) {
  if (value.empty()) return fail(ErrorKind::kBadArgument, "must not be empty");
  target = std::string(value);
  return {};
}

constexpr std::string_view kGuest = "What the guest gets";
constexpr std::string_view kCopies = "Copies and scheduling";
constexpr std::string_view kLimits = "Limits of each copy";
constexpr std::string_view kOutput = "What weft says";
constexpr std::string_view kCode = "Compiled code";
constexpr std::string_view kConfiguration = "Configuration";

const std::vector<Flag>& table() {
  static const std::vector<Flag> flags = {
      {.name = "dir",
       .takes = Takes::kValue,
       .value_name = "HOST[::GUEST]",
       .group = kGuest,
       .help = "let the guest read and write this directory, under the name GUEST",
       .repeats = true,
       .completes = Completes::kDirectory,
       .apply = [](Settings& s, std::string_view v) { return append(parse_directory(v, false), s.directories); }},
      {.name = "dir-ro",
       .takes = Takes::kValue,
       .value_name = "HOST[::GUEST]",
       .group = kGuest,
       .help = "the same, but the guest may only read",
       .repeats = true,
       .completes = Completes::kDirectory,
       .apply = [](Settings& s, std::string_view v) { return append(parse_directory(v, true), s.directories); }},
      {.name = "env",
       .takes = Takes::kValue,
       .value_name = "NAME[=VALUE]",
       .group = kGuest,
       .help = "set a variable of the guest's environment; without =VALUE it is taken from weft's own",
       .repeats = true,
       .apply = [](Settings& s, std::string_view v) { return append(parse_variable(v), s.environment); }},
      {.name = "inherit-env",
       .group = kGuest,
       .help = "hand weft's whole environment on (--env still wins)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.inherit_environment); }},
      {.name = "network",
       .group = kGuest,
       .help = "let components open sockets and look up names",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.network); }},
      {.name = "stdin",
       .takes = Takes::kValue,
       .value_name = "HOW",
       .group = kGuest,
       .help = "inherit: guests share weft's standard input (default for one copy); empty (default for several); copy: "
               "weft reads its input to the end and gives each copy all of it",
       .completes = Completes::kWords,
       .words = {"inherit", "empty", "copy"},
       .apply = [](Settings& s, std::string_view v) { return choose_stdin(v, s); }},
      {.name = "argv0",
       .takes = Takes::kValue,
       .value_name = "NAME",
       .group = kGuest,
       .help = "what the guest sees as its own name (default: the file's name)",
       .apply = [](Settings& s, std::string_view v) { return nonempty(v, s.argv0.emplace()); }},
      {.name = "invoke",
       .takes = Takes::kValue,
       .value_name = "FUNCTION",
       .group = kGuest,
       .help = "call this exported function; the words after the file are its arguments, its results are printed",
       .apply = [](Settings& s, std::string_view v) { return nonempty(v, s.invoke.emplace()); }},

      {.name = "copies",
       .letter = 'n',
       .takes = Takes::kValue,
       .value_name = "N",
       .group = kCopies,
       .help = "run N processes of the program (default 1)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, kCopiesMax), s.copies); }},
      {.name = "at-once",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = kCopies,
       .help = "keep at most N of the copies alive, and start the next when one ends (default: all)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, kCopiesMax), s.at_once); }},
      {.name = "workers",
       .letter = 'j',
       .takes = Takes::kValue,
       .value_name = "N",
       .group = kCopies,
       .help = "run on N threads (default: one for each core that weft may use)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, kWorkersMax), s.workers); }},
      {.name = "quantum",
       .takes = Takes::kValue,
       .value_name = "DURATION",
       .group = kCopies,
       .help = "how long a guest runs while others wait for its worker (default 1ms)",
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         const Result<Duration> quantum = parse_duration(v);
         if (!quantum) return std::unexpected(quantum.error());
         if (*quantum < std::chrono::microseconds(10) || *quantum > std::chrono::seconds(10)) {
           return fail(ErrorKind::kBadArgument, "must be between 10us and 10s");
         }
         s.quantum = *quantum;
         return {};
       }},
      {.name = "priority",
       .takes = Takes::kValue,
       .value_name = "LEVEL",
       .group = kCopies,
       .help = "0 (most urgent) to 7, or highest, high, normal, low, lowest (default normal)",
       .completes = Completes::kWords,
       .words = {"highest", "high", "normal", "low", "lowest"},
       .apply = [](Settings& s, std::string_view v) { return store(parse_priority(v), s.priority); }},
      {.name = "no-preemption",
       .group = kCopies,
       .help = "compile without the checks that let a running guest be interrupted: somewhat faster, but an "
               "endless loop keeps its worker for good",
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         const Result<bool> off = parse_switch(v);
         if (!off) return std::unexpected(off.error());
         s.preemption = !*off;
         return {};
       }},

      {.name = "fibers",
       .takes = Takes::kValue,
       .value_name = "KIND",
       .group = kCopies,
       .help = "what guests run on: async (the default), or continuations (faster switches; core modules on x86-64 Linux; rests on "
               "a part "
               "of the engine that is less tested)",
       .completes = Completes::kWords,
       .words = {"async", "continuations"},
       .apply = [](Settings& s, std::string_view v) { return choose_fibers(v, s.fibers); }},
      {.name = "preempt-strands",
       .group = kCopies,
       .help = "interrupt a strand that does not yield, so that other strands of its process run",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.strands_preemptive); }},
      {.name = "on-deadlock",
       .takes = Takes::kValue,
       .value_name = "WHAT",
       .group = kCopies,
       .help = "when all threads of a guest wait for each other: report (end it, and say where each waits; the default), kill "
               "(end it), or ignore",
       .completes = Completes::kWords,
       .words = {"report", "kill", "ignore"},
       .apply = [](Settings& s, std::string_view v) { return choose_on_deadlock(v, s.on_deadlock); }},

      {.name = "max-memory",
       .takes = Takes::kValue,
       .value_name = "SIZE",
       .group = kLimits,
       .help = "linear memory, all of a process together (64MiB, 1.5GB, …)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_size_limit(v), s.limits.memory_bytes); }},
      {.name = "max-threads",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = kLimits,
       .help = "guest threads at once, the first included; at the limit the guest's thread-spawn fails (default 12000, all copies "
               "together)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, kThreadsMax), s.limits.threads); }},
      {.name = "max-table-elements",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = kLimits,
       .help = "elements of its tables, all together",
       .apply =
           [](Settings& s, std::string_view v) {
             return store(parse_count(v, 1, std::numeric_limits<std::uint64_t>::max()), s.limits.table_elements);
           }},
      {.name = "max-instances",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = kLimits,
       .help = "instances (a component may hold several)",
       .apply =
           [](Settings& s, std::string_view v) {
             return store(parse_count(v, 1, std::numeric_limits<std::uint32_t>::max()), s.limits.instances);
           }},
      {.name = "max-stack",
       .takes = Takes::kValue,
       .value_name = "SIZE",
       .group = kLimits,
       .help = "stack of the guest's calls (default 512KiB)",
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         const Result<std::uint64_t> bytes = parse_size_limit(v);
         if (!bytes) return std::unexpected(bytes.error());
         if (*bytes < kStackBytesMin || *bytes > kStackBytesMax) {
           return fail(ErrorKind::kBadArgument,
                       fmt::format("must be between {} and {}", format_size(kStackBytesMin), format_size(kStackBytesMax)));
         }
         s.stack_bytes = *bytes;
         return {};
       }},
      {.name = "max-output",
       .takes = Takes::kValue,
       .value_name = "SIZE",
       .group = kLimits,
       .help = "output that may wait to be written; a guest that is ahead of its reader by more is held back (default 1MiB)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_size_limit(v), s.limits.output_bytes); }},
      {.name = "max-channel-bytes",
       .takes = Takes::kValue,
       .value_name = "SIZE",
       .group = kLimits,
       .help = "what the channels that a guest makes may hold together (default 64MiB); at the limit it is told; 0: it makes none",
       .apply = [](Settings& s, std::string_view v) { return store(parse_size(v), s.limits.channel_bytes); }},
      {.name = "max-region-bytes",
       .takes = Takes::kValue,
       .value_name = "SIZE",
       .group = kLimits,
       .help = "shared regions that a guest makes, together (default 64MiB); at the limit it is told; 0: it makes none",
       .apply = [](Settings& s, std::string_view v) { return store(parse_size(v), s.limits.region_bytes); }},
      {.name = "timeout",
       .takes = Takes::kValue,
       .value_name = "DURATION",
       .group = kLimits,
       .help = "time from its start to its end, also while it waits (10s, 100ms, 2m30s, …)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_duration_limit(v), s.limits.wall_time); }},
      {.name = "cpu-time",
       .takes = Takes::kValue,
       .value_name = "DURATION",
       .group = kLimits,
       .help = "time that it runs on a core",
       .apply = [](Settings& s, std::string_view v) { return store(parse_duration_limit(v), s.limits.cpu_time); }},
      {.name = "fuel",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = kLimits,
       .help = "about so many instructions; the same every time, but counting costs speed",
       .apply =
           [](Settings& s, std::string_view v) {
             return store(parse_count(v, 1, std::numeric_limits<std::uint64_t>::max() / 2), s.limits.fuel);
           }},

      {.name = "stats",
       .takes = Takes::kOptionalValue,
       .value_name = "text|json",
       .group = kOutput,
       .help = "at the end, say on standard error what was used; json: as one line, the last",
       .completes = Completes::kWords,
       .words = {"text", "json"},
       .apply = [](Settings& s, std::string_view v) { return choose_stats(v, s); }},
      {.name = "json",
       .group = kOutput,
       .help = "say everything at the end as one line of JSON on standard error (as --stats=json --quiet)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.json); }},
      {.name = "quiet",
       .letter = 'q',
       .group = kOutput,
       .help = "no progress, no summary; only errors",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.quiet); }},
      {.name = "progress",
       .group = kOutput,
       .help = "say how far it is, also when standard error is no terminal (a line every few seconds)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.progress); }},
      {.name = "no-progress",
       .group = kOutput,
       .help = "no progress line",
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         const Result<bool> off = parse_switch(v);
         if (!off) return std::unexpected(off.error());
         s.progress = !*off;
         return {};
       }},
      {.name = "prefix",
       .takes = Takes::kValue,
       .value_name = "WHEN",
       .group = kOutput,
       .help = "put the copy's name before each line of its output: always, never, or auto, which is when several copies "
               "write to a terminal",
       .completes = Completes::kWords,
       .words = {"auto", "always", "never"},
       .apply = [](Settings& s, std::string_view v) { return choose_when(v, s.prefix); }},
      {.name = "name",
       .takes = Takes::kValue,
       .value_name = "NAME",
       .group = kOutput,
       .help = "call the program this in prefixes, dumps and traces (default: the file's name)",
       .apply = [](Settings& s, std::string_view v) { return nonempty(v, s.name.emplace()); }},
      {.name = "trace",
       .takes = Takes::kValue,
       .value_name = "FILE",
       .group = kOutput,
       .help = "write what each worker ran when, for https://ui.perfetto.dev",
       .completes = Completes::kFile,
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         std::string path;
         if (Result<void> done = nonempty(v, path); !done) return done;
         s.trace = path;
         return {};
       }},
      {.name = "grace",
       .takes = Takes::kValue,
       .value_name = "DURATION",
       .group = kOutput,
       .help = "how long guests have to end after Ctrl-C before they are killed (default 5s)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_duration(v), s.grace); }},

      {.name = "cache-dir",
       .takes = Takes::kValue,
       .value_name = "DIRECTORY",
       .group = kCode,
       .help = "keep compiled code here (default: $XDG_CACHE_HOME/weft or ~/.cache/weft)",
       .completes = Completes::kDirectory,
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         std::string path;
         if (Result<void> done = nonempty(v, path); !done) return done;
         s.cache_directory = path;
         return {};
       }},
      {.name = "no-cache",
       .group = kCode,
       .help = "neither look for compiled code on disk nor keep it there",
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         const Result<bool> off = parse_switch(v);
         if (!off) return std::unexpected(off.error());
         s.cache = !*off;
         return {};
       }},
      {.name = "allow-precompiled",
       .group = kCode,
       .help = "run files made by weft compile; they are native code that nobody checks: allow only your own",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.allow_precompiled); }},

      {.name = "config",
       .takes = Takes::kValue,
       .value_name = "FILE",
       .group = kConfiguration,
       .help = "read flags from a TOML file; those of the command line win",
       .in_file = false,
       .completes = Completes::kFile,
       // The file is read before the flags are applied; here is nothing left to do.
       .apply = [](Settings&, std::string_view) -> Result<void> { return {}; }},
      {.name = "wasm",
       .letter = 'W',
       .takes = Takes::kValue,
       .value_name = "KEY[=VALUE],…",
       .group = kConfiguration,
       .help = "settings spelled as in wasmtime; -W help lists them",
       .repeats = true,
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) { return apply_group_list('W', s, v); }},
      {.name = "wasi",
       .letter = 'S',
       .takes = Takes::kValue,
       .value_name = "KEY[=VALUE],…",
       .group = kConfiguration,
       .help = "settings spelled as in wasmtime; -S help lists them",
       .repeats = true,
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) { return apply_group_list('S', s, v); }},
  };
  return flags;
}

}  // namespace

std::span<const Flag> run_flags() { return table(); }

}  // namespace weft::cli
