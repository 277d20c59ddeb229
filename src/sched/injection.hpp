// InjectionQueue: the queue that all workers share, for tasks that come from outside the workers and for those that do not fit into a
// worker's own rings. Per priority two lists, first in first out: the ordinary one, and the one of woken tasks, which
// workers serve first (within bounds: see scheduler.hpp).
//
// Any thread. A mutex and intrusive lists: nothing is allocated, and whoever only asks whether there is something reads two words of one cache line.
//
// A woken task that nobody waits before is handed over in a slot beside those words: a worker that is awake looks there all the time, so the task costs one
// cache line on its way from core to core instead of four, and no lock. Whoever finds others waiting goes behind them, so the order stays.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/cache_line.hpp"
#include "base/mutex.hpp"
#include "sched/task.hpp"

namespace weft::sched {

enum class Lane : uint8_t { kOrdinary, kWoken };

class InjectionQueue {
 public:
  // Bits 0 … 7: priorities with ordinary tasks; bits 8 … 15: priorities with woken ones. One load, seq_cst: partner of the
  // sleeper's last look (see idle.hpp).
  uint32_t mask() const {
    const uintptr_t handed = handed_.load(std::memory_order_seq_cst);
    const uint32_t mask = mask_.load(std::memory_order_seq_cst);
    return handed < kTask ? mask : mask | woken_bit(static_cast<unsigned>(handed & kLevel));
  }
  uint32_t ordinary_count(unsigned level) const { return counts_[level].load(std::memory_order_relaxed); }

  // At the back of its priority. Dropped when closed: the scheduler is gone, and with it its reference to the task.
  void push(Task& task, Lane lane) {
    const unsigned level = task.priority();
    if (lane == Lane::kWoken && hand_over(task, level)) return;
    base::Lock lock(mutex_);
    if (closed_) return;
    Chain& chain = lane == Lane::kWoken ? woken_[level] : ordinary_[level];
    task.queue_next_ = nullptr;
    if (chain.last == nullptr) {
      chain.first = &task;
      const uint32_t bit = lane == Lane::kWoken ? woken_bit(level) : 1U << level;
      mask_.store(mask_.load(std::memory_order_relaxed) | bit, std::memory_order_seq_cst);
    } else {
      chain.last->queue_next_ = &task;
    }
    chain.last = &task;
    if (lane == Lane::kOrdinary) bump(level, 1);
  }

  // The front of a list, null when it is empty.
  Task* pop(unsigned level, Lane lane) {
    if (lane == Lane::kWoken) {
      if (Task* const task = take_handed(level)) return task;
    }
    base::Lock lock(mutex_);
    return pop_locked(level, lane);
  }

  // Gives `take` a function that answers the next ordinary task of this priority, at most `most` times and then null, all under one lock.
  template <class Take>
  void drain_ordinary(unsigned level, uint32_t most, Take take) {
    base::Lock lock(mutex_);
    take([this, level, &most]() WEFT_NO_THREAD_SAFETY -> Task* {
      if (most == 0) return nullptr;
      --most;
      return pop_locked(level, Lane::kOrdinary);
    });
  }

  // From now on everything pushed is dropped, and what is in it is forgotten. At the end of a scheduler.
  void close() {
    base::Lock lock(mutex_);
    closed_ = true;
    handed_.store(kClosed, std::memory_order_seq_cst);
    for (unsigned level = 0; level < kPriorities; ++level) {
      ordinary_[level] = {};
      woken_[level] = {};
      counts_[level].store(0, std::memory_order_relaxed);
    }
    mask_.store(0, std::memory_order_seq_cst);
  }

 private:
  struct Chain {
    Task* first = nullptr;
    Task* last = nullptr;
  };

  static_assert(kPriorities == 8 && alignof(Task) >= 8, "the low bits of the slot are a priority");
  static constexpr uintptr_t kLevel = kPriorities - 1;
  static constexpr uintptr_t kClosed = 1;
  static constexpr uintptr_t kTask = kPriorities;  // from here on it is a task
  static constexpr uint32_t woken_bit(unsigned level) { return 1U << (level + kPriorities); }

  bool hand_over(Task& task, unsigned level) {
    // Who is seen here waits in the list, and came first. A list that fills at this moment is as old as this task.
    if ((mask_.load(std::memory_order_seq_cst) & woken_bit(level)) != 0) return false;
    uintptr_t none = 0;
    return handed_.compare_exchange_strong(none, reinterpret_cast<uintptr_t>(&task) | level, std::memory_order_seq_cst);
  }
  Task* take_handed(unsigned level) {
    uintptr_t handed = handed_.load(std::memory_order_seq_cst);
    if (handed < kTask || (handed & kLevel) != level) return nullptr;
    if (!handed_.compare_exchange_strong(handed, 0, std::memory_order_seq_cst)) return nullptr;
    return reinterpret_cast<Task*>(handed & ~kLevel);
  }

  Task* pop_locked(unsigned level, Lane lane) WEFT_REQUIRES(mutex_) {
    Chain& chain = lane == Lane::kWoken ? woken_[level] : ordinary_[level];
    Task* const task = chain.first;
    if (task == nullptr) return nullptr;
    chain.first = task->queue_next_;
    if (chain.first == nullptr) {
      chain.last = nullptr;
      const uint32_t bit = lane == Lane::kWoken ? woken_bit(level) : 1U << level;
      mask_.store(mask_.load(std::memory_order_relaxed) & ~bit, std::memory_order_seq_cst);
    }
    if (lane == Lane::kOrdinary) bump(level, -1);
    return task;
  }
  void bump(unsigned level, int by) WEFT_REQUIRES(mutex_) {
    counts_[level].store(counts_[level].load(std::memory_order_relaxed) + static_cast<uint32_t>(by), std::memory_order_relaxed);
  }

  // Written under mutex_, read by anybody; says that there is something, publishes nothing (the mutex does).
  alignas(base::kCacheLinePair) base::atomic<uint32_t> mask_{0};
  // A woken task and its priority, 0, or kClosed. Writers: whoever hands one over, the worker that takes it, close(); readers: as of mask_. Publishes the task.
  base::atomic<uintptr_t> handed_{0};
  // As mask_; only a hint about how many, hence relaxed.
  base::atomic<uint32_t> counts_[kPriorities] = {};
  alignas(base::kCacheLinePair) base::Mutex mutex_;
  Chain ordinary_[kPriorities] WEFT_GUARDED_BY(mutex_) = {};
  Chain woken_[kPriorities] WEFT_GUARDED_BY(mutex_) = {};
  bool closed_ WEFT_GUARDED_BY(mutex_) = false;
};

}  // namespace weft::sched
