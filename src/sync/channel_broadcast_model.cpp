// Every interleaving of broadcasts: each receiver gets each message that fits, or is told how many it lost; who goes, or has no room, holds nobody back for ever.
#include <gtest/gtest.h>

#include <vector>

#include "sync/channel_broadcast.hpp"
#include "sync/testing/model_note.hpp"
#include "sync/testing/model_sleeper.hpp"

namespace weft::sync {
namespace {

using namespace testing;

using Waiter = BasicChannelQueue<ModelSleeper, Note>::Waiter;
using Broadcast = BasicBroadcast<ModelSleeper, Note>;

struct Cursor final : BroadcastCursor {
  void retain_cursor() noexcept override {}
  void notify_and_release() override {}
};

struct BroadcastWorld : Abandonable {
  explicit BroadcastWorld(bool loses) : broadcast({.capacity = 1}, loses) {
    for (Cursor& cursor : cursors) broadcast.join(cursor, nullptr);
  }
  Broadcast broadcast;
  Cursor cursors[2];
  Person people[3];
  Room<Waiter> waiters[3];
  std::vector<int> received[2];
  uint64_t lost[2] = {0, 0};

  // With at most `least` bytes at first.
  void receive(int who, std::size_t count, std::size_t least = 100) {
    std::size_t limit = least;
    while (received[who].size() + lost[who] < count) {
      Note note;
      Waiter& waiter = waiters[who].make(ModelSleeper(people[who]));
      for (;;) {
        Broadcast::Effects effects;
        const Attempted attempted = broadcast.receive(cursors[who], &waiter, &note, 1, limit, effects);
        check(note.size() <= limit, "more was received than fits");
        if (attempted.how == Attempt::kMoved) received[who].push_back(note.value);
        limit = attempted.how == Attempt::kTooLarge ? attempted.moved : least;
        if (attempted.how == Attempt::kLost) lost[who] += attempted.moved;
        if (attempted.how != Attempt::kQueued) break;
        effects.wakes.wake_all();
        while (waiter.state() == ChannelWait::kQueued) people[who].park();
      }
      waiters[who].end();
    }
    people[who].release();
  }
  void send(std::vector<Note> notes) {
    Waiter& waiter = waiters[2].make(ModelSleeper(people[2]));
    Broadcast::Effects effects;
    if (broadcast.send(&waiter, notes.data(), notes.size(), effects).how == Attempt::kQueued) {
      effects.wakes.wake_all();
      while (waiter.state() == ChannelWait::kQueued) people[2].park();
    }
    waiters[2].end();
    people[2].release();
  }
  void leave(int who) {
    ended = true;
    Broadcast::Effects effects;
    broadcast.leave(cursors[who], effects);
  }
};

TEST(BroadcastModel, EverybodyGetsEverything) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<BroadcastWorld>(false);
    for (int who = 0; who < 2; ++who) run.thread([world, who] { world->receive(who, 2); });
    run.thread([world] { world->send({{1}, {2}}); });
    run.at_end([world] {
      for (const auto& received : world->received) check(received == std::vector<int>{1, 2}, "lost, or out of order");
      check(world->broadcast.counts().common.messages == 0, "what all have got is still there");
      for (const auto& waiter : world->waiters) check(waiter.untouched(), "a waiter was touched after its end");
      for (int who = 0; who < 2; ++who) world->leave(who);
    });
  }));
}

TEST(BroadcastModel, WhatDoesNotFitStaysForThatReceiver) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<BroadcastWorld>(false);
    for (int who = 0; who < 2; ++who) run.thread([world, who] { world->receive(who, 2, who == 0 ? 4 : 100); });
    run.thread([world] { world->send({{1, 10}, {2, 1}}); });
    run.at_end([world] {
      for (const auto& received : world->received) check(received == std::vector<int>{1, 2}, "lost, or out of order");
      for (int who = 0; who < 2; ++who) world->leave(who);
    });
  }));
}

TEST(BroadcastModel, WhatIsLostIsCounted) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<BroadcastWorld>(true);
    for (int who = 0; who < 2; ++who) run.thread([world, who] { world->receive(who, 3); });
    run.thread([world] { world->send({{1}, {2}, {3}}); });
    run.at_end([world] {
      for (int who = 0; who < 2; ++who) {
        check(world->received[who].size() + world->lost[who] == 3, "neither received nor lost");
        check(!world->received[who].empty() && world->received[who].back() == 3, "the newest one is always there");
        world->leave(who);
      }
    });
  }));
}

// A slow receiver goes while a sender waits for it.
TEST(BroadcastModel, WhoGoesHoldsNobodyBack) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<BroadcastWorld>(false);
    run.thread([world] { world->receive(0, 3); });
    run.thread([world] { world->leave(1); });
    run.thread([world] { world->send({{1}, {2}, {3}}); });
    run.at_end([world] {
      check(world->received[0] == std::vector<int>{1, 2, 3}, "lost, or out of order");
      world->leave(0);
    });
  }));
}

}  // namespace
}  // namespace weft::sync
