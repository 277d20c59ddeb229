// Sleeper: who waits, and is to be woken: a task, or a thread of the host. A borrowed pointer of one word.
//
//   entry.sleeper = sync::Sleeper(context.task());          // a task: it parks in its scheduler
//   entry.sleeper = sync::Sleeper(ThreadParker::mine());    // a thread of the host: it blocks in ThreadParker::park_until
//
// Whoever keeps one knows that the sleeper lives: it does as long as it waits. Whoever wakes one outside of the lock under which it waits
// takes a reference first (WakeList does).
#pragma once

#include <chrono>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "sched/task.hpp"

namespace weft::sync {

// Puts a thread of the host to sleep: one token, as platform::Parker, but counted, since a late wake-up may come when the wait is over.
class ThreadParker {
 public:
  using Clock = std::chrono::steady_clock;

  // The calling thread's own.
  static ThreadParker& mine();

  // The owning thread only. True: the token was there or came. Clock::time_point::max(): no deadline.
  bool park_until(Clock::time_point deadline);
  void unpark();

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // Release what this owner did; acquire, by the last one, what all others did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  friend struct MyParker;
  ThreadParker() = default;
  ~ThreadParker() = default;

  base::atomic<uint32_t> references_{1};
  base::Mutex mutex_;
  base::Condition woken_;
  bool token_ WEFT_GUARDED_BY(mutex_) = false;
};

class Sleeper {
 public:
  Sleeper() = default;
  explicit Sleeper(sched::Task& task) : word_(reinterpret_cast<uintptr_t>(&task)) {}
  explicit Sleeper(ThreadParker& thread) : word_(reinterpret_cast<uintptr_t>(&thread) | kThread) {}

  void retain() const { is_thread() ? thread()->retain() : task()->retain(); }
  void release() const { is_thread() ? thread()->release() : task()->release(); }
  void wake() const { is_thread() ? thread()->unpark() : task()->wake(); }

  // Null: it is a thread of the host.
  sched::Task* task_or_null() const { return is_thread() ? nullptr : task(); }

 private:
  static constexpr uintptr_t kThread = 1;
  bool is_thread() const { return (word_ & kThread) != 0; }
  sched::Task* task() const { return reinterpret_cast<sched::Task*>(word_); }
  ThreadParker* thread() const { return reinterpret_cast<ThreadParker*>(word_ & ~kThread); }

  uintptr_t word_ = 0;
};

}  // namespace weft::sync
