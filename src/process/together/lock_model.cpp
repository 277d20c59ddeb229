// Every interleaving of locks between processes: no permit is lost or there twice, nobody who waits is forgotten, and the death of an owner is told exactly
// once, whoever gives up on the way. With canaries that must be found.
#include <gtest/gtest.h>

#include <memory>

#include "process/together/lock_core.hpp"
#include "sync/testing/model_sleeper.hpp"

namespace weft::detail {
namespace {

using namespace sync::testing;

using Core = LockCore<ModelSleeper>;
using Answer = Core::Answer;

struct World : Abandonable {
  explicit World(std::uint32_t permits) : lock(permits) {}
  Core lock;
  Person people[4];
  Room<Core::Waiter> waiters[4];
  int inside = 0;
  int most_inside = 0;
  int had = 0;   // how often somebody has had a permit
  int told = 0;  // and how often they heard that its last owner had died

  void enter(bool owner_died) {
    ++had;
    told += owner_died ? 1 : 0;
    most_inside = std::max(most_inside, ++inside);
    base::model::point();
  }
  void leave(ProcessId owner) {
    --inside;
    check(lock.release(owner), "what one has can be given back");
  }
  void dies(ProcessId owner) {
    --inside;
    lock.owner_gone(owner);
  }

  // True: `who` has it, for process who + 1.
  bool acquire(int who) {
    Core::Waiter& waiter = waiters[who].make(ModelSleeper(people[who]), owner_of(who));
    const Answer answer = lock.acquire(owner_of(who), &waiter);
    check(answer != Answer::kHeld, "it has none");
    if (answer == Answer::kWaits) {
      while (!lock.served(waiter)) people[who].park();
    }
    return over(who, waiter.has ? waiter.owner_died : answer == Answer::kOwnerDied);
  }
  // The same with a time that is over at once.
  bool acquire_and_expire(int who) {
    Core::Waiter& waiter = waiters[who].make(ModelSleeper(people[who]), owner_of(who));
    const Answer answer = lock.acquire(owner_of(who), &waiter);
    if (answer != Answer::kWaits) return over(who, answer == Answer::kOwnerDied);
    if (lock.expire(waiter)) return over(who, waiter.owner_died);
    end(who);
    return false;
  }
  // Dropped as soon as it waits, whether it was handed the permit or not. True: it had it at once.
  bool acquire_and_drop(int who, bool gives_back) {
    Core::Waiter& waiter = waiters[who].make(ModelSleeper(people[who]), owner_of(who));
    const Answer answer = lock.acquire(owner_of(who), &waiter);
    if (answer != Answer::kWaits) return over(who, answer == Answer::kOwnerDied);
    if (gives_back || !lock.served(waiter)) lock.withdraw(waiter);
    end(who);
    return false;
  }
  void use(int who) {
    (void)acquire(who);
    leave(owner_of(who));
    people[who].release();
  }
  void use_and_die(int who) {
    (void)acquire(who);
    dies(owner_of(who));
    people[who].release();
  }
  void check_end(std::uint32_t free) {
    ended = true;
    for (const Room<Core::Waiter>& waiter : waiters) check(waiter.untouched(), "a waiter was touched after its end");
    const LockStats stats = lock.stats();
    check(stats.waiting == 0, "somebody still waits");
    check(stats.free == free, "permits were lost, or made");
    check(most_inside <= static_cast<int>(lock.permits()), "more were inside than there are permits");
    check(stats.holders + free == lock.permits() || lock.permits() > 1, "somebody still has it");
  }

  static ProcessId owner_of(int who) { return static_cast<ProcessId>(who) + 1; }

 private:
  bool over(int who, bool owner_died) {
    enter(owner_died);
    end(who);
    return true;
  }
  void end(int who) { waiters[who].end(); }
};

class LockModel : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(LockModel, EverybodyWhoWaitsGetsIt) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(GetParam());
    for (int who = 0; who < 3; ++who) run.thread([world, who] { world->use(who); });
    run.at_end([world] {
      check(world->had == 3, "somebody went without");
      check(world->told == 0, "nobody has died");
      world->check_end(GetParam());
    });
  }));
}

// One dies with it, at any moment, while two others come and wait: one of them hears of it, or it is still to be told.
TEST_P(LockModel, TheDeathOfAnOwnerIsToldOnce) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(GetParam());
    run.thread([world] { world->use_and_die(0); });
    run.thread([world] { world->use(1); });
    run.thread([world] { world->use(2); });
    run.at_end([world] {
      check(world->had == 3, "somebody went without");
      const bool left = world->lock.acquire(9, nullptr) == Answer::kOwnerDied;
      check(world->told + (left ? 1 : 0) == 1, "told twice, or never");
      check(world->lock.release(9), "it has it");
      world->check_end(GetParam());
    });
  }));
}

// Who was handed the permit, and the news with it, is dropped before it sees either: both go on. Without giving them back: the canary.
Outcome explore_drop(std::uint32_t permits, bool gives_back) {
  return explore({.preemptions_max = 2}, [=](Scenario& run) {
    const auto world = make_world<World>(permits);
    for (std::uint32_t i = 0; i < permits; ++i) {
      check(world->lock.acquire(7 + i, nullptr) == Answer::kHas, "it is free");
      ++world->inside;
    }
    run.thread([world] { world->dies(7); });
    run.thread([world, gives_back] {
      if (world->acquire_and_drop(1, gives_back)) world->leave(World::owner_of(1));
      world->people[1].release();
    });
    run.thread([world] { world->use(2); });
    run.at_end([world, permits] {
      for (std::uint32_t i = 1; i < permits; ++i) world->leave(7 + i);
      const bool left = world->lock.acquire(9, nullptr) == Answer::kOwnerDied;
      check(world->told + (left ? 1 : 0) == 1, "told twice, or never");
      check(world->lock.release(9), "it has it");
      world->check_end(permits);
    });
  });
}
TEST_P(LockModel, AWaiterThatIsDroppedPassesOnWhatItWasHanded) { expect_passed(explore_drop(GetParam(), true)); }
TEST_P(LockModel, FindsAWaiterThatKeepsWhatItWasHanded) { EXPECT_FALSE(explore_drop(GetParam(), false).passed); }

// The time is over just as the permit comes: it has it, or somebody else has.
TEST_P(LockModel, ATimeOutMeetsAHandOver) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(GetParam());
    for (std::uint32_t i = 0; i < GetParam(); ++i) {
      check(world->lock.acquire(7 + i, nullptr) == Answer::kHas, "it is free");
      ++world->inside;
    }
    for (std::uint32_t i = 0; i < GetParam(); ++i) run.thread([world, i] { world->leave(7 + i); });
    run.thread([world] {
      if (world->acquire_and_expire(1)) world->leave(World::owner_of(1));
      world->people[1].release();
    });
    run.thread([world] { world->use(2); });
    run.at_end([world] {
      check(world->had >= 1, "the one who stayed went without");
      world->check_end(GetParam());
    });
  }));
}

// A process ends while a thread of its own waits for one more permit: it may be handed what the process has lost, and that goes on as well.
TEST(LockModelOfTwo, AProcessThatIsHandedAPermitWhileItEndsKeepsNone) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(2U);
    for (int i = 0; i < 2; ++i) check(world->lock.acquire(1, nullptr) == Answer::kHas, "it is free");
    world->inside = 1;
    Core::Waiter& mine = world->waiters[0].make(ModelSleeper(world->people[0]), 1U);
    check(world->lock.acquire(1, &mine) == Answer::kWaits, "all are taken");
    run.thread([world, &mine] {
      world->dies(1);
      world->lock.withdraw(mine);
      world->waiters[0].end();
    });
    run.thread([world] { world->use(1); });
    run.thread([world] { world->use(2); });
    run.at_end([world] {
      const bool left = world->lock.acquire(9, nullptr) == Answer::kOwnerDied;
      check(world->told + (left ? 1 : 0) >= 1, "it was never told");
      check(world->lock.release(9), "it has it");
      check(!world->lock.holds(1), "who is gone has it");
      world->check_end(2);
    });
  }));
}

INSTANTIATE_TEST_SUITE_P(Permits, LockModel, ::testing::Values(1U, 2U));

}  // namespace
}  // namespace weft::detail
