#include "cli/up/manifest/manifest_keys.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "cli/run_flags.hpp"
#include "cli/suggest.hpp"
#include "cli/values.hpp"
#include "weft/shared_region.hpp"
#include "weft/units.hpp"

namespace weft::cli {
namespace {

constexpr std::uint64_t kCountMax = 1'000'000'000;
constexpr std::uint64_t kLogLinesMax = 100'000;

template <class T, class Target>
Result<void> store(Result<T> parsed, Target& target) {
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  target = static_cast<std::remove_cvref_t<Target>>(std::move(*parsed));
  return {};
}

template <class T>
struct Choice {
  std::string_view word;
  T value;
};

// One of the words, with a suggestion for what is near one.
template <class T, std::size_t N>
Result<void> choose(std::string_view value, const Choice<T> (&choices)[N], T& target) {
  std::vector<std::string_view> words;
  for (const Choice<T>& choice : choices) {
    if (choice.word == value) {
      target = choice.value;
      return {};
    }
    words.push_back(choice.word);
  }
  std::string list;
  for (std::size_t at = 0; at < N; ++at) {
    list += at == 0 ? "" : at + 1 == N ? " or " : ", ";
    list += words[at];
  }
  return fail(ErrorKind::kBadArgument, fmt::format("must be {}{}", list, did_you_mean(value, words)));
}

Result<std::string> parse_name(std::string_view value) {
  if (is_manifest_name(value)) return std::string(value);
  return fail(ErrorKind::kBadArgument, "must be letters, digits, '-', '_' and '.', at most 64, beginning with a letter or digit");
}

Result<std::string> parse_text(std::string_view value) {
  if (!value.empty()) return std::string(value);
  return fail(ErrorKind::kBadArgument, "must not be empty");
}

Result<double> parse_number(std::string_view text, double minimum, double maximum) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || !(value >= minimum && value <= maximum)) {
    return fail(ErrorKind::kBadArgument, fmt::format("must be a number from {} to {}", minimum, maximum));
  }
  return value;
}

constexpr Choice<Restart> kRestarts[] = {
    {"permanent", Restart::kPermanent}, {"transient", Restart::kTransient}, {"temporary", Restart::kTemporary}};
constexpr Choice<Strategy> kStrategies[] = {
    {"one_for_one", Strategy::kOneForOne}, {"one_for_all", Strategy::kOneForAll}, {"rest_for_one", Strategy::kRestForOne}};
constexpr Choice<StopOrder> kStopOrders[] = {{"reverse", StopOrder::kReverse}, {"together", StopOrder::kTogether}};
constexpr Choice<AutoShutdown> kShutdowns[] = {{"never", AutoShutdown::kNever},
                                               {"any-significant", AutoShutdown::kAnySignificant},
                                               {"all-significant", AutoShutdown::kAllSignificant}};
constexpr Choice<GuestOutput> kOutputs[] = {
    {"prefix", GuestOutput::kPrefix}, {"plain", GuestOutput::kPlain}, {"none", GuestOutput::kNone}};
constexpr Choice<StdinMode> kStdins[] = {{"empty", StdinMode::kEmpty}, {"inherit", StdinMode::kInherit}};
constexpr Choice<ChannelKind> kChannelKinds[] = {{"bounded", ChannelKind::kBounded},
                                                 {"unbounded", ChannelKind::kUnbounded},
                                                 {"rendezvous", ChannelKind::kRendezvous},
                                                 {"oneshot", ChannelKind::kOneshot},
                                                 {"broadcast", ChannelKind::kBroadcast}};

constexpr Choice<SlowReceiver> kSlowReceivers[] = {{"holds-back", SlowReceiver::kHoldsBack}, {"loses", SlowReceiver::kLoses}};

template <class T, std::size_t N>
std::vector<std::string_view> words_of(const Choice<T> (&choices)[N]) {
  std::vector<std::string_view> words;
  for (const Choice<T>& choice : choices) words.push_back(choice.word);
  return words;
}

Result<std::uint64_t> parse_region_size(std::string_view value) {
  Result<std::uint64_t> bytes = parse_size(value);
  if (bytes && (*bytes == 0 || *bytes > SharedRegion::kBytesMax)) {
    return fail(ErrorKind::kBadArgument, fmt::format("must be from 1 byte to {}", format_size(SharedRegion::kBytesMax)));
  }
  return bytes;
}

// "forever": a child that is never killed.
Result<Duration> parse_grace(std::string_view value) {
  if (value == "forever") return kForever;
  return parse_duration(value);
}

constexpr std::string_view kRestartHelp =
    "when it is started again: permanent (always; the default), transient (unless it returned or called exit(0)), temporary "
    "(never)";
constexpr std::string_view kGraceHelp =
    "from asking it to end to killing it (children 5s, groups forever); 0 kills at once, \"forever\" never";
constexpr std::string_view kSignificantHelp = "its end counts for the group's auto-shutdown; not for what is restarted always";

Shape shape_of(const Flag& flag) {
  if (flag.name == "env") return Shape::kVariables;
  if (flag.name == "priority") return Shape::kPriority;
  if (flag.repeats) return Shape::kTexts;
  if (flag.takes == Takes::kNothing) return Shape::kSwitch;
  if (flag.value_name == "N") return Shape::kCount;
  if (flag.value_name == "SIZE") return Shape::kSize;
  if (flag.value_name == "DURATION") return Shape::kDuration;
  return flag.words.empty() ? Shape::kText : Shape::kWord;
}

template <class T>
void add_flags(std::vector<Key<T>>& keys, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    for (const Flag& flag : run_flags()) {
      if (flag.name != name) continue;
      keys.push_back({{.name = flag.name, .shape = shape_of(flag), .help = flag.help, .words = flag.words}, nullptr, &flag});
    }
  }
}

}  // namespace

std::string_view described(Shape shape) noexcept {
  switch (shape) {
    case Shape::kText:
      return "a text in quotes";
    case Shape::kWord:
      return "a word in quotes";
    case Shape::kCount:
      return "a whole number";
    case Shape::kNumber:
      return "a number";
    case Shape::kSwitch:
      return "true or false";
    case Shape::kSize:
      return "a size such as \"64MiB\", or a number of bytes";
    case Shape::kDuration:
      return "a duration such as \"250ms\" or \"2m30s\"";
    case Shape::kPriority:
      return "0 to 7, or a word such as \"high\"";
    case Shape::kTexts:
      return "a text in quotes, or a list of such";
    case Shape::kVariables:
      return "a table of variables, or a list of \"NAME=VALUE\"";
    case Shape::kTable:
      return "a table";
    case Shape::kTables:
      return "tables, each below its own [[…]]";
  }
  return "";
}

std::span<const Key<Manifest>> keys_of_system() {
  static const std::vector<Key<Manifest>> keys = [] {
    std::vector<Key<Manifest>> list = {
        {{.name = "name", .help = "what the system is called: one of that name runs at a time", .required = true},
         [](Manifest& m, std::string_view v) { return store(parse_name(v), m.root.id); }},
        {{.name = "log-lines",
          .shape = Shape::kCount,
          .help = "how many lines of its output are kept of each child for weft logs (default 500)"},
         [](Manifest& m, std::string_view v) { return store(parse_count(v, 0, kLogLinesMax), m.log_lines); }},
        {{.name = "channel", .shape = Shape::kTables, .help = "a channel between children", .table = "channel"}},
        {{.name = "region", .shape = Shape::kTables, .help = "memory that children share", .table = "region"}},
    };
    add_flags(list, {"workers", "quantum", "max-stack", "no-preemption", "fibers", "preempt-strands", "cache-dir", "no-cache",
                     "allow-precompiled"});
    return list;
  }();
  return keys;
}

std::span<const Key<ManifestGroup>> keys_of_rules() {
  static const std::vector<Key<ManifestGroup>> keys = {
      {{.name = "strategy",
        .shape = Shape::kWord,
        .help = "who is restarted when a child has to be: one_for_one (that one; the default), one_for_all, rest_for_one (that one "
                "and those after it)",
        .words = words_of(kStrategies)},
       [](ManifestGroup& g, std::string_view v) { return choose(v, kStrategies, g.strategy); }},
      {{.name = "max-restarts",
        .shape = Shape::kCount,
        .help = "at most so many restarts in a period; one more, and the group gives up (default 10; below 0: no limit)"},
       [](ManifestGroup& g, std::string_view v) -> Result<void> {
         if (v.starts_with('-')) {
           g.max_restarts = -1;
           return {};
         }
         return store(parse_count(v, 0, kCountMax), g.max_restarts);
       }},
      {{.name = "period", .shape = Shape::kDuration, .help = "the period of max-restarts (default 1m)"},
       [](ManifestGroup& g, std::string_view v) -> Result<void> {
         const Result<Duration> period = parse_duration(v);
         if (period && period->count() == 0) return fail(ErrorKind::kBadArgument, "must be more than 0");
         return store(period, g.period);
       }},
      {{.name = "backoff", .shape = Shape::kTable, .help = "how long to wait before a restart", .table = "backoff"}},
      {{.name = "stop-order",
        .shape = Shape::kWord,
        .help = "how children are stopped: reverse (one after the other, the last first; the default), together",
        .words = words_of(kStopOrders)},
       [](ManifestGroup& g, std::string_view v) { return choose(v, kStopOrders, g.stop_order); }},
      {{.name = "auto-shutdown",
        .shape = Shape::kWord,
        .help = "end when significant children have ended by themselves: never (the default), any-significant, all-significant",
        .words = words_of(kShutdowns)},
       [](ManifestGroup& g, std::string_view v) { return choose(v, kShutdowns, g.auto_shutdown); }},
      {{.name = "child", .shape = Shape::kTables, .help = "a process, or several copies of it", .table = "child"}},
      {{.name = "group", .shape = Shape::kTables, .help = "children, and groups, under rules of their own", .table = "group"}},
  };
  return keys;
}

std::span<const Key<ManifestGroup>> keys_of_group() {
  static const std::vector<Key<ManifestGroup>> keys = {
      {{.name = "id", .help = "what it is called; unique among its siblings", .required = true},
       [](ManifestGroup& g, std::string_view v) { return store(parse_name(v), g.id); }},
      {{.name = "restart", .shape = Shape::kWord, .help = kRestartHelp, .words = words_of(kRestarts)},
       [](ManifestGroup& g, std::string_view v) { return choose(v, kRestarts, g.restart); }},
      {{.name = "grace", .shape = Shape::kDuration, .help = kGraceHelp},
       [](ManifestGroup& g, std::string_view v) { return store(parse_grace(v), g.grace); }},
      {{.name = "significant", .shape = Shape::kSwitch, .help = kSignificantHelp},
       [](ManifestGroup& g, std::string_view v) { return store(parse_switch(v), g.significant); }},
  };
  return keys;
}

std::span<const Key<ManifestChild>> keys_of_child() {
  static const std::vector<Key<ManifestChild>> keys = [] {
    std::vector<Key<ManifestChild>> list = {
        {{.name = "id", .help = "what it is called; unique among its siblings", .required = true},
         [](ManifestChild& c, std::string_view v) { return store(parse_name(v), c.id); }},
        {{.name = "module", .help = "the program: a path, from where the manifest is", .required = true},
         [](ManifestChild& c, std::string_view v) { return store(parse_text(v), c.run.program); }},
        {{.name = "args", .shape = Shape::kTexts, .help = "its arguments, after its name"},
         [](ManifestChild& c, std::string_view v) -> Result<void> {
           c.run.arguments.emplace_back(v);
           return {};
         }},
        {{.name = "copies", .shape = Shape::kCount, .help = "run so many of it: id#1, id#2, … (default 1)"},
         [](ManifestChild& c, std::string_view v) { return store(parse_count(v, 1, kManifestChildrenMax), c.copies); }},
        {{.name = "restart", .shape = Shape::kWord, .help = kRestartHelp, .words = words_of(kRestarts)},
         [](ManifestChild& c, std::string_view v) { return choose(v, kRestarts, c.restart); }},
        {{.name = "grace", .shape = Shape::kDuration, .help = kGraceHelp},
         [](ManifestChild& c, std::string_view v) { return store(parse_grace(v), c.grace); }},
        {{.name = "significant", .shape = Shape::kSwitch, .help = kSignificantHelp},
         [](ManifestChild& c, std::string_view v) { return store(parse_switch(v), c.significant); }},
        {{.name = "health", .shape = Shape::kTable, .help = "how it shows that it is well", .table = "health"}},
        {{.name = "stdin",
          .shape = Shape::kWord,
          .help = "its standard input: empty (the default), or inherit (weft's own, shared by all that do)",
          .words = words_of(kStdins)},
         [](ManifestChild& c, std::string_view v) { return choose(v, kStdins, c.run.stdin_mode.emplace()); }},
        {{.name = "stdin-text", .help = "its standard input is this text"},
         [](ManifestChild& c, std::string_view v) -> Result<void> {
           c.stdin_text = std::string(v);
           return {};
         }},
        {{.name = "stdin-file", .help = "its standard input is this file, read at its first start"},
         [](ManifestChild& c, std::string_view v) { return store(parse_text(v), c.stdin_file); }},
        {{.name = "output",
          .shape = Shape::kWord,
          .help = "what weft up prints of its output: prefix (its id before each line; the default), plain, none (weft logs still "
                  "has it)",
          .words = words_of(kOutputs)},
         [](ManifestChild& c, std::string_view v) { return choose(v, kOutputs, c.output); }},
        {{.name = "output-file", .help = "append its output to this file"},
         [](ManifestChild& c, std::string_view v) { return store(parse_text(v), c.output_file); }},
    };
    add_flags(list, {"env", "inherit-env", "dir", "dir-ro", "network", "argv0", "invoke", "priority", "on-deadlock", "max-memory",
                     "max-threads", "max-table-elements", "max-instances", "max-output", "max-channel-bytes", "max-region-bytes",
                     "timeout", "cpu-time", "fuel"});
    return list;
  }();
  return keys;
}

std::span<const Key<ManifestHealth>> keys_of_health() {
  static const std::vector<Key<ManifestHealth>> keys = {
      {{.name = "interval",
        .shape = Shape::kDuration,
        .help = "the guest calls weft.alive at least so often, or it is killed, and restarted as its restart says",
        .required = true},
       [](ManifestHealth& h, std::string_view v) { return store(parse_duration_limit(v), h.interval); }},
      {{.name = "start", .shape = Shape::kDuration, .help = "how long it has for its first call (default: interval)"},
       [](ManifestHealth& h, std::string_view v) { return store(parse_duration_limit(v), h.start); }},
  };
  return keys;
}

std::span<const Key<Backoff>> keys_of_backoff() {
  static const std::vector<Key<Backoff>> keys = {
      {{.name = "first", .shape = Shape::kDuration, .help = "before the first restart (default 100ms; 0: at once)"},
       [](Backoff& b, std::string_view v) { return store(parse_duration(v), b.first); }},
      {{.name = "factor", .shape = Shape::kNumber, .help = "each wait is so many times the one before (default 2)"},
       [](Backoff& b, std::string_view v) { return store(parse_number(v, 1, 1000), b.factor); }},
      {{.name = "max", .shape = Shape::kDuration, .help = "no wait is longer (default 30s)"},
       [](Backoff& b, std::string_view v) { return store(parse_duration(v), b.max); }},
      {{.name = "jitter",
        .shape = Shape::kNumber,
        .help = "each is made longer or shorter by up to this part of itself, 0 to 1 (default 0.1)"},
       [](Backoff& b, std::string_view v) { return store(parse_number(v, 0, 1), b.jitter); }},
      {{.name = "stable", .shape = Shape::kDuration, .help = "a child that ran so long begins anew at first (default 10s)"},
       [](Backoff& b, std::string_view v) { return store(parse_duration(v), b.stable); }},
  };
  return keys;
}

std::span<const Key<ManifestChannel>> keys_of_channel() {
  static const std::vector<Key<ManifestChannel>> keys = {
      {{.name = "name", .help = "what the children call it", .required = true},
       [](ManifestChannel& c, std::string_view v) { return store(parse_name(v), c.name); }},
      {{.name = "kind",
        .shape = Shape::kWord,
        .help = "bounded (the default), unbounded, rendezvous, oneshot or broadcast",
        .words = words_of(kChannelKinds)},
       [](ManifestChannel& c, std::string_view v) { return choose(v, kChannelKinds, c.kind); }},
      {{.name = "capacity", .shape = Shape::kCount, .help = "how many messages it holds: bounded and broadcast"},
       [](ManifestChannel& c, std::string_view v) { return store(parse_count(v, 1, kCountMax), c.capacity); }},
      {{.name = "bytes-max",
        .shape = Shape::kSize,
        .help = "how many bytes its messages may have together: bounded, unbounded and broadcast"},
       [](ManifestChannel& c, std::string_view v) { return store(parse_size_limit(v), c.bytes_max); }},
      {{.name = "slow-receiver",
        .shape = Shape::kWord,
        .help = "broadcast: what a receiver that is capacity behind does: holds-back (senders wait for it; the default), loses (it "
                "is told how many)",
        .words = words_of(kSlowReceivers)},
       [](ManifestChannel& c, std::string_view v) { return choose(v, kSlowReceivers, c.slow_receiver); }},
      {{.name = "from",
        .shape = Shape::kTexts,
        .help = "who sends: ids of children, below their groups as in payment/ledger",
        .required = true},
       [](ManifestChannel& c, std::string_view v) -> Result<void> {
         c.from.emplace_back(v);
         return {};
       }},
      {{.name = "to", .shape = Shape::kTexts, .help = "who receives", .required = true},
       [](ManifestChannel& c, std::string_view v) -> Result<void> {
         c.to.emplace_back(v);
         return {};
       }},
  };
  return keys;
}

std::span<const Key<ManifestRegion>> keys_of_region() {
  static const std::vector<Key<ManifestRegion>> keys = {
      {{.name = "name", .help = "what the children call it", .required = true},
       [](ManifestRegion& r, std::string_view v) { return store(parse_name(v), r.name); }},
      {{.name = "size", .shape = Shape::kSize, .help = "how many bytes it has, up to 1GiB; all are 0 at first", .required = true},
       [](ManifestRegion& r, std::string_view v) { return store(parse_region_size(v), r.bytes); }},
      {{.name = "children",
        .shape = Shape::kTexts,
        .help = "who has it: ids of children, below their groups as in payment/ledger",
        .required = true},
       [](ManifestRegion& r, std::string_view v) -> Result<void> {
         r.children.push_back({std::string(v), {}});
         return {};
       }},
  };
  return keys;
}

}  // namespace weft::cli
