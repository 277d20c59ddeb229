// What came of the copies of one run: counted as they end, told at the end for people and for programs.
//
//   Tally tally;
//   tally.add(0, status);
//   console.say(summary_text(tally.totals(), facts));
//
// One thread at a time. Keeps a bounded amount however many copies there are.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weft/process.hpp"

namespace weft::cli {

// Copies that failed in the same way: with the same message, or at the same limit (how far beyond it differs from copy to copy).
struct FailureGroup {
  ExitKind kind = ExitKind::kTrapped;
  std::string message;  // of the first one
  std::optional<LimitKind> limit;
  std::uint64_t count = 0;
  std::vector<std::uint64_t> copies;  // the first of them, counted from 1
  std::string detail;                 // of the first one: backtrace and the engine's words
};

struct Totals {
  std::uint64_t ended = 0;
  std::uint64_t succeeded = 0;
  Duration cpu_time{0};                // all together
  std::uint64_t memory_bytes_max = 0;  // of the largest copy
  std::uint64_t switches = 0;
  std::uint64_t preemptions = 0;
  std::uint64_t host_calls = 0;
  std::uint64_t fuel = 0;
  std::vector<FailureGroup> failures;   // in the order of first appearance
  std::uint64_t failures_unlisted = 0;  // failed in ways that no longer got a group of their own

  std::uint64_t failed() const noexcept { return ended - succeeded; }
};

class Tally {
 public:
  static constexpr std::size_t kGroupsMax = 20;
  static constexpr std::size_t kCopiesShownMax = 10;

  // `index` counts from 0, as the copies are spawned.
  void add(std::uint64_t index, const ExitStatus& status);
  const Totals& totals() const noexcept { return totals_; }

 private:
  Totals totals_;
};

// The one line on how a process ended, without the program's name: "trapped: …", "exit status 3".
std::string describe(const ExitStatus& status);

// The guest's stack, one frame a line, and what the engine said; empty when there is neither.
std::string describe_detail(const ExitStatus& status);

}  // namespace weft::cli
