// Every interleaving of watching, notifying, waiting in sets and giving up: no event is lost, nobody is touched or woken after the end of its
// wait, and whoever leaves a set sends the next one on. Each with a canary, where one step is left out or swapped: it must be found.
#include <gtest/gtest.h>

#include <memory>

#include "sync/source.hpp"
#include "sync/testing/model_sleeper.hpp"
#include "sync/wait_set_core.hpp"

namespace weft::sync {
namespace {

using namespace testing;
using Source = BasicSource<ModelSleeper>;
using Watch = BasicWatch<ModelSleeper>;
using Set = WaitSetCore<ModelSleeper>;

// What rings, and is told apart by whether it says so before or after it has rung.
class Bell final : public Source, public Abandonable {
 public:
  bool ready() const noexcept override { return rung_.load(); }
  bool gone() const noexcept override { return gone_; }
  void retain() const noexcept override { ++references_; }
  void release() const noexcept override { --references_; }
  int references() const { return references_; }

  void ring() {
    rung_.store(true);
    notify();
  }
  void ring_too_late() {
    notify();
    rung_.store(true);
  }
  void still() { rung_.store(false); }
  void break_down() {
    gone_ = true;
    notify();
  }

 private:
  base::atomic<bool> rung_{false};
  bool gone_ = false;
  mutable int references_ = 1;
};

// ---- one watch ----

struct WatchWorld : Abandonable {
  Bell bell;
  Person person;
  Room<Watch> watch;

  void wait() {
    watch.make(ModelSleeper(person));
    if (!watch->begin(bell)) {
      while (!watch->over()) person.park();
    }
    watch.end();
    person.release();
  }
};

Outcome explore_watch(void (Bell::*ring)()) {
  return explore({}, [ring](Scenario& run) {
    const auto world = make_world<WatchWorld>();
    run.thread([world] { world->wait(); });
    run.thread([world, ring] { (world->bell.*ring)(); });
    run.at_end([world] {
      world->ended = true;
      check(world->watch.untouched(), "a watch was touched after its end");
      check(world->person.gone(), "a reference was kept");
    });
  });
}

TEST(WaitableModel, NoEventFallsBetweenLookingAndWatching) { expect_passed(explore_watch(&Bell::ring)); }
TEST(WaitableModel, FindsANotifyThatComesTooEarly) {
  const Outcome outcome = explore_watch(&Bell::ring_too_late);
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("deadlock"), std::string::npos) << outcome.failure;
}

// Two who ring and reset, and one who gives up meanwhile.
TEST(WaitableModel, AWatchEndsOnceWhoeverEndsIt) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<WatchWorld>();
    run.thread([world] {
      world->watch.make(ModelSleeper(world->person));
      if (!world->watch->begin(world->bell)) world->watch->end(world->bell);
      world->watch.end();
      world->person.release();
    });
    for (int i = 0; i < 2; ++i) {
      run.thread([world] {
        world->bell.ring();
        world->bell.still();
      });
    }
    run.at_end([world] {
      world->ended = true;
      check(world->watch.untouched(), "a watch was touched after its end");
      check(world->person.gone(), "a reference was kept");
    });
  }));
}

// ---- sets ----

struct SetWorld : Abandonable {
  Bell bells[2];
  Person people[2];
  Set set{4};
  Room<Set::Waiter> waiters[2];
  Set::Events events[2];
  Set::Waited outcome[2] = {Set::Waited::kQueued, Set::Waited::kQueued};

  SetWorld() { check(set.add(0, bells[0]) == Set::Added::kYes && set.add(1, bells[1]) == Set::Added::kYes, "two fit"); }
  void wait(int who, std::size_t least) {
    Set::Waiter& waiter = waiters[who].make(ModelSleeper(people[who]), least);
    for (;;) {
      outcome[who] = set.wait(waiter, 4, events[who]);
      if (outcome[who] != Set::Waited::kQueued) break;
      while (waiter.state.load() == WaitSetWait::kQueued) people[who].park();
    }
    waiters[who].end();
    people[who].release();
  }
  void give_up(int who) {
    Set::Waiter& waiter = waiters[who].make(ModelSleeper(people[who]), std::size_t{1});
    if (set.wait(waiter, 4, events[who]) == Set::Waited::kQueued) set.cancel(waiter);
    waiters[who].end();
    people[who].release();
  }
  void check_end() {
    ended = true;
    for (int who = 0; who < 2; ++who) check(waiters[who].untouched(), "a waiter was touched after its end");
    set.close();
    for (const Bell& bell : bells) check(bell.references() == 1, "a source was not let go");
  }
};

TEST(WaitSetModel, AnyOfThemEndsTheWait) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<SetWorld>();
    run.thread([world] { world->wait(0, 1); });
    run.thread([world] {
      world->bells[0].ring();
      world->bells[0].still();
      world->bells[0].ring();
    });
    run.thread([world] {
      world->bells[1].ring();
      world->bells[1].still();
    });
    run.at_end([world] {
      check(world->outcome[0] == Set::Waited::kReady && !world->events[0].empty(), "ended without an event");
      world->check_end();
    });
  }));
}

TEST(WaitSetModel, AllOfThemEndTheWait) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<SetWorld>();
    run.thread([world] { world->wait(0, Set::kAll); });
    run.thread([world] {
      world->bells[0].ring();
      world->bells[0].still();
      world->bells[0].ring();
    });
    run.thread([world] { world->bells[1].ring(); });
    run.at_end([world] {
      check(world->events[0].size() == 2, "all of two are two");
      world->check_end();
    });
  }));
}

// One event, two who wait, one of whom gives up: the other one gets it, whoever was woken first.
TEST(WaitSetModel, WhoGivesUpSendsTheNextOneOn) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<SetWorld>();
    run.thread([world] { world->give_up(0); });
    run.thread([world] { world->wait(1, 1); });
    run.thread([world] { world->bells[0].ring(); });
    run.at_end([world] {
      check(world->outcome[1] == Set::Waited::kReady, "the one who stayed has it");
      world->check_end();
    });
  }));
}

// The canary: a waiter that was woken goes, and tells nobody. It takes one more person who never runs to see that it matters.
TEST(WaitSetModel, FindsOneWhoLeavesSilently) {
  const auto scenario = [](bool silently) {
    return explore({.preemptions_max = 2}, [silently](Scenario& run) {
      const auto world = make_world<SetWorld>();
      Set::Waiter& first = world->waiters[0].make(ModelSleeper(world->people[0]), std::size_t{1});
      check(world->set.wait(first, 4, world->events[0]) == Set::Waited::kQueued, "nothing is ready");
      run.thread([world] { world->wait(1, 1); });
      run.thread([world, silently, &first] {
        world->bells[0].ring();
        if (first.state.load() == WaitSetWait::kQueued || !silently) world->set.cancel(first);
        world->waiters[0].end();
        world->people[0].release();
      });
      run.at_end([world] { world->check_end(); });
    });
  };
  expect_passed(scenario(false));
  const Outcome outcome = scenario(true);
  EXPECT_FALSE(outcome.passed);
  EXPECT_NE(outcome.failure.find("deadlock"), std::string::npos) << outcome.failure;
}

// Added while it rings, removed while somebody waits for all.
TEST(WaitSetModel, MembersComeAndGo) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<SetWorld>();
    const auto late = make_world<Bell>();
    run.thread([world] { world->wait(0, Set::kAll); });
    run.thread([world, late] {
      check(world->set.add(2, *late) == Set::Added::kYes, "there is room");
      check(world->set.remove(0) && world->set.remove(1), "they were there");
    });
    run.thread([world, late] { late->ring(); });
    run.at_end([world, late] {
      check(world->events[0].size() == 1 && world->events[0][0].key == 2, "the one that is left has rung");
      world->check_end();
      late->ended = true;
      check(late->references() == 1, "a source was not let go");
    });
  }));
}

TEST(WaitSetModel, ClosingEndsEveryWait) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<SetWorld>();
    run.thread([world] { world->wait(0, 1); });
    run.thread([world] { world->wait(1, 2); });
    run.thread([world] { world->set.close(); });
    run.thread([world] { world->bells[0].ring(); });
    run.at_end([world] {
      check(world->outcome[1] == Set::Waited::kClosed, "one of two is not enough");
      world->check_end();
    });
  }));
}

TEST(WaitSetModel, WhatIsGoneIsSaidOnce) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<SetWorld>();
    run.thread([world] { world->wait(0, 1); });
    run.thread([world] { world->wait(1, 1); });
    run.thread([world] {
      world->bells[0].break_down();
      world->bells[1].ring();
    });
    run.at_end([world] {
      int said = 0;
      for (const Set::Events& events : world->events) {
        for (const WaitEvent& event : events) said += event.gone ? 1 : 0;
      }
      check(said <= 1, "it was said twice");
      check(said == 1 ? world->set.size() == 1 : world->set.size() == 2, "gone, and still a member");
      world->check_end();
    });
  }));
}

}  // namespace
}  // namespace weft::sync
