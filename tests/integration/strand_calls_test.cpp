// Process::spawn_strand: calls of exported functions on one instance, each on a stack of its own, awaited one by one.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

// Its functions know nothing of strands.
constexpr std::string_view kLibrary = R"((module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $running (mut i32) (i32.const 0))
  (global $most (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $most (i32.const 0)))
  (func (export "add") (param i32 i64 f32 f64) (result i64)
    (i64.add (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1))
             (i64.add (i64.trunc_f32_s (local.get 2)) (i64.trunc_f64_s (local.get 3)))))
  (func (export "both") (param i32) (result i32 f64) (local.get 0) (f64.convert_i32_s (local.get 0)))
  (func (export "nothing"))
  (func (export "most") (result i32) (global.get $most))
  ;; Sleeps for so many milliseconds, and counts how many do so at once. Each has its own place for what it asks.
  (func (export "nap") (param $ms i32) (param $place i32) (result i32)
    (global.set $running (i32.add (global.get $running) (i32.const 1)))
    (if (i32.gt_u (global.get $running) (global.get $most)) (then (global.set $most (global.get $running))))
    (i32.store (i32.add (local.get $place) (i32.const 16)) (i32.const 1))
    (i64.store (i32.add (local.get $place) (i32.const 24)) (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000)))
    (drop (call $poll (local.get $place) (i32.add (local.get $place) (i32.const 64)) (i32.const 1) (local.get $place)))
    (global.set $running (i32.sub (global.get $running) (i32.const 1)))
    (local.get $ms))
  (func (export "crash") (unreachable))
  (func (export "spin") (loop (br 0)))))";

class StrandCallsTest : public RuntimeTest {
 protected:
  Process library(RuntimeOptions options = usual_options(), std::string_view text = kLibrary) {
    options.strands = true;
    start(std::move(options));
    return spawn(ProcessSpec{.module = compile(text), .resident = true});
  }

  static JoinHandle<std::vector<Value>> call(const Process& process, std::string_view function,
                                             const std::vector<Value>& arguments = {}) {
    auto handle = process.spawn_strand(function, arguments);
    EXPECT_TRUE(handle.has_value()) << (handle ? "" : handle.error().message);
    return handle ? std::move(*handle) : JoinHandle<std::vector<Value>>();
  }
};

TEST_F(StrandCallsTest, ValuesGoInAndOut) {
  const Process process = library();
  EXPECT_EQ(call(process, "add", {std::int32_t{-1}, std::int64_t{1} << 40, 3.0F, 4.0}).join().value(),
            std::vector<Value>{(std::int64_t{1} << 40) + 6});
  EXPECT_EQ(call(process, "both", {std::int32_t{7}}).join().value(), (std::vector<Value>{std::int32_t{7}, 7.0}));
  EXPECT_EQ(call(process, "nothing").join().value(), std::vector<Value>());
  process.finish_strands();
  EXPECT_TRUE(process.join().success());
}

TEST_F(StrandCallsTest, ThousandsWaitAtOnce) {
  const Process process = library();
  constexpr std::int32_t kCalls = 500;
  std::vector<JoinHandle<std::vector<Value>>> naps;
  for (std::int32_t index = 0; index < kCalls; ++index) naps.push_back(call(process, "nap", {std::int32_t{200}, index * 128}));
  for (auto& nap : naps) EXPECT_EQ(nap.join().value(), std::vector<Value>{std::int32_t{200}});
  // One after the other they would never have been there together.
  EXPECT_EQ(call(process, "most").join().value(), std::vector<Value>{kCalls});
  process.finish_strands();
  EXPECT_TRUE(process.join().success());
}

TEST_F(StrandCallsTest, FromManyThreads) {
  const Process process = library();
  std::vector<std::thread> threads;
  for (std::int32_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&process, thread] {
      for (std::int32_t index = 0; index < 250; ++index) {
        const auto sum = call(process, "add", {index, std::int64_t{thread}, 0.0F, 0.0}).join();
        EXPECT_EQ(sum.value(), std::vector<Value>{std::int64_t{index + thread}});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  process.finish_strands();
  EXPECT_TRUE(process.join().success());
}

TEST_F(StrandCallsTest, AwaitedByTasks) {
  const Process process = library();
  auto sum = runtime_->start([](Process of) -> Task<std::int64_t> {
    std::int64_t total = 0;
    for (std::int32_t index = 0; index < 100; ++index) {
      const std::vector<Value> arguments{index, std::int64_t{1}, 0.0F, 0.0};
      Result<JoinHandle<std::vector<Value>>> handle = of.spawn_strand("add", arguments);
      Result<std::vector<Value>> values = co_await std::move(*handle);
      total += std::get<std::int64_t>(values.value().front());
    }
    co_return total;
  }(process));
  EXPECT_EQ(sum.join().value(), 4950 + 100);
  process.kill("test");
  EXPECT_EQ(process.join().kind, ExitKind::kKilled);
}

TEST_F(StrandCallsTest, WhatCannotBeCalledIsRefused) {
  const Process process = library();
  const auto kind = [&](std::string_view function, const std::vector<Value>& arguments) {
    const auto handle = process.spawn_strand(function, arguments);
    return handle ? ErrorKind::kInternal : handle.error().kind;
  };
  EXPECT_EQ(kind("absent", {}), ErrorKind::kNoEntryPoint);
  EXPECT_EQ(kind("add", {}), ErrorKind::kBadArgument);
  EXPECT_EQ(kind("nap", {std::int64_t{1}, std::int32_t{0}}), ErrorKind::kBadArgument);
  process.kill("test");
  (void)process.join();
  EXPECT_EQ(kind("nothing", {}), ErrorKind::kCancelled);
}

TEST_F(StrandCallsTest, ProgramsWithoutStrandsHaveNone) {
  start();
  const Process process = spawn(kSleeps);
  const auto handle = process.spawn_strand("_start");
  ASSERT_FALSE(handle.has_value());
  EXPECT_EQ(handle.error().kind, ErrorKind::kBadArgument) << handle.error().message;
  process.kill("test");
  (void)process.join();
  const auto resident = runtime_->spawn(ProcessSpec{.module = compile(kReturns), .resident = true});
  ASSERT_FALSE(resident.has_value());
  EXPECT_EQ(resident.error().kind, ErrorKind::kBadArgument) << resident.error().message;
}

TEST_F(StrandCallsTest, ATrapEndsAll) {
  const Process process = library();
  auto nap = call(process, "nap", {std::int32_t{3'600'000}, std::int32_t{0}});
  auto crash = call(process, "crash");
  EXPECT_EQ(crash.join().error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(nap.join().error().kind, ErrorKind::kCancelled);
  const ExitStatus status = process.join();
  EXPECT_EQ(status.kind, ExitKind::kTrapped) << status.message;
}

TEST_F(StrandCallsTest, OneThatSpinsIsInterruptedForOthers) {
  RuntimeOptions options = usual_options();
  options.strands_preemptive = true;
  const Process process = library(std::move(options));
  auto spin = call(process, "spin");
  for (std::int32_t index = 0; index < 20; ++index) EXPECT_TRUE(call(process, "nothing").join().has_value());
  process.kill("test");
  EXPECT_EQ(spin.join().error().kind, ErrorKind::kCancelled);
}

TEST_F(StrandCallsTest, AtTheirLimit) {
  RuntimeOptions options = usual_options();
  options.strands_max = 10;
  const Process process = library(std::move(options));
  std::vector<JoinHandle<std::vector<Value>>> naps;
  for (std::int32_t index = 0; index < 30; ++index) naps.push_back(call(process, "nap", {std::int32_t{50}, index * 128}));
  std::size_t refused = 0;
  for (auto& nap : naps) {
    const Result<std::vector<Value>> values = nap.join();
    if (!values) {
      EXPECT_EQ(values.error().kind, ErrorKind::kExhausted) << values.error().message;
      ++refused;
    }
  }
  EXPECT_GT(refused, 0U);
  EXPECT_LE(refused, 21U);  // ten, less the one that initialised
  process.finish_strands();
  EXPECT_TRUE(process.join().success());
}

TEST_F(StrandCallsTest, KilledWithThousandsOfThem) {
  const Process process = library();
  std::vector<JoinHandle<std::vector<Value>>> naps;
  for (std::int32_t index = 0; index < 1000; ++index)
    naps.push_back(call(process, "nap", {std::int32_t{3'600'000}, (index % 512) * 128}));
  wait_until_parked(process, "strands");
  process.kill("test");
  for (auto& nap : naps) EXPECT_EQ(nap.join().error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(process.join().kind, ExitKind::kKilled);
}

}  // namespace
}  // namespace weft::testing
