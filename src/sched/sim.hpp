// SimDriver: a whole scheduler in one thread and virtual time. It steps workers, ticker and blocking pool in an order drawn from a seed, and
// moves time when nothing else can happen. The same seed gives the same run, on every machine.
//
//   sched::SimDriver sim(seed, {.workers = 3});
//   sim.scheduler().spawn(base::make_ref<Counter>());
//   ASSERT_TRUE(sim.run_until_empty());     // false: tasks are left, and nothing will ever wake them
//
// A task under simulation calls pass_time() inside run() where a real one would compute: time passes, and other workers are stepped
// in the middle of it, so that wakes, steals and preemption meet running tasks too. Code between two such calls is
// atomic here; finer interleavings are the model checker's affair (base/model).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/rng.hpp"
#include "platform/sim/sim_platform.hpp"
#include "sched/scheduler.hpp"
#include "sched/worker.hpp"

namespace weft::sched {

// Work waits until the driver runs it.
class SimBlockingPool final : public BlockingPool {
 public:
  explicit SimBlockingPool(BlockingPoolConfig config) : config_(config) {}
  ~SimBlockingPool() override = default;

  Result<void> submit(Work work, base::Ref<Task> wake_after) override;
  BlockingPoolStatistics statistics() const override;
  void stop() override;

  // As many may be in progress at once as there would be threads; any of them may end first.
  uint32_t in_progress() const;
  // Ends one of those in progress.
  void finish(uint32_t which);

 private:
  struct Item {
    Work work;
    base::Ref<Task> wake_after;
  };

  const BlockingPoolConfig config_;
  std::deque<Item> items_;
  uint64_t finished_ = 0;
  bool stopping_ = false;
};

class SimDriver {
 public:
  // `config.platform` is ignored: the driver has its own.
  SimDriver(uint64_t seed, SchedulerConfig config);
  ~SimDriver();

  Scheduler& scheduler() { return *scheduler_; }
  platform::SimPlatform& platform() { return platform_; }
  base::Rng& rng() { return rng_; }
  uint64_t steps() const { return steps_; }

  // One step of something that can do one now; false when nothing can before time moves.
  bool step();
  // Moves time to the next moment at which something can happen; false when nothing ever will.
  bool skip_time();
  // Steps until no task is live (true), or until nothing can happen any more although tasks are left, or `steps_max` is reached (false).
  bool run_until_empty(uint64_t steps_max = UINT64_MAX);
  // Steps until nothing can happen any more.
  void run_until_idle(uint64_t steps_max = UINT64_MAX);
  // From inside a task's run(): the task computes for so long, while the others go on.
  void pass_time(uint64_t duration_ns);

 private:
  // A worker, or (the last one) the ticker.
  struct Machine {
    platform::SimParker* parker = nullptr;
    uint64_t until_ns = 0;  // asleep until then, or until its parker has a token
    bool stepping = false;  // further out on the stack: its task is in pass_time()
  };

  bool ready(const Machine& machine) const;
  uint64_t next_event_ns() const;

  platform::SimPlatform platform_;
  base::Rng rng_;
  std::unique_ptr<Scheduler> scheduler_;
  SimBlockingPool* pool_ = nullptr;
  std::vector<Machine> machines_;
  std::vector<uint32_t> choices_;
  uint64_t steps_ = 0;
};

}  // namespace weft::sched
