// Every interleaving of the futex queues: no wake-up is lost, every wait ends in exactly one way and is counted by exactly whoever
// ended it, nobody touches a waiter after its end, the group hears of a deadlock once and only of real ones. Each with canaries,
// where leaving out one step is all it takes: the explorer must find them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <new>

#include "base/atomic.hpp"
#include "base/model/model.hpp"
#include "sync/futex_queue.hpp"

namespace weft::sync {
namespace {

using base::atomic;
using base::model::check;
using base::model::Outcome;
using base::model::Scenario;

Outcome explore(base::model::Options options, const std::function<void(Scenario&)>& scenario) {
  if (base::model::kUnderThreadSanitizer) options.runs_max = std::min<uint64_t>(options.runs_max, 2'000);
  return base::model::explore(options, scenario);
}

void expect_passed(const Outcome& outcome) {
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
  EXPECT_GT(outcome.runs, 100U);
}

// What a task is to the queues: counted, and woken. Once the last reference is gone nobody may come with another.
class Sleeper {
 public:
  void retain() { check(references_.fetch_add(1) > 0, "a sleeper that is gone was referred to"); }
  void release() { check(references_.fetch_sub(1) > 0, "a reference was let go twice"); }
  void wake() {
    check(references_.load() > 0, "a sleeper that is gone was woken");
    parker_.unpark();
  }
  void park() { parker_.park(); }

 private:
  atomic<int> references_{1};
  base::model::Parker parker_;
};

// The timer wheel, as far as it matters: fires once if it is armed, and a cancel waits for that.
class Alarm {
 public:
  void arm() { set(true); }
  template <class Fire>
  void advance(Fire fire) {
    mutex_.lock();
    firing_ = std::exchange(armed_, false);
    mutex_.unlock();
    if (!firing_) return;
    fire();
    mutex_.lock();
    firing_ = false;
    mutex_.unlock();
  }
  void cancel() {
    set(false);
    base::model::wait_until([this] { return !firing_; }, false);
  }

 private:
  void set(bool armed) {
    mutex_.lock();
    armed_ = armed;
    mutex_.unlock();
  }
  base::model::ModelMutex mutex_;
  bool armed_ = false;
  bool firing_ = false;
};

using Queues = FutexQueues<Sleeper, 1>;  // one at a time, so that two waiters are two batches already
using Entry = Queues::Entry;

// A thread that waits, and the memory that its waits are made in: filled with a pattern when there is none, so that a late touch shows.
class Waiter {
 public:
  explicit Waiter(Queues& queues, FutexGroup* group = nullptr) : queues_(queues), group_(group) { fill(); }

  template <class Compare>
  bool begin(const void* address, Compare still_equal) {
    entry_ = new (memory_) Entry;
    const auto enqueued = queues_.enqueue(*entry_, address, sleeper_, group_, still_equal);
    if (enqueued.all_blocked) ++deadlocks_;
    if (!enqueued.queued) end();
    return enqueued.queued;
  }
  FutexState sleep() {
    while (entry_->state() == FutexState::kQueued) sleeper_.park();
    return entry_->state();
  }
  // The waiter's memory is somebody else's now.
  void end() {
    entry_->~Entry();
    fill();
  }
  void done() { sleeper_.release(); }
  bool untouched() const {
    return std::all_of(std::begin(memory_), std::end(memory_), [](std::byte byte) { return byte == kPattern; });
  }

  Sleeper& sleeper() { return sleeper_; }
  Entry& entry() { return *entry_; }
  int deadlocks() const { return deadlocks_; }

  Alarm alarm;
  // What the owner has seen, and what the alarm was told.
  int woken = 0;
  int timed_out = 0;
  int expired = 0;

 private:
  static constexpr std::byte kPattern{0xA5};
  void fill() { std::fill(std::begin(memory_), std::end(memory_), kPattern); }

  Queues& queues_;
  FutexGroup* const group_;
  Sleeper sleeper_;
  alignas(Entry) std::byte memory_[sizeof(Entry)];
  Entry* entry_ = nullptr;
  int deadlocks_ = 0;
};

// Queues with entries in them must not die (that is asserted), but a schedule that has failed leaves some: then they are abandoned,
// as its stacks are.
struct Kept {
  ~Kept() {
    if (!ended) static_cast<void>(queues.release());
  }
  std::unique_ptr<Queues> queues = std::make_unique<Queues>(1, 1);
  bool ended = false;  // at_end was reached: nothing is queued any more
};

struct World {
  Kept kept;
  Queues& queues = *kept.queues;
  atomic<uint32_t> word{0};
  atomic<uint32_t> notified{0};
  Waiter one{queues};
  Waiter two{queues};

  void notify(const void* address, uint32_t count) { notified.fetch_add(queues.notify(address, count)); }
};

// ---- begin and notify ----

enum class Compare { kUnderLock, kBefore };

// The word changes, and then comes a notify: whoever still found the old value is woken by it.
Outcome explore_notify(Compare compare) {
  return explore({}, [compare](Scenario& run) {
    const auto world = std::make_shared<World>();
    run.thread([world, compare] {
      const bool before = compare == Compare::kUnderLock || world->word.load() == 0;
      const auto equal = [&] { return compare == Compare::kBefore ? before : world->word.load() == 0; };
      if (world->one.begin(&world->word, equal)) {
        check(world->one.sleep() == FutexState::kWoken, "woken, but not by the notify");
        world->one.woken = 1;
        world->one.end();
      }
      world->one.done();
    });
    run.thread([world] {
      world->word.store(1);
      world->notify(&world->word, 1);
    });
    run.at_end([world] {
      check(world->notified.load() == static_cast<uint32_t>(world->one.woken), "the notify has miscounted");
      check(world->one.untouched(), "a waiter was touched after its end");
      world->kept.ended = world->queues.waiting(&world->word) == 0;
    });
  });
}

TEST(FutexModel, NoWakeUpFallsBetweenCompareAndQueue) { expect_passed(explore_notify(Compare::kUnderLock)); }

TEST(FutexModel, FindsACompareOutsideOfTheLock) {
  const Outcome outcome = explore_notify(Compare::kBefore);
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("deadlock"), std::string::npos) << outcome.failure;
}

// Two waiters, two notifies of one each, all at once: in some order each of what is queued is woken by one of them, and what is left
// by a third.
TEST(FutexModel, TwoNotifiesWakeTwoWaiters) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = std::make_shared<World>();
    for (Waiter* const waiter : {&world->one, &world->two}) {
      run.thread([world, waiter] {
        if (waiter->begin(&world->word, [&] { return world->word.load() == 0; })) {
          check(waiter->sleep() == FutexState::kWoken, "woken, but not by a notify");
          waiter->woken = 1;
          waiter->end();
        }
        waiter->done();
      });
    }
    run.thread([world] { world->notify(&world->word, 1); });
    run.thread([world] {
      world->word.store(1);
      world->notify(&world->word, 1);
      world->notify(&world->word, 1);
    });
    run.at_end([world] {
      check(world->notified.load() == static_cast<uint32_t>(world->one.woken + world->two.woken), "the notifies have miscounted");
      check(world->queues.waiting(&world->word) == 0, "somebody was left behind");
      check(world->one.untouched() && world->two.untouched(), "a waiter was touched after its end");
      world->kept.ended = world->queues.waiting(&world->word) == 0;
    });
  }));
}

// A notify of all, in batches of one, while the first that it wakes waits again: who came after it began is not for it to wake.
TEST(FutexModel, ANotifyOfAllEndsWithThoseThatWereThere) {
  expect_passed(explore({.preemptions_max = 4, .parked_is_fine = true}, [](Scenario& run) {
    const auto world = std::make_shared<World>();
    const auto always = [] { return true; };
    check(world->one.begin(&world->word, always) && world->two.begin(&world->word, always), "nothing to compare");
    run.thread([world, always] {
      check(world->one.sleep() == FutexState::kWoken, "the first was there");
      world->one.end();
      (void)world->one.begin(&world->word, always);
      (void)world->one.sleep();
      check(false, "woken by a notify that began before the wait");
    });
    run.thread([world] { world->notify(&world->word, UINT32_MAX); });
    run.at_end([world] {
      check(world->notified.load() == 2, "the notify has miscounted");
      check(world->two.entry().state() == FutexState::kWoken, "the second was there, too");
      check(world->queues.withdraw(world->one.entry()), "the first waits again");
      world->kept.ended = world->queues.waiting(&world->word) == 0;
    });
  }));
}

// ---- timeout ----

enum class Flaw { kNone, kLeavesTheAlarm };

Outcome explore_timeout(Flaw flaw) {
  return explore({.preemptions_max = 3}, [flaw](Scenario& run) {
    const auto world = std::make_shared<World>();
    run.thread([world, flaw] {
      Waiter& one = world->one;
      if (one.begin(&world->word, [&] { return world->word.load() == 0; })) {
        one.alarm.arm();
        const FutexState state = one.sleep();
        check(state == FutexState::kWoken || state == FutexState::kTimedOut, "there is no third way");
        ++(state == FutexState::kWoken ? one.woken : one.timed_out);
        if (flaw != Flaw::kLeavesTheAlarm) one.alarm.cancel();
        check(one.entry().state() == state, "the outcome has changed");
        one.end();
      }
      one.done();
    });
    run.thread([world] {
      Waiter& one = world->one;
      one.alarm.advance([&] {
        check(!one.untouched(), "the alarm of a wait that is over went off");
        if (!world->queues.expire(one.entry())) return;
        one.expired = 1;
        one.sleeper().wake();
      });
    });
    run.thread([world] {
      world->word.store(1);
      world->notify(&world->word, 1);
    });
    run.at_end([world] {
      check(world->notified.load() == static_cast<uint32_t>(world->one.woken), "the notify has miscounted");
      check(world->one.expired == world->one.timed_out, "the alarm believes what the waiter does not");
      check(world->one.untouched(), "a waiter was touched after its end");
      world->kept.ended = world->queues.waiting(&world->word) == 0;
    });
  });
}

TEST(FutexModel, WokenOrTimedOutButNotBoth) { expect_passed(explore_timeout(Flaw::kNone)); }
TEST(FutexModel, FindsAnAlarmThatIsLeftBehind) { EXPECT_FALSE(explore_timeout(Flaw::kLeavesTheAlarm).passed); }

// ---- cancel ----

// The first of two gives up while one of them is woken. If it was the first that was woken, the cancel says so; else the second was.
TEST(FutexModel, ACancelledWaitIsNotCountedAsWoken) {
  expect_passed(explore({}, [](Scenario& run) {
    const auto world = std::make_shared<World>();
    const auto always = [] { return true; };
    check(world->one.begin(&world->word, always) && world->two.begin(&world->word, always), "nothing to compare");
    run.thread([world] {
      if (!world->queues.withdraw(world->one.entry())) {
        check(world->one.entry().state() == FutexState::kWoken, "not withdrawn, and not woken either");
        world->one.woken = 1;
      }
      world->one.end();
      world->one.done();
    });
    run.thread([world] { world->notify(&world->word, 1); });
    run.at_end([world] {
      check(world->notified.load() == 1, "somebody was there all the time");
      const bool second = world->two.entry().state() == FutexState::kWoken;
      check(second == (world->one.woken == 0), "one of them was woken");
      check(world->queues.waiting(&world->word) == (second ? 0U : 1U), "the other one waits");
      check(world->one.untouched(), "a waiter was touched after its end");
      if (!second) check(world->queues.withdraw(world->two.entry()), "the other one waits");
      world->kept.ended = world->queues.waiting(&world->word) == 0;
    });
  }));
}

// All three at once, of which one ends the wait.
TEST(FutexModel, CancelNotifyAndTimeout) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = std::make_shared<World>();
    Waiter& waiter = world->one;
    check(waiter.begin(&world->word, [] { return true; }), "nothing to compare");
    waiter.alarm.arm();
    run.thread([world, &waiter] {
      const bool withdrawn = world->queues.withdraw(waiter.entry());
      waiter.alarm.cancel();
      const FutexState state = waiter.entry().state();
      check(withdrawn == (state == FutexState::kIdle), "withdrawn or not");
      if (state == FutexState::kWoken) waiter.woken = 1;
      if (state == FutexState::kTimedOut) waiter.timed_out = 1;
      waiter.end();
      waiter.done();
    });
    run.thread([world, &waiter] {
      waiter.alarm.advance([&] {
        if (!world->queues.expire(waiter.entry())) return;
        waiter.expired = 1;
        waiter.sleeper().wake();
      });
    });
    run.thread([world] { world->notify(&world->word, 1); });
    run.at_end([world, &waiter] {
      check(world->notified.load() == static_cast<uint32_t>(waiter.woken), "the notify has miscounted");
      check(waiter.expired == waiter.timed_out, "the alarm believes what the waiter does not");
      check(waiter.untouched(), "a waiter was touched after its end");
      world->kept.ended = world->queues.waiting(&world->word) == 0;
    });
  }));
}

// ---- group ----

struct GroupWorld {
  explicit GroupWorld(int threads) {
    for (int i = 0; i < threads; ++i) group.thread_started();
  }
  Kept kept;
  Queues& queues = *kept.queues;
  FutexGroup group;
  atomic<uint32_t> words[2] = {0, 0};
  atomic<int> deadlocks{0};
  atomic<int> moves_after{0};
  Waiter one{queues, &group};
  Waiter two{queues, &group};

  void wait(Waiter& waiter, int which) {
    if (!waiter.begin(&words[which], [&] { return words[which].load() == 0; })) return;
    deadlocks.fetch_add(waiter.deadlocks());
    (void)waiter.sleep();
    moves_after.fetch_add(deadlocks.load());
    waiter.end();
  }
  void set(int which) {
    words[which].store(1);
    queues.notify(&words[which], UINT32_MAX);
  }
  void end() { deadlocks.fetch_add(group.thread_ended() ? 1 : 0); }
};

// A chain of wake-ups: whoever is left at any moment, one of them can still move.
TEST(FutexModel, ThoseWhoCanBeWokenAreNotStuck) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = std::make_shared<GroupWorld>(3);
    run.thread([world] {
      world->wait(world->one, 0);
      world->set(1);
      world->end();
    });
    run.thread([world] {
      world->wait(world->two, 1);
      world->end();
    });
    run.thread([world] {
      world->set(0);
      world->end();
    });
    run.at_end([world] {
      check(world->deadlocks.load() == 0, "a deadlock was reported, but there was none");
      check(world->group.alive() == 0 && world->group.blocked() == 0, "the group's counts are wrong");
      world->kept.ended = true;
    });
  }));
}

// The same chain without its first link: stuck however it goes, and that is heard of once.
TEST(FutexModel, TheStuckAreReportedOnce) {
  expect_passed(explore({.preemptions_max = 3, .parked_is_fine = true}, [](Scenario& run) {
    const auto world = std::make_shared<GroupWorld>(3);
    run.thread([world] {
      world->wait(world->one, 0);
      world->set(1);
    });
    run.thread([world] { world->wait(world->two, 1); });
    run.thread([world] { world->end(); });
    run.at_end([world] {
      check(world->deadlocks.load() == 1, "a deadlock is to be reported once");
      check(world->moves_after.load() == 0, "somebody moved on after the deadlock");
      check(world->group.alive() == 2 && world->group.blocked() == 2, "the group's counts are wrong");
      check(world->queues.withdraw(world->one.entry()) && world->queues.withdraw(world->two.entry()), "both wait");
      check(world->group.blocked() == 0, "a wait that is given up does not count");
      world->kept.ended = true;
    });
  }));
}

}  // namespace
}  // namespace weft::sync
