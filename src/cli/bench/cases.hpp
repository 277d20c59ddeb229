// The cases of `weft bench ring`: one table, which the flags, the command and the reports read.
//
// Constant data and pure functions, any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cli/bench/ring_native.hpp"
#include "cli/bench/settings.hpp"
#include "weft/error.hpp"

namespace weft::cli {

enum class BenchWork : std::uint8_t { kRing, kRingWait, kFiles };

struct BenchCase {
  std::string_view name;
  bool guest;  // or else threads of the operating system
  BenchWork work;
  Start start;            // of rings
  std::string_view twin;  // for guests: the case that does the same without them
  bool usual;             // measured when no --cases say otherwise
};

std::span<const BenchCase> bench_cases();
const BenchCase* find_bench_case(std::string_view name);

// "64,256,1024" and "os_ring_warm,wasm_ring_warm", or "all"; the message says what is wrong.
Result<std::uint64_t> parse_slots(std::string_view text);
Result<std::vector<std::uint64_t>> parse_slots_list(std::string_view text);
Result<std::vector<std::string>> parse_case_list(std::string_view text);

// What is to be measured, once all flags are known.
struct BenchPlan {
  std::vector<const BenchCase*> cases;  // in the order of the table
  std::vector<std::uint64_t> slots;     // each in turn
  std::uint64_t batch_of(std::uint64_t slots) const;
  std::optional<std::uint64_t> batch;
};

// kBadArgument for flags that make no sense together, and for a ring that is bigger than `memory_bytes` (0: not known).
Result<BenchPlan> plan_bench(const BenchSettings& settings, bool json, std::uint64_t memory_bytes);

}  // namespace weft::cli
