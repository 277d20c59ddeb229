// Every interleaving of channels: each message is received once or is still its sender's, in order; whoever gives up or is dropped lets the
// others go on; closing ends every wait; nobody is touched after the end. With canaries that must be found.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "sync/channel_queue.hpp"
#include "sync/testing/model_note.hpp"
#include "sync/testing/model_sleeper.hpp"

namespace weft::sync {
namespace {

using namespace testing;

using Queue = BasicChannelQueue<ModelSleeper, Note>;
using Effects = Queue::Effects;
using Waiter = Queue::Waiter;

struct World : Abandonable {
  explicit World(ChannelRules rules) : queue(rules) {}
  Queue queue;
  Person people[3];
  Room<Waiter> waiters[3];
  std::vector<int> received;
  int sent = 0;
  int closed = 0;

  template <class F>
  auto with_effects(F call) {
    Effects effects;
    return call(effects);
  }
  // Waits until `who`'s operation is over.
  ChannelWait sleep(int who) {
    Waiter& waiter = *waiters[who];
    while (waiter.state() == ChannelWait::kQueued) people[who].park();
    return waiter.state();
  }
  void end(int who) {
    waiters[who].end();
    people[who].release();
  }
  void send(int who, std::vector<Note> notes) {
    Waiter& waiter = waiters[who].make(ModelSleeper(people[who]));
    const Attempted attempted =
        with_effects([&](Effects& effects) { return queue.send(&waiter, notes.data(), notes.size(), effects); });
    std::size_t moved = attempted.moved;
    if (attempted.how == Attempt::kQueued) {
      if (sleep(who) == ChannelWait::kClosed) ++closed;
      moved = waiter.moved;
    }
    if (attempted.how == Attempt::kClosed) ++closed;
    sent += static_cast<int>(moved);
    end(who);
  }
  // Receives so many, one at a time, or until it is closed, or until this value has come.
  void receive(int who, int count, int last = 0) {
    for (; count > 0 && (received.empty() || received.back() != last); --count) {
      Note note;
      Waiter& waiter = waiters[who].make(ModelSleeper(people[who]));
      const Attempted attempted =
          with_effects([&](Effects& effects) { return queue.receive(&waiter, &note, 1, UINT64_MAX, effects); });
      bool got = attempted.how == Attempt::kMoved;
      if (attempted.how == Attempt::kQueued && sleep(who) == ChannelWait::kDone) {
        with_effects([&](Effects& effects) { queue.accept(waiter, effects); });
        got = true;
      }
      waiters[who].end();
      if (!got) {
        ++closed;
        break;
      }
      received.push_back(note.value);
    }
    people[who].release();
  }
  // Takes `limit` bytes at most, and more once it is told that the next message has more. `keeps`: the channel is told of the limit.
  void receive_small(int who, int count, std::size_t limit, bool keeps) {
    const std::size_t least = limit;
    while (count > 0) {
      Note note;
      Waiter& waiter = waiters[who].make(ModelSleeper(people[who]));
      Attempted attempted =
          with_effects([&](Effects& effects) { return queue.receive(&waiter, &note, 1, keeps ? limit : UINT64_MAX, effects); });
      if (attempted.how == Attempt::kQueued) {
        switch (sleep(who)) {
          case ChannelWait::kDone:
            with_effects([&](Effects& effects) { queue.accept(waiter, effects); });
            attempted = {Attempt::kMoved, waiter.moved};
            break;
          case ChannelWait::kTooLarge:
            attempted = {Attempt::kTooLarge, static_cast<std::size_t>(waiter.too_large)};
            break;
          default:
            attempted = {Attempt::kClosed};
        }
      }
      waiters[who].end();
      if (attempted.how == Attempt::kTooLarge) {
        check(attempted.moved > limit, "it fits");
        limit = attempted.moved;
        continue;
      }
      if (attempted.how == Attempt::kClosed) break;
      check(note.size() <= limit, "more was received than fits");
      received.push_back(note.value);
      limit = least;
      --count;
    }
    people[who].release();
  }
  // A receiver that is dropped as soon as it waits, whether it was handed something or not.
  void receive_and_drop(int who, bool gives_back) {
    Note note;
    Waiter& waiter = waiters[who].make(ModelSleeper(people[who]));
    const Attempted attempted =
        with_effects([&](Effects& effects) { return queue.receive(&waiter, &note, 1, UINT64_MAX, effects); });
    if (attempted.how == Attempt::kQueued) {
      if (gives_back || waiter.state() == ChannelWait::kQueued) {
        with_effects([&](Effects& effects) { queue.cancel_receive(waiter, effects); });
      }
    } else if (attempted.how == Attempt::kMoved) {
      received.push_back(note.value);
    }
    end(who);
  }
  void check_end() {
    ended = true;
    for (const Room<Waiter>& waiter : waiters) check(waiter.untouched(), "a waiter was touched after its end");
    const Queue::Counts counts = queue.counts();
    check(counts.senders_waiting == 0 && counts.receivers_waiting == 0, "somebody is still counted as waiting");
    check(counts.received == received.size(), "the channel has miscounted");
  }
};

// ---- order, capacity, batches ----

class ChannelModel : public ::testing::TestWithParam<std::size_t> {};

// One who sends a batch that does not fit, one who receives.
TEST_P(ChannelModel, WhatIsSentIsReceivedInOrder) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(ChannelRules{.capacity = GetParam()});
    run.thread([world] { world->send(0, {{1}, {2}, {3}}); });
    run.thread([world] { world->receive(1, 3); });
    run.at_end([world] {
      check(world->received == std::vector<int>{1, 2, 3}, "lost, or out of order");
      world->check_end();
    });
  }));
}

TEST_P(ChannelModel, TwoSendersAndOneReceiver) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(ChannelRules{.capacity = GetParam()});
    run.thread([world] { world->send(0, {{1}, {2}}); });
    run.thread([world] { world->send(1, {{11}, {12}}); });
    run.thread([world] { world->receive(2, 4); });
    run.at_end([world] {
      std::vector<int> one;
      std::vector<int> other;
      for (const int value : world->received) (value < 10 ? one : other).push_back(value);
      check(one == std::vector<int>{1, 2} && other == std::vector<int>{11, 12}, "lost, or out of order");
      world->check_end();
    });
  }));
}

TEST_P(ChannelModel, CloseEndsEveryWait) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(ChannelRules{.capacity = GetParam()});
    run.thread([world] { world->send(0, {{1}, {2}}); });
    run.thread([world] { world->receive(1, 3); });
    run.thread([world] {
      Effects effects;
      world->queue.close(effects);
    });
    run.at_end([world] {
      check(world->closed >= 1, "the receiver asks for more than there is");
      check(static_cast<int>(world->received.size()) == world->sent, "sent and not received, or the other way round");
      world->check_end();
    });
  }));
}

// A receiver is dropped, at any moment, beside one that stays. Without giving back what it was handed: the canary.
Outcome explore_drop(std::size_t capacity, bool gives_back) {
  return explore({.preemptions_max = 2}, [=](Scenario& run) {
    const auto world = make_world<World>(ChannelRules{.capacity = capacity});
    run.thread([world, gives_back] { world->receive_and_drop(0, gives_back); });
    run.thread([world] { world->send(1, {{1}, {2}}); });
    run.thread([world] {
      world->receive(2, 1);
      Effects effects;
      Note note;
      while (world->received.size() < 2 && world->queue.receive(nullptr, &note, 1, UINT64_MAX, effects).how == Attempt::kMoved) {
        world->received.push_back(note.value);
      }
    });
    run.at_end([world] {
      Effects effects;
      Note note;
      while (world->queue.receive(nullptr, &note, 1, UINT64_MAX, effects).how == Attempt::kMoved)
        world->received.push_back(note.value);
      check(world->received.size() == 2 && world->received[0] + world->received[1] == 3, "a message was lost");
      world->check_end();
    });
  });
}

TEST_P(ChannelModel, ADroppedReceiverLosesNothing) { expect_passed(explore_drop(GetParam(), true)); }
TEST_P(ChannelModel, FindsAReceiverThatKeepsWhatItWasHanded) { EXPECT_FALSE(explore_drop(GetParam(), false).passed); }

// The first of two senders gives up: the second one's message goes through, and what was not sent is not received.
TEST_P(ChannelModel, ASenderThatGivesUpLetsTheNextOneGo) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(ChannelRules{.capacity = GetParam()});
    run.thread([world] {
      Note notes[2] = {{1}, {2}};
      Waiter& waiter = world->waiters[0].make(ModelSleeper(world->people[0]));
      const Attempted attempted =
          world->with_effects([&](Effects& effects) { return world->queue.send(&waiter, notes, 2, effects); });
      if (attempted.how == Attempt::kQueued) {
        world->with_effects([&](Effects& effects) { world->queue.cancel_send(waiter, effects); });
        world->sent += static_cast<int>(waiter.moved);
      } else {
        world->sent += static_cast<int>(attempted.moved);
      }
      world->end(0);
    });
    run.thread([world] { world->send(1, {{11}}); });
    run.thread([world] { world->receive(2, 3, 11); });
    run.at_end([world] {
      Effects effects;
      Note note;
      while (world->queue.receive(nullptr, &note, 1, UINT64_MAX, effects).how == Attempt::kMoved)
        world->received.push_back(note.value);
      check(static_cast<int>(world->received.size()) == world->sent, "sent and not received, or the other way round");
      world->check_end();
    });
  }));
}

// Messages beyond what a receiver takes stay until it takes more, also those that come while it waits. Without telling the channel: the canary.
Outcome explore_small(std::size_t capacity, bool keeps) {
  return explore({.preemptions_max = 3}, [=](Scenario& run) {
    const auto world = make_world<World>(ChannelRules{.capacity = capacity});
    run.thread([world] { world->send(0, {{1, 3}, {2, 10}, {3, 1}}); });
    run.thread([world, keeps] { world->receive_small(1, 3, 4, keeps); });
    run.at_end([world] {
      check(world->received == std::vector<int>{1, 2, 3}, "lost, or out of order");
      world->check_end();
    });
  });
}

TEST_P(ChannelModel, WhatDoesNotFitStaysAtItsPlace) { expect_passed(explore_small(GetParam(), true)); }
TEST_P(ChannelModel, FindsALimitThatIsNotKept) { EXPECT_FALSE(explore_small(GetParam(), false).passed); }

// What a receiver that is dropped gives back does not fit one that waits.
TEST_P(ChannelModel, WhatComesBackIsNotForcedOnAnybody) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(ChannelRules{.capacity = GetParam()});
    run.thread([world] { world->receive_and_drop(0, true); });
    run.thread([world] {
      world->send(1, {{1, 10}});
      Effects effects;
      world->queue.close(effects);
    });
    run.thread([world] { world->receive_small(2, 2, 4, true); });
    run.at_end([world] {
      Effects effects;
      Note note;
      while (world->queue.receive(nullptr, &note, 1, UINT64_MAX, effects).how == Attempt::kMoved) {
        world->received.push_back(note.value);
      }
      check(world->received == std::vector<int>{1}, "a message was lost");
      world->check_end();
    });
  }));
}

INSTANTIATE_TEST_SUITE_P(Capacities, ChannelModel, ::testing::Values(0, 1, 2));

}  // namespace
}  // namespace weft::sync
