// RunContext: what a task may ask of, and tell, the worker that runs it.
//
//   Poll run(RunContext& context) override {
//     if (!queue_.try_pop(item)) { context.park("queue"); return Poll::kPending; }
//     …
//   }
//
// Only on the worker's thread and only until run() returns: never keep one. Code below run() that has no context at hand (a host call
// of the engine) asks RunContext::current(), each time anew: the next run may be on another thread.
#pragma once

#include <cstdint>

#include "base/assert.hpp"
#include "sched/task.hpp"

namespace weft::sched {

class Scheduler;
class Worker;

// Why a task gives way: it asked, or its quantum was over. Decides only statistics and trace.
enum class YieldKind : uint8_t { kAsked, kPreempted };

class RunContext {
 public:
  RunContext(const RunContext&) = delete;
  RunContext& operator=(const RunContext&) = delete;

  // The context of the run in progress on this thread; null outside of one.
  static RunContext* current() noexcept;

  Scheduler& scheduler() const;
  Task& task() const { return *task_; }
  uint32_t worker_index() const;
  // When this run began, and what the clock says now.
  uint64_t started_ns() const { return started_ns_; }
  uint64_t now_ns() const;

  // After run() returns kPending the task goes to the BACK of its queue. The last of yield() and park() counts.
  void yield(YieldKind kind = YieldKind::kAsked) { ending_ = kind == YieldKind::kPreempted ? Ending::kPreempted : Ending::kYield; }
  // After run() returns kPending the task is parked until wake(). `reason` is static text and says what is waited for.
  void park(const char* reason, uint64_t deadline_ns = 0, uint64_t address = 0) {
    WEFT_DEBUG_ASSERT(reason != nullptr && reason[0] != '\0', "a park must name its reason");
    ending_ = Ending::kPark;
    park_ = {reason, deadline_ns, address};
  }

  // True when this task has run for a quantum and something else waits for a worker (a task, or a timer that is due). Reads the
  // clock; a few nanoseconds. The engine's epoch callback asks this.
  bool should_yield() const;

  // This run is over after `slice_ns` rather than a quantum, if something else waits then. For a task that is known to waste its time.
  void shorten(uint64_t slice_ns);

  // Until this run ends, keep calling preempt_tick even if nobody else waits: a limit on CPU time needs looking at.
  void needs_ticks();

 private:
  friend class Worker;
  enum class Ending : uint8_t { kNone, kYield, kPreempted, kPark };

  explicit RunContext(Worker& worker) : worker_(worker) {}
  void begin(Task& task, uint64_t now_ns) {
    task_ = &task;
    started_ns_ = now_ns;
    slice_from_ns_ = now_ns;
    ending_ = Ending::kNone;
  }

  Worker& worker_;
  Task* task_ = nullptr;
  uint64_t started_ns_ = 0;
  uint64_t slice_from_ns_ = 0;  // a quantum after this the run should end; shortened, it lies before the start
  Ending ending_ = Ending::kNone;
  ParkReason park_;
};

}  // namespace weft::sched
