// Futexes for guests: what memory.atomic.wait32, wait64 and notify become. A task waits on an address as long as the word there has
// the value it expects, until a notify on that address or a deadline. One table a runtime; addresses are the host's, and so unique:
// each memory is a mapping of its own.
//
//   FutexTable table(scheduler.timers(), seed);
//
//   // the waiting thread, a task with a FutexWaiter as its member, inside run():
//   const auto [outcome, all_blocked] = waiter_.begin(table, {.address = word, .expected = 2, .now_ns = now_ns}, *this, &group);
//   if (outcome != FutexOutcome::kPending) return answer(outcome);
//   context.park("futex", deadline_ns, address);                       // and kPending
//   …
//   const FutexOutcome outcome = waiter_.poll();                       // in each run that follows; kPending: park again
//
//   // any thread, after it changed the word:
//   uint32_t woken = table.notify(word, 1);
//
// The comparison and the queueing are one step with respect to notify, so no wake-up falls between them; waiters are woken in the
// order in which they came. Whoever takes a waiter out of the queue decides: a wait that notify has counted as woken does not time
// out any more, one that has timed out is not counted, and there is exactly one outcome. What is in the queues, and why it is right:
// futex_queue.hpp.
//
// Threads: a FutexWaiter belongs to its task; begin, poll and cancel are called inside its run() (cancel also where it can run no
// more). notify, waiting and info from any thread. Nothing here parks or allocates.
//
// Life: the table outlives all waits, and what is waited on stays mapped until its waits are over. Whoever takes a task down that may
// still be waiting (the scheduler does, at its end) does it when nobody notifies any more: a notify takes a reference to the task it is
// about to wake, and must not find one whose last reference has just been let go.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "sched/task.hpp"
#include "sched/timer.hpp"
#include "sync/futex_group.hpp"
#include "sync/futex_queue.hpp"

namespace weft::sync {

// What a wait answers; the first three as WebAssembly numbers them.
enum class FutexOutcome : uint8_t { kWoken = 0, kNotEqual = 1, kTimedOut = 2, kPending = 3 };

// Of the word, in bytes.
enum class FutexWidth : uint8_t { k32 = 4, k64 = 8 };

struct FutexWait {
  const void* address = nullptr;  // aligned to the width, inside a memory: the caller has checked
  FutexWidth width = FutexWidth::k32;
  uint64_t expected = 0;  // of a narrow word the lower half counts
  uint64_t deadline_ns = sched::kNever;
  uint64_t now_ns = 0;  // both on the scheduler's clock
};

class FutexTable {
 public:
  // 128 KiB of them. Contention is between guest threads on different words: far fewer at a time than this.
  static constexpr uint32_t kBuckets = 1024;

  // `timers` outlives all waits that have deadlines. `seed` is unknown to guests. `buckets` is a power of two.
  FutexTable(sched::Timers& timers, uint64_t seed, uint32_t buckets = kBuckets) : timers_(timers), queues_(seed, buckets) {}

  // Any thread. Wakes up to `count` waiters in the order in which they came, and answers how many; UINT32_MAX: all that wait now. See
  // FutexQueues::notify for what "now" means when they are many.
  uint32_t notify(const void* address, uint32_t count) { return queues_.notify(address, count); }
  // Any thread; for tests and dumps. Walks along them.
  size_t waiting(const void* address) const { return queues_.waiting(address); }

 private:
  friend class FutexWaiter;
  sched::Timers& timers_;
  FutexQueues<sched::Task> queues_;
};

class FutexWaiter final : private sched::TimerEntry {
 public:
  FutexWaiter() = default;
  // Cancels.
  ~FutexWaiter() override { cancel(); }

  struct Begun {
    FutexOutcome outcome = FutexOutcome::kPending;
    // With this wait all threads of the group wait without a deadline: nobody is left to wake any. Said once, to the one that made it so.
    bool all_blocked = false;
  };
  // Begins a wait, when none is pending. kPending: it is queued, and `task`, which this waiter is a part of, will be woken.
  // kNotEqual: the word has another value. kTimedOut: they are equal, but the deadline is not in the future. `group` counts the
  // thread as blocked if there is no deadline; null: nobody counts.
  [[nodiscard]] Begun begin(FutexTable& table, const FutexWait& wait, sched::Task& task, FutexGroup* group);
  // After begin() said kPending: how the wait ended, or kPending while it has not. Ended, the waiter may be used again or destroyed
  // at once.
  FutexOutcome poll();
  // Gives the wait up, if one is pending: true then, and it is out of the queue, unanswered. False: there is none, or it has ended
  // before (poll says how; if by a notify, that one has counted it). After this nobody refers to the waiter, and nothing will fire.
  bool cancel();

  // For dumps and reports of deadlocks. Any thread that keeps the waiter alive; of a thread that moves meanwhile the fields may be of
  // neighbouring waits.
  struct Info {
    bool waiting = false;
    uint64_t address = 0;
    uint64_t deadline_ns = 0;
    uint64_t since_ns = 0;
  };
  Info info() const;

 private:
  void fire() noexcept override;
  void disarm();

  // Only the task, while no wait is pending; fire() reads them, ordered by the wheel's lock.
  FutexTable* table_ = nullptr;
  sched::Task* task_ = nullptr;
  FutexEntry<sched::Task> entry_;
  bool armed_ = false;  // only the task: fire() may be in progress or to come
  // Writer: begin(); readers: dumps. They publish nothing, hence relaxed.
  base::atomic<uint64_t> address_{0};
  base::atomic<uint64_t> deadline_ns_{0};
  base::atomic<uint64_t> since_ns_{0};
};

}  // namespace weft::sync
