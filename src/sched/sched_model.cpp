// Every interleaving of the scheduler's small protocols: no wake-up is lost and no task runs twice (TaskState), no element of a
// ring is lost or handed out twice (LocalRing), no work waits while all workers sleep (IdleSet), no call of the ticker is lost
// (NeedFlag). Each with canaries: broken variants, as one would write them at first, that the explorer must find out.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "base/atomic.hpp"
#include "base/model/model.hpp"
#include "sched/idle.hpp"
#include "sched/need_flag.hpp"
#include "sched/ring.hpp"
#include "sched/task_state.hpp"

namespace weft::sched {
namespace {

using base::atomic;
using base::model::check;
using base::model::Outcome;
using base::model::Scenario;

Outcome explore(base::model::Options options, const std::function<void(Scenario&)>& scenario) {
  if (base::model::kUnderThreadSanitizer) options.runs_max = std::min<uint64_t>(options.runs_max, 2'000);
  return base::model::explore(options, scenario);
}

// ---- TaskState ----

// Parks without looking whether it was woken meanwhile.
class ForgetfulState {
 public:
  bool wake() {
    State from = word_.load();
    for (;;) {
      const State to = next_state(from, Event::kWake);
      if (word_.compare_exchange_weak(from, to)) return from == State::kParked;
    }
  }
  void spawn() { word_.store(State::kQueued); }
  void begin_run() { word_.store(State::kRunning); }
  bool park() {
    word_.store(State::kParked);
    return true;
  }
  void requeue() { word_.store(State::kQueued); }

 private:
  atomic<State> word_{State::kNew};
};

// Says "queue it" whenever the task does not run, also when it is queued already.
class EagerState : public ForgetfulState {
 public:
  bool wake() {
    const State from = word_.load();
    if (from == State::kRunning) {
      word_.store(State::kNotified);
      return false;
    }
    word_.store(State::kQueued);
    return true;
  }
  bool park() {
    State running = State::kRunning;
    if (word_.compare_exchange_strong(running, State::kParked)) return true;
    word_.store(State::kQueued);
    return false;
  }
  void spawn() { word_.store(State::kQueued); }
  void begin_run() { word_.store(State::kRunning); }

 private:
  atomic<State> word_{State::kNew};
};

template <class TheState>
struct TaskWorld {
  TheState state;
  atomic<int> queued{0};  // how often the task is in the queue
  atomic<int> running{0};
  atomic<int> posted{0};  // by wakers, before they wake
  int seen = 0;           // of these, by runs
  int yields = 0;         // how many runs end in a yield, before one parks

  void wake() {
    posted.fetch_add(1);
    if (state.wake()) queued.fetch_add(1);
  }
  // One attempt of a worker to take the task and run it until it parks.
  void work() {
    int count = queued.load();
    if (count == 0 || !queued.compare_exchange_strong(count, count - 1)) return;
    state.begin_run();
    check(running.fetch_add(1) == 0, "the task runs twice at once");
    seen = posted.load();
    running.fetch_sub(1);
    if (yields > 0) {
      --yields;
      state.requeue();
      queued.fetch_add(1);
      return;
    }
    if (!state.park()) queued.fetch_add(1);
  }
};

template <class TheState>
Outcome explore_task(int wakers, int workers, int turns, int yields = 0) {
  return explore({.preemptions_max = 4}, [=](Scenario& run) {
    const auto world = std::make_shared<TaskWorld<TheState>>();
    world->yields = yields;
    world->state.spawn();
    world->queued.store(1);
    for (int i = 0; i < wakers; ++i) run.thread([world] { world->wake(); });
    for (int i = 0; i < workers; ++i) {
      run.thread([world, turns] {
        for (int turn = 0; turn < turns; ++turn) world->work();
      });
    }
    run.at_end([world, wakers] {
      check(world->queued.load() <= 1, "the task is queued twice");
      // Whatever is still queued is run now; a lost wake-up is one that nobody will ever see.
      while (world->queued.load() > 0) world->work();
      check(world->seen == wakers, "a wake-up was lost");
    });
  });
}

TEST(TaskStateModel, NoWakeIsLostAndNoTaskRunsTwice) {
  const Outcome outcome = explore_task<TaskState>(2, 1, 2);
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
  EXPECT_GT(outcome.runs, 1000U);
}

TEST(TaskStateModel, TheSameWithTwoWorkers) {
  const Outcome outcome = explore_task<TaskState>(1, 2, 2);
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
}

TEST(TaskStateModel, TheSameWithYields) {
  const Outcome one = explore_task<TaskState>(2, 1, 2, 1);
  EXPECT_TRUE(one.passed) << one.failure;
  const Outcome two = explore_task<TaskState>(1, 2, 2, 1);
  EXPECT_TRUE(two.passed) << two.failure;
  EXPECT_TRUE((one.exhaustive && two.exhaustive) || base::model::kUnderThreadSanitizer);
}

TEST(TaskStateModel, FindsAParkThatForgetsAWake) {
  const Outcome outcome = explore_task<ForgetfulState>(1, 1, 1);
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("lost"), std::string::npos) << outcome.failure;
}

TEST(TaskStateModel, FindsAWakeThatQueuesTwice) {
  const Outcome outcome = explore_task<EagerState>(2, 1, 1);
  EXPECT_FALSE(outcome.passed);
}

TEST(TaskStateTable, EachStateAndEventGoesWhereTheDiagramSays) {
  using enum State;
  EXPECT_EQ(next_state(kNew, Event::kSpawn), kQueued);
  for (const State still : {kNew, kQueued, kNotified, kDone}) EXPECT_EQ(next_state(still, Event::kWake), still);
  EXPECT_EQ(next_state(kParked, Event::kWake), kQueued);
  EXPECT_EQ(next_state(kRunning, Event::kWake), kNotified);
  EXPECT_EQ(next_state(kQueued, Event::kPick), kRunning);
  EXPECT_EQ(next_state(kRunning, Event::kPark), kParked);
  EXPECT_EQ(next_state(kNotified, Event::kPark), kQueued);
  for (const State run : {kRunning, kNotified}) {
    EXPECT_EQ(next_state(run, Event::kPick), kRunning);  // after a yield
    EXPECT_EQ(next_state(run, Event::kDone), kDone);
    EXPECT_EQ(next_state(run, Event::kAbandon), run);
  }
  EXPECT_EQ(next_state(kQueued, Event::kAbandon), kDone);
  EXPECT_EQ(next_state(kParked, Event::kAbandon), kDone);
}

// ---- LocalRing ----

// Pops by load and store, as if there were no thieves.
template <class T, size_t kCapacity>
class TrustingRing {
 public:
  bool push(T* element) {
    if (tail_.load() - head_.load() >= kCapacity) return false;
    slots_[tail_.load() % kCapacity].store(element);
    tail_.store(tail_.load() + 1);
    return true;
  }
  T* pop() {
    const uint64_t head = head_.load();
    if (head == tail_.load()) return nullptr;
    T* const element = slots_[head % kCapacity].load();
    head_.store(head + 1);
    return element;
  }
  uint32_t steal_half_into(TrustingRing& mine) {
    uint64_t head = head_.load();
    if (head == tail_.load()) return 0;
    T* const element = slots_[head % kCapacity].load();
    if (!head_.compare_exchange_strong(head, head + 1)) return 0;
    mine.push(element);
    return 1;
  }

 private:
  atomic<uint64_t> head_{0};
  atomic<uint64_t> tail_{0};
  atomic<T*> slots_[kCapacity] = {};
};

template <template <class, size_t> class TheRing>
Outcome explore_ring(int elements, int thieves, int pops, int preemptions_max) {
  struct World {
    TheRing<int, 2> ring;
    TheRing<int, 2> stolen[2];
    int values[8] = {};  // how often each element was handed out
    int refused = 0;
  };
  return explore({.preemptions_max = preemptions_max}, [=](Scenario& run) {
    const auto world = std::make_shared<World>();
    const auto hand_out = [world](int* value) {
      if (value != nullptr) check(++*value == 1, "an element was handed out twice");
    };
    run.thread([=] {
      for (int i = 0; i < elements; ++i) {
        // More elements than slots: positions wrap, and slots are reused while thieves read them.
        while (!world->ring.push(&world->values[i])) hand_out(world->ring.pop());
      }
      for (int i = 0; i < pops; ++i) hand_out(world->ring.pop());
    });
    for (int i = 0; i < thieves; ++i) {
      run.thread([=] {
        world->ring.steal_half_into(world->stolen[i]);
        hand_out(world->stolen[i].pop());
      });
    }
    run.at_end([=] {
      while (int* value = world->ring.pop()) hand_out(value);
      for (auto& ring : world->stolen) {
        while (int* value = ring.pop()) hand_out(value);
      }
      for (int i = 0; i < elements; ++i) check(world->values[i] == 1, "an element was lost");
    });
  });
}

TEST(LocalRingModel, OwnerAgainstOneThief) {
  const Outcome outcome = explore_ring<LocalRing>(3, 1, 1, 4);
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
  EXPECT_GT(outcome.runs, 1000U);
}

TEST(LocalRingModel, OwnerAgainstTwoThieves) {
  const Outcome outcome = explore_ring<LocalRing>(3, 2, 1, 3);
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
}

TEST(LocalRingModel, FindsAPopThatIgnoresThieves) {
  const Outcome outcome = explore_ring<TrustingRing>(2, 1, 1, -1);
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("handed out twice"), std::string::npos) << outcome.failure;
}

TEST(LocalRingModel, AThiefTakesHalfInOrder) {
  LocalRing<int, 8> ring;
  LocalRing<int, 8> mine;
  int values[7];
  for (int& value : values) ASSERT_TRUE(ring.push(&value));
  EXPECT_EQ(ring.steal_half_into(mine), 4U);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(mine.pop(), &values[i]);
  for (int i = 4; i < 7; ++i) EXPECT_EQ(ring.pop(), &values[i]);
  EXPECT_EQ(ring.pop(), nullptr);
}

// ---- IdleSet ----

enum class Flaw { kNone, kNoLastLook, kNoHandOver, kLeavesQuietly };

struct IdleWorld {
  explicit IdleWorld(uint32_t workers) : idle(workers), parkers(workers) {}

  IdleSet idle;
  std::vector<base::model::Parker> parkers;
  atomic<int> work{0};
  atomic<int> done{0};

  void bring() {
    work.fetch_add(1);
    notify();
  }
  void notify() {
    const int32_t worker = idle.claim();
    if (worker >= 0) parkers[static_cast<size_t>(worker)].unpark();
  }
  bool take() {
    int count = work.load();
    while (count > 0) {
      if (work.compare_exchange_weak(count, count - 1)) return true;
    }
    return false;
  }
  // The loop of Worker::step and go_to_sleep, reduced to the protocol. Ends after `most` pieces of work; else it parks at last.
  void run(uint32_t self, int most, Flaw flaw, bool searching = false) {
    while (most > 0) {
      bool found = take();
      if (!found && !searching) {
        searching = idle.begin_search();
        found = searching && take();
      }
      if (found) {
        if (searching) {
          searching = false;
          const bool last = idle.end_search();
          if (flaw != Flaw::kNoHandOver && last && work.load() > 0) notify();
        }
        done.fetch_add(1);
        --most;
        continue;
      }
      idle.sleep(self, searching);
      searching = false;
      const bool nothing = flaw == Flaw::kNoLastLook || work.load() == 0;
      if (nothing) parkers[self].park();
      searching = idle.leave(self, !nothing && flaw != Flaw::kLeavesQuietly);
    }
  }
};

Outcome explore_idle(uint32_t workers, int bringers, Flaw flaw, int preemptions_max) {
  return explore({.preemptions_max = preemptions_max, .parked_is_fine = true}, [=](Scenario& run) {
    const auto world = std::make_shared<IdleWorld>(workers);
    for (uint32_t i = 0; i < workers; ++i) run.thread([=] { world->run(i, bringers, flaw); });
    for (int i = 0; i < bringers; ++i) run.thread([=] { world->bring(); });
    // Workers may be parked now, but not beside work.
    run.at_end([=] { check(world->done.load() == bringers, "work waits, and everybody sleeps"); });
  });
}

TEST(IdleModel, OneWorker) {
  const Outcome outcome = explore_idle(1, 2, Flaw::kNone, 3);
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
}

TEST(IdleModel, TwoWorkers) {
  const Outcome outcome = explore_idle(2, 2, Flaw::kNone, 2);
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
}

TEST(IdleModel, FindsASleepWithoutALastLook) {
  const Outcome outcome = explore_idle(1, 1, Flaw::kNoLastLook, 3);
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("everybody sleeps"), std::string::npos) << outcome.failure;
}

// One worker is busy for good; the other found one of two pieces of work that both relied on its search, and then is busy for good, too.
// The third one sleeps. Only the searcher's hand-over wakes it.
TEST(IdleModel, TheLastSearcherHandsOver) {
  const auto scenario = [](Flaw flaw) {
    return explore({.preemptions_max = 2, .parked_is_fine = true}, [flaw](Scenario& run) {
      struct World : IdleWorld {
        World() : IdleWorld(3) {}
      };
      const auto world = std::make_shared<World>();
      // Worker 2 sleeps from the start, and worker 1 searches.
      world->idle.sleep(2, false);
      check(world->idle.begin_search(), "one of three may search");
      run.thread([=] {  // worker 0, in a long task
        world->bring();
        world->bring();
      });
      // Workers 1 and 2: one piece of work keeps them busy for good.
      run.thread([=] { world->run(1, 1, flaw, true); });
      run.thread([=] {
        world->parkers[2].park();
        world->run(2, 1, flaw, world->idle.leave(2, false));
      });
      run.at_end([=] { check(world->work.load() == 0, "work waits beside a sleeper"); });
    });
  };
  const Outcome right = scenario(Flaw::kNone);
  EXPECT_TRUE(right.passed) << right.failure;
  EXPECT_TRUE(right.exhaustive || base::model::kUnderThreadSanitizer);
  EXPECT_FALSE(scenario(Flaw::kNoHandOver).passed);
  // A searcher that announced its sleep, then found work after all, and went to it as if nobody had relied on its search.
  EXPECT_FALSE(scenario(Flaw::kLeavesQuietly).passed);
}

// ---- NeedFlag ----

// Takes the flag down without looking again.
class HastyFlag {
 public:
  bool raise() { return !up_.load() && !up_.exchange(true); }
  bool up() const { return up_.load(); }
  template <class AnyReason>
  bool lower(AnyReason) {
    up_.store(false);
    return true;
  }

 private:
  atomic<bool> up_{false};
};

template <class Flag>
Outcome explore_flag() {
  return explore({.preemptions_max = 3, .parked_is_fine = true}, [](Scenario& run) {
    struct World {
      Flag flag;
      base::model::Parker parker;
      atomic<int> reasons{0};
      atomic<int> served{0};
    };
    const auto world = std::make_shared<World>();
    for (int i = 0; i < 2; ++i) {
      run.thread([world] {
        world->reasons.fetch_add(1);
        if (world->flag.raise()) world->parker.unpark();
      });
    }
    run.thread([world] {
      for (;;) {
        while (world->flag.up()) {
          world->served.fetch_add(world->reasons.exchange(0));
          if (world->flag.lower([&] { return world->reasons.load() != 0; })) break;
        }
        if (world->served.load() == 2) return;
        world->parker.park();
      }
    });
    run.at_end([world] { check(world->served.load() == 2, "a call was lost"); });
  });
}

TEST(NeedFlagModel, NoCallIsLost) {
  const Outcome outcome = explore_flag<NeedFlag>();
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
}

TEST(NeedFlagModel, FindsAFlagThatIsLoweredInHaste) { EXPECT_FALSE(explore_flag<HastyFlag>().passed); }

}  // namespace
}  // namespace weft::sched
