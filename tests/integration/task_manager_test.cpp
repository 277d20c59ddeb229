// The task manager with real guests: what runs, priorities, bounds and back-pressure, what tasks say of themselves, and how everything ends. The fixture insists
// that nothing is left. Nothing here depends on how long something takes; what times there are is tested in virtual time (src/process/manager).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/task_manager_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

TEST_F(TaskManagerTest, RunsProcessesAndCoroutines) {
  start();
  const TaskManager manager = build(builder());
  const TaskHandle returns = must(manager.try_submit(program(kReturns), {.type = "guest", .name = "first"}));
  const TaskHandle exits = must(manager.try_submit(ProcessSpec{.module = compile(kExits42)}));
  const TaskHandle traps = must(manager.try_submit(program(kTraps)));
  auto body = []() -> Task<void> { co_await yield(); };
  const TaskHandle coroutine = must(manager.try_submit(body()));
  auto throws = []() -> Task<void> {
    co_await yield();
    throw std::runtime_error("of no use");
  };
  const TaskHandle failing = must(manager.try_submit(throws()));
  const TaskHandle early = must(manager.try_submit([](TaskControl) -> Task<void> { throw std::runtime_error("at once"); }));

  EXPECT_EQ(returns.join().end, TaskEnd::kSucceeded);
  EXPECT_EQ(returns.name(), "first");
  const TaskStatus exited = exits.join();
  EXPECT_EQ(exited.end, TaskEnd::kFailed);
  EXPECT_EQ(exited.message, "exit code 42");
  EXPECT_EQ(exited.exit->code, 42);
  EXPECT_NE(traps.join().message.find("unreachable"), std::string::npos);
  EXPECT_EQ(coroutine.join().end, TaskEnd::kSucceeded);
  EXPECT_EQ(failing.join().message, "an exception escaped: of no use");
  EXPECT_EQ(early.join().message, "an exception escaped: at once");
  EXPECT_TRUE(manager.wait_idle(kHang));
  const TaskManagerStats stats = manager.stats();
  EXPECT_EQ(stats.submitted, 6U);
  EXPECT_EQ(stats.succeeded, 2U);
  EXPECT_EQ(stats.failed, 4U);
  EXPECT_EQ(stats.running + stats.queued + stats.cancelling + stats.memory_limit_bytes, 0U);
  EXPECT_EQ(manager.history().size(), 6U);
  EXPECT_TRUE(manager.list().empty());
  EXPECT_EQ(returns.info().usage.memory_bytes_max, 64U << 10);
  EXPECT_FALSE(manager.find(returns.id()));
  returns.cancel("too late");
  EXPECT_EQ(returns.join().end, TaskEnd::kSucceeded);
}

TEST_F(TaskManagerTest, RefusesWhatMakesNoSense) {
  start();
  const auto message = [](const TaskManager::Builder& of) {
    const Result<TaskManager> manager = of.build();
    EXPECT_FALSE(manager);
    EXPECT_EQ(manager.error().kind, ErrorKind::kBadArgument);
    return manager ? std::string() : manager.error().message;
  };
  EXPECT_NE(message(builder().max_tasks(0)).find("max_tasks of 0"), std::string::npos);
  EXPECT_NE(message(builder().max_tasks(UINT64_MAX)).find("at most"), std::string::npos);
  EXPECT_NE(message(builder().queue_max(UINT64_MAX)).find("queue_max"), std::string::npos);
  EXPECT_NE(message(builder().priority_levels(0)).find("priority_levels"), std::string::npos);
  EXPECT_NE(message(builder().priority_levels(9)).find("between 1 and 8"), std::string::npos);
  EXPECT_NE(message(builder().ageing(0)).find("ageing"), std::string::npos);
  EXPECT_NE(message(builder().resource_limits({.memory_bytes = 0})).find("memory"), std::string::npos);
  EXPECT_NE(message(builder().cancellation("x", CancellationStrategy::graceful(-1s))).find("'x' is negative"), std::string::npos);
  EXPECT_NE(
      message(builder().cancellation("x", CancellationStrategy::immediate()).cancellation("x", CancellationStrategy::immediate()))
          .find("two"),
      std::string::npos);

  const TaskManager manager = build(builder().priority_levels(3).resource_limits({.memory_bytes = 1U << 20}));
  const auto kind = [&](TaskWork work, TaskSpec spec = {}) {
    const Result<TaskHandle> task = manager.try_submit(std::move(work), std::move(spec));
    EXPECT_FALSE(task);
    return task ? ErrorKind::kInternal : task.error().kind;
  };
  EXPECT_EQ(kind(Program()), ErrorKind::kBadArgument);
  EXPECT_EQ(kind(ProcessSpec{}), ErrorKind::kBadArgument);
  EXPECT_EQ(kind(Task<void>()), ErrorKind::kBadArgument);
  EXPECT_EQ(kind(TaskWork::Body()), ErrorKind::kBadArgument);
  const Program returns = program(kReturns);
  EXPECT_EQ(kind(returns), ErrorKind::kBadArgument) << "without a limit it counts as 4 GiB";
  EXPECT_EQ(kind(returns, {.limits = Limits{.memory_bytes = 0}}), ErrorKind::kBadArgument);
  EXPECT_EQ(kind(returns, {.priority = 3, .limits = Limits{.memory_bytes = 1U << 20}}), ErrorKind::kBadArgument);
  const CancellationSource cancelled;
  cancelled.cancel("long ago");
  EXPECT_EQ(kind(returns, {.limits = Limits{.memory_bytes = 1U << 20}, .token = cancelled.token()}), ErrorKind::kCancelled);
  EXPECT_EQ(must(manager.try_submit(returns, {.limits = Limits{.memory_bytes = 1U << 20}})).join().end, TaskEnd::kSucceeded);
  EXPECT_EQ(manager.stats().submitted, 1U);
}

// One at a time: the order of the begins is that of the queue.
TEST_F(TaskManagerTest, EightPrioritiesInOrder) {
  start();
  const TaskManager manager = build(builder().max_tasks(1).queue_max(100).ageing(1'000'000));
  const CancellationSource gate;
  auto waits = [](CancellationToken open) -> Task<void> { (void)co_await open.cancelled_wait(); };
  const TaskHandle first = must(manager.try_submit(waits(gate.token())));
  std::mutex mutex;
  std::string order;
  std::vector<TaskHandle> tasks;
  for (int round = 0; round < 3; ++round) {
    for (int priority = 7; priority >= 0; --priority) {
      tasks.push_back(must(manager.try_submit(
          [&, priority, round](TaskControl) -> Task<void> {
            std::lock_guard lock(mutex);
            order += std::to_string(priority) + static_cast<char>('a' + round);
            co_return;
          },
          {.priority = static_cast<Priority>(priority)})));
    }
  }
  EXPECT_EQ(manager.stats().running, 1U);
  EXPECT_EQ(manager.stats().queued, 24U);
  gate.cancel();
  for (const TaskHandle& task : tasks) EXPECT_EQ(task.join().end, TaskEnd::kSucceeded);
  EXPECT_EQ(order, "0a0b0c1a1b1c2a2b2c3a3b3c4a4b4c5a5b5c6a6b6c7a7b7c");
}

TEST_F(TaskManagerTest, NeverMoreThanMaxTasksAtOnce) {
  start();
  for (const int most : {1, 3, 16}) {
    const TaskManager manager = build(builder().max_tasks(static_cast<std::uint64_t>(most)).queue_max(500));
    std::atomic<int> now{0};
    std::atomic<int> peak{0};
    for (int index = 0; index < 300; ++index) {
      must(manager.try_submit(
          [&](TaskControl) -> Task<void> {
            const int here = ++now;
            int seen = peak.load();
            while (seen < here && !peak.compare_exchange_weak(seen, here)) {
            }
            co_await yield();
            --now;
          },
          {.priority = static_cast<Priority>(index % 8)}));
    }
    ASSERT_TRUE(manager.wait_idle(kHang));
    EXPECT_LE(peak.load(), most);
    EXPECT_EQ(manager.stats().succeeded, 300U);
  }
}

TEST_F(TaskManagerTest, AFullQueueHoldsBack) {
  start();
  const TaskManager manager = build(builder().max_tasks(1).queue_max(2).default_cancellation(CancellationStrategy::immediate()));
  const Program sleeps = program(kSleeps);
  std::vector<TaskHandle> tasks;
  for (int index = 0; index < 3; ++index) tasks.push_back(must(manager.try_submit(sleeps)));
  const Result<TaskHandle> refused = manager.try_submit(sleeps);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_NE(refused.error().message.find("max_tasks 1 and queue_max 2"), std::string::npos) << refused.error().message;
  EXPECT_EQ(manager.submit_blocking(sleeps, {}, 2ms).error().kind, ErrorKind::kTimedOut);
  // Three that wait for room, from tasks and from a thread; each gets it when one ends.
  auto submits = [](TaskManager to, Program what) -> Task<bool> { co_return (co_await to.submit(std::move(what))).has_value(); };
  JoinHandle<bool> one = runtime_->start(submits(manager, program(kReturns)));
  JoinHandle<bool> dropped = runtime_->start(submits(manager, program(kReturns)));
  std::thread two([&] { EXPECT_TRUE(manager.submit_blocking(program(kReturns))); });
  wait_until([&] { return manager.stats().submitting == 3; });
  dropped.cancel();
  EXPECT_FALSE(dropped.join());
  EXPECT_EQ(manager.stats().submitting, 2U);
  EXPECT_FALSE(manager.try_submit(sleeps)) << "those who wait come first";
  manager.cancel_all("enough");
  EXPECT_TRUE(*one.join());
  two.join();
  ASSERT_TRUE(manager.wait_idle(kHang));
  EXPECT_EQ(manager.stats().succeeded, 2U);
  EXPECT_EQ(manager.stats().cancelled, 3U);
  EXPECT_EQ(manager.stats().refused, 2U);
}

TEST_F(TaskManagerTest, MemoryLimitsAddUp) {
  start();
  const TaskManager manager =
      build(builder().resource_limits({.memory_bytes = 10U << 20}).default_cancellation(CancellationStrategy::immediate()));
  const Program sleeps = program(kSleeps);
  const TaskHandle large = must(manager.try_submit(sleeps, {.limits = Limits{.memory_bytes = 8U << 20}}));
  const TaskHandle second = must(manager.try_submit(sleeps, {.limits = Limits{.memory_bytes = 8U << 20}}));
  const TaskHandle small = must(manager.try_submit(sleeps, {.limits = Limits{.memory_bytes = 1U << 20}}));
  EXPECT_EQ(large.state(), TaskState::kRunning);
  EXPECT_EQ(second.state(), TaskState::kQueued);
  EXPECT_EQ(small.state(), TaskState::kQueued) << "it does not pass the one before it";
  large.cancel();
  EXPECT_EQ(large.join().end, TaskEnd::kCancelled);
  wait_until([&] { return small.state() == TaskState::kRunning && second.state() == TaskState::kRunning; });
  EXPECT_EQ(manager.stats().memory_limit_bytes, 9U << 20);
  manager.cancel_all();
  ASSERT_TRUE(manager.wait_idle(kHang));
  const TaskStatus grown = must(manager.try_submit(program(kGrows), {.limits = Limits{.memory_bytes = 1U << 20}})).join();
  EXPECT_EQ(grown.end, TaskEnd::kFailed);
  EXPECT_EQ(grown.exit->limit->value, 1U << 20);
}

TEST_F(TaskManagerTest, ProgressOfGuestsAndCoroutines) {
  start();
  const TaskManager manager = build(builder());
  const TaskHandle guest = must(manager.try_submit(program(kReports), {.type = "import", .name = "reports", .priority = 6}));
  wait_until([&] { return guest.info().progress == 0.25; });
  const TaskInfo info = manager.find(guest.id())->info();
  EXPECT_EQ(info.progress_text, "a quarter");
  EXPECT_EQ(info.type, "import");
  EXPECT_EQ(info.name, "reports");
  EXPECT_EQ(info.priority, 6);
  EXPECT_EQ(info.state, TaskState::kRunning);
  EXPECT_EQ(info.process_id, guest.process()->id());
  ASSERT_EQ(manager.list().size(), 1U);
  EXPECT_EQ(must(manager.try_submit(program(kReportsOutside))).join().exit->kind, ExitKind::kTrapped);
  const CancellationSource gate;
  auto body = [open = gate.token()](TaskControl self) -> Task<void> {
    self.set_progress(std::nan(""), std::string(300, 'x'));
    self.set_progress(0.5, "ä" + std::string(254, 'x') + "ä");
    (void)co_await open.cancelled_wait();
    self.set_progress(17);
  };
  const TaskHandle coroutine = must(manager.try_submit(body));
  wait_until([&] { return coroutine.info().progress == 0.5; });
  EXPECT_EQ(coroutine.info().progress_text.size(), 256U);
  gate.cancel();
  EXPECT_EQ(coroutine.join().end, TaskEnd::kSucceeded);
  EXPECT_EQ(coroutine.info().progress, 1.0);
  guest.cancel();
  ASSERT_TRUE(manager.wait_idle(kHang));
}

TEST_F(TaskManagerTest, TasksWaitForTasks) {
  start();
  const TaskManager manager = build(builder());
  auto waits = [](TaskHandle for_it) -> Task<TaskEnd> { co_return (co_await for_it.done()).end; };
  const TaskHandle guest = must(manager.try_submit(program(kObeys)));
  JoinHandle<TaskEnd> waiting = runtime_->start(waits(guest));
  guest.cancel();
  EXPECT_EQ(*waiting.join(), TaskEnd::kCancelled);
}

TEST_F(TaskManagerTest, DroppingEverythingLetsItGoOn) {
  start();
  std::atomic<int> ran{0};
  const CancellationSource gate;
  {
    const TaskManager manager = build(builder().max_tasks(1));
    auto body = [&ran, open = gate.token()](TaskControl) -> Task<void> {
      (void)co_await open.cancelled_wait();
      ++ran;
    };
    for (int index = 0; index < 20; ++index) must(manager.try_submit(body));
  }
  gate.cancel();
  wait_until([&] { return ran.load() == 20 && runtime_->stats().tasks == 0; });
}

// The runtime ends with everything in flight: what runs is ended, what waits is cancelled, for room, for fuel or for its turn.
TEST_F(TaskManagerTest, TheRuntimeEndsFirst) {
  start();
  const FuelPool pool = FuelPool::create({.capacity = 400, .rates = {.spawn = 100, .spawn_per_stack_page = 0, .join = 0}}).value();
  const TaskManager manager = build(builder().max_tasks(3).queue_max(20));
  const TaskManager hungry = build(builder().fuel(pool));
  std::vector<TaskHandle> tasks;
  for (int index = 0; index < 20; ++index) tasks.push_back(must(manager.try_submit(program(index % 2 == 0 ? kSpins : kSleeps))));
  for (int index = 0; index < 10; ++index) tasks.push_back(must(hungry.try_submit(program(kSleeps))));
  wait_until([&] { return pool.stats().waiting == 1; });
  const ShutdownReport report = runtime_->shutdown(0s, kHang);
  EXPECT_TRUE(report.surviving.empty());
  for (const TaskHandle& task : tasks) EXPECT_NE(task.join().end, TaskEnd::kSucceeded);
  EXPECT_TRUE(manager.wait_idle(kHang));
  EXPECT_TRUE(hungry.wait_idle(kHang));
  EXPECT_EQ(manager.try_submit(Task<void>()).error().kind, ErrorKind::kCancelled);
}

// Random submissions, cancellations and drops from several threads; in the end the counts add up.
TEST_F(TaskManagerTest, ManyThreadsAtOneManager) {
  start();
  const TaskManager manager = build(builder().max_tasks(8).queue_max(30).default_cancellation(CancellationStrategy::graceful(1ms)));
  const Program guests[] = {program(kReturns), program(kObeys), program(kTraps), program(kSleeps)};
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<TaskHandle> mine;
      unsigned state = thread * 7919 + 1;
      for (int step = 0; step < 150; ++step) {
        state = state * 1664525U + 1013904223U;
        const unsigned choice = state >> 24U;
        if (const Result<TaskHandle> task =
                manager.try_submit(guests[choice % 4], {.priority = static_cast<Priority>(choice % 8)})) {
          mine.push_back(*task);
        }
        if (choice % 3 == 0 && !mine.empty()) mine[choice % mine.size()].cancel();
        if (choice % 5 == 0 && !mine.empty()) {
          mine.back().cancel();
          mine.pop_back();
        }
      }
      for (const TaskHandle& task : mine) task.cancel();
    });
  }
  for (std::thread& thread : threads) thread.join();
  manager.cancel_all();
  ASSERT_TRUE(manager.wait_idle(kHang));
  const TaskManagerStats stats = manager.stats();
  EXPECT_EQ(stats.succeeded + stats.failed + stats.cancelled, stats.submitted);
  EXPECT_EQ(stats.submitted + stats.refused, 600U);
}

}  // namespace
}  // namespace weft::testing
