// The timer wheel against the simplest model there is, a sorted map, under random operations and random jumps of time: never early, never later
// than a tick, in order of ticks, and none lost. Then the races: cancel against fire, arm from fire.
#include "sched/timer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "base/cache_line.hpp"
#include "base/rng.hpp"
#include "sched/testing/fixture.hpp"

namespace weft::sched {
namespace {

struct Entry final : TimerEntry {
  ~Entry() override { cancel(); }
  void fire() noexcept override { ++fired; }
  uint64_t deadline_ns = 0;
  int fired = 0;
  bool armed = false;
};

void run_against_model(uint64_t seed) {
  SCOPED_TRACE("WEFT_SIM_SEED=" + std::to_string(seed));
  base::Rng rng(seed);
  uint64_t now_ns = rng.next() >> (1 + rng.below(40));
  Timers timers(now_ns, nullptr);
  std::vector<std::unique_ptr<Entry>> entries;
  for (int i = 0; i < 40; ++i) entries.push_back(std::make_unique<Entry>());
  // Distances of all magnitudes, so that all levels are used.
  const auto distance = [&rng] { return rng.next() >> (14 + rng.below(46)); };
  for (int step = 0; step < 400; ++step) {
    Entry& entry = *entries[rng.below(40)];
    switch (rng.below(4)) {
      case 0:
      case 1:
        entry.deadline_ns = rng.one_in(10) ? now_ns - std::min(now_ns, distance()) : now_ns + distance();
        timers.arm(entry, entry.deadline_ns);
        entry.armed = true;
        break;
      case 2:
        ASSERT_EQ(entry.cancel(), entry.armed);
        entry.armed = false;
        break;
      default: {
        // Often just up to the next deadline, or just short of it.
        const uint64_t next_ns = timers.next_deadline_ns();
        if (next_ns != kNever && rng.one_in(2)) {
          now_ns = std::max(now_ns, next_ns - (next_ns != 0 && rng.one_in(2) ? 1 : 0));
        } else {
          now_ns += distance();
        }
        timers.advance(now_ns);
        for (const auto& each : entries) {
          const bool must = each->armed && each->deadline_ns + Timers::kTickNs <= now_ns;
          const bool may = each->armed && each->deadline_ns <= now_ns;
          ASSERT_LE(each->fired, may ? 1 : 0) << "fired early, or without being armed";
          ASSERT_GE(each->fired, must ? 1 : 0) << "not fired in time";
          if (each->fired != 0) each->armed = false;
          each->fired = 0;
        }
      }
    }
    uint64_t earliest_ns = kNever;
    uint64_t armed = 0;
    for (const auto& each : entries) {
      if (!each->armed) continue;
      ++armed;
      earliest_ns = std::min(earliest_ns, each->deadline_ns);
    }
    ASSERT_EQ(timers.armed(), armed);
    if (armed == 0) {
      ASSERT_EQ(timers.next_deadline_ns(), kNever);
    } else {
      ASSERT_LE(timers.next_deadline_ns(), earliest_ns + Timers::kTickNs) << "whoever sleeps until then sleeps too long";
    }
  }
}

TEST(TimersTest, AgreesWithASortedMapUnderRandomOperations) {
  uint64_t only = 0;
  if (testing::replay_seed(only)) return run_against_model(only);
  for (uint64_t seed = 1; seed <= 1500 / testing::kFewerSeeds; ++seed) {
    run_against_model(seed);
    if (HasFatalFailure()) FAIL() << "replay with WEFT_SIM_SEED=" << seed;
  }
}

TEST(TimersTest, FiresInOrderOfDeadlines) {
  Timers timers(0, nullptr);
  struct Ordered final : TimerEntry {
    ~Ordered() override { cancel(); }
    void fire() noexcept override { order->push_back(index); }
    std::vector<int>* order = nullptr;
    int index = 0;
  };
  std::vector<int> order;
  std::vector<std::unique_ptr<Ordered>> entries;
  base::Rng rng(5);
  std::multimap<uint64_t, int> expected;
  for (int i = 0; i < 500; ++i) {
    entries.push_back(std::make_unique<Ordered>());
    entries.back()->order = &order;
    entries.back()->index = i;
    const uint64_t deadline_ns = (uint64_t{1} + rng.below(1'000'000)) * Timers::kTickNs;
    expected.emplace(deadline_ns, i);
    timers.arm(*entries.back(), deadline_ns);
  }
  while (timers.next_deadline_ns() != kNever) timers.advance(timers.next_deadline_ns());
  ASSERT_EQ(order.size(), 500U);
  size_t at = 0;
  for (const auto& [deadline_ns, index] : expected) {
    if (expected.count(deadline_ns) == 1) {
      EXPECT_EQ(order[at], index);
    }
    ++at;
  }
}

TEST(TimersTest, VeryFarDeadlinesOverflowNothing) {
  Timers timers(12345, nullptr);
  Entry never;
  Entry nearly;
  timers.arm(never, kNever);
  timers.arm(nearly, kNever - 1);
  EXPECT_GT(timers.next_deadline_ns(), 12345U);
  timers.advance(uint64_t{1} << 62U);
  EXPECT_EQ(never.fired + nearly.fired, 0);
  EXPECT_TRUE(never.cancel());
  EXPECT_TRUE(nearly.cancel());
  EXPECT_EQ(timers.next_deadline_ns(), kNever);
}

TEST(TimersTest, AnEntryMayArmAndCancelItselfWhileItFires) {
  Timers timers(0, nullptr);
  struct Again final : TimerEntry {
    ~Again() override { cancel(); }
    void fire() noexcept override {
      EXPECT_FALSE(cancel());  // it does not wait for itself
      if (++fired < 3) timers->arm(*this, uint64_t(fired + 1) * 1'000'000);
    }
    Timers* timers = nullptr;
    int fired = 0;
  } entry;
  entry.timers = &timers;
  timers.arm(entry, 1'000'000);
  for (uint64_t now_ns = 0; now_ns <= 10'000'000; now_ns += 100'000) timers.advance(now_ns);
  EXPECT_EQ(entry.fired, 3);
}

TEST(TimersTest, TheListenerHearsOnlyOfEarlierDeadlines) {
  struct Listener final : DeadlineListener {
    void earlier_deadline(uint64_t deadline_ns) override { heard.push_back(deadline_ns); }
    std::vector<uint64_t> heard;
  } listener;
  Timers timers(0, &listener);
  Entry one;
  Entry two;
  Entry three;
  timers.arm(one, 50'000'000);
  timers.arm(two, 90'000'000);
  timers.arm(three, 20'000'000);
  EXPECT_EQ(listener.heard, (std::vector<uint64_t>{50'000'000, 20'000'000}));
}

// One thread advances, others arm, cancel and destroy: after cancel() nothing fires, and what was freed is not touched (sanitizers look on).
TEST(TimersTest, CancelAndFireRace) {
  Timers timers(0, nullptr);
  std::atomic<uint64_t> now_ns{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> clocks;
  for (int i = 0; i < 2; ++i) {
    clocks.emplace_back([&] {
      while (!over) timers.advance(now_ns.fetch_add(10'000));
    });
  }
  std::vector<std::thread> users;
  std::atomic<uint64_t> fired{0};
  std::atomic<uint64_t> cancelled{0};
  constexpr uint64_t kTimes = 20'000;
  for (uint32_t i = 0; i < 2; ++i) {
    users.emplace_back([&, i] {
      base::Rng rng(i);
      struct Racing final : TimerEntry {
        ~Racing() override { cancel(); }
        void fire() noexcept override { fires.fetch_add(1); }
        std::atomic<int> fires{0};
      };
      for (uint64_t times = 0; times < kTimes; ++times) {
        Racing entry;
        timers.arm(entry, now_ns.load() + rng.below(200'000));
        for (uint32_t spin = rng.below(300); spin != 0; --spin) base::spin_pause();
        const bool was_armed = entry.cancel();
        ASSERT_EQ(entry.fires.load(), was_armed ? 0 : 1);
        (was_armed ? cancelled : fired).fetch_add(1);
      }
    });
  }
  for (std::thread& thread : users) thread.join();
  over = true;
  for (std::thread& thread : clocks) thread.join();
  EXPECT_EQ(fired + cancelled, 2 * kTimes);
  EXPECT_EQ(timers.armed(), 0U);
}

}  // namespace
}  // namespace weft::sched
