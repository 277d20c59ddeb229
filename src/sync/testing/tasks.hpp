// What tests of coroutines share: starting them on a scheduler, simulated (many seeds) or real.
//
//   class ChannelTest : public sync::testing::TaskTest {};
//   TEST_F(ChannelTest, …) { for_each_seed([&](sched::SimDriver& sim) { auto join = start(sim.scheduler(), body()); … }); }
//
// A failing seed is printed; WEFT_SIM_SEED=<seed> replays that one alone. Header for tests only; needs gtest.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/ref.hpp"
#include "sched/sim.hpp"
#include "sched/testing/fixture.hpp"
#include "sync/coroutine.hpp"

namespace weft::sync::testing {

template <class T>
JoinHandle<T> start(sched::Scheduler& scheduler, Task<T> task) {
  auto join = std::make_shared<detail::TypedJoinState<T>>();
  auto body = std::make_unique<detail::StartedTask<T>>(std::move(task), join);
  EXPECT_TRUE(scheduler.spawn(base::make_ref<CoroutineTask>(std::move(body), join, sched::kPriorityNormal, "test")));
  return JoinHandle<T>(std::move(join));
}

class TaskTest : public sched::testing::SchedulerTest {
 protected:
  // Runs `body` under many seeds.
  template <class Body>
  void for_each_seed(std::uint64_t seeds, Body body) {
    std::uint64_t first = 1;
    std::uint64_t last = seeds / sched::testing::kFewerSeeds + 1;
    if (sched::testing::replay_seed(first)) last = first;
    for (std::uint64_t seed = first; seed <= last; ++seed) {
      SCOPED_TRACE("replay with WEFT_SIM_SEED=" + std::to_string(seed));
      sched::SimDriver sim(seed, {.workers = 3});
      body(sim);
      if (HasFailure()) return;
    }
  }
};

}  // namespace weft::sync::testing
