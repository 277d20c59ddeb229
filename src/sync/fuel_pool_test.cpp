// Fuel pools: rates, gains over injected and virtual time (exact, and none while full), turns of those who wait, refusals that say what was missing, debts,
// and waits that are given up at any moment; threads at one pool never get more than there is.
#include "weft/fuel_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "sync/testing/tasks.hpp"

namespace weft::sync {
namespace {

using namespace std::chrono_literals;
using testing::start;

constexpr std::uint64_t kSecondNs = 1'000'000'000;

class FuelPoolTest : public testing::TaskTest {
 protected:
  FuelPool make(FuelPoolOptions options) {
    if (!options.clock) options.clock = [time = time_] { return time->load(); };
    Result<FuelPool> pool = FuelPool::create(std::move(options));
    EXPECT_TRUE(pool) << pool.error().message;
    return *pool;
  }
  void pass(std::uint64_t ns) { time_->fetch_add(ns); }

  std::shared_ptr<std::atomic<std::uint64_t>> time_ = std::make_shared<std::atomic<std::uint64_t>>(5 * kSecondNs);
};

TEST_F(FuelPoolTest, RefusesWhatMakesNoSense) {
  const auto message = [](FuelPoolOptions options) {
    const Result<FuelPool> pool = FuelPool::create(std::move(options));
    EXPECT_FALSE(pool);
    EXPECT_EQ(pool.error().kind, ErrorKind::kBadArgument);
    return pool ? std::string() : pool.error().message;
  };
  EXPECT_NE(message({.capacity = 0}).find("capacity 0"), std::string::npos);
  EXPECT_NE(message({.capacity = UINT64_MAX}).find("at most"), std::string::npos);
  EXPECT_NE(message({.capacity = 10, .initial = 11}).find("11 at first"), std::string::npos);
  EXPECT_NE(message({.capacity = 10, .regeneration_per_second = UINT64_MAX, .name = "spawning"}).find("spawning: "),
            std::string::npos);
}

TEST_F(FuelPoolTest, RatesByOperation) {
  const FuelPool pool = make({.capacity = 1000, .rates = {.spawn = 50, .spawn_per_stack_page = 3, .join = 7, .context_switch = 2}});
  EXPECT_EQ(pool.cost_of(FuelOperation::spawn(0)), 50U);
  EXPECT_EQ(pool.cost_of(FuelOperation::spawn(1)), 53U);
  EXPECT_EQ(pool.cost_of(FuelOperation::spawn(512 << 10)), 74U);
  EXPECT_EQ(pool.cost_of(FuelOperation::spawn(UINT64_MAX)), 50 + 3 * (std::uint64_t{1} << 48U));
  EXPECT_EQ(pool.cost_of(FuelOperation::join()), 7U);
  EXPECT_EQ(pool.cost_of(FuelOperation::context_switch()), 2U);
  FuelPoolOptions options{.capacity = 1000};
  for (std::size_t kind = 0; kind < kSyncOperations; ++kind) options.rates.synchronization[kind] = 10 + kind;
  const FuelPool each = make(options);
  for (std::size_t kind = 0; kind < kSyncOperations; ++kind) {
    EXPECT_EQ(each.cost_of(FuelOperation::synchronization(static_cast<SyncOperation>(kind))), 10 + kind);
  }
}

TEST_F(FuelPoolTest, TakesAllOrNothingAndSaysWhatIsMissing) {
  const FuelPool pool = make({.capacity = 100, .name = "spawning"});
  EXPECT_TRUE(pool.try_take(60));
  const Result<void> refused = pool.try_take(41);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(refused.error().message, "spawning: exhausted: 41 were asked for, 40 are there; it regains nothing by itself");
  EXPECT_TRUE(pool.try_take(40));
  EXPECT_EQ(pool.available(), 0);
  EXPECT_EQ(pool.try_take(101).error().kind, ErrorKind::kBadArgument);
  pool.give_back(1000);
  EXPECT_EQ(pool.available(), 100);
  const FuelPoolStats stats = pool.stats();
  EXPECT_EQ(stats.taken, 100U);
  EXPECT_EQ(stats.operations, 2U);
  EXPECT_EQ(stats.refused, 1U);
}

TEST_F(FuelPoolTest, GainsExactlyAndNothingWhileFull) {
  const FuelPool pool = make({.capacity = 10, .initial = 0, .regeneration_per_second = 3});
  pass(kSecondNs / 3);  // a billionth less than a unit
  EXPECT_EQ(pool.available(), 0);
  pass(1);
  EXPECT_EQ(pool.available(), 1);
  for (int step = 0; step < 1000; ++step) {  // many looks lose nothing
    pass(1'000'000);
    (void)pool.available();
  }
  EXPECT_EQ(pool.available(), 4);
  pass(3600 * kSecondNs);
  EXPECT_EQ(pool.available(), 10);
  // Full since long: what was not gained then is not gained now.
  EXPECT_TRUE(pool.try_take(10));
  EXPECT_FALSE(pool.try_take(1));
  pass(kSecondNs);
  EXPECT_EQ(pool.available(), 3);
  // After an idle time in which it became full, a burst is at most the capacity.
  pass(100 * kSecondNs);
  EXPECT_TRUE(pool.try_take(10));
  EXPECT_FALSE(pool.try_take(1));
}

TEST_F(FuelPoolTest, TheFastestAndTheLargest) {
  const FuelPool pool = make({.capacity = std::uint64_t{1} << 53U, .initial = 0, .regeneration_per_second = 1'000'000'000'000});
  pass(kSecondNs - 1);
  EXPECT_EQ(pool.available(), 999'999'999'000);
  pass(1);
  EXPECT_EQ(pool.available(), 1'000'000'000'000);
  time_->store(UINT64_MAX);
  EXPECT_EQ(pool.available(), std::int64_t{1} << 53U);
}

// Against a model that counts in billionths and never loses any.
TEST_F(FuelPoolTest, AgainstAModel) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    const std::uint64_t capacity = 1 + rng.below(1000);
    const std::uint64_t rate = rng.below(5000);
    const FuelPool pool = make({.capacity = capacity, .regeneration_per_second = rate});
    std::int64_t model = static_cast<std::int64_t>(capacity * kSecondNs);
    const auto most = static_cast<std::int64_t>(capacity * kSecondNs);
    for (int step = 0; step < 300; ++step) {
      const std::uint64_t ns = rng.below(2'000'000);
      pass(ns);
      model = std::min(most, model + static_cast<std::int64_t>(ns * rate));
      const std::uint64_t amount = rng.below(static_cast<std::uint32_t>(capacity) + 1);
      const auto billionths = static_cast<std::int64_t>(amount * kSecondNs);
      if (rng.one_in(4)) {
        pool.give_back(amount);
        model = std::min(most, model + billionths);
      } else {
        const bool enough = model >= billionths;
        ASSERT_EQ(pool.try_take(amount).has_value(), enough);
        if (enough) model -= billionths;
      }
      ASSERT_EQ(pool.available(), model / static_cast<std::int64_t>(kSecondNs));
    }
  }
}

TEST_F(FuelPoolTest, ADebtIsRegainedFirst) {
  const FuelPool pool = make({.capacity = 10, .regeneration_per_second = 5});
  for (int step = 0; step < 100; ++step) pool.owe(FuelOperation::join());
  EXPECT_EQ(pool.available(), -10) << "at most the capacity";
  EXPECT_FALSE(pool.try_take(1));
  pass(2 * kSecondNs);
  EXPECT_EQ(pool.available(), 0);
  EXPECT_FALSE(pool.try_take(1));
  pass(kSecondNs);
  EXPECT_TRUE(pool.try_take(5));
}

struct Log {
  std::string order;
};
Task<bool> takes(FuelPool pool, std::uint64_t amount, char name, std::shared_ptr<Log> log, Duration bound = Duration::max()) {
  const Result<void> taken = co_await pool.take(amount, bound);
  if (taken) log->order += name;
  co_return taken.has_value();
}

TEST_F(FuelPoolTest, WaitsInTurnAndALargeRequestIsNotStarved) {
  for_each_seed(100, [&](sched::SimDriver& sim) {
    auto log = std::make_shared<Log>();
    const FuelPool pool = make({.capacity = 100, .initial = 10, .regeneration_per_second = 0});
    auto large = start(sim.scheduler(), takes(pool, 100, 'L', log));
    sim.run_until_idle();
    std::vector<JoinHandle<bool>> small;
    for (int index = 0; index < 5; ++index) {
      small.push_back(start(sim.scheduler(), takes(pool, 5, static_cast<char>('a' + index), log)));
      sim.run_until_idle();
    }
    EXPECT_FALSE(pool.try_take(1)) << "nobody passes those who wait";
    EXPECT_EQ(pool.stats().waiting, 6U);
    pool.give_back(89);
    sim.run_until_idle();
    EXPECT_EQ(log->order, "");
    pool.give_back(1);
    sim.run_until_idle();
    EXPECT_EQ(log->order, "L");
    pool.give_back(12);
    sim.run_until_idle();
    EXPECT_EQ(pool.stats().waiting, 3U);
    EXPECT_EQ(pool.available(), 2);
    pool.give_back(100);
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(log->order.size(), 6U);
    EXPECT_EQ(pool.available(), 100 - 15);
  });
}

// The pool's clock is the simulation's: everything passes in virtual time, and no timer is left.
TEST_F(FuelPoolTest, WaitsForWhatIsGained) {
  for_each_seed(200, [&](sched::SimDriver& sim) {
    auto log = std::make_shared<Log>();
    const FuelPool pool =
        make({.capacity = 100, .initial = 0, .regeneration_per_second = 1000, .clock = [&] { return sim.platform().now_ns(); }});
    const std::uint64_t begun_ns = sim.platform().now_ns();
    std::vector<JoinHandle<bool>> joins;
    for (int index = 0; index < 10; ++index) joins.push_back(start(sim.scheduler(), takes(pool, 50, 'x', log)));
    auto late = start(sim.scheduler(), takes(pool, 100, 'y', log, 10ms));
    auto dropped = start(sim.scheduler(), takes(pool, 100, 'z', log));
    dropped.cancel();
    ASSERT_TRUE(sim.run_until_empty());
    for (auto& join : joins) EXPECT_TRUE(*join.join());
    EXPECT_FALSE(*late.join());
    EXPECT_EQ(log->order, "xxxxxxxxxx");
    const std::uint64_t elapsed_ns = sim.platform().now_ns() - begun_ns;
    EXPECT_GE(elapsed_ns, 500'000'000U);
    EXPECT_LT(elapsed_ns, 520'000'000U);
    EXPECT_EQ(pool.stats().taken, 500U);
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U);
  });
}

// Takers that come, wait, give up and are dropped at random: in the end everything is accounted for.
TEST_F(FuelPoolTest, NothingIsLostWhenWaitsAreGivenUp) {
  for_each_seed(300, [&](sched::SimDriver& sim) {
    auto log = std::make_shared<Log>();
    const FuelPool pool = make({.capacity = 100'000, .initial = 0, .regeneration_per_second = 0});
    std::vector<std::pair<std::uint64_t, JoinHandle<bool>>> joins;
    std::uint64_t given = 0;
    for (int step = 0; step < 60; ++step) {
      switch (sim.rng().below(4)) {
        case 0:
        case 1: {
          const std::uint64_t amount = 1 + sim.rng().below(40);
          const Duration bound = sim.rng().one_in(3) ? Duration(1 + sim.rng().below(1'000'000)) : Duration::max();
          joins.emplace_back(amount, start(sim.scheduler(), takes(pool, amount, 'x', log, bound)));
          break;
        }
        case 2:
          if (!joins.empty()) joins[sim.rng().below(static_cast<std::uint32_t>(joins.size()))].second.cancel();
          break;
        default:
          const std::uint64_t amount = sim.rng().below(41);
          pool.give_back(amount);
          given += amount;
      }
      if (sim.rng().one_in(2)) (void)sim.step();
    }
    while (pool.stats().waiting > 0 || !sim.run_until_empty()) {
      pool.give_back(40);
      given += 40;
      sim.run_until_idle();
    }
    std::uint64_t taken = 0;
    for (auto& [amount, join] : joins) {
      const Result<bool> result = join.join();
      if (result && *result) taken += amount;
    }
    EXPECT_EQ(given, taken + static_cast<std::uint64_t>(pool.available()));
  });
}

TEST_F(FuelPoolTest, FailsAtOnceWhenConfiguredSo) {
  for_each_seed(1, [&](sched::SimDriver& sim) {
    const FuelPool pool = make({.capacity = 10, .initial = 3, .regeneration_per_second = 1, .on_exhausted = OnExhausted::kFail});
    auto body = [](FuelPool from) -> Task<void> {
      const Result<void> taken = co_await from.take(4);
      EXPECT_EQ(taken.error().kind, ErrorKind::kExhausted);
      EXPECT_NE(taken.error().message.find("3 are there; it gains 1 a second"), std::string::npos) << taken.error().message;
      const Result<void> never = co_await from.take(11);
      EXPECT_EQ(never.error().kind, ErrorKind::kBadArgument);
    };
    auto join = start(sim.scheduler(), body(pool));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_TRUE(join.join());
  });
}

TEST_F(FuelPoolTest, ThreadsOfTheHostWaitToo) {
  const FuelPool pool = FuelPool::create({.capacity = 100, .initial = 0, .regeneration_per_second = 100'000}).value();
  std::vector<std::thread> threads;
  std::atomic<int> taken{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int step = 0; step < 20; ++step) taken += pool.take(50).block() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken.load(), 80);
  const FuelPool empty = FuelPool::create({.capacity = 100, .initial = 0}).value();
  EXPECT_EQ(empty.take(1, 2ms).block().error().kind, ErrorKind::kTimedOut);
  EXPECT_EQ(empty.stats().waiting, 0U);
}

TEST_F(FuelPoolTest, ThreadsNeverGetMoreThanThereIs) {
  const FuelPool pool = FuelPool::create({.capacity = 1'000'000}).value();
  std::atomic<std::uint64_t> taken{0};
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 1; thread <= 4; ++thread) {
    threads.emplace_back([&, thread] {
      while (pool.try_take(thread)) taken += thread;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken.load() + static_cast<std::uint64_t>(pool.available()), 1'000'000U);
  EXPECT_LT(pool.available(), 4);
}

}  // namespace
}  // namespace weft::sync
