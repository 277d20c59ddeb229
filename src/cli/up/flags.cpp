#include "cli/up/flags.hpp"

#include <utility>
#include <vector>

#include "cli/values.hpp"

namespace weft::cli {
namespace {

constexpr std::uint64_t kLinesMax = 1'000'000;

Result<void> set_switch(std::string_view value, bool& target) {
  const Result<bool> on = parse_switch(value);
  if (!on) return std::unexpected(on.error());
  target = *on;
  return {};
}

Result<void> set_text(std::string_view value, std::string& target) {
  if (value.empty()) return fail(ErrorKind::kBadArgument, "must not be empty");
  target = std::string(value);
  return {};
}

Result<void> set_count(std::string_view value, std::uint64_t least, std::optional<std::uint64_t>& target) {
  const Result<std::uint64_t> count = parse_count(value, least, kLinesMax);
  if (!count) return std::unexpected(count.error());
  target = *count;
  return {};
}

Result<void> choose_order(std::string_view value, TopOrder& target) {
  if (value == "cpu")
    target = TopOrder::kCpu;
  else if (value == "memory")
    target = TopOrder::kMemory;
  else if (value == "restarts")
    target = TopOrder::kRestarts;
  else if (value == "tree")
    target = TopOrder::kTree;
  else
    return fail(ErrorKind::kBadArgument, "must be cpu, memory, restarts or tree");
  return {};
}

Flag json(std::string_view help) {
  return {.name = "json", .help = help, .in_file = false, .apply = [](Settings& s, std::string_view v) {
            return set_switch(v, s.json);
          }};
}

Flag system() {
  return {.name = "system",
          .letter = 's',
          .takes = Takes::kValue,
          .value_name = "NAME|FILE",
          .help = "which system: its name, or its manifest (default: the only one that runs, or that of ./weft.toml)",
          .in_file = false,
          .completes = Completes::kFile,
          .apply = [](Settings& s, std::string_view v) { return set_text(v, s.up.system); }};
}

Flag follow() {
  return {.name = "follow",
          .letter = 'f',
          .help = "go on with what comes, until Ctrl-C or the end of weft up",
          .in_file = false,
          .apply = [](Settings& s, std::string_view v) { return set_switch(v, s.up.follow); }};
}

Flag lines(std::string_view help) {
  return {.name = "lines",
          .letter = 'n',
          .takes = Takes::kValue,
          .value_name = "N",
          .help = help,
          .in_file = false,
          .apply = [](Settings& s, std::string_view v) { return set_count(v, 0, s.up.lines); }};
}

}  // namespace

std::span<const Flag> up_flags() {
  static const std::vector<Flag> flags = {
      {.name = "check",
       .help = "read the manifest, say what is wrong with it, and start nothing",
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) { return set_switch(v, s.up.check); }},
      {.name = "schema",
       .help = "print the JSON schema of manifests",
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) { return set_switch(v, s.up.schema); }},
      {.name = "metrics",
       .takes = Takes::kValue,
       .value_name = "ADDRESS:PORT",
       .help = "serve Prometheus metrics at http://ADDRESS:PORT/metrics; a loopback address, such as 127.0.0.1:9464 (port 0: a "
               "free one)",
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) { return set_text(v, s.up.metrics); }},
      {.name = "plain",
       .help = "no table on a terminal, but lines as elsewhere",
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) { return set_switch(v, s.up.plain); }},
      {.name = "quiet",
       .letter = 'q',
       .help = "no table and no events; only errors",
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) { return set_switch(v, s.quiet); }},
      json("events and the children's output as lines of JSON on standard output"),
  };
  return flags;
}

std::span<const Flag> ps_flags() {
  static const std::vector<Flag> flags = {system(), json("as JSON, durations in nanoseconds")};
  return flags;
}

std::span<const Flag> top_flags() {
  static const std::vector<Flag> flags = {
      system(),
      {.name = "sort",
       .takes = Takes::kValue,
       .value_name = "ORDER",
       .help = "cpu (the default), memory, restarts, or tree (as in the manifest)",
       .in_file = false,
       .completes = Completes::kWords,
       .words = {"cpu", "memory", "restarts", "tree"},
       .apply = [](Settings& s, std::string_view v) { return choose_order(v, s.up.order); }},
      {.name = "every",
       .takes = Takes::kValue,
       .value_name = "DURATION",
       .help = "between two looks (default 1s)",
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         const Result<Duration> every = parse_duration(v);
         if (!every) return std::unexpected(every.error());
         if (*every < std::chrono::milliseconds(100) || *every > std::chrono::hours(1)) {
           return fail(ErrorKind::kBadArgument, "must be between 100ms and 1h");
         }
         s.up.every = *every;
         return {};
       }},
      {.name = "times",
       .letter = 'n',
       .takes = Takes::kValue,
       .value_name = "N",
       .help = "show it so many times (default: for ever on a terminal, once elsewhere)",
       .in_file = false,
       .apply = [](Settings& s, std::string_view v) { return set_count(v, 1, s.up.times); }},
      json("a line of JSON each time"),
  };
  return flags;
}

std::span<const Flag> kill_flags() {
  static const std::vector<Flag> flags = {system(), json("the answer as JSON")};
  return flags;
}

std::span<const Flag> logs_flags() {
  static const std::vector<Flag> flags = {system(), lines("so many of the last lines (default 100)"), follow(),
                                          json("a line of JSON for each")};
  return flags;
}

std::span<const Flag> events_flags() {
  static const std::vector<Flag> flags = {system(), lines("so many of the last events (default: all that are kept, 1000)"),
                                          follow(), json("a line of JSON for each")};
  return flags;
}

}  // namespace weft::cli
