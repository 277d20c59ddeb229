// What weft says about a run: the progress line while it lasts, the summary and the JSON at its end.
//
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/tally.hpp"
#include "weft/runtime.hpp"

namespace weft::cli {

// 1234567 -> "1,234,567".
std::string grouped(std::uint64_t number);

struct Progress {
  std::uint64_t copies = 0;
  std::uint64_t started = 0;
  std::uint64_t ended = 0;
  std::uint64_t failed = 0;
  Duration elapsed{0};
};

// One line without a newline, at most `columns` wide.
std::string progress_line(const Progress& progress, unsigned columns);

struct RunFacts {
  std::string program;  // as it is called for people
  std::string path;     // as it was given
  std::uint64_t copies = 1;
  std::uint64_t not_started = 0;  // left out because the run was stopped
  unsigned workers = 0;
  std::uint64_t steals = 0;
  Duration wall_time{0};
  Duration start_time{0};  // of it, until the first copy ran: reading, compiling, linking
  std::string stopped_by;  // "Ctrl-C", …; empty when nobody did
  int exit_status = 0;
  std::vector<std::string> warnings;
};

// For people: who failed and why, and what was used. Ends with a newline.
std::string summary_text(const Totals& totals, const RunFacts& facts);

// Who failed and why, nothing else; empty when nobody did.
std::string failures_text(const Totals& totals, const RunFacts& facts);

// What was used by a single guest, for --stats.
std::string usage_text(const Totals& totals, const RunFacts& facts);

// One line of JSON with a newline. `single`: how the only copy ended.
std::string summary_json(const Totals& totals, const RunFacts& facts, const std::optional<ExitStatus>& single);

}  // namespace weft::cli
