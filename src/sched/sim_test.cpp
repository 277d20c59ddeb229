// The whole scheduler in virtual time, under thousands of seeded random workloads: no wake-up is lost, no task runs twice at once, nothing
// waits longer than promised, everything is freed. And exact properties that need a clock that does not lie: order,
// preemption, ageing, and that nothing at all happens while everybody waits.
//
// A failing seed is printed; WEFT_SIM_SEED=<seed> replays that one alone.
#include "sched/sim.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "sched/core.hpp"
#include "sched/testing/fixture.hpp"

namespace weft::sched {
namespace {

using testing::CountedTask;
using testing::make_task;

// ---- random workloads ----

struct World {
  World(uint64_t seed, SchedulerConfig config) : sim(seed, std::move(config)) {}

  SimDriver sim;
  std::vector<base::Ref<class Actor>> actors;
  uint64_t runs = 0;          // of all actors
  uint64_t longest_wait = 0;  // in runs of others, from being queued to running
  uint64_t peak = 1;          // most actors alive
  uint32_t spawn_budget = 0;
};

// Does random things; whoever pokes it is counted before the wake, so that a wake-up that is lost leaves pokes unseen.
class Actor final : public CountedTask {
 public:
  Actor(World& world, uint32_t actions, uint8_t priority)
      : CountedTask({.kind = "actor", .priority = priority}), world_(world), actions_(actions) {
    timer_.borrow_task(*this);
    mark_queued();
  }

  void poke() {
    ++pokes_;
    if (state() == State::kParked) mark_queued();
    wake();
  }
  void finish() {
    finishing_ = true;
    poke();
  }
  uint64_t unseen() const { return pokes_ - seen_; }

  Poll run(RunContext& context) override {
    EXPECT_FALSE(inside_) << "a task runs twice at once";
    inside_ = true;
    EXPECT_GE(context.started_ns(), ended_ns_) << "a run begins before the one before it ended";
    world_.longest_wait = std::max(world_.longest_wait, world_.runs++ - queued_at_);
    const Poll poll = act(context);
    inside_ = false;
    ended_ns_ = context.now_ns();
    mark_queued();  // where it is queued at once; where it parks, the wake marks it anew
    return poll;
  }

 private:
  void mark_queued() { queued_at_ = world_.runs; }

  Poll act(RunContext& context) {
    base::Rng& rng = world_.sim.rng();
    seen_ = pokes_;
    const uint32_t moment = rng.below(8);
    if (waiting_ && moment != 0 && !done_waiting()) {
      // A spurious wake, or a poke: goes on waiting.
      context.park("waits on", timer_armed_ ? deadline_ns_ : 0);
      return Poll::kPending;
    }
    waiting_ = false;
    if (timer_armed_) {
      timer_.cancel();
      timer_armed_ = false;
    }
    if (actions_ == 0) return wind_down(context);
    --actions_;
    switch (rng.below(9)) {
      case 0:  // sleep
        timer_.clear();
        deadline_ns_ = context.now_ns() + rng.below(3'000'000);
        timer_armed_ = true;
        waiting_ = true;
        context.scheduler().timers().arm(timer_, deadline_ns_);
        context.park("sleep", deadline_ns_);
        return Poll::kPending;
      case 1:  // blocking work
        blocked_ = true;
        waiting_ = true;
        EXPECT_TRUE(context.scheduler().blocking().submit(
            [this] {
              blocked_ = false;
              if (state() == State::kParked) mark_queued();
            },
            base::Ref<Task>(this)));
        context.park("blocking work");
        return Poll::kPending;
      case 2: {  // compute, and give way when asked
        for (uint32_t left = rng.below(6); left != 0; --left) {
          world_.sim.pass_time(rng.below(400'000));
          if (context.should_yield()) {
            context.yield(YieldKind::kPreempted);
            return Poll::kPending;
          }
        }
        break;
      }
      case 3:
        if (world_.spawn_budget > 0) {
          --world_.spawn_budget;
          auto child = base::make_ref<Actor>(world_, rng.below(6), static_cast<uint8_t>(rng.below(kPriorities)));
          world_.actors.push_back(child);
          world_.peak = std::max<uint64_t>(world_.peak, world_.actors.size());
          EXPECT_TRUE(context.scheduler().spawn(std::move(child)));
        }
        break;
      case 4:
        set_priority(static_cast<uint8_t>(rng.below(kPriorities)));
        break;
      case 5:
        wake();  // itself, while it runs
        context.park("nothing, having woken itself");
        return Poll::kPending;
      default:
        for (uint32_t i = rng.below(4); i != 0; --i) {
          const base::Ref<Actor> other = world_.actors[rng.below(static_cast<uint32_t>(world_.actors.size()))];
          other->poke();
          if (rng.one_in(4)) world_.sim.pass_time(rng.below(10'000));
        }
        break;
    }
    context.yield();
    return Poll::kPending;
  }

  bool done_waiting() const { return timer_armed_ ? timer_.fired() : !blocked_; }

  // Nothing left to do of its own: waits to be told that all is over.
  Poll wind_down(RunContext& context) {
    if (blocked_) {
      context.park("blocking work");
      return Poll::kPending;
    }
    if (finishing_) return Poll::kDone;
    context.park("the end");
    return Poll::kPending;
  }

  World& world_;
  uint32_t actions_;
  TaskTimer timer_;
  uint64_t deadline_ns_ = 0;
  bool timer_armed_ = false;
  bool waiting_ = false;
  bool blocked_ = false;
  bool finishing_ = false;
  bool inside_ = false;
  uint64_t pokes_ = 0;
  uint64_t seen_ = 0;
  uint64_t queued_at_ = 0;
  uint64_t ended_ns_ = 0;
};

void run_random_workload(uint64_t seed) {
  SCOPED_TRACE("WEFT_SIM_SEED=" + std::to_string(seed));
  base::Rng rng(seed * 31 + 7);
  const int64_t alive_before = CountedTask::alive();
  {
    const uint32_t workers = 1 + rng.below(5);
    World world(seed,
                {.workers = workers, .quantum_ns = 200'000 + rng.below(1'000'000), .blocking = {.threads_max = 1 + rng.below(3)}});
    world.spawn_budget = rng.below(20);
    const uint32_t actors = 1 + rng.below(24);
    for (uint32_t i = 0; i < actors; ++i) {
      world.actors.push_back(base::make_ref<Actor>(world, rng.below(20), static_cast<uint8_t>(rng.below(kPriorities))));
      world.peak = std::max<uint64_t>(world.peak, world.actors.size());
    }
    const auto first = world.actors;
    for (const auto& actor : first) {
      ASSERT_TRUE(world.sim.scheduler().spawn(actor));
      for (uint32_t step = rng.below(4); step != 0; --step) world.sim.step();
    }
    // Everybody acts until all wait for the end. A bound on the steps, so that a live-lock fails too.
    world.sim.run_until_idle(2'000'000);
    bool settled = true;
    for (const auto& actor : world.actors) {
      settled = settled && actor->state() == State::kParked && actor->unseen() == 0;
    }
    if (!settled) {
      testing::dump(world.sim.scheduler());
      FAIL() << "all machines sleep, but a task is not parked or has not seen a wake-up";
    }
    for (const auto& actor : world.actors) actor->finish();
    if (!world.sim.run_until_empty(2'000'000)) {
      testing::dump(world.sim.scheduler());
      FAIL() << "tasks are left that nobody will ever wake";
    }
    // Everybody may be passed by everybody else, kBoostedMax + 1 times, for each pick of its priority; and a priority may be
    // passed over for kAgeingPicks + kPriorities picks.
    const uint64_t bound = (kAgeingPicks + kPriorities) * (kBoostedMax + 1) * (world.peak + 1) + 2 * workers;
    EXPECT_LE(world.longest_wait, bound);
    EXPECT_EQ(world.sim.scheduler().statistics().timers, 0U);
  }
  EXPECT_EQ(CountedTask::alive(), alive_before) << "tasks leaked";
}

TEST(SimTest, RandomWorkloads) {
  uint64_t only = 0;
  if (testing::replay_seed(only)) return run_random_workload(only);
  constexpr uint64_t kSeeds = 3000 / testing::kFewerSeeds;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    run_random_workload(seed);
    if (HasFailure()) FAIL() << "replay with WEFT_SIM_SEED=" << seed;
  }
}

TEST(SimTest, TheSameSeedGivesTheSameRun) {
  const auto fingerprint = [](uint64_t seed) {
    World world(seed, {.workers = 3});
    for (int i = 0; i < 10; ++i) world.actors.push_back(base::make_ref<Actor>(world, 10U, kPriorityNormal));
    for (const auto& actor : world.actors) world.sim.scheduler().spawn(actor);
    world.sim.run_until_idle(1'000'000);
    const std::pair result(world.sim.steps(), world.sim.platform().now_ns());
    for (const auto& actor : world.actors) actor->finish();
    EXPECT_TRUE(world.sim.run_until_empty(1'000'000));
    return result;
  };
  EXPECT_EQ(fingerprint(42), fingerprint(42));
  EXPECT_NE(fingerprint(42), fingerprint(43));
}

// ---- order ----

// N tasks that yield, one worker, one priority: they take turns exactly, also when they are more than the ring holds.
void expect_turns(uint32_t tasks, uint32_t rounds) {
  SimDriver sim(1, {.workers = 1});
  std::vector<uint32_t> order;
  order.reserve(size_t{tasks} * rounds);
  for (uint32_t i = 0; i < tasks; ++i) {
    sim.scheduler().spawn(make_task([&order, i, left = rounds](RunContext& context) mutable {
      order.push_back(i);
      if (--left == 0) return Poll::kDone;
      context.yield();
      return Poll::kPending;
    }));
  }
  ASSERT_TRUE(sim.run_until_empty());
  ASSERT_EQ(order.size(), size_t{tasks} * rounds);
  for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i % tasks) << "at position " << i;
}

TEST(SimTest, OneWorkerTakesTurnsExactly) { expect_turns(1000, 5); }
TEST(SimTest, TurnsAreExactAlsoBeyondTheRing) { expect_turns(3 * kRingCapacity + 17, 4); }

TEST(SimTest, HigherPrioritiesGoFirstAndLowerOnesStillRun) {
  SimDriver sim(1, {.workers = 1});
  constexpr int kRuns = 1000;
  std::vector<uint8_t> order;
  for (const uint8_t priority : {uint8_t{7}, uint8_t{4}, uint8_t{0}}) {
    sim.scheduler().spawn(make_task(
        [&order, priority, left = kRuns](RunContext& context) mutable {
          order.push_back(priority);
          if (--left == 0) return Poll::kDone;
          context.yield();
          return Poll::kPending;
        },
        {.kind = "test", .priority = priority}));
  }
  ASSERT_TRUE(sim.run_until_empty());
  // As long as priority 0 has work it gets nearly all of it; the others are served within kAgeingPicks + kPriorities.
  const auto first_phase = std::find(order.rbegin(), order.rend(), uint8_t{0}).base() - order.begin();
  std::map<uint8_t, int> runs;
  std::map<uint8_t, int> gap;
  for (auto it = order.begin(); it != order.begin() + first_phase; ++it) {
    ++runs[*it];
    for (auto& [priority, length] : gap) ++length;
    gap[*it] = 0;
    for (const uint8_t priority : {uint8_t{4}, uint8_t{7}}) {
      ASSERT_LE(gap[priority], static_cast<int>(kAgeingPicks + kPriorities)) << "priority " << int{priority};
    }
  }
  EXPECT_GT(runs[0], 10 * runs[4]);
  EXPECT_GT(runs[4], 10);
  EXPECT_GT(runs[7], 10);
}

// Two tasks that wake each other for ever do not keep others of their priority out.
TEST(SimTest, TasksThatWakeEachOtherLeaveRoomForTheRest) {
  SimDriver sim(1, {.workers = 1});
  constexpr int kRuns = 4000;
  int pair_runs = 0;
  int waited = 0;
  int longest = 0;
  base::Ref<Task> one;
  base::Ref<Task> two;
  const auto partner = [&](base::Ref<Task>& other) {
    return make_task([&](RunContext& context) {
      ++waited;
      if (++pair_runs >= kRuns) {
        other->wake();
        return Poll::kDone;
      }
      other->wake();
      context.park("partner");
      return Poll::kPending;
    });
  };
  one = partner(two);
  two = partner(one);
  sim.scheduler().spawn(one);
  sim.scheduler().spawn(two);
  sim.scheduler().spawn(make_task([&](RunContext& context) {
    longest = std::max(longest, waited);
    waited = 0;
    if (pair_runs >= kRuns) return Poll::kDone;
    context.yield();
    return Poll::kPending;
  }));
  ASSERT_TRUE(sim.run_until_empty());
  EXPECT_GE(pair_runs, kRuns);
  EXPECT_LE(longest, static_cast<int>(2 * (kBoostedMax + 1)));
}

// ---- time ----

// Four times as many endless loops as workers, beside one that sleeps 5 ms at a time: from its deadline to its run it takes at most two quanta.
TEST(SimTest, ASleeperIsNotHeldUpByEndlessLoops) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    constexpr uint64_t kQuantumNs = 1'000'000;
    constexpr uint32_t kWorkers = 3;
    SimDriver sim(seed, {.workers = kWorkers, .quantum_ns = kQuantumNs});
    bool over = false;
    for (uint32_t i = 0; i < 4 * kWorkers; ++i) {
      sim.scheduler().spawn(make_task([&](RunContext& context) {
        while (!over) {
          // What the engine does at an epoch that the ticker bumped; here between two short stretches of work.
          sim.pass_time(20'000);
          if (context.should_yield()) {
            context.yield(YieldKind::kPreempted);
            return Poll::kPending;
          }
        }
        return Poll::kDone;
      }));
    }
    auto timer = std::make_unique<TaskTimer>();
    uint64_t deadline_ns = 0;
    uint64_t latest_ns = 0;
    int sleeps = 0;
    const auto sleeper = make_task([&](RunContext& context) {
      if (timer->fired()) {
        latest_ns = std::max(latest_ns, context.now_ns() - deadline_ns);
        if (++sleeps == 100) {
          over = true;
          return Poll::kDone;
        }
      }
      timer->clear();
      deadline_ns = context.now_ns() + 5'000'000;
      context.scheduler().timers().arm(*timer, deadline_ns);
      context.park("sleep", deadline_ns);
      return Poll::kPending;
    });
    timer->borrow_task(*sleeper);
    sim.scheduler().spawn(sleeper);
    ASSERT_TRUE(sim.run_until_empty(50'000'000));
    EXPECT_LE(latest_ns, 2 * kQuantumNs);
    EXPECT_GT(sim.scheduler().statistics().preemptions, 100U);
  }
}

// Endless loops get even shares of all workers, however they were spread at first, also when they do not divide evenly.
TEST(SimTest, EndlessLoopsShareTheWorkersEvenly) {
  for (const auto& [workers, loops] : {std::pair{2U, 8U}, std::pair{2U, 3U}, std::pair{4U, 6U}, std::pair{4U, 5U}}) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      SCOPED_TRACE(std::to_string(loops) + " loops on " + std::to_string(workers) + " workers, seed " + std::to_string(seed));
      SimDriver sim(seed, {.workers = workers, .quantum_ns = 1'000'000});
      constexpr uint64_t kEndNs = 400'000'000;
      std::vector<base::Ref<Task>> tasks;
      for (uint32_t i = 0; i < loops; ++i) {
        tasks.push_back(make_task([&sim](RunContext& context) {
          while (sim.platform().now_ns() < kEndNs) {
            sim.pass_time(100'000);
            if (context.should_yield()) {
              context.yield(YieldKind::kPreempted);
              return Poll::kPending;
            }
          }
          return Poll::kDone;
        }));
        sim.scheduler().spawn(tasks.back());
      }
      ASSERT_TRUE(sim.run_until_empty());
      uint64_t least = kNever;
      uint64_t most = 0;
      for (const auto& task : tasks) {
        least = std::min(least, task->cpu_ns());
        most = std::max(most, task->cpu_ns());
      }
      EXPECT_LE(most, 2 * least);
    }
  }
}

// All workers run something that never gives way, nobody waits: a timer still fires within the ticker's slack and a tick.
TEST(SimTest, TheTickerFiresTimersWhenAllWorkersAreBusy) {
  SimDriver sim(7, {.workers = 2});
  bool over = false;
  uint64_t fired_ns = 0;
  struct Fires final : TimerEntry {
    ~Fires() override { cancel(); }
    void fire() noexcept override { at_ns = clock->now_ns(); }
    platform::Platform* clock = nullptr;
    uint64_t at_ns = 0;
  } timer;
  timer.clock = &sim.platform();
  for (int i = 0; i < 2; ++i) {
    sim.scheduler().spawn(make_task([&](RunContext&) {
      while (!over) {
        sim.pass_time(50'000);
        fired_ns = timer.at_ns;
        if (fired_ns != 0) over = true;
      }
      return Poll::kDone;
    }));
  }
  const uint64_t deadline_ns = sim.platform().now_ns() + 20'000'000;
  sim.scheduler().timers().arm(timer, deadline_ns);
  ASSERT_TRUE(sim.run_until_empty(10'000'000));
  EXPECT_GE(fired_ns, deadline_ns);
  EXPECT_LE(fired_ns, deadline_ns + Ticker::kTimerSlackNs + Timers::kTickNs + 100'000);
}

// Nobody preempts a task that runs alone: the ticker sleeps, and the quantum means nothing.
TEST(SimTest, ATaskAloneIsLeftInPeace) {
  SimDriver sim(3, {.workers = 2});
  uint64_t asked = 0;
  sim.scheduler().spawn(make_task([&](RunContext& context) {
    for (int i = 0; i < 1000; ++i) {
      sim.pass_time(100'000);
      if (context.should_yield()) ++asked;
    }
    return Poll::kDone;
  }));
  ASSERT_TRUE(sim.run_until_empty());
  EXPECT_EQ(asked, 0U);
  EXPECT_EQ(sim.scheduler().statistics().ticks, 0U);
}

// A task that is woken goes into the LIFO slot, to run when the one that woke it parks. If that one runs on and on and another worker sleeps, it
// does not wait: the ticker wakes the sleeper, which steals it.
TEST(SimTest, AWokenTaskDoesNotWaitForALongRunWhileOthersSleep) {
  SimDriver sim(11, {.workers = 2, .quantum_ns = 1'000'000});
  bool go = false;
  uint64_t woken_ns = 0;
  uint64_t ran_ns = 0;
  const auto sleeper = make_task([&](RunContext& context) {
    if (go) {
      ran_ns = context.now_ns();
      return Poll::kDone;
    }
    context.park("go");
    return Poll::kPending;
  });
  sim.scheduler().spawn(sleeper);
  sim.run_until_idle();
  sim.scheduler().spawn(make_task([&](RunContext& context) {
    go = true;
    woken_ns = context.now_ns();
    sleeper->wake();
    sim.pass_time(50'000'000);
    return Poll::kDone;
  }));
  ASSERT_TRUE(sim.run_until_empty());
  EXPECT_LE(ran_ns - woken_ns, 1'000'000U);
  EXPECT_EQ(sim.scheduler().statistics().stolen, 1U);
}

// A running task that asked for ticks gets them although nobody waits, and no longer than that run.
TEST(SimTest, TicksComeWhenARunAsksForThem) {
  SimDriver sim(3, {.workers = 2, .quantum_ns = 1'000'000});
  uint64_t ticks_before = 0;
  uint64_t ticks_asked = 0;
  sim.scheduler().spawn(make_task([&](RunContext& context) {
    sim.pass_time(20'000'000);
    ticks_before = context.scheduler().statistics().ticks;
    context.needs_ticks();
    sim.pass_time(20'000'000);
    ticks_asked = context.scheduler().statistics().ticks;
    return Poll::kDone;
  }));
  ASSERT_TRUE(sim.run_until_empty());
  sim.run_until_idle();
  EXPECT_EQ(ticks_before, 0U);
  EXPECT_GE(ticks_asked, 20U);
  EXPECT_LE(sim.scheduler().statistics().ticks, ticks_asked + 3);
}

// Ten thousand parked tasks: nothing happens, ever.
TEST(SimTest, AnIdleSchedulerDoesNothing) {
  SimDriver sim(5, {.workers = 4});
  std::vector<base::Ref<Task>> tasks;
  bool over = false;
  for (int i = 0; i < 10'000; ++i) {
    tasks.push_back(make_task([&over](RunContext& context) {
      if (over) return Poll::kDone;
      context.park("the end");
      return Poll::kPending;
    }));
    sim.scheduler().spawn(tasks.back());
  }
  sim.run_until_idle();
  const uint64_t steps = sim.steps();
  EXPECT_FALSE(sim.step());
  EXPECT_FALSE(sim.skip_time());
  EXPECT_EQ(sim.steps(), steps);
  over = true;
  for (const auto& task : tasks) task->wake();
  tasks.clear();
  EXPECT_TRUE(sim.run_until_empty());
}

// A far timer is not a reason to wake in between (but for moving it down the wheel, a few times in an hour).
TEST(SimTest, AFarTimerCostsAlmostNothing) {
  SimDriver sim(5, {.workers = 4});
  TaskTimer timer;
  const auto task = make_task([&](RunContext& context) {
    if (timer.fired()) return Poll::kDone;
    const uint64_t deadline_ns = context.now_ns() + 3'600'000'000'000;
    context.scheduler().timers().arm(timer, deadline_ns);
    context.park("sleep", deadline_ns);
    return Poll::kPending;
  });
  timer.borrow_task(*task);
  sim.scheduler().spawn(task);
  ASSERT_TRUE(sim.run_until_empty());
  EXPECT_GE(sim.platform().now_ns(), 3'600'000'000'000U);
  EXPECT_LE(sim.steps(), 100U);
}

// The last task standing is the canary of the checker above: a task that parks and that nobody wakes is reported, not waited for.
TEST(SimTest, ATaskThatNobodyWakesIsNoticed) {
  SimDriver sim(5, {.workers = 2});
  bool over = false;
  const auto task = make_task([&over](RunContext& context) {
    if (over) return Poll::kDone;
    context.park("Godot");
    return Poll::kPending;
  });
  sim.scheduler().spawn(task);
  EXPECT_FALSE(sim.run_until_empty());
  const std::vector<TaskInfo> infos = sim.scheduler().tasks();
  ASSERT_EQ(infos.size(), 1U);
  EXPECT_STREQ(infos[0].park.reason, "Godot");
  EXPECT_EQ(infos[0].state, State::kParked);
  over = true;
  task->wake();
  EXPECT_TRUE(sim.run_until_empty());
}

}  // namespace
}  // namespace weft::sched
