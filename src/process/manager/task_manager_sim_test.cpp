// Cancellation in virtual time, many seeds: coroutines that obey at once, after a while or never, under each strategy. Who obeys within the grace is not forced, who does not is
// forced when it is over and not before, and who is only asked is left alone for hours. Nothing here waits for a clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "process/manager/task_manager.hpp"
#include "sync/testing/tasks.hpp"

namespace weft::process {
namespace {

using namespace std::chrono_literals;

// A manager of coroutines on a simulated scheduler; guests do not run there.
class World {
 public:
  World(sched::SimDriver& sim, TaskManagerConfig config) : sim_(sim) {
    environment_->scheduler_owner.reset(&sim.scheduler());
    config.default_strategy = CancellationStrategy::cooperative();
    manager_ = std::make_shared<TaskManagerState>(environment_, std::move(config));
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() {
    tasks_.clear();
    manager_.reset();
    (void)environment_->scheduler_owner.release();  // the driver's
  }

  std::size_t submit(Task<void> body, std::string type, CancellationToken token) {
    EXPECT_TRUE(manager_->places().try_take(1));
    auto task = manager_->accept(TaskWork(std::move(body)), {.type = std::move(type), .token = std::move(token)});
    EXPECT_TRUE(task) << task.error().message;
    tasks_.push_back(*task);
    ended_.emplace_back();
    return tasks_.size() - 1;
  }
  // Until the time has come, or all have ended.
  void run_until(Duration at) {
    while (now() < at) {
      if (!sim_.step() && !sim_.skip_time()) break;
      look();
    }
  }
  Duration now() const { return Duration(static_cast<std::int64_t>(sim_.scheduler().now_ns())); }
  TaskStatus status(std::size_t task) const { return tasks_[task]->status(); }
  std::optional<Duration> ended(std::size_t task) const { return ended_[task]; }
  TaskManagerStats stats() const { return manager_->stats(); }

 private:
  void look() {
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (!ended_[i] && tasks_[i]->status().end != TaskEnd::kNone) ended_[i] = now();
    }
  }

  sched::SimDriver& sim_;
  const std::shared_ptr<Environment> environment_ = std::make_shared<Environment>(nullptr, nullptr, nullptr, nullptr, 1, 1);
  std::shared_ptr<TaskManagerState> manager_;
  std::vector<std::shared_ptr<ManagedTask>> tasks_;
  std::vector<std::optional<Duration>> ended_;
};

Task<void> obeys(CancellationToken token, Duration after) {
  (void)co_await token.cancelled_wait();
  co_await sleep_for(after);
}
Task<void> ignores(Duration lives) { co_await sleep_for(lives); }
Task<void> cancels(CancellationSource source, Duration at) {
  co_await sleep_for(at);
  source.cancel("enough");
}

// The wheel of timers may be as much late.
constexpr Duration kLate = 2ms;

class TaskManagerSimTest : public sync::testing::TaskTest {};

TEST_F(TaskManagerSimTest, AGraceIsAsLongAsItSays) {
  for_each_seed(300, [](sched::SimDriver& sim) {
    base::Rng& rng = sim.rng();
    TaskManagerConfig config;
    config.strategies.emplace("now", CancellationStrategy::immediate());
    for (int ms = 0; ms < 8; ++ms) {
      config.strategies.emplace("grace " + std::to_string(ms), CancellationStrategy::graceful(std::chrono::milliseconds(10 * ms)));
    }
    World world(sim, std::move(config));
    const CancellationSource source;
    const Duration at = std::chrono::milliseconds(1 + rng.below(50));
    struct Expected {
      std::size_t task;
      Duration ends;
      bool forced;
    };
    std::vector<Expected> all;
    for (int count = 0; count < 20; ++count) {
      // Never at the same time as the end of the grace.
      const Duration takes = std::chrono::milliseconds(5 + 10 * rng.below(8));
      const bool deaf = rng.one_in(4);
      Task<void> body = deaf ? ignores(1h) : obeys(source.token(), takes);
      if (rng.one_in(5)) {
        all.push_back({world.submit(std::move(body), "now", source.token()), at, true});
        continue;
      }
      if (rng.one_in(5)) {
        all.push_back({world.submit(std::move(body), "polite", source.token()), deaf ? Duration(1h) : at + takes, false});
        continue;
      }
      const auto grace = rng.below(8);
      const bool forced = deaf || takes > std::chrono::milliseconds(10 * grace);
      all.push_back({world.submit(std::move(body), "grace " + std::to_string(grace), source.token()),
                     at + (forced ? Duration(std::chrono::milliseconds(10 * grace)) : takes), forced});
    }
    auto canceller = sync::testing::start(sim.scheduler(), cancels(source, at));
    world.run_until(59min);
    for (const Expected& one : all) {
      if (one.ends < 59min) continue;
      EXPECT_FALSE(world.ended(one.task)) << "it was only asked";
    }
    world.run_until(2h);
    for (const Expected& one : all) {
      const TaskStatus status = world.status(one.task);
      EXPECT_EQ(status.end, TaskEnd::kCancelled);
      EXPECT_EQ(status.forced, one.forced);
      EXPECT_EQ(status.message, "enough");
      ASSERT_TRUE(world.ended(one.task));
      EXPECT_GE(*world.ended(one.task), one.ends);
      EXPECT_LE(*world.ended(one.task), one.ends + kLate);
    }
    EXPECT_EQ(world.stats().running + world.stats().queued, 0U);
    EXPECT_EQ(world.stats().cancelled, 20U);
    EXPECT_EQ(sim.scheduler().timers().armed(), 0U);
  });
}

// Who is done before the request is done well; who waits in the queue never begins.
TEST_F(TaskManagerSimTest, CancelledBeforeDuringAndAfter) {
  for_each_seed(300, [](sched::SimDriver& sim) {
    base::Rng& rng = sim.rng();
    TaskManagerConfig config;
    config.max_tasks = 1 + rng.below(5);
    config.queue_max = 100;
    const std::uint64_t at_once = config.max_tasks;
    World world(sim, std::move(config));
    const CancellationSource source;
    const Duration at = std::chrono::milliseconds(5 + 10 * rng.below(10));
    // Each lives 10 ms, and as many as there is room for begin at once.
    for (int count = 0; count < 20; ++count) (void)world.submit(ignores(10ms), "polite", source.token());
    auto canceller = sync::testing::start(sim.scheduler(), cancels(source, at));
    world.run_until(1h);
    const auto rounds = static_cast<std::uint64_t>(at / 10ms);
    const std::uint64_t before = std::min<std::uint64_t>(20, rounds * at_once);
    EXPECT_EQ(world.stats().succeeded, before);
    EXPECT_EQ(world.stats().cancelled, 20 - before);
    EXPECT_EQ(world.stats().forced, 0U);
  });
}

}  // namespace
}  // namespace weft::process
