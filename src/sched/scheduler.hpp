// Scheduler: runs tasks on a few workers (OS threads), preemptively as far as the tasks let themselves be asked, in priority order, stealing
// work from each other, and burning no CPU when there is nothing to do.
//
//   sched::Scheduler scheduler({.workers = 4, .platform = &platform::host()});
//   scheduler.start();
//   scheduler.spawn(base::make_ref<Counter>());
//   scheduler.drain(sched::kNever);
//
// Who runs next on a worker
// -------------------------
// - A task that yields or is preempted goes to the back of the queue of its priority. With one worker that order is exactly first in,
//   first out, however many tasks there are.
// - A task that is woken goes ahead of those, into the worker's LIFO slot (woken by a task or timer there) or the shared woken
//   queue (woken from outside), but after kBoostedMax such runs in a row the ordinary queue has its turn: behind N waiting
//   tasks of its own priority a task waits for at most (kBoostedMax + 1) * N runs.
// - A higher priority goes first, but a priority with tasks waiting is served at least every kAgeingPicks + kPriorities picks.
// - A worker without work steals half of what waits for another. Once a quantum, between two tasks, each compares itself with the others
//   and takes from one that has more, so that endless tasks share all workers evenly.
// - A task that has run for a quantum while something waits for its worker (or another) is asked to give way (RunContext::should_yield).
//
// Thread rules: any thread may call anything, except where said. The constructor's platform, recorder and callbacks outlive the scheduler.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ref.hpp"
#include "sched/blocking_pool.hpp"
#include "sched/run_context.hpp"
#include "sched/task.hpp"
#include "sched/timer.hpp"

namespace weft::platform {
class Platform;
class Thread;
}  // namespace weft::platform

namespace weft::sched {

class Core;
class Recorder;

inline constexpr uint32_t kWorkersMax = 1024;
// Woken tasks run ahead of waiting ones at most this many times in a row.
inline constexpr uint32_t kBoostedMax = 3;
// A priority that has tasks waiting is passed over at most this many times (plus once for each other one that is due too).
inline constexpr uint32_t kAgeingPicks = 32;

struct SchedulerConfig {
  uint32_t workers = 0;             // 0: one per CPU that this process may use
  uint64_t quantum_ns = 1'000'000;  // how long a task runs while others wait
  platform::Platform* platform = nullptr;

  // Called when running tasks should look whether to give way: on the ticker's thread while tasks wait, and on the thread
  // that calls request_tick(). Must be short and thread-safe. Typically bumps the engine's epoch.
  std::function<void()> preempt_tick;
  // Each worker's thread calls these once, before its first and after its last task.
  std::function<void(uint32_t worker)> worker_start;
  std::function<void(uint32_t worker)> worker_stop;

  BlockingPoolConfig blocking;
  // Records events when not null.
  Recorder* recorder = nullptr;
};

struct SchedulerStatistics {
  uint32_t workers = 0;
  uint64_t tasks = 0;          // alive: spawned and not done
  uint64_t tasks_spawned = 0;  // ever
  uint64_t switches = 0;       // runs of tasks
  uint64_t preemptions = 0;
  uint64_t steals = 0;  // successful visits to another worker's queues
  uint64_t stolen = 0;  // tasks taken in them
  uint64_t timers = 0;  // armed now
  uint64_t timers_fired = 0;
  uint64_t ticks = 0;         // calls of preempt_tick by the ticker
  uint64_t worker_parks = 0;  // times a worker went to sleep
  BlockingPoolStatistics blocking;
};

struct ShutdownReport {
  std::vector<TaskInfo> cancelled;  // had to be asked to end
  std::vector<TaskInfo> surviving;  // did not end even then; the scheduler has let go of those that were parked or queued
};

// Whether the calling thread is a worker or the ticker of any scheduler: it must not block. (A simulated one has no threads: see RunContext::current.)
bool on_scheduler_thread() noexcept;

class Scheduler {
 public:
  // Starts nothing yet.
  explicit Scheduler(SchedulerConfig config);
  // Shuts down without grace if nobody did. Waits for tasks that are inside run() right now to leave it. Not from a task.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Starts the threads. kExhausted when the system refuses one; nothing is left running then. Once. (On the sim platform nobody
  // calls this: its driver steps the workers itself, see sim.hpp.)
  Result<void> start();

  // Takes over a new task and its reference, and queues it behind those of its priority: behind the caller's own worker's when a task
  // calls it. Never parks. False once the workers are being stopped: the task is released, unrun.
  bool spawn(base::Ref<Task> task, SpawnPlace place = SpawnPlace::kBack);

  Timers& timers();
  BlockingPool& blocking();
  // The scheduler's clock, on which all deadlines are: CLOCK_MONOTONIC on Linux, virtual time on sim.
  uint64_t now_ns() const;
  uint32_t workers() const;
  uint64_t quantum_ns() const;

  // Calls preempt_tick at once on this thread: a running task should look around (it was killed, say).
  void request_tick();

  // For every task that is spawned and not done, in no order. Stops nobody: tasks that come and go meanwhile may or may not be seen. `each` is called
  // outside all locks and may keep the reference.
  void for_each_task(const std::function<void(Task&)>& each) const;
  // The same as pictures: the dump.
  std::vector<TaskInfo> tasks() const;
  uint64_t task_count() const;
  SchedulerStatistics statistics() const;

  // Waits until no task is left: true; or until the deadline: false. Refuses nothing: tasks may go on spawning. Not from a task.
  bool drain(uint64_t deadline_ns);
  // Drains, asks what is left to end (Task::cancel_requested, also for tasks spawned from now on), waits again, then stops
  // workers and threads whatever is left, and reports. Not from a task. Later calls report nothing.
  // A task that never leaves run() keeps its worker's thread, and so the destructor, waiting: the report names it.
  // Not at the same time as any other call of shutdown or the destructor.
  ShutdownReport shutdown(uint64_t drain_deadline_ns, uint64_t cancel_deadline_ns);

  // The works, for the sim driver and for tests of this room.
  Core& core() { return *core_; }

 private:
  void join_threads();

  Core* core_;  // counted: see core.hpp
  std::vector<std::unique_ptr<platform::Thread>> threads_;
  bool shut_down_ = false;
};

}  // namespace weft::sched
