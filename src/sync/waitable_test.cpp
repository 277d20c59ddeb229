// Waitables: ready as a level, waits that end for every cause (ready, time, nobody left), from tasks under many seeds and from threads; tasks
// dropped while they wait; events, timers and tasks' ends as sources.
#include "weft/waitable.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "sync/testing/tasks.hpp"
#include "sync/waitable.hpp"

namespace weft::sync {
namespace {

using namespace std::chrono_literals;
using testing::start;

class WaitableTest : public testing::TaskTest {};

Task<ErrorKind> waits(Waitable what, Duration bound = kForever) {
  const Result<void> result = co_await what.wait_for(bound);
  co_return result ? ErrorKind::kInternal : result.error().kind;  // kInternal: no error
}
constexpr ErrorKind kNone = ErrorKind::kInternal;

Task<void> sets_after(Event event, Duration after) {
  co_await sleep_for(after);
  event.set();
}

TEST_F(WaitableTest, AnEventLetsEverybodyPass) {
  for_each_seed(200, [](sched::SimDriver& sim) {
    Event event;
    EXPECT_FALSE(event.when_set().ready());
    std::vector<JoinHandle<ErrorKind>> joins;
    for (int i = 0; i < 200; ++i) joins.push_back(start(sim.scheduler(), waits(event.when_set())));
    auto setter = start(sim.scheduler(), sets_after(event, 1ms));
    ASSERT_TRUE(sim.run_until_empty());
    for (auto& join : joins) EXPECT_EQ(*join.join(), kNone);
    EXPECT_TRUE(event.is_set());
    EXPECT_TRUE(event.when_set().wait().block());
    event.reset();
    EXPECT_FALSE(event.is_set());
    const Result<void> late = event.when_set().wait_for(0ns).block();
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().kind, ErrorKind::kTimedOut);
  });
}

Task<void> pulses(Event event) {
  co_await sleep_for(1ms);
  event.set();
  event.reset();
}

// Whoever waited when it was set has passed, whatever came after.
TEST_F(WaitableTest, AResetTakesNothingBack) {
  for_each_seed(100, [](sched::SimDriver& sim) {
    const Event event;
    auto one = start(sim.scheduler(), waits(event.when_set()));
    auto two = start(sim.scheduler(), waits(event.when_set()));
    auto three = start(sim.scheduler(), pulses(event));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*one.join(), kNone);
    EXPECT_EQ(*two.join(), kNone);
  });
}

TEST_F(WaitableTest, BoundsArePunctual) {
  for_each_seed(100, [](sched::SimDriver& sim) {
    const Event never;
    const std::uint64_t begun_ns = sim.platform().now_ns();
    auto zero = start(sim.scheduler(), waits(never.when_set(), 0ns));
    auto negative = start(sim.scheduler(), waits(never.when_set(), -1h));
    auto late = start(sim.scheduler(), waits(never.when_set(), 3ms));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_GE(sim.platform().now_ns() - begun_ns, 3'000'000U);
    for (auto* join : {&zero, &negative, &late}) EXPECT_EQ(*join->join(), ErrorKind::kTimedOut);
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U);
  });
}

// An event whose last handle goes while it is not set; one that goes while it is set stays ready.
TEST_F(WaitableTest, WhatNobodyCanSetIsGone) {
  for_each_seed(100, [](sched::SimDriver& sim) {
    std::optional<Event> event(std::in_place);
    const Waitable waitable = event->when_set();
    auto waiting = start(sim.scheduler(), waits(waitable));
    sim.run_until_idle();
    Event copy = *event;
    event.reset();
    EXPECT_FALSE(waitable.gone());
    copy = Event(true);
    EXPECT_TRUE(waitable.gone());
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*waiting.join(), ErrorKind::kCancelled);
    const Waitable set = copy.when_set();
    copy = Event();
    EXPECT_TRUE(set.ready());
    EXPECT_FALSE(set.gone());
    EXPECT_TRUE(set.wait().block());
  });
}

TEST_F(WaitableTest, NothingIsNeverReady) {
  const Waitable nothing;
  EXPECT_FALSE(nothing);
  EXPECT_FALSE(nothing.ready());
  EXPECT_FALSE(nothing.gone());
  const Result<void> result = nothing.wait().block();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::kBadArgument);
}

Task<ErrorKind> waits_for_timer(Duration after, Duration bound) {
  const Waitable waitable = timer(after);
  co_return co_await waits(waitable, bound);
}

TEST_F(WaitableTest, TimersBecomeReady) {
  for_each_seed(100, [](sched::SimDriver& sim) {
    const std::uint64_t begun_ns = sim.platform().now_ns();
    auto soon = start(sim.scheduler(), waits_for_timer(2ms, kForever));
    auto now = start(sim.scheduler(), waits_for_timer(0ns, 0ns));
    auto late = start(sim.scheduler(), waits_for_timer(1h, 1ms));
    auto never = start(sim.scheduler(), waits_for_timer(kForever, 1ms));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_GE(sim.platform().now_ns() - begun_ns, 2'000'000U);
    EXPECT_LE(sim.platform().now_ns() - begun_ns, 1'000'000'000U);
    EXPECT_EQ(*soon.join(), kNone);
    EXPECT_EQ(*now.join(), kNone);
    EXPECT_EQ(*late.join(), ErrorKind::kTimedOut);
    EXPECT_EQ(*never.join(), ErrorKind::kTimedOut);
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U) << "a dropped timer is still armed";
  });
}

// A timer may outlive its scheduler; it just never fires.
TEST_F(WaitableTest, ATimerOutlivesItsScheduler) {
  Waitable orphan;
  {
    sched::SimDriver sim(1, {.workers = 1});
    orphan = make_timer(sim.scheduler(), sim.platform().now_ns() + 1'000'000);
  }
  EXPECT_FALSE(orphan.ready());
  EXPECT_FALSE(orphan.wait_for(1ms).block());
}

Task<int> sleeps(Duration duration) {
  co_await sleep_for(duration);
  co_return 7;
}

TEST_F(WaitableTest, ATasksEndIsAWaitable) {
  for_each_seed(100, [](sched::SimDriver& sim) {
    auto task = start(sim.scheduler(), sleeps(1ms));
    auto cancelled = start(sim.scheduler(), sleeps(1h));
    const Waitable end = when_done(task);
    EXPECT_FALSE(end.ready());
    auto watcher = start(sim.scheduler(), waits(end));
    auto other = start(sim.scheduler(), waits(when_done(cancelled)));
    sim.run_until_idle(1000);
    cancelled.cancel();
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*watcher.join(), kNone);
    EXPECT_EQ(*other.join(), kNone);
    EXPECT_EQ(*task.join(), 7);
    EXPECT_TRUE(when_done(cancelled).ready());  // asked after the end
  });
}

Task<ErrorKind> waits_for_itself(std::shared_ptr<JoinHandle<ErrorKind>> self) { co_return co_await waits(when_done(*self)); }

TEST_F(WaitableTest, ATaskThatWaitsForItselfIsTold) {
  sched::SimDriver sim(1, {.workers = 1});
  auto self = std::make_shared<JoinHandle<ErrorKind>>();
  *self = start(sim.scheduler(), waits_for_itself(self));
  ASSERT_TRUE(sim.run_until_empty());
  EXPECT_EQ(*self->join(), ErrorKind::kBadArgument);
  *self = {};
}

// Tasks dropped at any moment, between others that wait for the same.
TEST_F(WaitableTest, DroppedTasksLeaveNothingBehind) {
  for_each_seed(400, [](sched::SimDriver& sim) {
    const Event event;
    std::vector<JoinHandle<ErrorKind>> joins;
    for (int i = 0; i < 20; ++i) {
      joins.push_back(start(sim.scheduler(), waits(event.when_set(), sim.rng().one_in(2) ? kForever : 5ms)));
    }
    auto setter = start(sim.scheduler(), sets_after(event, 2ms));
    std::vector<bool> dropped(joins.size());
    for (std::size_t i = 0; i < joins.size(); ++i) {
      for (std::uint32_t steps = sim.rng().below(5); steps > 0; --steps) (void)sim.step();
      dropped[i] = sim.rng().one_in(2);
      if (dropped[i]) joins[i].cancel();
    }
    ASSERT_TRUE(sim.run_until_empty());
    for (std::size_t i = 0; i < joins.size(); ++i) {
      const Result<ErrorKind> result = joins[i].join();
      if (result) {
        EXPECT_EQ(*result, kNone);
      } else {
        EXPECT_TRUE(dropped[i]);
      }
    }
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U);
  });
}

// Threads and tasks, real ones, that pass the same gates again and again.
TEST_F(WaitableTest, ThreadsAndTasksTogether) {
  sched::Scheduler& scheduler = make({.workers = 3});
  constexpr int kRounds = 300;
  std::vector<Event> gates(kRounds);
  std::vector<Event> done(kRounds);
  std::atomic<int> passed{0};
  struct Body {
    static Task<void> passes(std::vector<Event>* gates, std::vector<Event>* done, std::atomic<int>* passed) {
      for (int i = 0; i < kRounds; ++i) {
        EXPECT_TRUE(co_await (*gates)[static_cast<std::size_t>(i)].when_set().wait());
        if (passed->fetch_add(1) % 6 == 5) (*done)[static_cast<std::size_t>(i)].set();
      }
    }
  };
  std::vector<JoinHandle<void>> joins;
  for (int i = 0; i < 4; ++i) joins.push_back(start(scheduler, Body::passes(&gates, &done, &passed)));
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < kRounds; ++i) {
        EXPECT_TRUE(gates[i].when_set().wait().block());
        if (passed.fetch_add(1) % 6 == 5) done[i].set();
      }
    });
  }
  for (std::size_t i = 0; i < kRounds; ++i) {
    gates[i].set();
    ASSERT_TRUE(done[i].when_set().wait().block());
  }
  for (auto& join : joins) EXPECT_TRUE(join.join());
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(passed.load(), 6 * kRounds);
}

}  // namespace
}  // namespace weft::sync
