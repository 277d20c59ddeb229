// Wait sets: any, all and N of many; fairness; members that come, go and die while somebody waits; bounds in number and time; and random
// programs against what a plain look at all members says.
#include "weft/wait_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "sync/testing/tasks.hpp"
#include "weft/channel.hpp"

namespace weft::sync {
namespace {

using namespace std::chrono_literals;
using testing::start;

class WaitSetTest : public testing::TaskTest {};

using Events = std::vector<WaitEvent>;

std::vector<std::uint64_t> keys_of(const Result<Events>& events) {
  std::vector<std::uint64_t> keys;
  if (events) {
    for (const WaitEvent& event : *events) keys.push_back(event.key);
  }
  return keys;
}
using Keys = std::vector<std::uint64_t>;

template <class T>
ErrorKind kind(const Result<T>& result) {
  EXPECT_FALSE(result);
  return result.error().kind;
}

// So many events, in a set under their numbers.
struct Many {
  explicit Many(std::size_t count) : events(count) {
    for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(set.add(i, events[i].when_set()));
  }
  std::vector<Event> events;
  WaitSet set;
};

TEST_F(WaitSetTest, ReportsWhatIsReady) {
  Many many(5);
  EXPECT_EQ(many.set.size(), 5U);
  EXPECT_EQ(kind(many.set.any(0ns).block()), ErrorKind::kTimedOut);
  EXPECT_EQ(kind(many.set.any(1ms).block()), ErrorKind::kTimedOut);
  many.events[3].set();
  many.events[1].set();
  EXPECT_EQ(keys_of(many.set.any().block()), (Keys{3, 1}));
  EXPECT_EQ(keys_of(many.set.any().block()), (Keys{3, 1})) << "a level lasts";
  many.events[3].reset();
  EXPECT_EQ(keys_of(many.set.any().block()), (Keys{1}));
  EXPECT_TRUE(many.set.remove(1));
  EXPECT_FALSE(many.set.remove(1));
  EXPECT_EQ(kind(many.set.any(0ns).block()), ErrorKind::kTimedOut);
}

TEST_F(WaitSetTest, WhatIsReadyWhenAddedIsFound) {
  const Event event(true);
  const WaitSet set;
  EXPECT_TRUE(set.add(7, event.when_set()));
  EXPECT_TRUE(set.add(8, event.when_set())) << "twice, under two keys";
  EXPECT_EQ(keys_of(set.any().block()), (Keys{7, 8}));
}

// Of many that are always ready, each is reported as often as any other.
TEST_F(WaitSetTest, IsFairAmongTheReady) {
  Many many(100);
  for (const Event& event : many.events) event.set();
  std::map<std::uint64_t, int> times;
  for (int i = 0; i < 1000; ++i) {
    for (const std::uint64_t key : keys_of(many.set.wait({.most = 7}).block())) ++times[key];
  }
  EXPECT_EQ(times.size(), 100U);
  for (const auto& [key, count] : times) EXPECT_EQ(count, 70) << key;
}

TEST_F(WaitSetTest, AllAndSoMany) {
  Many many(4);
  for (const std::size_t i : {0U, 2U, 3U}) many.events[i].set();
  EXPECT_EQ(kind(many.set.all(0ns).block()), ErrorKind::kTimedOut);
  EXPECT_EQ(keys_of(many.set.wait({.least = 3, .most = 1}).block()), (Keys{0, 2, 3}));
  EXPECT_EQ(kind(many.set.wait({.least = 4, .bound = 0ns}).block()), ErrorKind::kTimedOut);
  many.events[1].set();
  EXPECT_EQ(keys_of(many.set.all().block()).size(), 4U);
  many.events[0].reset();
  EXPECT_EQ(kind(many.set.all(1ms).block()), ErrorKind::kTimedOut);
  EXPECT_TRUE(many.set.remove(0));
  EXPECT_EQ(keys_of(many.set.all().block()).size(), 3U);
}

TEST_F(WaitSetTest, ClosedEmptyAndFull) {
  const WaitSet set({.members_max = 2});
  const Event event;
  EXPECT_EQ(keys_of(set.all().block()), Keys{}) << "all of none are ready";
  EXPECT_EQ(kind(set.any(0ns).block()), ErrorKind::kTimedOut);
  EXPECT_EQ(kind(set.add(1, Waitable())), ErrorKind::kBadArgument);
  EXPECT_EQ(kind(set.wait({.least = 0}).block()), ErrorKind::kBadArgument);
  EXPECT_EQ(kind(set.wait({.least = 3}).block()), ErrorKind::kBadArgument);
  EXPECT_TRUE(set.add(1, event.when_set()));
  EXPECT_EQ(kind(set.add(1, event.when_set())), ErrorKind::kBadArgument);
  EXPECT_TRUE(set.add(2, event.when_set()));
  EXPECT_EQ(kind(set.add(3, event.when_set())), ErrorKind::kExhausted);
  set.close();
  set.close();
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(kind(set.any().block()), ErrorKind::kCancelled);
  EXPECT_EQ(kind(set.add(4, event.when_set())), ErrorKind::kCancelled);
}

// A member whose source dies is said to be gone, once.
TEST_F(WaitSetTest, AMemberThatDiesIsReportedOnce) {
  std::optional<Event> event(std::in_place);
  const Event other;
  const WaitSet set;
  EXPECT_TRUE(set.add(1, event->when_set()));
  EXPECT_TRUE(set.add(2, other.when_set()));
  event.reset();
  const Result<Events> events = set.any().block();
  ASSERT_TRUE(events);
  EXPECT_EQ(*events, (Events{{1, true}}));
  EXPECT_EQ(set.size(), 1U);
  EXPECT_FALSE(set.remove(1));
  EXPECT_EQ(kind(set.any(0ns).block()), ErrorKind::kTimedOut);
}

Task<Keys> waits(WaitSet set, WaitFor what) {
  const Result<Events> events = co_await set.wait(what);
  co_return keys_of(events);
}
Task<ErrorKind> fails(WaitSet set) {
  const Result<Events> events = co_await set.any();
  co_return events ? ErrorKind::kInternal : events.error().kind;
}

TEST_F(WaitSetTest, DroppingTheLastHandleEndsTheWaits) {
  for_each_seed(50, [](sched::SimDriver& sim) {
    const Event event;
    std::optional<WaitSet> set(std::in_place);
    EXPECT_TRUE(set->add(1, event.when_set()));
    // A wait that keeps no handle: its operation is made from a reference.
    struct Body {
      static Task<ErrorKind> waits(WaitSet::Wait* wait) {
        const Result<Events> events = co_await *wait;
        co_return events ? ErrorKind::kInternal : events.error().kind;
      }
    };
    WaitSet::Wait wait = set->any();
    auto join = start(sim.scheduler(), Body::waits(&wait));
    sim.run_until_idle();
    EXPECT_FALSE(join.done());
    set.reset();
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*join.join(), ErrorKind::kCancelled);
  });
}

TEST_F(WaitSetTest, ManyWaitForManyThings) {
  for_each_seed(300, [](sched::SimDriver& sim) {
    Many many(6);
    std::vector<JoinHandle<Keys>> joins;
    std::vector<bool> dropped;
    for (std::size_t i = 0; i < 12; ++i) {
      const std::size_t least = i % 4 == 3 ? WaitFor::kAll : 1 + i % 3;
      joins.push_back(start(sim.scheduler(), waits(many.set, {.least = least, .most = 2})));
    }
    auto closed = start(sim.scheduler(), fails(WaitSet()));  // the task has the only handle, and nothing is ever added
    std::vector<std::size_t> order = {0, 1, 2, 3, 4, 5};
    for (std::size_t i = 5; i > 0; --i) std::swap(order[i], order[sim.rng().below(static_cast<std::uint32_t>(i + 1))]);
    std::size_t next = 0;
    dropped.resize(joins.size());
    for (std::size_t i = 0; i < joins.size(); ++i) {
      for (std::uint32_t steps = sim.rng().below(4); steps > 0; --steps) (void)sim.step();
      dropped[i] = sim.rng().one_in(4);
      if (dropped[i]) joins[i].cancel();
      if (next < order.size() && sim.rng().one_in(2)) many.events[order[next++]].set();
    }
    while (next < order.size()) many.events[order[next++]].set();
    sim.run_until_idle();
    EXPECT_FALSE(closed.done());
    closed.cancel();
    ASSERT_TRUE(sim.run_until_empty());
    for (std::size_t i = 0; i < joins.size(); ++i) {
      const Result<Keys> keys = joins[i].join();
      if (keys) {
        EXPECT_GE(keys->size(), i % 4 == 3 ? 6U : 1 + i % 3);
      } else {
        EXPECT_TRUE(dropped[i]);
      }
    }
  });
}

// What random programs do to a set, beside a plain model: a map of switches. Whatever a wait reports is ready, nothing that stays ready is
// passed over for ever, and a wait that finds nothing had nothing to find.
TEST_F(WaitSetTest, AgreesWithAPlainModel) {
  for_each_seed(2000, [](sched::SimDriver& sim) {
    base::Rng& rng = sim.rng();
    struct Model {
      Event event;
      std::size_t passed_over = 0;
    };
    std::map<std::uint64_t, Model> model;
    const WaitSet set({.members_max = 20});
    for (int step = 0; step < 200; ++step) {
      const std::uint64_t key = rng.below(25);
      const auto at = model.find(key);
      switch (rng.below(5)) {
        case 0: {
          Model fresh;
          if (rng.one_in(3)) fresh.event.set();
          const bool fits = at == model.end() && model.size() < 20;
          ASSERT_EQ(set.add(key, fresh.event.when_set()).has_value(), fits);
          if (fits) model.emplace(key, std::move(fresh));
          break;
        }
        case 1:
          ASSERT_EQ(set.remove(key), model.erase(key) == 1);
          break;
        case 2:
          if (at != model.end()) at->second.event.set();
          break;
        case 3:
          if (at != model.end()) at->second.event.reset();
          break;
        default: {
          const auto ready = static_cast<std::size_t>(
              std::count_if(model.begin(), model.end(), [](const auto& one) { return one.second.event.is_set(); }));
          const std::size_t least = rng.one_in(5) ? WaitFor::kAll : 1 + rng.below(4);
          const std::size_t most = 1 + rng.below(5);
          const Result<Events> events = set.wait({.least = least, .most = most, .bound = 0ns}).block();
          const std::size_t need = least == WaitFor::kAll ? model.size() : least;
          ASSERT_EQ(events.has_value(), ready >= need);
          if (!events) break;
          ASSERT_GE(events->size(), need);
          ASSERT_LE(events->size(), std::max(most, need));
          ASSERT_EQ(events->size(), std::min(ready, std::max(most, need)));
          for (auto& [name, one] : model) one.passed_over = one.event.is_set() ? one.passed_over + events->size() : 0;
          for (const WaitEvent& event : *events) {
            ASSERT_FALSE(event.gone);
            ASSERT_TRUE(model.at(event.key).event.is_set());
            model.at(event.key).passed_over = 0;
          }
          for (const auto& [name, one] : model) ASSERT_LE(one.passed_over, 60U) << "passed over for too long";
        }
      }
      ASSERT_EQ(set.size(), model.size());
    }
  });
}

// Channels in a set: consumers that wait for whichever has something, on real threads.
TEST_F(WaitSetTest, ConsumersOfManyChannels) {
  sched::Scheduler& scheduler = make({.workers = 3});
  constexpr std::size_t kChannels = 20;
  constexpr int kMessages = 500;
  std::vector<Channel> channels;
  const WaitSet set;
  for (std::size_t i = 0; i < kChannels; ++i) {
    channels.push_back(*make_channel({.capacity = 4}));
    ASSERT_TRUE(set.add(i, channels.back().receiver.readable()));
  }
  std::atomic<int> received{0};
  struct Body {
    static Task<void> sends(Sender to) {
      for (int i = 0; i < kMessages; ++i) EXPECT_TRUE(co_await to.send(Bytes::copy_of("x")));
    }
    static Task<void> consumes(WaitSet set, std::vector<Channel>* channels, std::atomic<int>* received) {
      while (set.size() > 0) {
        const Result<Events> events = co_await set.wait({.most = 3, .bound = 20ms});
        if (!events) continue;
        for (const WaitEvent& event : *events) {
          const ChannelResult<Bytes> message = (*channels)[event.key].receiver.try_receive();
          if (message) received->fetch_add(1);
          if (!message && message.error().failure == ChannelFailure::kClosed) (void)set.remove(event.key);
        }
      }
    }
  };
  std::vector<JoinHandle<void>> joins;
  for (int i = 0; i < 3; ++i) joins.push_back(start(scheduler, Body::consumes(set, &channels, &received)));
  for (Channel& channel : channels) joins.push_back(start(scheduler, Body::sends(std::exchange(channel.sender, {}))));
  for (auto& join : joins) EXPECT_TRUE(join.join());
  EXPECT_EQ(received.load(), static_cast<int>(kChannels) * kMessages);
}

}  // namespace
}  // namespace weft::sync
