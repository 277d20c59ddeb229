// Shows that the explorer finds what it is there to find: lost updates, deadlocks, endless loops, missed wake-ups; that it passes what
// is right; and that it really runs all interleavings (their number is known).
#include <gtest/gtest.h>

#include <memory>

#include "base/assert.hpp"
#include "base/atomic.hpp"
#include "base/mutex.hpp"

namespace weft::base::model {
namespace {

TEST(Model, RunsEveryInterleavingExactlyOnce) {
  // Two threads of three steps each (two accesses and the way to the first) can be merged in 6! / (3! 3!) = 20 ways.
  const Outcome outcome = explore({}, [](Scenario& run) {
    const auto value = std::make_shared<atomic<int>>(0);
    for (int i = 0; i < 2; ++i) {
      run.thread([value] {
        value->store(1);
        value->store(2);
      });
    }
  });
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive);
  EXPECT_EQ(outcome.runs, 20U);
}

TEST(Model, FindsALostUpdate) {
  const auto scenario = [](Scenario& run) {
    const auto value = std::make_shared<atomic<int>>(0);
    for (int i = 0; i < 2; ++i) run.thread([value] { value->store(value->load() + 1); });
    run.at_end([value] { check(value->load() == 2, "an update was lost"); });
  };
  const Outcome outcome = explore({}, scenario);
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("an update was lost"), std::string::npos) << outcome.failure;
  // It takes one preemption: without any it is not to be seen, with one it is.
  EXPECT_TRUE(explore({.preemptions_max = 0}, scenario).passed);
  EXPECT_FALSE(explore({.preemptions_max = 1}, scenario).passed);
}

TEST(Model, PassesAnAtomicUpdate) {
  const Outcome outcome = explore({}, [](Scenario& run) {
    const auto value = std::make_shared<atomic<int>>(0);
    for (int i = 0; i < 3; ++i) run.thread([value] { value->fetch_add(1); });
    run.at_end([value] { check(value->load() == 3, "an update was lost"); });
  });
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive);
}

TEST(Model, FindsADeadlockOfTwoMutexes) {
  const Outcome outcome = explore({}, [](Scenario& run) {
    const auto one = std::make_shared<Mutex>();
    const auto two = std::make_shared<Mutex>();
    const auto both = [](Mutex& first, Mutex& second) {
      Lock outer(first);
      Lock inner(second);
    };
    run.thread([=] { both(*one, *two); });
    run.thread([=] { both(*two, *one); });
  });
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("deadlock"), std::string::npos) << outcome.failure;
}

TEST(Model, MutexExcludes) {
  const Outcome outcome = explore({}, [](Scenario& run) {
    const auto mutex = std::make_shared<Mutex>();
    const auto value = std::make_shared<atomic<int>>(0);
    for (int i = 0; i < 2; ++i) {
      run.thread([=] {
        Lock lock(*mutex);
        value->store(value->load() + 1);
      });
    }
    run.at_end([value] { check(value->load() == 2, "an update was lost"); });
  });
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive);
}

TEST(Model, ATokenLeftBeforeTheParkIsNotLost) {
  const Outcome outcome = explore({}, [](Scenario& run) {
    const auto parker = std::make_shared<Parker>();
    run.thread([parker] { parker->park(); });
    run.thread([parker] { parker->unpark(); });
  });
  EXPECT_TRUE(outcome.passed) << outcome.failure;
}

TEST(Model, FindsAParkThatNobodyEnds) {
  const auto scenario = [](Scenario& run) {
    const auto parker = std::make_shared<Parker>();
    run.thread([parker] { parker->park(); });
  };
  EXPECT_FALSE(explore({}, scenario).passed);
  EXPECT_TRUE(explore({.parked_is_fine = true}, scenario).passed);
}

TEST(Model, FindsAnEndlessLoop) {
  const Outcome outcome = explore({}, [](Scenario& run) {
    const auto value = std::make_shared<atomic<int>>(0);
    run.thread([value] {
      while (value->load() == 0) {
      }
    });
  });
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("endless"), std::string::npos) << outcome.failure;
}

TEST(Model, ABrokenAssertionIsAFinding) {
  const Outcome outcome = explore({}, [](Scenario& run) { run.thread([] { WEFT_ASSERT(1 + 1 == 3, "arithmetic"); }); });
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("arithmetic"), std::string::npos) << outcome.failure;
}

}  // namespace
}  // namespace weft::base::model
