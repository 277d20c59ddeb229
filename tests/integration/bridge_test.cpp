// The bridge: from threads of the host into tasks and back; on a worker, however it got there, an error at once instead of a deadlock.
#include "weft/bridge.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"
#include "weft/cancellation.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

class BridgeTest : public RuntimeTest {};

Task<int> answer() { co_return 42; }
Task<int> answer_later() {
  co_await sleep_for(1ms);
  co_return 43;
}

TEST_F(BridgeTest, FromThreadsOfTheHost) {
  start();
  EXPECT_EQ(*block_on(*runtime_, answer()), 42);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      for (int step = 0; step < 50; ++step) EXPECT_EQ(*block_on(*runtime_, answer_later()), 43);
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto throws = []() -> Task<void> {
    throw std::runtime_error("of no use");
    co_return;
  };
  const Result<void> failed = block_on(*runtime_, throws());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::kInternal);
}

TEST_F(BridgeTest, OnAWorkerItSaysSo) {
  RuntimeOptions options = usual_options();
  options.workers = 1;
  std::optional<Runtime> inside;
  std::optional<ErrorKind> from_host_function;
  std::optional<ErrorKind> from_waiting_function;
  const auto kind = [&inside] {
    const Result<int> blocked = block_on(*inside, answer());
    return blocked ? std::nullopt : std::optional(blocked.error().kind);
  };
  options.host.define("env", "immediate", [&](Caller&) { from_host_function = kind(); });
  options.host.define("env", "waiting", [&](Caller&) -> Task<void> {
    co_await yield();
    from_waiting_function = kind();
  });
  start(std::move(options));
  inside.emplace(*runtime_);

  // In a task, and in one that was awaited by one.
  auto nested = [&]() -> Task<std::optional<ErrorKind>> {
    co_await sleep_for(1us);
    co_return kind();
  };
  auto outer = [&]() -> Task<std::optional<ErrorKind>> { co_return co_await nested(); };
  EXPECT_EQ(*block_on(*runtime_, outer()), ErrorKind::kWouldDeadlock);
  // In host functions of a guest.
  EXPECT_TRUE(spawn(R"((module (import "env" "immediate" (func $a)) (import "env" "waiting" (func $b))
    (memory (export "memory") 1) (func (export "_start") (call $a) (call $b))))")
                  .join()
                  .success());
  EXPECT_EQ(from_host_function, ErrorKind::kWouldDeadlock);
  EXPECT_EQ(from_waiting_function, ErrorKind::kWouldDeadlock);
  // In a callback that a deadline calls.
  const CancellationSource source;
  std::optional<ErrorKind> from_callback;
  const CancellationCallback callback = source.token().on_cancel([&] { from_callback = kind(); });
  source.cancel_after(*runtime_, 1ms);
  (void)source.token().cancelled_wait().block();
  EXPECT_EQ(from_callback, ErrorKind::kWouldDeadlock);
  // A worker of another runtime is a worker, too.
  {
    const Runtime other = Runtime::create(usual_options()).value();
    EXPECT_EQ(*block_on(other, nested()), ErrorKind::kWouldDeadlock);
  }
  const Result<int> message = block_on(*runtime_, answer());
  EXPECT_TRUE(message) << "the runtime is as it was";
  inside.reset();
}

// Blocking work holds no worker: with one worker and all of the pool's threads asleep, tasks go on; and it may come back by the bridge.
TEST_F(BridgeTest, BlockingWorkHoldsNoWorker) {
  RuntimeOptions options = usual_options();
  options.workers = 1;
  start(std::move(options));
  std::atomic<bool> release{false};
  auto blocks = [&]() -> Task<int> {
    auto work = [&] {
      while (!release.load()) std::this_thread::yield();
      return *block_on(*runtime_, answer());
    };
    co_return co_await blocking(std::move(work));
  };
  std::vector<JoinHandle<int>> waiting;
  for (int index = 0; index < 4; ++index) waiting.push_back(runtime_->start(blocks()));
  EXPECT_EQ(*block_on(*runtime_, answer_later()), 43);
  release.store(true);
  for (JoinHandle<int>& one : waiting) EXPECT_EQ(*one.join(), 42);
}

// From its start to the end of the thread that asked, what it needs lies on that thread's stack: also while dumps look at the task, and when it is dropped.
TEST_F(BridgeTest, WhatWaitsIsCancelledByTheShutdown) {
  start();
  const Runtime copy = *runtime_;
  struct Told {
    explicit Told(std::atomic<int>& of) : count(of) {}
    Told(Told&& other) noexcept : count(other.count), first(std::exchange(other.first, false)) {}
    ~Told() {
      if (first) ++count;
    }
    std::atomic<int>& count;
    bool first = true;
  };
  std::atomic<int> destroyed{0};
  auto waits = [](Told) -> Task<int> {
    for (;;) co_await sleep_for(1h);
  };
  std::vector<std::thread> threads;
  std::atomic<int> cancelled{0};
  for (int index = 0; index < 8; ++index) {
    threads.emplace_back([&] {
      Told told(destroyed);
      const Result<int> result = block_on(copy, waits(std::move(told)), kPriorityNormal, "a name of more than fifteen letters");
      if (!result && result.error().kind == ErrorKind::kCancelled) ++cancelled;
    });
  }
  while (copy.stats().timers != 8) std::this_thread::yield();
  const std::vector<TaskDump> dumps = copy.dump();
  ASSERT_EQ(dumps.size(), 8U);
  EXPECT_EQ(dumps.front().name, "a name of more than fifteen letters");
  EXPECT_EQ(dumps.front().reason, "sleep");
  (void)copy.shutdown(0s, kHang);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cancelled, 8);
  EXPECT_EQ(destroyed, 8);
}

// Results that only move, no results, and exceptions arrive; a dump at any moment finds tasks that live.
TEST_F(BridgeTest, ResultsArriveWhileDumpsLookOn) {
  start();
  std::atomic<bool> over{false};
  std::thread looks([&] {
    while (!over) (void)runtime_->dump();
  });
  auto moved = [](int value) -> Task<std::unique_ptr<int>> {
    co_await yield();
    co_return std::make_unique<int>(value);
  };
  auto nothing = []() -> Task<void> { co_return; };
  for (int step = 0; step < 2'000; ++step) {
    EXPECT_EQ(**block_on(*runtime_, moved(step)), step);
    EXPECT_TRUE(block_on(*runtime_, nothing()));
  }
  over = true;
  looks.join();
}

TEST_F(BridgeTest, AfterTheShutdownItIsCancelled) {
  start();
  const Runtime copy = *runtime_;
  (void)copy.shutdown(0s, kHang);
  EXPECT_EQ(block_on(copy, answer()).error().kind, ErrorKind::kCancelled);
}

}  // namespace
}  // namespace weft::testing
