// The host platform keeps its promises: clocks, tokens of parkers, threads, facts; and virtual time does what it is told.
#include "platform/platform.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "platform/fast_clock.hpp"
#include "platform/sim/sim_platform.hpp"

namespace weft::platform {
namespace {

TEST(PlatformTest, ClocksGoForward) {
  Platform& os = host();
  uint64_t last_ns = os.now_ns();
  for (int i = 0; i < 1000; ++i) {
    const uint64_t now_ns = os.now_ns();
    ASSERT_GE(now_ns, last_ns);
    last_ns = now_ns;
  }
  EXPECT_GT(os.wall_ns(), 1'700'000'000'000'000'000U);  // later than 2023
}

// Read between two readings of the platform's clock, over some milliseconds, so that it is re-anchored several times.
TEST(PlatformTest, TheFastClockFollowsTheClock) {
  Platform& os = host();
  FastClock clock(os);
  constexpr uint64_t kToleranceNs = 2'000;
  const uint64_t end_ns = os.now_ns() + 20'000'000;
  uint64_t last_ns = 0;
  for (;;) {
    const uint64_t before_ns = os.now_ns();
    const uint64_t now_ns = clock.now_ns();
    const uint64_t after_ns = os.now_ns();
    ASSERT_GE(now_ns, last_ns);
    last_ns = now_ns;
    ASSERT_GE(now_ns + kToleranceNs, before_ns);
    ASSERT_LE(now_ns, after_ns + kToleranceNs);
    if (after_ns > end_ns) break;
  }
}

TEST(PlatformTest, TheFastClockIsTheClockWhereThereIsNoCounter) {
  SimPlatform sim(1);
  FastClock clock(sim);
  EXPECT_EQ(clock.now_ns(), sim.now_ns());
  sim.advance_to(sim.now_ns() + 12'345);
  EXPECT_EQ(clock.now_ns(), sim.now_ns());
}

TEST(ParkerTest, ATokenLeftBeforeIsTaken) {
  const auto parker = host().make_parker();
  parker->unpark();
  parker->unpark();
  EXPECT_TRUE(parker->park_until(kNever));
  EXPECT_FALSE(parker->park_until(0)) << "two unparks are one token";
}

TEST(ParkerTest, GivesUpAtTheDeadlineAndNotBefore) {
  const auto parker = host().make_parker();
  const uint64_t deadline_ns = host().now_ns() + 2'000'000;
  EXPECT_FALSE(parker->park_until(deadline_ns));
  EXPECT_GE(host().now_ns(), deadline_ns);
}

TEST(ParkerTest, TwoThreadsHandATokenToAndFro) {
  const auto ping = host().make_parker();
  const auto pong = host().make_parker();
  constexpr int kRounds = 20'000;
  int shared = 0;  // no atomic: the tokens publish it
  std::thread other([&] {
    for (int i = 0; i < kRounds; ++i) {
      ping->park();
      ++shared;
      pong->unpark();
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    ++shared;
    ping->unpark();
    pong->park();
  }
  other.join();
  EXPECT_EQ(shared, 2 * kRounds);
}

TEST(ThreadTest, RunsAndHasItsName) {
  std::string name;
  auto thread = host().start_thread("weft-test-with-a-long-name", [&name] {
    char text[64] = {};
    pthread_getname_np(pthread_self(), text, sizeof text);
    name = text;
  });
  ASSERT_TRUE(thread);
  (*thread)->join();
  EXPECT_EQ(name, "weft-test-with-");
}

TEST(PlatformTest, FactsArePlausible) {
  Platform& os = host();
  EXPECT_GE(os.cpus(), 1U);
  EXPECT_LE(os.cpus(), std::thread::hardware_concurrency());
  const MemoryFacts facts = os.memory();
  EXPECT_GT(facts.physical_bytes, 64U << 20U);
  EXPECT_GT(facts.limit_bytes, 0U);
  EXPECT_LE(facts.limit_bytes, facts.physical_bytes);
  EXPECT_GT(facts.maps_now, 5U);
  EXPECT_GT(facts.maps_max, facts.maps_now);
  EXPECT_GE(facts.page_bytes, 4096U);
  EXPECT_NE(os.random_seed(), os.random_seed());
}

TEST(SimPlatformTest, TimeMovesOnlyWhenTold) {
  SimPlatform sim(99, 7);
  const uint64_t start_ns = sim.now_ns();
  EXPECT_EQ(sim.now_ns(), start_ns);
  sim.advance_to(start_ns + 5);
  EXPECT_EQ(sim.now_ns(), start_ns + 5);
  sim.advance_to(start_ns);
  EXPECT_EQ(sim.now_ns(), start_ns + 5);
  EXPECT_EQ(sim.cpus(), 7U);
  EXPECT_EQ(sim.random_seed(), 99U);
  EXPECT_FALSE(sim.start_thread("none", [] {}));
  const auto parker = sim.make_parker();
  EXPECT_FALSE(parker->park_until(kNever));
  parker->unpark();
  EXPECT_TRUE(parker->park_until(kNever));
}

}  // namespace
}  // namespace weft::platform
