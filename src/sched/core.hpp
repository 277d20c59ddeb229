// Core: the parts of a scheduler and how they reach each other. Scheduler (scheduler.hpp) is its public face.
//
// It is counted: each spawned task keeps it alive as long as the task's own memory lives (by the count of its shard of the registry, which is one reference
// here). So a wake() that comes after the scheduler is gone finds closed queues instead of freed ones.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "platform/platform.hpp"
#include "sched/blocking_pool.hpp"
#include "sched/idle.hpp"
#include "sched/injection.hpp"
#include "sched/registry.hpp"
#include "sched/scheduler.hpp"
#include "sched/ticker.hpp"
#include "sched/timer.hpp"
#include "sched/worker.hpp"

namespace weft::sched {

class Core final : private DeadlineListener {
 public:
  Core(Scheduler& scheduler, SchedulerConfig config, std::unique_ptr<BlockingPool> blocking);

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  // By the scheduler at its end, instead of release().
  void let_go() noexcept;
  // A task that was spawned here is freed.
  void memory_gone(uint32_t shard) noexcept {
    if (registry_.memory_gone(shard)) release();
  }

  const SchedulerConfig& config() const { return config_; }
  Scheduler& scheduler() { return scheduler_; }
  platform::Platform& platform() { return *config_.platform; }
  uint32_t worker_count() const { return static_cast<uint32_t>(workers_.size()); }
  Worker& worker(uint32_t index) { return *workers_[index]; }
  platform::Parker& parker(uint32_t worker) { return *parkers_[worker]; }
  InjectionQueue& injection() { return injection_; }
  IdleSet& idle() { return idle_; }
  Ticker& ticker() { return ticker_; }
  Timers& timers() { return timers_; }
  BlockingPool& blocking() { return *blocking_; }
  Registry& registry() { return registry_; }

  // The time for whoever calls: a worker's fast clock on a worker, else the platform's.
  uint64_t now_ns();

  // Any thread. Puts a task that the caller moved to kQueued into a queue, and sees to it that somebody takes it from there.
  void queue_woken(Task& task);
  void queue_spawned(Task& task, SpawnPlace place);
  // Any thread, after making work visible to all: wakes a worker for it, or makes sure that running tasks are asked to give way.
  void notify() {
    const IdleSet::Standing standing = idle_.standing();
    if (standing == IdleSet::Standing::kAllBusy) {
      ticker_.need();
    } else if (standing == IdleSet::Standing::kSomeSleep) {
      wake_sleeper();
    }
  }
  // Any thread: is there anything that a worker with nothing to do could take?
  bool any_work(uint64_t now_ns);

  bool spawn(base::Ref<Task> task, SpawnPlace place);
  // The worker that ran it, after on_done.
  void forget(Task& task);
  uint64_t live() const { return registry_.alive(); }

  // Threads of workers and ticker: the loops, and their end.
  void run_worker(uint32_t index);
  void run_ticker();
  bool stopping() const { return stopping_.load(std::memory_order_seq_cst); }
  void stop_threads();
  // After stop_threads: waits until each of the workers has left its loop (true), or is inside a run() that it may never leave (false).
  bool wait_until_workers_left(uint32_t started);
  // Before anything is taken down: from now on spawn() refuses.
  void refuse_spawns();
  // When no worker runs any more. Marks what is left as done and lets go of it.
  void abandon_all();
  // Tasks spawned from now on are asked to end at once.
  void cancel_all();

  // drain(): waits until no task is live. Threaded platforms only.
  bool wait_until_empty(uint64_t deadline_ns);

  // A sleeping worker that wakes for the next timer is the timekeeper: at most one. -1: none.
  bool become_timekeeper(uint32_t worker) {
    int32_t none = -1;
    return timekeeper_.compare_exchange_strong(none, static_cast<int32_t>(worker), std::memory_order_seq_cst);
  }
  void resign_timekeeper() { timekeeper_.store(-1, std::memory_order_seq_cst); }

 private:
  void wake_sleeper();
  ~Core();
  void earlier_deadline(uint64_t deadline_ns) override;

  Scheduler& scheduler_;
  const SchedulerConfig config_;
  std::vector<std::unique_ptr<platform::Parker>> parkers_;
  InjectionQueue injection_;
  IdleSet idle_;
  Ticker ticker_;
  Timers timers_;
  Registry registry_;
  std::unique_ptr<BlockingPool> blocking_;
  std::vector<std::unique_ptr<Worker>> workers_;

  // Writers: whoever retains and releases; acq_rel: the last one sees all that the others did. The scheduler's, and one of each shard.
  alignas(base::kCacheLinePair) base::atomic<uint64_t> references_;
  // Written by shutdown; read by spawn and by the threads' loops.
  alignas(base::kCacheLinePair) base::atomic<bool> refusing_{false};
  base::atomic<bool> cancelling_{false};
  base::atomic<bool> stopping_{false};
  // Writer: drain(), under drain_mutex_; readers: workers that have let go of the last task of a shard. seq_cst, a Dekker pair with the shards' counts.
  base::atomic<uint32_t> draining_{0};
  base::atomic<int32_t> timekeeper_{-1};  // seq_cst: partner of the store to the wheel's next deadline
  base::Mutex drain_mutex_;
  base::Condition drained_;  // no task is live any more, or a worker left
  uint32_t workers_left_ WEFT_GUARDED_BY(drain_mutex_) = 0;
};

}  // namespace weft::sched
