// Shows what weft says during and after a run, from made-up ends of processes.
#include "cli/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/exit_codes.hpp"

namespace weft::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

ExitStatus ended(ExitKind kind, std::int32_t code = 0, std::string message = {}) {
  ExitStatus status;
  status.kind = kind;
  status.code = code;
  status.message = std::move(message);
  status.usage.cpu_time = std::chrono::milliseconds(500);
  status.usage.memory_bytes_max = 1U << 20;
  status.usage.switches = 10;
  status.usage.preemptions = 4;
  status.usage.host_calls = 7;
  return status;
}

RunFacts facts_of(std::uint64_t copies) {
  RunFacts facts;
  facts.program = "app";
  facts.path = "dir/app.wasm";
  facts.copies = copies;
  facts.workers = 4;
  facts.wall_time = std::chrono::seconds(1);
  facts.start_time = std::chrono::milliseconds(20);
  return facts;
}

TEST(Report, NumbersAreGrouped) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

TEST(Report, TheProgressLineSaysHowFarItIsAndFits) {
  const Progress progress{.copies = 300, .started = 200, .ended = 120, .failed = 2, .elapsed = std::chrono::seconds(4)};
  EXPECT_EQ(progress_line(progress, 120), "weft: 120 of 300 done, 2 failed, 80 running, 100 to start, 30/s, 4.0 s");
  EXPECT_EQ(progress_line(progress, 20).size(), 19U);
  EXPECT_EQ(progress_line({.copies = 3, .started = 3}, 80), "weft: 0 of 3 done, 3 running, 0.0 s");
}

TEST(Report, SuccessIsOneSentenceAndWhatWasUsed) {
  Tally tally;
  for (std::uint64_t i = 0; i < 3; ++i) tally.add(i, ended(ExitKind::kExited));
  EXPECT_EQ(summary_text(tally.totals(), facts_of(3)),
            "weft: 3 copies of app: all succeeded\n"
            "  time      1s, of it 20ms to load the program; 1.5s of CPU: 1.5 of 4 workers busy\n"
            "  memory    1 MiB at most in one copy\n"
            "  switches  30, of them 12 because the quantum was over; 21 calls into the host\n");
}

TEST(Report, FailuresOfTheSameKindAreOneLine) {
  Tally tally;
  tally.add(0, ended(ExitKind::kReturned));
  for (std::uint64_t i = 1; i < 40; ++i) tally.add(i, ended(ExitKind::kExited, 2));
  tally.add(40, ended(ExitKind::kTrapped, 0, "trapped: unreachable"));
  RunFacts facts = facts_of(50);
  facts.not_started = 9;
  facts.stopped_by = "Ctrl-C";
  const std::string text = summary_text(tally.totals(), facts);
  EXPECT_THAT(text, HasSubstr("weft: 50 copies of app: 1 succeeded, 40 failed, 9 not started (stopped by Ctrl-C)\n"));
  EXPECT_THAT(text, HasSubstr("  39 × exit status 2 (#2, #3, #4, #5, #6, #7, #8, #9, #10, #11, …)\n"));
  EXPECT_THAT(text, HasSubstr("  1 × trapped: unreachable (#41)\n"));
}

TEST(Report, CopiesAtTheSameLimitAreOneLine) {
  Tally tally;
  for (std::uint64_t used : {11U, 12U, 13U}) {
    ExitStatus status = ended(ExitKind::kLimitReached, 0, "cpu time limit 10ns reached (used " + std::to_string(used) + "ns)");
    status.limit = LimitReached{LimitKind::kCpuTime, 10, used};
    tally.add(used, status);
  }
  EXPECT_THAT(summary_text(tally.totals(), facts_of(3)),
              HasSubstr("  3 × cpu time limit 10ns reached (used 11ns) (#12, #13, #14)\n"));
}

TEST(Report, ManyWaysToFailStayBounded) {
  Tally tally;
  for (std::uint64_t i = 0; i < 1000; ++i) tally.add(i, ended(ExitKind::kTrapped, 0, "way " + std::to_string(i)));
  EXPECT_EQ(tally.totals().failures.size(), Tally::kGroupsMax);
  EXPECT_EQ(tally.totals().failed(), 1000U);
  const std::string text = summary_text(tally.totals(), facts_of(1000));
  EXPECT_THAT(text, HasSubstr("all failed"));
  EXPECT_THAT(text, HasSubstr("  995 failed in other ways (--json lists more)\n"));
}

TEST(Report, ATrapShowsTheStack) {
  ExitStatus status = ended(ExitKind::kTrapped, 0, "unreachable");
  status.backtrace.push_back(
      {.module = "app", .function = "inner", .function_index = 3, .offset = 0x1f, .file = "a.rs", .line = 7, .column = 2});
  status.backtrace.push_back(
      {.module = "app", .function = "", .function_index = 9, .offset = 0x40, .file = {}, .line = 0, .column = 0});
  status.detail = "not shown: the stack says it better";
  Tally tally;
  tally.add(0, status);
  EXPECT_EQ(failures_text(tally.totals(), facts_of(1)),
            "weft: dir/app.wasm: trapped: unreachable\n    0: inner at a.rs:7:2 (app+0x1f)\n    1: function 9 (app+0x40)\n");
}

TEST(Report, EndlessRecursionIsFolded) {
  ExitStatus status = ended(ExitKind::kLimitReached, 0, "stack limit 1 KiB reached");
  Frame frame;
  frame.function = "deeper";
  frame.offset = Frame::kNoOffset;
  status.backtrace.assign(1000, frame);
  status.backtrace.back().function = "main";
  EXPECT_EQ(describe_detail(status), "    0: deeper\n       … 999 times\n  999: main\n");
}

TEST(Report, JsonHoldsTheSameAndParses) {
  Tally tally;
  ExitStatus status = ended(ExitKind::kLimitReached, 0, "memory limit\xff reached");
  status.limit = LimitReached{LimitKind::kMemory, 1024, 2048};
  tally.add(0, status);
  RunFacts facts = facts_of(1);
  facts.exit_status = kExitLimit;
  const std::string text = summary_json(tally.totals(), facts, status);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const nlohmann::json json = nlohmann::json::parse(text);
  EXPECT_EQ(json["failed"], 1);
  EXPECT_EQ(json["exit_status"], 125);
  EXPECT_EQ(json["process"]["limit"]["value"], 1024);
  EXPECT_EQ(json["process"]["limit"]["flag"], "--max-memory");
  EXPECT_EQ(json["failures"][0]["kind"], "limit-reached");
  EXPECT_EQ(json["cpu_ns"], 500'000'000);
}

TEST(ExitCodes, TheGuestsOwnCodeIsHandedOn) {
  EXPECT_EQ(exit_code_of(ended(ExitKind::kReturned)), 0);
  EXPECT_EQ(exit_code_of(ended(ExitKind::kExited, 0)), 0);
  EXPECT_EQ(exit_code_of(ended(ExitKind::kExited, 42)), 42);
  EXPECT_EQ(exit_code_of(ended(ExitKind::kExited, 255)), 255);
  EXPECT_EQ(exit_code_of(ended(ExitKind::kExited, 256)), 255);  // & 255 would make it a success
  EXPECT_EQ(exit_code_of(ended(ExitKind::kExited, -1)), 255);
}

TEST(ExitCodes, EveryOtherEndHasItsOwn) {
  EXPECT_EQ(exit_code_of(ended(ExitKind::kTrapped)), 134);
  EXPECT_EQ(exit_code_of(ended(ExitKind::kKilled)), 137);
  EXPECT_EQ(exit_code_of(ended(ExitKind::kFailed)), 71);
  ExitStatus status = ended(ExitKind::kLimitReached);
  status.limit = LimitReached{LimitKind::kWallTime, 1, 0};
  EXPECT_EQ(exit_code_of(status), 124);
  status.limit->kind = LimitKind::kCpuTime;
  EXPECT_EQ(exit_code_of(status), 124);
  status.limit->kind = LimitKind::kFuel;
  EXPECT_EQ(exit_code_of(status), 125);
}

TEST(ExitCodes, EveryCodeIsInTheTable) {
  const auto listed = [](int code) {
    return std::ranges::any_of(exit_codes(), [&](const ExitCode& c) { return c.code == std::to_string(code); });
  };
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kInternal); ++kind) {
    EXPECT_TRUE(listed(exit_code_of(static_cast<ErrorKind>(kind)))) << kind;
  }
  for (int kind = 0; kind <= static_cast<int>(ExitKind::kFailed); ++kind) {
    EXPECT_TRUE(listed(exit_code_of(ended(static_cast<ExitKind>(kind))))) << kind;
  }
}

}  // namespace
}  // namespace weft::cli
