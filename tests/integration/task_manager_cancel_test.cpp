// Each way to cancel tasks, against guests and coroutines that obey, ignore and take their time; trees of tokens; cancellation at any moment. A grace here is either
// so long that it never passes, or is given to what never obeys: that it is as long as it says is tested in virtual time (src/process/manager).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "support/task_manager_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

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
                                        .cancellation("hasty", CancellationStrategy::graceful(1ms)));
  const TaskHandle obeys = must(manager.try_submit(program(kObeys), {.type = "patient"}));
  const TaskHandle reads = must(manager.try_submit(program(kEchoes), {.type = "patient"}));
  const TaskHandle ignores = must(manager.try_submit(program(kSpins), {.type = "hasty"}));
  wait_until_it_runs(obeys);
  wait_until_it_runs(ignores);
  manager.cancel_all("closing");
  const TaskStatus obeyed = obeys.join();
  EXPECT_EQ(obeyed.end, TaskEnd::kCancelled);
  EXPECT_FALSE(obeyed.forced);
  EXPECT_EQ(obeyed.exit->kind, ExitKind::kReturned);
  EXPECT_EQ(obeyed.message, "closing");
  EXPECT_FALSE(reads.join().forced);
  const TaskStatus forced = ignores.join();
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
  EXPECT_FALSE(ignores.try_join());
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
                                        .cancellation("hasty", CancellationStrategy::graceful(1ms))
                                        .cancellation("patient", CancellationStrategy::graceful(1h))
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
    co_await yield();
  };
  const TaskHandle now = must(manager.try_submit(sleeps, {.type = "now"}));
  const TaskHandle hasty = must(manager.try_submit(sleeps, {.type = "hasty"}));
  const TaskHandle fine = must(manager.try_submit(obeys, {.type = "patient"}));
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
  request.cancel_after(*runtime_, 1ms, "too slow");
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

}  // namespace
}  // namespace weft::testing
