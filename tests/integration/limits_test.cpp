// Every limit of a process: reached, it ends that process with an error that names the limit, its value and its flag, and nothing else.
#include <gtest/gtest.h>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

class LimitTest : public RuntimeTest {
 protected:
  void expect_reached(const ExitStatus& status, LimitKind kind, std::uint64_t value) {
    ASSERT_EQ(status.kind, ExitKind::kLimitReached) << name_of(status.kind) << ": " << status.message;
    ASSERT_TRUE(status.limit.has_value());
    EXPECT_EQ(status.limit->kind, kind) << status.message;
    EXPECT_EQ(status.limit->value, value) << status.message;
    EXPECT_NE(status.message.find(name_of(kind)), std::string::npos) << status.message;
    EXPECT_NE(status.message.find(flag_of(kind)), std::string::npos) << status.message;
    EXPECT_FALSE(status.success());
    // Nothing else is harmed.
    EXPECT_TRUE(spawn(kReturns).join().success());
  }
};

TEST_F(LimitTest, Memory) {
  start();
  ProcessSpec spec{.module = compile(kGrows)};
  spec.limits.memory_bytes = 1 << 20;
  const ExitStatus status = spawn(std::move(spec)).join();
  expect_reached(status, LimitKind::kMemory, 1 << 20);
  EXPECT_EQ(status.limit->asked, (1 << 20) + (64 << 10));
  EXPECT_EQ(status.message, "memory limit 1 MiB reached (asked for 1.06 MiB); raise it with --max-memory");
  EXPECT_EQ(status.usage.memory_bytes_max, 1U << 20);
}

TEST_F(LimitTest, MemoryAtTheStart) {
  start();
  ProcessSpec spec{.module = compile(R"((module (memory (export "memory") 100) (func (export "_start"))))")};
  spec.limits.memory_bytes = 1 << 20;
  expect_reached(spawn(std::move(spec)).join(), LimitKind::kMemory, 1 << 20);
}

TEST_F(LimitTest, MemoryOfTheRuntime) {
  RuntimeOptions options = usual_options();
  options.memory_bytes_max = 2 << 20;
  start(std::move(options));
  expect_reached(spawn(kGrows).join(), LimitKind::kMemory, 2 << 20);
}

TEST_F(LimitTest, TableElements) {
  start();
  ProcessSpec spec{.module = compile(R"((module (table 1 funcref) (memory (export "memory") 1)
    (func (export "_start") (loop $again (drop (table.grow (ref.null func) (i32.const 100))) (br $again)))))")};
  spec.limits.table_elements = 1000;
  expect_reached(spawn(std::move(spec)).join(), LimitKind::kTableElements, 1000);
}

TEST_F(LimitTest, CpuTimeInATightLoop) {
  start();
  ProcessSpec spec{.module = compile(kSpins)};
  spec.limits.cpu_time = 20ms;
  const ExitStatus status = spawn(std::move(spec)).join();
  expect_reached(status, LimitKind::kCpuTime, 20'000'000);
  EXPECT_GE(status.usage.cpu_time, 20ms);
}

TEST_F(LimitTest, CpuTimeOfAGuestThatYields) {
  start();
  ProcessSpec spec{.module = compile(kYieldsForever)};
  spec.limits.cpu_time = 5ms;
  expect_reached(spawn(std::move(spec)).join(), LimitKind::kCpuTime, 5'000'000);
}

TEST_F(LimitTest, WallTimeInATightLoop) {
  start();
  ProcessSpec spec{.module = compile(kSpins)};
  spec.limits.wall_time = 20ms;
  const ExitStatus status = spawn(std::move(spec)).join();
  expect_reached(status, LimitKind::kWallTime, 20'000'000);
  EXPECT_GE(status.usage.wall_time, 20ms);
}

TEST_F(LimitTest, WallTimeWhileParked) {
  start();
  ProcessSpec spec{.module = compile(kSleeps)};
  spec.limits.wall_time = 20ms;
  expect_reached(spawn(std::move(spec)).join(), LimitKind::kWallTime, 20'000'000);
}

TEST_F(LimitTest, WallTimeIsNotReachedByWhoIsQuick) {
  start();
  ProcessSpec spec{.module = compile(kReturns)};
  spec.limits.wall_time = 1h;
  EXPECT_TRUE(spawn(std::move(spec)).join().success());
  EXPECT_EQ(runtime_->stats().timers, 0U);
}

TEST_F(LimitTest, Fuel) {
  RuntimeOptions options = usual_options();
  options.fuel = true;
  start(std::move(options));
  ProcessSpec spec{.module = compile(kSpins)};
  spec.limits.fuel = 100'000;
  const ExitStatus status = spawn(std::move(spec)).join();
  expect_reached(status, LimitKind::kFuel, 100'000);
  EXPECT_NEAR(static_cast<double>(status.usage.fuel), 100'000, 1'000);
}

TEST_F(LimitTest, FuelNeedsARuntimeThatCountsIt) {
  start();
  ProcessSpec spec{.module = compile(kReturns)};
  spec.limits.fuel = 1;
  EXPECT_EQ(runtime_->spawn(std::move(spec)).error().kind, ErrorKind::kBadArgument);
}

TEST_F(LimitTest, Stack) {
  RuntimeOptions options = usual_options();
  options.stack_bytes = 64 << 10;
  start(std::move(options));
  const ExitStatus status = spawn(kRecurses).join();
  expect_reached(status, LimitKind::kStack, 64 << 10);
  EXPECT_FALSE(status.backtrace.empty());
}

TEST_F(LimitTest, CapturedOutput) {
  start();
  ProcessSpec spec{.module = compile(kFloods), .output = Output::capture()};
  spec.limits.output_bytes = 100'000;
  const Process process = spawn(std::move(spec));
  expect_reached(process.join(), LimitKind::kOutput, 100'000);
  EXPECT_EQ(process.captured(Stream::kOut).size(), 100'000U);
}

TEST_F(LimitTest, ZeroIsRefusedAndNamesTheFlag) {
  RuntimeOptions options = usual_options();
  options.fuel = true;
  start(std::move(options));
  const Module module = compile(kReturns);
  const auto refused = [&](auto set, LimitKind kind) {
    ProcessSpec spec{.module = module};
    set(spec.limits);
    const Result<Program> program = runtime_->prepare(std::move(spec));
    ASSERT_FALSE(program.has_value()) << name_of(kind);
    EXPECT_EQ(program.error().kind, ErrorKind::kBadArgument);
    EXPECT_NE(program.error().message.find(flag_of(kind)), std::string::npos) << program.error().message;
  };
  refused([](Limits& limits) { limits.memory_bytes = 0; }, LimitKind::kMemory);
  refused([](Limits& limits) { limits.table_elements = 0; }, LimitKind::kTableElements);
  refused([](Limits& limits) { limits.instances = 0; }, LimitKind::kInstances);
  refused([](Limits& limits) { limits.cpu_time = 0ns; }, LimitKind::kCpuTime);
  refused([](Limits& limits) { limits.wall_time = 0ns; }, LimitKind::kWallTime);
  refused([](Limits& limits) { limits.fuel = 0; }, LimitKind::kFuel);
  refused([](Limits& limits) { limits.output_bytes = 0; }, LimitKind::kOutput);
}

TEST_F(LimitTest, HugeLimitsAreNoOverflow) {
  start();
  ProcessSpec spec{.module = compile(kReturns)};
  spec.limits.memory_bytes = ~0ULL;
  spec.limits.wall_time = Duration::max();
  spec.limits.cpu_time = Duration::max();
  spec.limits.output_bytes = ~0ULL;
  EXPECT_TRUE(spawn(std::move(spec)).join().success());
}

}  // namespace
}  // namespace weft::testing
