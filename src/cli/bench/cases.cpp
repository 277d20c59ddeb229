#include "cli/bench/cases.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>

#include "cli/bench/ring_layout.hpp"
#include "cli/suggest.hpp"
#include "cli/values.hpp"

namespace weft::cli {
namespace {

constexpr std::array kCases = {
    BenchCase{"os_ring_cold", false, BenchWork::kRing, Start::kCold, {}, true},
    BenchCase{"os_ring_warm", false, BenchWork::kRing, Start::kWarm, {}, true},
    BenchCase{"os_ring_wait", false, BenchWork::kRingWait, Start::kWarm, {}, false},
    BenchCase{"wasm_ring_cold", true, BenchWork::kRing, Start::kCold, "os_ring_cold", true},
    BenchCase{"wasm_ring_warm", true, BenchWork::kRing, Start::kWarm, "os_ring_warm", true},
    BenchCase{"wasm_ring_wait", true, BenchWork::kRingWait, Start::kWarm, "os_ring_wait", false},
    BenchCase{"os_file_io", false, BenchWork::kFiles, Start::kWarm, {}, false},
    BenchCase{"file_io", true, BenchWork::kFiles, Start::kWarm, "os_file_io", false},
};

constexpr std::uint64_t kUsualSlots = 1024;
constexpr std::array<std::uint64_t, 6> kUsualSweep = {16, 64, 256, 1024, 4096, 16384};

Result<std::vector<std::string_view>> split_list(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t comma = text.find(',');
    words.push_back(text.substr(0, comma));
    if (words.back().empty()) return fail(ErrorKind::kBadArgument, "a place in the list is empty; put one comma between two");
    if (comma == std::string_view::npos) return words;
    text.remove_prefix(comma + 1);
  }
}

bool is_ring(const BenchCase* one) { return one->work != BenchWork::kFiles; }

}  // namespace

std::span<const BenchCase> bench_cases() { return kCases; }

const BenchCase* find_bench_case(std::string_view name) {
  const auto found = std::ranges::find(kCases, name, &BenchCase::name);
  return found == kCases.end() ? nullptr : &*found;
}

Result<std::uint64_t> parse_slots(std::string_view text) {
  Result<std::uint64_t> slots = parse_count(text, RingLayout::kSlotsMin, RingLayout::kSlotsMax);
  if (slots && !std::has_single_bit(*slots)) {
    return fail(ErrorKind::kBadArgument,
                fmt::format("must be a power of two: {} or {}", std::bit_floor(*slots), std::bit_ceil(*slots)));
  }
  if (!slots && slots.error().message == fmt::format("must be at most {}", RingLayout::kSlotsMax)) {
    slots.error().message += ": more do not fit into a guest's memory of 4 GiB";
  }
  return slots;
}

Result<std::vector<std::uint64_t>> parse_slots_list(std::string_view text) {
  const Result<std::vector<std::string_view>> words = split_list(text);
  if (!words) return std::unexpected(words.error());
  std::vector<std::uint64_t> list;
  for (const std::string_view word : *words) {
    const Result<std::uint64_t> slots = parse_slots(word);
    if (!slots) return fail(ErrorKind::kBadArgument, fmt::format("'{}': {}", word, slots.error().message));
    if (std::ranges::find(list, *slots) != list.end())
      return fail(ErrorKind::kBadArgument, fmt::format("'{}' is there twice", word));
    list.push_back(*slots);
  }
  return list;
}

Result<std::vector<std::string>> parse_case_list(std::string_view text) {
  std::vector<std::string_view> names;
  names.reserve(kCases.size());
  for (const BenchCase& one : kCases) names.push_back(one.name);
  if (text == "all") return std::vector<std::string>(names.begin(), names.end());
  const Result<std::vector<std::string_view>> words = split_list(text);
  if (!words) return std::unexpected(words.error());
  for (const std::string_view word : *words) {
    if (find_bench_case(word) != nullptr) continue;
    const std::string hint = did_you_mean(word, names);
    return fail(
        ErrorKind::kBadArgument,
        fmt::format("no case '{}'{}", word, hint.empty() ? fmt::format("; there are all, {}", fmt::join(names, ", ")) : hint));
  }
  return std::vector<std::string>(words->begin(), words->end());
}

std::uint64_t BenchPlan::batch_of(std::uint64_t ring_slots) const {
  return std::min(batch.value_or(RingLayout::usual_batch(ring_slots)), ring_slots);
}

Result<BenchPlan> plan_bench(const BenchSettings& settings, bool json, std::uint64_t memory_bytes) {
  if (json && (settings.csv || settings.csv_only)) {
    return fail(ErrorKind::kBadArgument, "bench: --json and --csv both say how standard output is to look; give one of them");
  }
  if (settings.slots && (settings.sweep || !settings.slots_list.empty())) {
    return fail(ErrorKind::kBadArgument, "bench: --slots is for one ring, a sweep takes several; say which with --slots-list");
  }
  BenchPlan plan;
  plan.batch = settings.batch;
  for (const BenchCase& one : kCases) {
    const bool wanted = settings.cases.empty() ? one.usual : std::ranges::find(settings.cases, one.name) != settings.cases.end();
    if (wanted) plan.cases.push_back(&one);
  }
  plan.slots = settings.slots_list;
  if (plan.slots.empty() && settings.sweep) plan.slots.assign(kUsualSweep.begin(), kUsualSweep.end());
  if (plan.slots.empty()) plan.slots.push_back(settings.slots.value_or(kUsualSlots));
  if (!settings.plot.empty() && std::ranges::none_of(plan.cases, is_ring)) {
    return fail(ErrorKind::kBadArgument, "bench: --plot draws the time over the slots of the ring; none of these cases has a ring");
  }
  for (const std::uint64_t slots : plan.slots) {
    // Only slots that are used take memory.
    const std::uint64_t bytes = RingLayout::kData + 4 * std::min(slots, settings.items);
    if (memory_bytes == 0 || bytes <= memory_bytes) continue;
    return fail(ErrorKind::kBadArgument,
                fmt::format("bench: a ring of {} slots takes {}, and there are {} of memory; give fewer slots or items", slots,
                            format_size(bytes), format_size(memory_bytes)));
  }
  return plan;
}

}  // namespace weft::cli
