// Coroutines on a simulated scheduler, many seeds each: results, order, cancellation at every moment, exceptions, no frame left behind.
#include "sync/coroutine.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/ref.hpp"
#include "sched/sim.hpp"

namespace weft::sync {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeeds = 300;

class CoroutineTest : public ::testing::Test {
 protected:
  // Runs `body` under many seeds; one that failed can be had alone with WEFT_SIM_SEED.
  template <class F>
  void for_each_seed(F body) {
    std::uint64_t first = 1;
    std::uint64_t last = kSeeds;
    if (const char* only = std::getenv("WEFT_SIM_SEED")) first = last = std::strtoull(only, nullptr, 10);
    for (std::uint64_t seed = first; seed <= last; ++seed) {
      SCOPED_TRACE("replay with WEFT_SIM_SEED=" + std::to_string(seed));
      sched::SimDriver sim(seed, {.workers = 3});
      body(sim);
      if (HasFailure()) return;
    }
  }

  template <class T>
  std::shared_ptr<detail::TypedJoinState<T>> start(sched::SimDriver& sim, Task<T> task) {
    auto join = std::make_shared<detail::TypedJoinState<T>>();
    auto body = std::make_unique<detail::StartedTask<T>>(std::move(task), join);
    EXPECT_TRUE(sim.scheduler().spawn(base::make_ref<CoroutineTask>(std::move(body), join, sched::kPriorityNormal, "test")));
    return join;
  }
};

Task<int> leaf(int value) {
  co_await yield();
  co_return value;
}

Task<int> tree(int depth) {
  if (depth == 0) co_return co_await leaf(1);
  const int left = co_await tree(depth - 1);
  co_await sleep_for(1ms);
  const int right = co_await tree(depth - 1);
  co_return left + right;
}

TEST_F(CoroutineTest, NestedOnesReturnTheirValues) {
  for_each_seed([&](sched::SimDriver& sim) {
    auto join = start(sim, tree(4));
    ASSERT_TRUE(sim.run_until_empty());
    ASSERT_TRUE(join->result.has_value());
    EXPECT_EQ(join->result->value(), 16);
  });
}

Task<int> yields_until(std::shared_ptr<bool> flag) {
  while (!*flag) co_await yield();
  co_return 0;
}

Task<int> sets(std::shared_ptr<bool> flag) {
  *flag = true;
  co_return 0;
}

// None of them waits, so the worker's stack is all there is: it must not grow with the number of them, however this file is compiled.
Task<int> at_once(int value) { co_return value; }

Task<int> awaits_many(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await at_once(1);
  co_return sum;
}

TEST_F(CoroutineTest, AMillionThatDoNotWaitNeedNoStack) {
  sched::SimDriver sim(1, {.workers = 1});
  const auto join = start(sim, awaits_many(1'000'000));
  ASSERT_TRUE(sim.run_until_empty());
  ASSERT_TRUE(join->result.has_value());
  EXPECT_EQ(join->result->value(), 1'000'000);
}

// With one that did not, the first would run for ever.
TEST_F(CoroutineTest, AYieldLetsOthersRun) {
  for_each_seed([&](sched::SimDriver& sim) {
    auto flag = std::make_shared<bool>(false);
    std::vector<std::shared_ptr<detail::TypedJoinState<int>>> joins;
    for (int i = 0; i < 5; ++i) joins.push_back(start(sim, yields_until(flag)));
    joins.push_back(start(sim, sets(flag)));
    ASSERT_TRUE(sim.run_until_empty());
    for (const auto& join : joins) EXPECT_TRUE(join->done());
  });
}

Task<int> sleeper(Duration duration) {
  co_await sleep_for(duration);
  co_return 0;
}

TEST_F(CoroutineTest, SleepsTakeTheirTime) {
  for_each_seed([&](sched::SimDriver& sim) {
    const std::uint64_t begun_ns = sim.platform().now_ns();
    auto join = start(sim, sleeper(5ms));
    auto none = start(sim, sleeper(0ms));
    auto negative = start(sim, sleeper(-1h));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_GE(sim.platform().now_ns() - begun_ns, 5'000'000U);
    EXPECT_TRUE(join->done() && none->done() && negative->done());
  });
}

Task<std::string> worker_of_blocking() {
  const int number = co_await blocking([] { return 41; });
  co_await blocking([] {});
  std::string text = "not thrown";
  try {
    co_await blocking([] { throw std::runtime_error("work failed"); });
  } catch (const std::runtime_error& failure) {
    text = std::to_string(number + 1) + failure.what();
  }
  co_return text;
}

TEST_F(CoroutineTest, BlockingWorkReturnsAndThrows) {
  for_each_seed([&](sched::SimDriver& sim) {
    auto join = start(sim, worker_of_blocking());
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(join->result->value(), "42work failed");
  });
}

Task<int> throws_late() {
  co_await yield();
  throw std::runtime_error("late");
}

Task<int> catches() {
  bool caught = false;
  try {
    co_return co_await throws_late();
  } catch (const std::runtime_error&) {
    caught = true;
  }
  co_await yield();  // a task goes on after it
  co_return caught ? 3 : 4;
}

TEST_F(CoroutineTest, ExceptionsTravelUpAndOut) {
  for_each_seed([&](sched::SimDriver& sim) {
    auto caught = start(sim, catches());
    auto escaped = start(sim, throws_late());
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(caught->result->value(), 3);
    ASSERT_FALSE(escaped->result->has_value());
    EXPECT_EQ(escaped->result->error().message, "an exception escaped: late");
  });
}

struct Counted {
  explicit Counted(int& alive) : alive_(&alive) { ++alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*alive_; }
  int* alive_;
};

Task<int> wanders(int& alive, int depth) {
  const Counted counted(alive);
  co_await sleep_for(1ms);
  if (depth > 0) (void)co_await wanders(alive, depth - 1);
  (void)co_await blocking([] { return 1; });
  co_await sleep_for(1ms);
  co_return depth;
}

TEST_F(CoroutineTest, CancelledAtAnyMomentAllFramesAreUnwound) {
  for_each_seed([&](sched::SimDriver& sim) {
    int alive = 0;
    auto join = start(sim, wanders(alive, 5));
    const std::uint64_t steps = sim.rng().below(60);
    for (std::uint64_t step = 0; step < steps; ++step) {
      if (!sim.step() && !sim.skip_time()) break;
    }
    join->cancel();
    join->cancel();
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(alive, 0);
    ASSERT_TRUE(join->result.has_value());
    if (!join->result->has_value()) {
      EXPECT_EQ(join->result->error().kind, ErrorKind::kCancelled);
    }
  });
}

Task<int> awaits(std::shared_ptr<detail::TypedJoinState<int>> other) {
  const Result<int> result = co_await JoinHandle<int>(std::move(other));
  co_return result.has_value() ? *result : -1;
}

TEST_F(CoroutineTest, OneAwaitsAnotherTask) {
  for_each_seed([&](sched::SimDriver& sim) {
    auto awaited = start(sim, tree(2));
    auto awaiting = start(sim, awaits(awaited));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(awaiting->result->value(), 4);
  });
}

TEST_F(CoroutineTest, ATaskNeverStartedIsDestroyedWithItsArguments) {
  int alive = 0;
  {
    auto held = std::make_shared<Counted>(alive);
    const auto holder = [](std::shared_ptr<Counted> kept) -> Task<int> {
      (void)kept;
      co_return 1;
    };
    const Task<int> task = holder(std::move(held));
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace weft::sync
