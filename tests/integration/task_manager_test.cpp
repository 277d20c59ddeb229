// The task manager with real guests: priorities, bounds and back-pressure, each way to cancel against guests that obey, ignore and take their time, trees of
// tokens, fuel, limits, what tasks say of themselves, and how everything ends. The fixture insists that nothing is left.
#include "weft/task_manager.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"
#include "weft/bridge.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

// Ends as soon as it is asked to.
constexpr std::string_view kObeys = R"((module
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (drop (call $yield)) (br_if $again (i32.eqz (call $stop)))))))";

// Acknowledges when asked, and goes on for ever.
constexpr std::string_view kAcknowledges = R"((module
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "weft" "acknowledge_stop" (func $acknowledge))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again (drop (call $yield)) (br_if $again (i32.eqz (call $stop))))
    (call $acknowledge)
    (loop $on (drop (call $yield)) (br $on)))))";

// Reports 0.25 "a quarter", then a number out of bounds, and waits to be stopped.
constexpr std::string_view kReports = R"((module
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "weft" "progress" (func $progress (param f64 i32 i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "a quarter")
  (func (export "_start")
    (call $progress (f64.const 7) (i32.const 0) (i32.const 0))
    (call $progress (f64.const 0.25) (i32.const 16) (i32.const 9))
    (loop $again (drop (call $yield)) (br_if $again (i32.eqz (call $stop)))))))";

constexpr std::string_view kReportsOutside = R"((module
  (import "weft" "progress" (func $progress (param f64 i32 i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $progress (f64.const 0.5) (i32.const 65530) (i32.const 100)))))";

class TaskManagerTest : public RuntimeTest {
 protected:
  TaskManager build(const TaskManager::Builder& builder) {
    Result<TaskManager> manager = builder.build();
    EXPECT_TRUE(manager) << (manager ? "" : manager.error().message);
    if (!manager) std::abort();
    return *manager;
  }
  TaskManager::Builder builder() { return TaskManager::builder(*runtime_); }
  Program program(std::string_view text) {
    Result<Program> made = runtime_->prepare({.module = compile(text)});
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made ? *made : Program();
  }
  static TaskHandle must(Result<TaskHandle> task) {
    EXPECT_TRUE(task) << (task ? "" : task.error().message);
    if (!task) std::abort();
    return *task;
  }
  // A look, not a sleep.
  template <class Condition>
  static void wait_until(const Condition& condition) {
    while (!condition()) std::this_thread::yield();
  }
  void wait_until_it_runs(const TaskHandle& task) {
    wait_until([&] { return task.process().has_value(); });
    wait_until_run(*task.process());
  }
};

TEST_F(TaskManagerTest, RunsProcessesAndCoroutines) {
  start();
  const TaskManager manager = build(builder());
  const TaskHandle returns = must(manager.try_submit(program(kReturns), {.type = "guest", .name = "first"}));
  const TaskHandle exits = must(manager.try_submit(ProcessSpec{.module = compile(kExits42)}));
  const TaskHandle traps = must(manager.try_submit(program(kTraps)));
  auto body = []() -> Task<void> { co_await sleep_for(1ms); };
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

// ---- cancelling ----

TEST_F(TaskManagerTest, ImmediateKillsWhatSpins) {
  start();
  const TaskManager manager = build(builder().cancellation("now", CancellationStrategy::immediate()));
  const TaskHandle spins = must(manager.try_submit(program(kSpins), {.type = "now"}));
  wait_until_it_runs(spins);
  spins.cancel("the test");
  const TaskStatus status = spins.join();
  EXPECT_EQ(status.end, TaskEnd::kCancelled);
  EXPECT_TRUE(status.forced);
  EXPECT_EQ(status.message, "the test");
  EXPECT_EQ(status.exit->kind, ExitKind::kKilled);
  EXPECT_EQ(status.exit->killed_by, "the test");
  EXPECT_EQ(manager.stats().forced, 1U);
}

TEST_F(TaskManagerTest, GracefulWaitsForWhatObeysAndForcesWhatDoesNot) {
  start();
  const TaskManager manager = build(builder()
                                        .cancellation("patient", CancellationStrategy::graceful(1h))
                                        .cancellation("hasty", CancellationStrategy::graceful(5ms)));
  const TaskHandle obeys = must(manager.try_submit(program(kObeys), {.type = "patient"}));
  const TaskHandle reads = must(manager.try_submit(program(kEchoes), {.type = "patient"}));
  const TaskHandle ignores = must(manager.try_submit(program(kSpins), {.type = "hasty"}));
  wait_until_it_runs(obeys);
  wait_until_it_runs(ignores);
  const auto begun = std::chrono::steady_clock::now();
  manager.cancel_all("closing");
  const TaskStatus obeyed = obeys.join();
  EXPECT_EQ(obeyed.end, TaskEnd::kCancelled);
  EXPECT_FALSE(obeyed.forced);
  EXPECT_EQ(obeyed.exit->kind, ExitKind::kReturned);
  EXPECT_EQ(obeyed.message, "closing");
  EXPECT_FALSE(reads.join().forced);
  const TaskStatus forced = ignores.join();
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 5ms);
  EXPECT_EQ(forced.end, TaskEnd::kCancelled);
  EXPECT_TRUE(forced.forced);
  EXPECT_EQ(forced.exit->kind, ExitKind::kKilled);
}

TEST_F(TaskManagerTest, CooperativeForcesNobody) {
  start();
  const TaskManager manager = build(builder().cancellation("polite", CancellationStrategy::cooperative()));
  const TaskHandle obeys = must(manager.try_submit(program(kObeys), {.type = "polite"}));
  const TaskHandle acknowledges = must(manager.try_submit(program(kAcknowledges), {.type = "polite"}));
  const TaskHandle ignores = must(manager.try_submit(program(kSpins), {.type = "polite"}));
  wait_until_it_runs(acknowledges);
  wait_until_it_runs(ignores);
  manager.cancel_type("polite", "please");
  EXPECT_FALSE(obeys.join().forced);
  const TaskStatus acknowledged = acknowledges.join();
  EXPECT_EQ(acknowledged.end, TaskEnd::kCancelled);
  EXPECT_TRUE(acknowledged.acknowledged);
  EXPECT_FALSE(acknowledged.exit) << "it still runs";
  EXPECT_EQ(acknowledges.state(), TaskState::kCancelling);
  EXPECT_FALSE(ignores.join_for(20ms));
  EXPECT_EQ(ignores.state(), TaskState::kCancelling);
  EXPECT_EQ(ignores.info().message, "please");
  EXPECT_EQ(manager.stats().cancelling, 2U);
  ignores.process()->kill("the test");
  acknowledges.process()->kill("the test");
  EXPECT_EQ(ignores.join().end, TaskEnd::kCancelled);
  ASSERT_TRUE(manager.wait_idle(kHang));
  EXPECT_EQ(manager.stats().forced, 0U);
}

TEST_F(TaskManagerTest, CoroutinesAreCancelledTheSameWays) {
  start();
  const TaskManager manager = build(builder()
                                        .cancellation("now", CancellationStrategy::immediate())
                                        .cancellation("hasty", CancellationStrategy::graceful(2ms))
                                        .cancellation("polite", CancellationStrategy::cooperative()));
  std::atomic<int> destroyed{0};
  struct Guard {
    std::atomic<int>& count;
    ~Guard() { ++count; }
  };
  auto sleeps = [&](TaskControl) -> Task<void> {
    const Guard guard{destroyed};
    co_await sleep_for(1h);
  };
  auto obeys = [](TaskControl self) -> Task<void> { (void)co_await self.token().cancelled_wait(); };
  auto says = [](TaskControl self) -> Task<void> {
    self.acknowledge();  // nothing to acknowledge yet
    (void)co_await self.token().cancelled_wait();
    self.acknowledge();
    co_await sleep_for(1ms);
  };
  const TaskHandle now = must(manager.try_submit(sleeps, {.type = "now"}));
  const TaskHandle hasty = must(manager.try_submit(sleeps, {.type = "hasty"}));
  const TaskHandle fine = must(manager.try_submit(obeys, {.type = "hasty"}));
  const TaskHandle polite = must(manager.try_submit(says, {.type = "polite"}));
  wait_until(
      [&] { return std::ranges::count_if(runtime_->dump(), [](const TaskDump& task) { return task.state == "parked"; }) >= 4; });
  manager.cancel_all("over");
  EXPECT_TRUE(now.join().forced);
  EXPECT_TRUE(hasty.join().forced);
  EXPECT_FALSE(fine.join().forced);
  EXPECT_TRUE(polite.join().acknowledged);
  ASSERT_TRUE(manager.wait_idle(kHang));
  EXPECT_EQ(destroyed.load(), 2);
  EXPECT_EQ(manager.stats().cancelled, 4U);
}

TEST_F(TaskManagerTest, CancelledWhileItWaitsInTheQueue) {
  start();
  const TaskManager manager = build(builder().max_tasks(1));
  const TaskHandle first = must(manager.try_submit(program(kObeys)));
  const TaskHandle second = must(manager.try_submit(program(kTraps)));
  const TaskHandle third = must(manager.try_submit(program(kReturns)));
  second.cancel("changed my mind");
  const TaskStatus status = second.join();
  EXPECT_EQ(status.end, TaskEnd::kCancelled);
  EXPECT_FALSE(status.exit);
  EXPECT_EQ(status.message, "changed my mind");
  first.cancel();
  EXPECT_EQ(third.join().end, TaskEnd::kSucceeded);
}

TEST_F(TaskManagerTest, ATreeOfAThousandTasks) {
  start();
  const TaskManager manager =
      build(builder().max_tasks(600).queue_max(600).default_cancellation(CancellationStrategy::immediate()));
  const CancellationSource root;
  std::vector<CancellationSource> branches;
  for (int index = 0; index < 10; ++index) branches.emplace_back(root.token());
  const Program sleeps = program(kSleeps);
  std::vector<TaskHandle> tasks;
  for (std::size_t index = 0; index < 1000; ++index)
    tasks.push_back(must(manager.try_submit(sleeps, {.token = branches[index % 10].token()})));
  const TaskHandle outside = must(manager.try_submit(program(kObeys)));
  branches[3].cancel("a branch");
  for (std::size_t index = 3; index < 1000; index += 10) EXPECT_EQ(tasks[index].join().message, "a branch");
  EXPECT_EQ(tasks[4].state(), TaskState::kRunning);
  root.cancel("the root");
  for (const TaskHandle& task : tasks) EXPECT_EQ(task.join().end, TaskEnd::kCancelled);
  EXPECT_FALSE(outside.try_join());
  outside.cancel();
  ASSERT_TRUE(manager.wait_idle(kHang));
  EXPECT_EQ(manager.stats().cancelled, 1001U);
}

TEST_F(TaskManagerTest, ADeadlineCancels) {
  start();
  const TaskManager manager = build(builder().default_cancellation(CancellationStrategy::immediate()));
  const CancellationSource request;
  const TaskHandle task = must(manager.try_submit(program(kSpins), {.token = request.token()}));
  request.cancel_after(*runtime_, 2ms, "too slow");
  EXPECT_EQ(task.join().message, "too slow");
}

// Cancelled at every moment between submission and end, from another thread.
TEST_F(TaskManagerTest, CancelledAtAnyMoment) {
  start();
  const TaskManager manager = build(builder().max_tasks(2).default_cancellation(CancellationStrategy::immediate()));
  const Program returns = program(kReturns);
  for (int round = 0; round < 300; ++round) {
    const CancellationSource source;
    std::atomic<bool> go{false};
    std::thread canceller([&] {
      while (!go.load()) {
      }
      for (int spin = 0; spin < round * 10; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
      source.cancel("raced");
    });
    go.store(true);
    const Result<TaskHandle> task = manager.try_submit(returns, {.token = source.token()});
    if (task) {
      const TaskStatus status = task->join();
      EXPECT_TRUE(status.end == TaskEnd::kSucceeded || status.end == TaskEnd::kCancelled);
    }
    canceller.join();
  }
  ASSERT_TRUE(manager.wait_idle(kHang));
}

// ---- fuel ----

TEST_F(TaskManagerTest, FuelIsWaitedFor) {
  start();
  auto time = std::make_shared<std::atomic<std::uint64_t>>(1);
  const FuelPool pool = FuelPool::create({.capacity = 250,
                                          .regeneration_per_second = 110,
                                          .rates = {.spawn = 100, .spawn_per_stack_page = 0, .join = 10},
                                          .clock = [time] { return time->load(); }})
                            .value();
  const TaskManager manager = build(builder().fuel(pool));
  const Program returns = program(kReturns);
  std::vector<TaskHandle> tasks;
  for (int index = 0; index < 4; ++index) tasks.push_back(must(manager.try_submit(returns)));
  EXPECT_EQ(tasks[0].join().end, TaskEnd::kSucceeded);
  EXPECT_EQ(tasks[1].join().end, TaskEnd::kSucceeded);
  wait_until([&] { return pool.stats().waiting == 1; });
  EXPECT_EQ(tasks[2].state(), TaskState::kQueued);
  time->fetch_add(1'000'000'000);
  pool.refresh();
  EXPECT_EQ(tasks[2].join().end, TaskEnd::kSucceeded);
  wait_until([&] { return pool.stats().waiting == 1; });
  EXPECT_EQ(tasks[3].state(), TaskState::kQueued);
  tasks[3].cancel();
  EXPECT_EQ(tasks[3].join().end, TaskEnd::kCancelled);
  // Nobody is left who needs it: what waited for it goes, and takes nothing.
  wait_until([&] { return pool.stats().waiting == 0 && runtime_->stats().tasks == 0; });
  EXPECT_EQ(pool.stats().taken, 330U);
}

TEST_F(TaskManagerTest, FuelRunsOutWithAnError) {
  start();
  const FuelPool pool =
      FuelPool::create(
          {.capacity = 150, .rates = {.spawn = 100, .spawn_per_stack_page = 0, .join = 10}, .on_exhausted = OnExhausted::kFail})
          .value();
  const TaskManager manager = build(builder().max_tasks(1).fuel(pool));
  const TaskHandle obeys = must(manager.try_submit(program(kObeys)));
  const Result<TaskHandle> refused = manager.try_submit(program(kReturns));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_NE(refused.error().message.find("110 were asked for, 40 are there"), std::string::npos) << refused.error().message;
  pool.give_back(70);
  const TaskHandle queued = must(manager.try_submit(program(kReturns)));
  EXPECT_EQ(pool.available(), 0);
  queued.cancel();
  EXPECT_EQ(pool.available(), 110) << "what never began is not paid for";
  obeys.cancel();
  ASSERT_TRUE(manager.wait_idle(kHang));
  const FuelPool tiny = FuelPool::create({.capacity = 5}).value();
  EXPECT_EQ(build(builder().fuel(tiny)).try_submit(program(kReturns)).error().kind, ErrorKind::kBadArgument);
}

TEST_F(TaskManagerTest, AProcessDrawsFromItsPool) {
  start();
  const FuelPool pool =
      FuelPool::create({.capacity = 1000, .rates = {.spawn = 600, .spawn_per_stack_page = 0, .context_switch = 1}}).value();
  const Process process = runtime_->spawn(program(kReturns), {.fuel = pool}).value();
  EXPECT_TRUE(process.join().success());
  EXPECT_EQ(pool.available(), 1000 - 600 - 1);
  const Result<Process> refused = runtime_->spawn(program(kReturns), {.fuel = pool});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
}

// A guest whose threads are to be paid for: it gets as many as the fuel is for, and is told of the rest.
TEST_F(TaskManagerTest, GuestThreadsDrawFromItToo) {
  start();
  const FuelPool pool =
      FuelPool::create(
          {.capacity = 1000, .initial = 350, .rates = {.spawn = 100, .spawn_per_stack_page = 0, .synchronization = {}}})
          .value();
  const Result<Process> process = runtime_->spawn(program(R"((module
    (import "env" "memory" (memory 1 1 shared))
    (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (func (export "wasi_thread_start") (param i32 i32))
    (func (export "_start") (local $i i32) (local $n i32)
      (loop $again
        (if (i32.gt_s (call $spawn (i32.const 0)) (i32.const 0)) (then (local.set $n (i32.add (local.get $n) (i32.const 1)))))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
      (call $exit (local.get $n)))))"),
                                                  {.fuel = pool});
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_EQ(process->join().code, 2);
  EXPECT_EQ(pool.available(), 50);
}

// ---- what tasks say of themselves ----

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

// ---- ends ----

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
