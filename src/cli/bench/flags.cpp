#include "cli/bench/flags.hpp"

#include <utility>

#include "cli/bench/cases.hpp"
#include "cli/bench/ring_guest_text.hpp"
#include "cli/bench/ring_layout.hpp"
#include "cli/values.hpp"

namespace weft::cli {
namespace {

constexpr std::uint64_t kRunsMax = 1000;
constexpr std::uint64_t kWorkersMax = 1024;
constexpr std::uint64_t kOperationsMax = 1'000'000'000;

// What most apply functions do: parse, then store.
template <class T, class Target>
Result<void> store(Result<T> parsed, Target& target) {
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  target = static_cast<Target>(std::move(*parsed));
  return {};
}

std::vector<std::string_view> case_words() {
  std::vector<std::string_view> words = {"all"};
  for (const BenchCase& one : bench_cases()) words.push_back(one.name);
  return words;
}

}  // namespace

const std::vector<Flag>& bench_flags() {
  static const std::vector<Flag> flags = {
      {.name = "items",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = "What is measured",
       .help = "items through the ring (default 1000000)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, RingLayout::kItemsMax), s.bench.items); }},
      {.name = "slots",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = "What is measured",
       .help = "slots of the ring, a power of two (default 1024)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_slots(v), s.bench.slots); }},
      {.name = "sweep",
       .group = "What is measured",
       .help = "rings of 16 to 16384 slots, one after the other",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.bench.sweep); }},
      {.name = "slots-list",
       .takes = Takes::kValue,
       .value_name = "LIST",
       .group = "What is measured",
       .help = "a sweep over these: 64,256,1024",
       .apply = [](Settings& s, std::string_view v) { return store(parse_slots_list(v), s.bench.slots_list); }},
      {.name = "batch",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = "What is measured",
       .help = "publish an index after N items at the latest (default: an eighth of the slots, at most 1024; 1: after each)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, RingLayout::kSlotsMax), s.bench.batch); }},
      {.name = "patience",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = "What is measured",
       .help = "for the cases that wait: after so many looks in vain (default 100)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 0, RingLayout::kItemsMax), s.bench.patience); }},
      {.name = "cases",
       .takes = Takes::kValue,
       .value_name = "LIST",
       .group = "What is measured",
       .help =
           "of os_ring_cold, os_ring_warm, os_ring_wait, wasm_ring_cold, wasm_ring_warm, wasm_ring_wait, os_file_io, file_io; or "
           "all (default: cold and warm)",
       .completes = Completes::kWords,
       .words = case_words(),
       .apply = [](Settings& s, std::string_view v) { return store(parse_case_list(v), s.bench.cases); }},
      {.name = "runs",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = "What is measured",
       .help = "measure each case N times, in turn with the others, and report the run with the median time (default 3)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, kRunsMax), s.bench.runs); }},
      {.name = "workers",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = "What is measured",
       .help = "operating-system threads that run guests (default: one for each core)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, kWorkersMax), s.workers); }},
      {.name = "file-operations",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = "What is measured",
       .help = "for the cases with files: reads and writes of 4 KiB (default 10000)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, kOperationsMax), s.bench.file_operations); }},
      {.name = "file-threads",
       .takes = Takes::kValue,
       .value_name = "N",
       .group = "What is measured",
       .help = "for the cases with files: threads at once (default 4)",
       .apply = [](Settings& s, std::string_view v) { return store(parse_count(v, 1, kFileThreadsMax), s.bench.file_threads); }},
      {.name = "csv",
       .group = "What comes out",
       .help = "comma-separated values after the table",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.bench.csv); }},
      {.name = "csv-only",
       .group = "What comes out",
       .help = "comma-separated values instead of the table",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.bench.csv_only); }},
      {.name = "json",
       .group = "What comes out",
       .help = "JSON instead of the table, with the times of all runs",
       .apply = [](Settings& s, std::string_view v) { return store(parse_switch(v), s.json); }},
      {.name = "plot",
       .takes = Takes::kValue,
       .value_name = "FILE",
       .group = "What comes out",
       .help = "also draw the time of an item over the slots, as SVG",
       .completes = Completes::kFile,
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         if (v.empty()) return fail(ErrorKind::kBadArgument, "must not be empty");
         s.bench.plot = std::string(v);
         return {};
       }},
  };
  return flags;
}

}  // namespace weft::cli
