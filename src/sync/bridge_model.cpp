// Every interleaving of a thread that waits for one end and whoever ends it, with wake-ups that are meant for something else: it is not missed, and neither the object,
// which lies on the waiting thread's stack, nor the thread is touched once it is over. With a canary that must be found.
#include <gtest/gtest.h>

#include <memory>

#include "sync/one_ending.hpp"
#include "sync/testing/model_sleeper.hpp"

namespace weft::sync {
namespace {

using namespace testing;

class Thread : public Person {
 public:
  // What comes between the end and the wake-up: here the other threads may move.
  void unpark() {
    (void)between_.load();
    wake();
  }

 private:
  base::atomic<int> between_{0};
};

// Wakes whom it has no reference to.
class Careless {
 public:
  bool ended() const { return word_.load() == 2; }
  template <class Park>
  void sleep(Thread& thread, Park park) {
    thread_ = &thread;
    uint32_t runs = 0;
    if (!word_.compare_exchange_strong(runs, 1)) return;
    while (!ended()) park();
  }
  void end() {
    Thread* const thread = thread_;
    if (word_.exchange(2) == 1) (thread != nullptr ? thread : thread_)->unpark();
  }

 private:
  base::atomic<uint32_t> word_{0};
  Thread* thread_ = nullptr;
};

template <class Ending>
struct World : Abandonable {
  World() {
    ending.make();
    thread.retain();  // of whoever wakes it by mistake
  }
  Thread thread;
  Room<Ending> ending;
  int outcome = 0;
};

template <class Ending>
Outcome explore_ending() {
  return explore({}, [](Scenario& run) {
    const auto world = make_world<World<Ending>>();
    run.thread([world] {
      if (!world->ending->ended()) world->ending->sleep(world->thread, [world] { world->thread.park(); });
      check(world->outcome == 1, "it returned before the end");
      world->ending.end();
      world->thread.release();
    });
    run.thread([world] {
      world->outcome = 1;
      world->ending->end();
    });
    run.thread([world] {
      world->thread.wake();
      world->thread.release();
    });
    run.at_end([world] {
      world->ended = true;
      check(world->ending.untouched(), "it was touched after its end");
      check(world->thread.gone(), "a reference was kept");
    });
  });
}

TEST(OneEndingModel, TheEndIsNotMissedAndTouchesNobodyWhoIsGone) {
  const Outcome outcome = explore_ending<OneEnding<Thread>>();
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
}

TEST(OneEndingModel, FindsAWakeUpWithoutAReference) { EXPECT_FALSE(explore_ending<Careless>().passed); }

}  // namespace
}  // namespace weft::sync
