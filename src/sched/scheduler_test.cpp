// The scheduler on real threads: tasks wake, spawn, steal, migrate and end under load without losing anything; shutdown is orderly and reports;
// an idle scheduler burns no CPU; misuse is caught.
#include "sched/scheduler.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <set>
#include <thread>

#include "base/rng.hpp"
#include "sched/core.hpp"
#include "sched/testing/fixture.hpp"

namespace weft::sched {
namespace {

using testing::CountedTask;
using testing::make_task;

class SchedTest : public testing::SchedulerTest {};

TEST_F(SchedTest, RunsATaskToItsEnd) {
  Scheduler& scheduler = make({.workers = 2});
  std::atomic<int> runs{0};
  const auto task = make_task([&](RunContext& context) {
    EXPECT_EQ(RunContext::current(), &context);
    EXPECT_LT(context.worker_index(), 2U);
    if (++runs == 10) return Poll::kDone;
    context.yield();
    return Poll::kPending;
  });
  ASSERT_TRUE(scheduler.spawn(task));
  ASSERT_TRUE(scheduler.drain(kNever));
  EXPECT_EQ(runs, 10);
  EXPECT_EQ(task->state(), State::kDone);
  EXPECT_EQ(task->switches(), 10U);
  EXPECT_EQ(RunContext::current(), nullptr);
  task->wake();  // after its end: nothing happens
  EXPECT_EQ(runs, 10);
}

// The slot beside the lists changes nothing of the order.
TEST_F(SchedTest, TheSharedQueueKeepsTheOrderOfWokenTasks) {
  InjectionQueue queue;
  const auto idle = [](RunContext&) { return Poll::kDone; };
  const auto first = make_task(idle);
  const auto second = make_task(idle);
  const auto third = make_task(idle);
  const auto urgent = make_task(idle, {.priority = 2});
  constexpr unsigned kLevel = kPriorityNormal;
  constexpr uint32_t kWoken = 1U << (kPriorities + kLevel);
  EXPECT_EQ(queue.mask(), 0U);
  queue.push(*first, Lane::kWoken);
  EXPECT_EQ(queue.mask(), kWoken);
  EXPECT_EQ(queue.pop(2, Lane::kWoken), nullptr) << "of another priority";
  queue.push(*second, Lane::kWoken);
  queue.push(*urgent, Lane::kWoken);
  EXPECT_EQ(queue.mask(), kWoken | 1U << (kPriorities + 2));
  EXPECT_EQ(queue.pop(kLevel, Lane::kWoken), first.get());
  queue.push(*third, Lane::kWoken);
  EXPECT_EQ(queue.pop(kLevel, Lane::kWoken), second.get());
  EXPECT_EQ(queue.pop(kLevel, Lane::kWoken), third.get());
  EXPECT_EQ(queue.pop(kLevel, Lane::kWoken), nullptr);
  EXPECT_EQ(queue.pop(2, Lane::kWoken), urgent.get());
  EXPECT_EQ(queue.mask(), 0U);
  queue.push(*first, Lane::kWoken);
  queue.close();
  queue.push(*second, Lane::kWoken);
  EXPECT_EQ(queue.mask(), 0U);
  EXPECT_EQ(queue.pop(kLevel, Lane::kWoken), nullptr);
}

// Each ends as soon as it has spawned the next, on whichever worker: at no moment is there none, whatever the order in which the shards are counted.
TEST_F(SchedTest, DrainIsNotFooledByTasksThatHandOn) {
  Scheduler& scheduler = make({.workers = 3});
  std::atomic<int> left{20'000};
  std::function<base::Ref<Task>()> next = [&]() -> base::Ref<Task> {
    return make_task([&](RunContext& context) {
      if (--left > 0) {
        EXPECT_TRUE(context.scheduler().spawn(next()));
      }
      return Poll::kDone;
    });
  };
  for (int chain = 0; chain < 2; ++chain) ASSERT_TRUE(scheduler.spawn(next(), SpawnPlace::kNext));
  ASSERT_TRUE(scheduler.drain(kNever));
  EXPECT_LE(left, 0);
  EXPECT_EQ(scheduler.task_count(), 0U);
}

TEST_F(SchedTest, AnInfoSaysWhatATaskWaitsFor) {
  Scheduler& scheduler = make({.workers = 1});
  std::atomic<bool> over{false};
  const auto task = make_task(
      [&](RunContext& context) {
        if (over) return Poll::kDone;
        context.park("a message", 77, 0x1234);
        return Poll::kPending;
      },
      {.kind = "reader", .name = "inbox", .priority = 2});
  ASSERT_TRUE(scheduler.spawn(task));
  while (task->state() != State::kParked) std::this_thread::yield();
  const std::vector<TaskInfo> infos = scheduler.tasks();
  ASSERT_EQ(infos.size(), 1U);
  EXPECT_EQ(infos[0].id, task->id());
  EXPECT_STREQ(infos[0].kind, "reader");
  EXPECT_EQ(infos[0].name, "inbox");
  EXPECT_EQ(infos[0].priority, 2);
  EXPECT_EQ(infos[0].state, State::kParked);
  EXPECT_STREQ(infos[0].park.reason, "a message");
  EXPECT_EQ(infos[0].park.deadline_ns, 77U);
  EXPECT_EQ(infos[0].park.address, 0x1234U);
  EXPECT_EQ(infos[0].switches, 1U);
  EXPECT_GT(infos[0].since_ns, 0U);
  over = true;
  task->wake();
  ASSERT_TRUE(scheduler.drain(kNever));
  EXPECT_EQ(task->wakes(), 1U);
}

// Tasks wake random others, from workers and from outside. Each poke is counted before the wake; at the end each has been seen.
TEST_F(SchedTest, StressNoWakeIsLost) {
  constexpr uint32_t kTasks = 64;
  constexpr uint64_t kPokes = 60'000;
  struct Poked final : CountedTask {
    Poked(std::array<base::Ref<Poked>, kTasks>& all_tasks, uint64_t seed)
        : CountedTask({.kind = "poked"}), all(all_tasks), rng(seed) {}
    Poll run(RunContext& context) override {
      EXPECT_EQ(inside.exchange(true), false) << "a task runs twice at once";
      seen = pokes.load();
      // Passes each poke on until all are spent.
      if (left.fetch_sub(1) > 0) {
        Poked& other = *all[rng.below(kTasks)];
        ++other.pokes;
        other.wake();
      }
      const bool done = over.load();
      if (!done) context.park("a poke");
      inside = false;
      return done ? Poll::kDone : Poll::kPending;
    }
    std::array<base::Ref<Poked>, kTasks>& all;
    base::Rng rng;
    std::atomic<uint64_t> pokes{0};
    std::atomic<uint64_t> seen{0};
    std::atomic<int64_t> left{kPokes / kTasks};
    std::atomic<bool> inside{false};
    std::atomic<bool> over{false};
  };
  Scheduler& scheduler = make({.workers = 4, .quantum_ns = 100'000});
  std::array<base::Ref<Poked>, kTasks> all;
  for (uint32_t i = 0; i < kTasks; ++i) all[i] = base::make_ref<Poked>(all, i);
  for (const auto& task : all) ASSERT_TRUE(scheduler.spawn(task));
  std::vector<std::thread> outside;
  for (uint64_t i = 0; i < 2; ++i) {
    outside.emplace_back([&all, i] {
      base::Rng rng(100 + i);
      for (uint64_t poke = 0; poke < kPokes / 4; ++poke) {
        Poked& other = *all[rng.below(kTasks)];
        ++other.pokes;
        other.wake();
      }
    });
  }
  for (std::thread& thread : outside) thread.join();
  for (const auto& task : all) {
    while (task->state() != State::kParked || task->seen != task->pokes) std::this_thread::yield();
  }
  for (const auto& task : all) {
    task->over = true;
    task->wake();
  }
  ASSERT_TRUE(scheduler.drain(kNever));
  for (auto& task : all) task = nullptr;
}

// A tree of tasks that spawn tasks, from outside and from workers, on more workers than CPUs.
TEST_F(SchedTest, StressSpawnAndSteal) {
  struct Node final : CountedTask {
    Node(std::atomic<uint64_t>& counter, uint32_t node_depth) : CountedTask({.kind = "node"}), ended(counter), depth(node_depth) {}
    Poll run(RunContext& context) override {
      if (yields-- > 0) {
        context.yield();
        return Poll::kPending;
      }
      for (uint32_t i = 0; depth > 0 && i < 4; ++i) context.scheduler().spawn(base::make_ref<Node>(ended, depth - 1));
      return Poll::kDone;
    }
    void on_done() override { ++ended; }
    std::atomic<uint64_t>& ended;
    const uint32_t depth;
    int yields = 3;
  };
  Scheduler& scheduler = make({.workers = 8, .quantum_ns = 100'000});
  std::atomic<uint64_t> ended{0};
  constexpr uint32_t kDepth = 6;
  uint64_t expected = 0;
  for (uint64_t level = 1, nodes = 1; level <= kDepth + 1; ++level, nodes *= 4) expected += nodes;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(scheduler.spawn(base::make_ref<Node>(ended, kDepth)));
  ASSERT_TRUE(scheduler.drain(kNever));
  EXPECT_EQ(ended, 4 * expected);
  const SchedulerStatistics statistics = scheduler.statistics();
  EXPECT_EQ(statistics.tasks_spawned, 4 * expected);
  EXPECT_EQ(statistics.switches, 4 * expected * 4);
  EXPECT_EQ(statistics.tasks, 0U);
}

// Endless loops on all workers, and the callback that the engine's epoch would be: each loop is asked to give way, and all get turns.
TEST_F(SchedTest, EndlessLoopsTakeTurns) {
  std::atomic<uint64_t> epoch{0};
  Scheduler& scheduler = make({.workers = 2, .quantum_ns = 200'000, .preempt_tick = [&epoch] { ++epoch; }});
  std::atomic<bool> over{false};
  constexpr size_t kLoops = 8;
  std::array<std::atomic<uint64_t>, kLoops> turns{};
  for (size_t i = 0; i < kLoops; ++i) {
    ASSERT_TRUE(scheduler.spawn(make_task([&, i](RunContext& context) {
      ++turns[i];
      uint64_t seen = epoch.load();
      while (!over) {
        const uint64_t now = epoch.load();
        if (now == seen) continue;
        seen = now;
        if (context.should_yield()) {
          context.yield(YieldKind::kPreempted);
          return Poll::kPending;
        }
      }
      return Poll::kDone;
    })));
  }
  for (auto& count : turns) {
    while (count < 5) std::this_thread::yield();
  }
  over = true;
  scheduler.request_tick();
  ASSERT_TRUE(scheduler.drain(kNever));
  EXPECT_GE(scheduler.statistics().preemptions, 4 * kLoops);
  EXPECT_GT(scheduler.statistics().ticks, 0U);
}

TEST_F(SchedTest, TimersWakeTasks) {
  struct Sleeper final : CountedTask {
    explicit Sleeper(uint32_t seed) : CountedTask({.kind = "sleeper"}), rng(seed) { timer.borrow_task(*this); }
    Poll run(RunContext& context) override {
      if (timer.fired()) {
        EXPECT_GE(context.now_ns() + 1000, deadline_ns) << "a timer fired early";
        if (--left == 0) return Poll::kDone;
      }
      timer.clear();
      deadline_ns = context.now_ns() + rng.below(3'000'000);
      context.scheduler().timers().arm(timer, deadline_ns);
      context.park("sleep", deadline_ns);
      return Poll::kPending;
    }
    base::Rng rng;
    TaskTimer timer;
    uint64_t deadline_ns = 0;
    int left = 20;
  };
  Scheduler& scheduler = make({.workers = 4});
  for (uint32_t i = 0; i < 200; ++i) ASSERT_TRUE(scheduler.spawn(base::make_ref<Sleeper>(i)));
  ASSERT_TRUE(scheduler.drain(kNever));
  EXPECT_EQ(scheduler.statistics().timers_fired, 200U * 20);
  EXPECT_EQ(scheduler.statistics().timers, 0U);
}

// A timer armed from outside while everybody sleeps, earlier than the one they sleep for.
TEST_F(SchedTest, AnEarlierTimerFromOutsideIsNoticed) {
  Scheduler& scheduler = make({.workers = 2});
  struct Fires final : TimerEntry {
    ~Fires() override { cancel(); }
    void fire() noexcept override { fired.set_value(); }
    std::promise<void> fired;
  };
  Fires far;
  Fires near;
  scheduler.timers().arm(far, scheduler.now_ns() + 3'600'000'000'000);
  for (int i = 0; i < 50; ++i) {
    near.fired = {};
    scheduler.timers().arm(near, scheduler.now_ns() + 100'000);
    near.fired.get_future().wait();
  }
  EXPECT_TRUE(far.cancel());
  EXPECT_FALSE(near.cancel());
}

// The process's CPU time over a second in which 10,000 tasks are parked is that of doing nothing: no thread wakes up.
TEST_F(SchedTest, AnIdleSchedulerBurnsNoCpu) {
  Scheduler& scheduler = make({.workers = 4});
  std::atomic<bool> over{false};
  std::vector<base::Ref<Task>> tasks;
  for (int i = 0; i < 10'000; ++i) {
    tasks.push_back(make_task([&over](RunContext& context) {
      if (over) return Poll::kDone;
      context.park("the end");
      return Poll::kPending;
    }));
    ASSERT_TRUE(scheduler.spawn(tasks.back()));
  }
  for (const auto& task : tasks) {
    while (task->state() != State::kParked) std::this_thread::yield();
  }
  // Until all workers and the ticker sleep for good: the number of times workers went to sleep stays as it is.
  const auto context_switches = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw + usage.ru_nivcsw;
  };
  const auto cpu_us = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  };
  std::promise<void> never;
  auto wait = [future = never.get_future().share()] { future.wait_for(std::chrono::milliseconds(500)); };
  wait();
  const long cpu_before = cpu_us();
  const long switches_before = context_switches();
  const uint64_t parks_before = scheduler.statistics().worker_parks;
  wait();
  wait();
  EXPECT_EQ(scheduler.statistics().worker_parks, parks_before) << "a worker woke up";
  EXPECT_LE(cpu_us() - cpu_before, 10'000) << "1 % of the second, for the two waits themselves";
  EXPECT_LE(context_switches() - switches_before, 20);
  over = true;
  for (const auto& task : tasks) task->wake();
  tasks.clear();
  ASSERT_TRUE(scheduler.drain(kNever));
}

TEST_F(SchedTest, ADumpCanBeTakenWhileEverythingMoves) {
  Scheduler& scheduler = make({.workers = 4, .quantum_ns = 100'000});
  std::atomic<bool> over{false};
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(scheduler.spawn(make_task([&, i](RunContext& context) {
      if (over) return Poll::kDone;
      if (i % 10 == 0) context.scheduler().spawn(make_task([](RunContext&) { return Poll::kDone; }));
      context.yield();
      return Poll::kPending;
    })));
  }
  for (int i = 0; i < 200; ++i) {
    const std::vector<TaskInfo> infos = scheduler.tasks();
    std::set<uint64_t> ids;
    for (const TaskInfo& info : infos) {
      EXPECT_TRUE(ids.insert(info.id).second) << "an id twice in one dump";
      EXPECT_STREQ(info.kind, "test");
      // They never park: a dump that says so, or names a reason, has mixed up two moments.
      EXPECT_NE(info.state, State::kParked);
      EXPECT_STREQ(info.park.reason, "");
    }
    EXPECT_GE(infos.size(), 200U);
  }
  over = true;
  ASSERT_TRUE(scheduler.drain(kNever));
}

TEST_F(SchedTest, WorkerHooksRunOnTheirThreads) {
  std::atomic<uint32_t> started{0};
  std::atomic<uint32_t> stopped{0};
  std::array<std::thread::id, 3> threads;
  make({.workers = 3,
        .worker_start =
            [&](uint32_t worker) {
              threads[worker] = std::this_thread::get_id();
              ++started;
            },
        .worker_stop =
            [&](uint32_t worker) {
              EXPECT_EQ(threads[worker], std::this_thread::get_id());
              ++stopped;
            }});
  destroy();
  EXPECT_EQ(started, 3U);
  EXPECT_EQ(stopped, 3U);
}

// ---- the end ----

TEST_F(SchedTest, DrainGivesUpAtItsDeadline) {
  Scheduler& scheduler = make({.workers = 1});
  std::atomic<bool> over{false};
  const auto task = make_task([&](RunContext& context) {
    if (over) return Poll::kDone;
    context.park("the end");
    return Poll::kPending;
  });
  ASSERT_TRUE(scheduler.spawn(task));
  EXPECT_FALSE(scheduler.drain(scheduler.now_ns() + 1'000'000));
  over = true;
  task->wake();
  EXPECT_TRUE(scheduler.drain(kNever));
}

// Ends when asked to; or does not.
class Stubborn final : public CountedTask {
 public:
  explicit Stubborn(bool obeys) : CountedTask({.kind = obeys ? "obedient" : "stubborn"}), obeys_(obeys) {}
  Poll run(RunContext& context) override {
    if (cancelled_ && obeys_) return Poll::kDone;
    context.park("for ever");
    return Poll::kPending;
  }
  void cancel_requested() override {
    cancelled_ = true;
    wake();
  }

 private:
  const bool obeys_;
  std::atomic<bool> cancelled_{false};
};

TEST_F(SchedTest, ShutdownDrainsThenCancelsThenReports) {
  Scheduler& scheduler = make({.workers = 2});
  const auto obedient = base::make_ref<Stubborn>(true);
  const auto stubborn = base::make_ref<Stubborn>(false);
  ASSERT_TRUE(scheduler.spawn(obedient));
  ASSERT_TRUE(scheduler.spawn(stubborn));
  const uint64_t now_ns = scheduler.now_ns();
  const ShutdownReport report = scheduler.shutdown(now_ns + 1'000'000, now_ns + 50'000'000);
  EXPECT_EQ(report.cancelled.size(), 2U);
  ASSERT_EQ(report.surviving.size(), 1U);
  EXPECT_STREQ(report.surviving[0].kind, "stubborn");
  EXPECT_STREQ(report.surviving[0].park.reason, "for ever");
  EXPECT_EQ(scheduler.task_count(), 0U);
  EXPECT_EQ(stubborn->state(), State::kDone);
  EXPECT_FALSE(scheduler.spawn(base::make_ref<Stubborn>(true)));
  stubborn->wake();  // of a task that was given up: nothing
  destroy();
  stubborn->wake();  // also when the scheduler is gone
}

TEST_F(SchedTest, AnOrderlyShutdownReportsNothing) {
  Scheduler& scheduler = make({.workers = 2});
  ASSERT_TRUE(scheduler.spawn(make_task([](RunContext&) { return Poll::kDone; })));
  const ShutdownReport report = scheduler.shutdown(kNever, 0);
  EXPECT_TRUE(report.cancelled.empty());
  EXPECT_TRUE(report.surviving.empty());
}

TEST_F(SchedTest, ATaskThatDoesNotLeaveItsRunIsReported) {
  Scheduler& scheduler = make({.workers = 2});
  std::atomic<bool> release{false};
  std::atomic<bool> inside{false};
  ASSERT_TRUE(scheduler.spawn(make_task([&](RunContext& context) {
    inside = true;
    while (!release) std::this_thread::yield();
    context.park("too late");
    return Poll::kPending;
  })));
  while (!inside) std::this_thread::yield();
  const ShutdownReport report = scheduler.shutdown(0, 0);
  ASSERT_EQ(report.surviving.size(), 1U);
  EXPECT_EQ(report.surviving[0].state, State::kRunning);
  release = true;
  destroy();  // waits for it to leave, then lets go of it: the fixture counts
}

TEST_F(SchedTest, DestroyingASchedulerLetsGoOfWhatIsParkedAndQueued) {
  Scheduler& scheduler = make({.workers = 2});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(scheduler.spawn(make_task([i](RunContext& context) {
      if (i % 2 == 0) {
        context.park("for ever");
      } else {
        context.yield();
      }
      return Poll::kPending;
    })));
  }
  destroy();
}

// Wakes from outside race with the end of the scheduler: no crash, nothing leaks (sanitizers look on).
TEST_F(SchedTest, WakesMayOutliveTheScheduler) {
  for (int round = 0; round < 20; ++round) {
    Scheduler& scheduler = make({.workers = 2});
    const auto task = base::make_ref<Stubborn>(false);
    ASSERT_TRUE(scheduler.spawn(task));
    std::atomic<bool> over{false};
    std::thread waker([&] {
      while (!over) task->wake();
    });
    while (task->switches() < 100) std::this_thread::yield();
    destroy();
    over = true;
    waker.join();
  }
}

TEST_F(SchedTest, PrioritiesCanBeChanged) {
  Scheduler& scheduler = make({.workers = 1});
  std::atomic<bool> over{false};
  const auto task = make_task([&](RunContext& context) {
    if (over) return Poll::kDone;
    context.yield();
    return Poll::kPending;
  });
  ASSERT_TRUE(scheduler.spawn(task));
  for (uint8_t priority = 0; priority < kPriorities; ++priority) {
    task->set_priority(priority);
    const uint64_t switches = task->switches();
    while (task->switches() < switches + 10) std::this_thread::yield();
  }
  over = true;
  ASSERT_TRUE(scheduler.drain(kNever));
}

using SchedDeathTest = SchedTest;

TEST_F(SchedDeathTest, MisuseIsCaught) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(make_task([](RunContext&) { return Poll::kDone; }, {.priority = 8}), "a priority is 0 to 7");
  EXPECT_DEATH(
      {
        Scheduler scheduler({.workers = 1, .platform = &platform::host()});
        const auto task = make_task([](RunContext&) { return Poll::kDone; });
        scheduler.spawn(task);
        scheduler.spawn(task);
      },
      "spawned only once");
}

}  // namespace
}  // namespace weft::sched
