// The futex table. By itself, against the simplest model there is, a deque for each address, under random operations: order, counts,
// deadlines, cancels, and the group's counts. Then the races, in virtual time under many seeds and on real threads: each wait ends in
// exactly one way, and the notifies have counted exactly those that say they were woken. What guests build on it:
// futex_program_test.cpp; every interleaving of its heart: futex_model.cpp.
//
// A failing seed is printed; WEFT_SIM_SEED=<seed> replays that one alone.
#include "sync/futex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/cache_line.hpp"
#include "base/rng.hpp"
#include "sched/sim.hpp"
#include "sched/testing/fixture.hpp"

namespace weft::sync {
namespace {

using sched::kNever;
using sched::Poll;
using sched::RunContext;
using sched::testing::CountedTask;

// A thread of a guest that is woken, but never runs: it is asked.
class StillTask final : public CountedTask {
 public:
  StillTask() : CountedTask({.kind = "still"}) {}
  Poll run(RunContext&) override { return Poll::kDone; }
  FutexWaiter waiter;
};

struct Still {
  explicit Still(uint32_t count, uint32_t buckets = FutexTable::kBuckets) : table(timers, 77, buckets) {
    for (uint32_t i = 0; i < count; ++i) tasks.push_back(base::make_ref<StillTask>());
  }
  FutexWaiter::Begun begin(uint32_t which, const FutexWait& wait, FutexGroup* group = nullptr) {
    return tasks[which]->waiter.begin(table, wait, *tasks[which], group);
  }
  FutexOutcome poll(uint32_t which) { return tasks[which]->waiter.poll(); }
  std::string woken() {
    std::string text;
    for (const auto& task : tasks) text += task->waiter.info().waiting ? '.' : 'w';
    return text;
  }

  sched::Timers timers{0, nullptr};
  FutexTable table;
  std::vector<base::Ref<StillTask>> tasks;
};

// ---- alone ----

TEST(FutexTest, WakesInTheOrderOfTheirComingAndCounts) {
  Still still(10);
  uint32_t word = 5;
  uint32_t other = 5;
  for (uint32_t i = 0; i < 9; ++i) EXPECT_EQ(still.begin(i, {.address = &word, .expected = 5}).outcome, FutexOutcome::kPending);
  EXPECT_EQ(still.begin(9, {.address = &other, .expected = 5}).outcome, FutexOutcome::kPending);
  EXPECT_EQ(still.table.notify(&word, 0), 0U);
  EXPECT_EQ(still.woken(), "..........");
  EXPECT_EQ(still.table.notify(&word, 1), 1U);
  EXPECT_EQ(still.woken(), "w.........");
  EXPECT_EQ(still.table.notify(&word, 3), 3U);
  EXPECT_EQ(still.woken(), "wwww......");
  EXPECT_EQ(still.table.waiting(&word), 5U);
  // One that is woken and waits again stands at the back.
  EXPECT_EQ(still.poll(0), FutexOutcome::kWoken);
  EXPECT_EQ(still.begin(0, {.address = &word, .expected = 5}).outcome, FutexOutcome::kPending);
  EXPECT_EQ(still.table.notify(&word, 5), 5U);
  EXPECT_EQ(still.woken(), ".wwwwwwww.");
  EXPECT_EQ(still.poll(0), FutexOutcome::kPending);
  EXPECT_EQ(still.table.notify(&word, UINT32_MAX), 1U);
  EXPECT_EQ(still.table.notify(&word, UINT32_MAX), 0U);
  EXPECT_EQ(still.table.notify(&word, 1), 0U);
  EXPECT_EQ(still.table.notify(&other, 7), 1U);
  for (uint32_t i = 0; i < 10; ++i) EXPECT_EQ(still.poll(i), FutexOutcome::kWoken);
  EXPECT_EQ(still.table.waiting(&word) + still.table.waiting(&other), 0U);
}

TEST(FutexTest, ComparesAsManyBitsAsTheWordHas) {
  Still still(1);
  const auto outcome = [&](const void* address, FutexWidth width, uint64_t expected) {
    const FutexOutcome got = still.begin(0, {.address = address, .width = width, .expected = expected}).outcome;
    still.tasks[0]->waiter.cancel();
    return got;
  };
  alignas(8) uint32_t words[2] = {0x11111111, 0x22222222};
  EXPECT_EQ(outcome(&words[0], FutexWidth::k32, 0x11111111), FutexOutcome::kPending);
  EXPECT_EQ(outcome(&words[1], FutexWidth::k32, 0x22222222), FutexOutcome::kPending);
  EXPECT_EQ(outcome(&words[0], FutexWidth::k32, 0x11111112), FutexOutcome::kNotEqual);
  EXPECT_EQ(outcome(&words[0], FutexWidth::k32, 0xFFFFFFFF'11111111), FutexOutcome::kPending);  // sign-extended, say
  uint64_t wide = 0x22222222'11111111;
  EXPECT_EQ(outcome(&wide, FutexWidth::k64, 0x22222222'11111111), FutexOutcome::kPending);
  EXPECT_EQ(outcome(&wide, FutexWidth::k64, 0x22222222'11111112), FutexOutcome::kNotEqual);
  EXPECT_EQ(outcome(&wide, FutexWidth::k64, 0x22222223'11111111), FutexOutcome::kNotEqual);
  EXPECT_EQ(outcome(&wide, FutexWidth::k64, 0x11111111), FutexOutcome::kNotEqual);
  EXPECT_EQ(still.table.waiting(&wide) + still.table.waiting(&words[0]), 0U);
}

TEST(FutexTest, ADeadlineThatHasPassedQueuesNobody) {
  Still still(1);
  FutexGroup group;
  group.thread_started();
  uint32_t word = 5;
  for (const uint64_t deadline_ns : {uint64_t{0}, uint64_t{999}, uint64_t{1000}}) {
    const FutexWait equal{.address = &word, .expected = 5, .deadline_ns = deadline_ns, .now_ns = 1000};
    const FutexWait other{.address = &word, .expected = 6, .deadline_ns = deadline_ns, .now_ns = 1000};
    EXPECT_EQ(still.begin(0, equal, &group).outcome, FutexOutcome::kTimedOut);
    EXPECT_EQ(still.begin(0, other, &group).outcome, FutexOutcome::kNotEqual);
    EXPECT_EQ(still.table.waiting(&word), 0U);
    EXPECT_EQ(still.timers.armed(), 0U);
  }
  EXPECT_EQ(still.begin(0, {.address = &word, .expected = 5, .deadline_ns = 1001, .now_ns = 1000}, &group).outcome,
            FutexOutcome::kPending);
  EXPECT_EQ(still.timers.armed(), 1U);
  EXPECT_EQ(group.blocked(), 0U);
  EXPECT_TRUE(still.tasks[0]->waiter.cancel());
  EXPECT_FALSE(still.tasks[0]->waiter.cancel());
  EXPECT_EQ(still.timers.armed(), 0U);
}

TEST(FutexTest, SaysWhatItWaitsFor) {
  Still still(1);
  uint32_t word = 5;
  FutexWaiter& waiter = still.tasks[0]->waiter;
  EXPECT_FALSE(waiter.info().waiting);
  (void)still.begin(0, {.address = &word, .expected = 5, .deadline_ns = 2000, .now_ns = 1000});
  const FutexWaiter::Info info = waiter.info();
  EXPECT_TRUE(info.waiting);
  EXPECT_EQ(info.address, reinterpret_cast<uintptr_t>(&word));
  EXPECT_EQ(info.deadline_ns, 2000U);
  EXPECT_EQ(info.since_ns, 1000U);
  waiter.cancel();
  EXPECT_FALSE(waiter.info().waiting);
}

// The end of a task ends its wait, timer and all.
TEST(FutexTest, ATaskMayDieWaiting) {
  Still still(3, 1);
  uint32_t word = 5;
  for (uint32_t i = 0; i < 3; ++i) (void)still.begin(i, {.address = &word, .expected = 5, .deadline_ns = 1'000'000});
  still.tasks.erase(still.tasks.begin());
  EXPECT_EQ(still.table.waiting(&word), 2U);
  EXPECT_EQ(still.timers.armed(), 2U);
  EXPECT_EQ(still.table.notify(&word, 1), 1U);
  EXPECT_EQ(still.woken(), "w.");
  still.tasks.clear();
  EXPECT_EQ(still.table.waiting(&word), 0U);
  EXPECT_EQ(still.timers.armed(), 0U);
}

// More than a batch; on one address, on as many addresses as waiters, and with all of these in one bucket.
TEST(FutexTest, ThousandsOfWaiters) {
  constexpr uint32_t kWaiters = 5000;
  for (const uint32_t buckets : {1U, 1024U}) {
    Still still(2 * kWaiters, buckets);
    uint32_t word = 0;
    std::vector<uint32_t> words(kWaiters);
    for (uint32_t i = 0; i < kWaiters; ++i) {
      ASSERT_EQ(still.begin(i, {.address = &word}).outcome, FutexOutcome::kPending);
      ASSERT_EQ(still.begin(kWaiters + i, {.address = &words[i]}).outcome, FutexOutcome::kPending);
    }
    EXPECT_EQ(still.table.waiting(&word), kWaiters);
    EXPECT_EQ(still.table.notify(&word, 1000), 1000U);
    for (uint32_t i = 0; i < kWaiters; ++i) ASSERT_EQ(still.poll(i), i < 1000 ? FutexOutcome::kWoken : FutexOutcome::kPending);
    EXPECT_EQ(still.table.notify(&word, UINT32_MAX), kWaiters - 1000);
    for (uint32_t i = 0; i < kWaiters; ++i) {
      ASSERT_EQ(still.table.waiting(&words[i]), 1U);
      ASSERT_EQ(still.table.notify(&words[i], 2), 1U);
      ASSERT_EQ(still.poll(i), FutexOutcome::kWoken);
      ASSERT_EQ(still.poll(kWaiters + i), FutexOutcome::kWoken);
    }
  }
}

// ---- against a model ----

struct Expected {
  enum class Now : uint8_t { kIdle, kPending, kWoken, kTimedOut };
  Now now = Now::kIdle;
  uint32_t word = 0;
  uint64_t deadline_ns = kNever;
  uint32_t group = 0;
  bool alive = true;
};

void run_against_model(uint64_t seed) {
  SCOPED_TRACE("WEFT_SIM_SEED=" + std::to_string(seed));
  constexpr uint32_t kThreads = 9;
  constexpr uint32_t kWords = 4;
  using Now = Expected::Now;
  base::Rng rng(seed);
  Still still(kThreads, 1U << rng.below(3));
  uint32_t words[kWords] = {};
  std::deque<uint32_t> queues[kWords];
  FutexGroup groups[2];  // of two threads, which are often stuck, and of the rest
  Expected threads[kThreads];
  for (uint32_t i = 0; i < kThreads; ++i) {
    threads[i].group = i < 2 ? 0 : 1;
    groups[threads[i].group].thread_started();
  }
  uint64_t now_ns = 0;
  const auto count = [&](uint32_t group, auto like) {
    return static_cast<uint32_t>(std::count_if(std::begin(threads), std::end(threads),
                                               [&](const Expected& each) { return each.group == group && like(each); }));
  };
  const auto alive = [&](uint32_t group) { return count(group, [](const Expected& each) { return each.alive; }); };
  const auto blocked = [&](uint32_t group) {
    return count(group, [](const Expected& each) { return each.now == Now::kPending && each.deadline_ns == kNever; });
  };
  const auto stuck = [&](uint32_t group) { return alive(group) != 0 && alive(group) == blocked(group); };

  for (int step = 0; step < 300; ++step) {
    const uint32_t which = rng.below(kThreads);
    Expected& thread = threads[which];
    FutexGroup& group = groups[thread.group];
    switch (rng.below(10)) {
      default: {  // begin
        if (!thread.alive || thread.now == Now::kPending) break;
        const uint64_t deadline_ns = rng.one_in(2) ? kNever : now_ns + rng.below(400'000) - std::min<uint64_t>(now_ns, 40'000);
        const uint32_t word = rng.below(kWords);
        const uint32_t expected = words[word] + (rng.one_in(6) ? 1 : 0);
        const FutexWaiter::Begun begun = still.begin(
            which, {.address = &words[word], .expected = expected, .deadline_ns = deadline_ns, .now_ns = now_ns}, &group);
        thread.now = Now::kIdle;
        if (expected != words[word]) {
          ASSERT_EQ(begun.outcome, FutexOutcome::kNotEqual);
        } else if (deadline_ns <= now_ns) {
          ASSERT_EQ(begun.outcome, FutexOutcome::kTimedOut);
        } else {
          ASSERT_EQ(begun.outcome, FutexOutcome::kPending);
          thread.now = Now::kPending;
          thread.word = word;
          thread.deadline_ns = deadline_ns;
          queues[word].push_back(which);
        }
        ASSERT_EQ(begun.all_blocked, thread.now == Now::kPending && deadline_ns == kNever && stuck(thread.group));
        break;
      }
      case 0:
      case 1: {  // notify
        const uint32_t word = rng.below(kWords);
        const uint32_t most = rng.one_in(4) ? UINT32_MAX : rng.below(4);
        uint32_t woken = 0;
        for (; woken < most && !queues[word].empty(); ++woken, queues[word].pop_front()) {
          threads[queues[word].front()].now = Now::kWoken;
        }
        ASSERT_EQ(still.table.notify(&words[word], most), woken);
        break;
      }
      case 2:  // cancel
        ASSERT_EQ(still.tasks[which]->waiter.cancel(), thread.now == Now::kPending);
        if (thread.now == Now::kPending) {
          std::erase(queues[thread.word], which);
          thread.now = Now::kIdle;
        }
        break;
      case 3:  // time
        now_ns += rng.below(200'000);
        still.timers.advance(now_ns);
        for (uint32_t i = 0; i < kThreads; ++i) {
          Expected& each = threads[i];
          // As the wheel counts: whole ticks, never early.
          const uint64_t due_tick =
              (each.deadline_ns >> sched::Timers::kTickShift) + ((each.deadline_ns & (sched::Timers::kTickNs - 1)) != 0 ? 1 : 0);
          const bool due = each.deadline_ns != kNever && due_tick <= now_ns >> sched::Timers::kTickShift;
          if (each.now != Now::kPending || !due) continue;
          std::erase(queues[each.word], i);
          each.now = Now::kTimedOut;
        }
        break;
      case 4:  // end, start
        if (thread.alive && thread.now != Now::kPending) {
          thread.alive = false;
          ASSERT_EQ(group.thread_ended(), stuck(thread.group));
        } else if (!thread.alive) {
          thread.alive = true;
          group.thread_started();
        }
        break;
    }
    for (uint32_t i = 0; i < kThreads; ++i) {
      if (threads[i].now == Now::kIdle) continue;
      const FutexOutcome outcome = still.poll(i);
      ASSERT_EQ(outcome, threads[i].now == Now::kPending ? FutexOutcome::kPending
                         : threads[i].now == Now::kWoken ? FutexOutcome::kWoken
                                                         : FutexOutcome::kTimedOut)
          << "thread " << i << ", step " << step;
    }
    for (uint32_t i = 0; i < kWords; ++i) ASSERT_EQ(still.table.waiting(&words[i]), queues[i].size());
    for (uint32_t i = 0; i < 2; ++i) {
      ASSERT_EQ(groups[i].alive(), alive(i));
      ASSERT_EQ(groups[i].blocked(), blocked(i));
    }
  }
  still.tasks.clear();
  for (const FutexGroup& group : groups) EXPECT_EQ(group.blocked(), 0U);
}

TEST(FutexTest, AgreesWithADequeForEachAddress) {
  uint64_t only = 0;
  if (sched::testing::replay_seed(only)) return run_against_model(only);
  for (uint64_t seed = 1; seed <= 3000 / sched::testing::kFewerSeeds; ++seed) {
    run_against_model(seed);
    if (::testing::Test::HasFailure()) FAIL() << "replay with WEFT_SIM_SEED=" << seed;
  }
}

// ---- races ----

// What racers share. `pause` is what a thread does between two steps: lets virtual time pass, or spins.
struct Race {
  Race(sched::Timers& timers, uint32_t words_used, std::function<void(uint32_t)> pause_for)
      : table(timers, 5, 2), words(words_used), pause(std::move(pause_for)) {}

  FutexTable table;
  std::vector<uint32_t> words;  // all 0, for ever
  const std::function<void(uint32_t)> pause;
  std::atomic<uint64_t> notified{0};
  std::atomic<uint64_t> woken{0};
  std::atomic<uint64_t> timed_out{0};
  std::atomic<uint64_t> cancelled{0};
  std::atomic<uint32_t> racing{0};

  void notify(base::Rng& rng) {
    const uint32_t count = rng.one_in(3) ? UINT32_MAX : rng.below(4);
    notified += table.notify(&words[rng.below(static_cast<uint32_t>(words.size()))], count);
  }
};

// Waits again and again, each time with a waiter of its own, which dies as soon as it has its outcome. Pokes that come while it waits
// (a dump that wakes, a kill that was meant for another) are harmless, or the reason for it to give up.
class Racer final : public CountedTask {
 public:
  Racer(Race& race, uint64_t seed, uint32_t rounds) : CountedTask({.kind = "racer"}), race_(race), rng_(seed), rounds_(rounds) {
    ++race_.racing;
  }

  Poll run(RunContext& context) override {
    while (waiter_ == nullptr || over(context)) {
      if (rounds_ == 0) {
        --race_.racing;
        return Poll::kDone;
      }
      --rounds_;
      race_.pause(rng_.below(20'000));
      deadline_ns_ = rng_.one_in(4) ? kNever : context.now_ns() + rng_.below(150'000);
      waiter_ = std::make_unique<FutexWaiter>();
      const uint32_t& word = race_.words[rng_.below(static_cast<uint32_t>(race_.words.size()))];
      const FutexOutcome outcome =
          waiter_->begin(race_.table, {.address = &word, .deadline_ns = deadline_ns_, .now_ns = context.now_ns()}, *this, nullptr)
              .outcome;
      if (outcome == FutexOutcome::kTimedOut) {
        EXPECT_LE(deadline_ns_, context.now_ns());
        ++race_.timed_out;
        waiter_ = nullptr;
        continue;
      }
      EXPECT_EQ(outcome, FutexOutcome::kPending);
      race_.pause(rng_.below(20'000));
    }
    context.park("futex", deadline_ns_);
    return Poll::kPending;
  }

 private:
  bool over(RunContext& context) {
    FutexOutcome outcome = waiter_->poll();
    if (outcome == FutexOutcome::kPending) {
      if (!rng_.one_in(4)) return false;
      race_.pause(rng_.below(2'000));
      if (waiter_->cancel()) {
        ++race_.cancelled;
        waiter_ = nullptr;
        return true;
      }
      outcome = waiter_->poll();
    }
    EXPECT_NE(outcome, FutexOutcome::kPending);
    if (outcome == FutexOutcome::kTimedOut) {
      EXPECT_GE(context.now_ns(), deadline_ns_) << "timed out early";
    }
    ++(outcome == FutexOutcome::kWoken ? race_.woken : race_.timed_out);
    waiter_ = nullptr;
    return true;
  }

  Race& race_;
  base::Rng rng_;
  uint32_t rounds_;
  std::unique_ptr<FutexWaiter> waiter_;
  uint64_t deadline_ns_ = 0;
};

void race_in_virtual_time(uint64_t seed, Race*& out, std::unique_ptr<Race>& kept) {
  SCOPED_TRACE("WEFT_SIM_SEED=" + std::to_string(seed));
  base::Rng rng(seed);
  const int64_t alive_before = CountedTask::alive();
  {
    sched::SimDriver sim(seed, {.workers = 1 + rng.below(4)});
    kept = std::make_unique<Race>(sim.scheduler().timers(), 1 + rng.below(3), [&sim](uint32_t duration_ns) {
      if (sim.rng().one_in(2)) sim.pass_time(duration_ns);
    });
    out = kept.get();
    Race& race = *kept;
    std::vector<base::Ref<Racer>> racers;
    for (uint32_t i = 1 + rng.below(8); i != 0; --i) {
      racers.push_back(base::make_ref<Racer>(race, seed * 100 + i, 1 + rng.below(15)));
    }
    // Notifies and pokes until all are through; sleeps in between, or time would stand still for the rest.
    const auto timer = std::make_unique<sched::TaskTimer>();
    const auto notifier = sched::testing::make_task([&](RunContext& context) {
      if (race.racing == 0) return Poll::kDone;
      race.notify(rng);
      racers[rng.below(static_cast<uint32_t>(racers.size()))]->wake();
      timer->clear();
      context.scheduler().timers().arm(*timer, context.now_ns() + rng.below(100'000));
      context.park("sleep");
      return Poll::kPending;
    });
    timer->borrow_task(*notifier);
    for (const auto& racer : racers) sim.scheduler().spawn(racer);
    sim.scheduler().spawn(notifier);
    ASSERT_TRUE(sim.run_until_empty(2'000'000)) << "somebody waits for ever";
    timer->cancel();
    EXPECT_EQ(race.notified, race.woken);
    for (const uint32_t& word : race.words) EXPECT_EQ(race.table.waiting(&word), 0U);
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U);
  }
  EXPECT_EQ(CountedTask::alive(), alive_before) << "tasks leaked";
}

TEST(FutexTest, ExactlyOneOutcomeInVirtualTime) {
  std::unique_ptr<Race> kept;
  Race* race = nullptr;
  uint64_t only = 0;
  if (sched::testing::replay_seed(only)) return race_in_virtual_time(only, race, kept);
  uint64_t woken = 0;
  uint64_t timed_out = 0;
  uint64_t cancelled = 0;
  constexpr uint64_t kSeeds = 3000 / sched::testing::kFewerSeeds;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    race_in_virtual_time(seed, race, kept);
    if (::testing::Test::HasFailure()) FAIL() << "replay with WEFT_SIM_SEED=" << seed;
    woken += race->woken;
    timed_out += race->timed_out;
    cancelled += race->cancelled;
  }
  // All three happen, and often.
  EXPECT_GT(woken, kSeeds);
  EXPECT_GT(timed_out, kSeeds);
  EXPECT_GT(cancelled, kSeeds);
}

class FutexThreadsTest : public sched::testing::SchedulerTest {};

TEST_F(FutexThreadsTest, ExactlyOneOutcome) {
  sched::Scheduler& scheduler = make({.workers = 4});
  Race race(scheduler.timers(), 3, [](uint32_t duration_ns) {
    for (uint32_t spin = duration_ns / 64; spin != 0; --spin) base::spin_pause();
  });
  constexpr uint32_t kRacers = 12;
  constexpr uint32_t kRounds = 4000;
  std::vector<base::Ref<Racer>> racers;
  for (uint32_t i = 0; i < kRacers; ++i) racers.push_back(base::make_ref<Racer>(race, i, kRounds));
  for (const auto& racer : racers) ASSERT_TRUE(scheduler.spawn(racer));
  std::vector<std::thread> notifiers;
  for (uint32_t i = 0; i < 2; ++i) {
    notifiers.emplace_back([&, i] {
      base::Rng rng(1000 + i);
      while (race.racing != 0) {
        race.notify(rng);
        if (rng.one_in(8)) racers[rng.below(kRacers)]->wake();
        race.pause(rng.below(60'000));
      }
    });
  }
  ASSERT_TRUE(scheduler.drain(kNever));
  for (std::thread& thread : notifiers) thread.join();
  EXPECT_EQ(race.notified, race.woken);
  EXPECT_EQ(race.woken + race.timed_out + race.cancelled, uint64_t{kRacers} * kRounds);
  for (const std::atomic<uint64_t>* count : {&race.woken, &race.timed_out, &race.cancelled}) EXPECT_GT(*count, 100U);
  EXPECT_EQ(scheduler.timers().armed(), 0U);
  for (const uint32_t& word : race.words) EXPECT_EQ(race.table.waiting(&word), 0U);
  racers.clear();
  destroy();
}

// Waits until the word is no longer what it saw last, again and again.
class Follower final : public CountedTask {
 public:
  Follower(FutexTable& table, uint32_t& word, std::atomic<uint32_t>& seen, uint32_t last)
      : CountedTask({.kind = "follower"}), table_(table), word_(word), seen_(seen), last_(last) {}
  Poll run(RunContext& context) override {
    for (;;) {
      if (waiting_ && waiter_.poll() == FutexOutcome::kPending) break;
      waiting_ = false;
      const uint32_t now = std::atomic_ref(word_).load();
      seen_ = now;
      if (now == last_) return Poll::kDone;
      for (uint32_t spin = rng_.below(20); spin != 0; --spin) base::spin_pause();
      waiting_ = waiter_.begin(table_, {.address = &word_, .expected = now}, *this, nullptr).outcome == FutexOutcome::kPending;
    }
    context.park("the leader");
    return Poll::kPending;
  }

 private:
  FutexTable& table_;
  uint32_t& word_;
  std::atomic<uint32_t>& seen_;
  const uint32_t last_;
  base::Rng rng_{9};
  FutexWaiter waiter_;
  bool waiting_ = false;
};

// The word changes just while the follower begins to wait for that. One that queued itself after the notify, on an old value, would
// follow no further, and the watchdog would say so.
TEST_F(FutexThreadsTest, NoWakeUpFallsBetweenCompareAndQueue) {
  sched::Scheduler& scheduler = make({.workers = 2});
  FutexTable table(scheduler.timers(), 3);
  constexpr uint32_t kLast = 50'000;
  uint32_t word = 0;
  std::atomic<uint32_t> seen{0};
  ASSERT_TRUE(scheduler.spawn(base::make_ref<Follower>(table, word, seen, kLast)));
  base::Rng rng(4);
  for (uint32_t turn = 1; turn <= kLast; ++turn) {
    for (uint32_t spin = rng.below(20); spin != 0; --spin) base::spin_pause();
    std::atomic_ref(word).store(turn);
    table.notify(&word, 1);
    for (uint32_t looks = 0; seen != turn; ++looks) looks < 1000 ? base::spin_pause() : std::this_thread::yield();
  }
  ASSERT_TRUE(scheduler.drain(kNever));
  EXPECT_EQ(seen, kLast);
  destroy();
}

}  // namespace
}  // namespace weft::sync
