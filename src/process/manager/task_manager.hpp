// TaskManagerState: the works of weft::TaskManager: who may come in, who waits, who runs, and who has ended.
//
// A task is accepted when it has one of max_tasks + queue_max places (a fuel pool that nobody regenerates: it has turns and bounds in time already). It is
// queued, and advance() starts as many as fit: below max_tasks, within the sum of memory limits, and with the fuel paid for. The one whose turn it is
// holds the others up until it fits, so that nothing large is starved.
//
// advance() is called wherever something has changed, by any thread, also inside of the end of a process. It starts one task at a time, outside of the mutex.
// A task that ends while it is being started is seen by the very loop that started it; ends on other threads call advance() themselves.
//
// Where fuel is missing, one FuelWait waits in the pool's queue on behalf of whoever is next, and what it gets is kept for them.
//
// Locks: mutex, then the fuel pool's and the wheel's. Nothing else is called with it held.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.hpp"
#include "process/environment.hpp"
#include "process/manager/managed_task.hpp"
#include "process/manager/task_queue.hpp"
#include "weft/task_manager.hpp"

namespace weft::process {

struct TaskManagerConfig {
  std::uint64_t max_tasks = 1024;
  std::uint64_t queue_max = 256;
  unsigned priority_levels = 8;
  std::uint32_t ageing = 32;
  TaskResources resources;
  std::map<std::string, CancellationStrategy, std::less<>> strategies;
  CancellationStrategy default_strategy;
  FuelPool fuel;
  std::uint64_t stack_bytes = 0;       // of a guest
  std::uint64_t memory_bytes_max = 0;  // what a process without a limit counts for
};

class TaskManagerState final : public std::enable_shared_from_this<TaskManagerState> {
 public:
  TaskManagerState(std::shared_ptr<Environment> environment, TaskManagerConfig config);
  TaskManagerState(const TaskManagerState&) = delete;
  TaskManagerState& operator=(const TaskManagerState&) = delete;
  ~TaskManagerState();

  const TaskManagerConfig& config() const noexcept { return config_; }
  const std::shared_ptr<Environment>& environment() const noexcept { return environment_; }
  const FuelPool& places() const noexcept { return places_; }
  CancellationStrategy strategy_of(std::string_view type) const;

  // What can be said before there is a place. The work is a Program, a coroutine or a body.
  Result<void> check(TaskWork& work, const TaskSpec& spec) const;
  // With a place, which is given back if it fails.
  Result<std::shared_ptr<ManagedTask>> accept(TaskWork work, TaskSpec spec);
  Error no_room();

  enum class AfterCancel : std::uint8_t { kNothing, kAsk, kNeverBegan };
  // What is to be done now that the task's token is cancelled.
  AfterCancel cancel(ManagedTask& task);
  // A task has ended: counted, taken out. advance() follows, outside of the mutex.
  void retire(ManagedTask& task, TaskEnd end, bool forced) WEFT_REQUIRES(mutex);
  // Starts whoever can be.
  void advance();

  std::vector<std::shared_ptr<ManagedTask>> all() const;
  std::shared_ptr<ManagedTask> find(TaskId id) const;
  std::vector<TaskInfo> history() const;
  TaskManagerStats stats() const;
  bool wait_idle(Duration bound);

  mutable base::Mutex mutex;

 private:
  friend class FuelWait;
  std::uint64_t memory_of(TaskWork& work, const TaskSpec& spec) const;
  std::uint64_t cost_of(ManagedTask& task) const;
  std::shared_ptr<ManagedTask> next_to_start() WEFT_REQUIRES(mutex);
  bool pay(ManagedTask& task) WEFT_REQUIRES(mutex);
  void fuel_arrived(std::uint64_t amount);
  void fuel_lost(bool shutdown);
  void wait_for_fuel(std::uint64_t amount);

  const std::shared_ptr<Environment> environment_;
  const TaskManagerConfig config_;
  const FuelPool places_;

  std::map<TaskId, std::shared_ptr<ManagedTask>> alive_ WEFT_GUARDED_BY(mutex);
  TaskQueue<ManagedTask, TaskQueueLink> queue_ WEFT_GUARDED_BY(mutex);
  std::deque<TaskInfo> history_ WEFT_GUARDED_BY(mutex);
  TaskManagerStats stats_ WEFT_GUARDED_BY(mutex);
  TaskId next_id_ WEFT_GUARDED_BY(mutex) = 1;
  std::uint64_t prepaid_ WEFT_GUARDED_BY(mutex) = 0;  // fuel that has come for whoever is next
  std::uint64_t wanted_ WEFT_GUARDED_BY(mutex) = 0;   // fuel to wait for, asked by next_to_start()
  base::Ref<sched::Task> fuel_wait_ WEFT_GUARDED_BY(mutex);
  base::Ref<sync::FlagSource> idle_;  // set while nothing is accepted
};

}  // namespace weft::process
