// FutexGroup: how many threads of a guest process are alive, and how many of them wait on futexes without a deadline. When these are
// equal nobody is left who could wake anybody: a deadlock.
//
//   group.thread_started();                            // before the thread can run
//   …                                                  // its waits count themselves: FutexWaiter::begin
//   if (group.thread_ended()) report_deadlock();       // those that are left wait for ever
//
// A thread counts as blocked from when its wait is queued until whoever ends the wait takes it out of the queue, both under the lock
// of that queue. So a thread that is about to notify, or has been notified and not run yet, is alive and not blocked; and as both
// counts are one word, the operation that makes them equal is one operation: exactly one caller hears of it. It stays so until the
// group is helped from outside: a wait is cancelled, a thread is started, or somebody notifies who is no thread of the group. Where
// that can happen, what the caller has heard is only that the group cannot help itself.
//
// Any thread. The group outlives every wait that names it.
#pragma once

#include <cstdint>

#include "base/assert.hpp"
#include "base/atomic.hpp"

namespace weft::sync {

class FutexGroup {
 public:
  // Before the new thread can run; by whoever starts it: a thread of the group, which is alive meanwhile, or the maker of the first one.
  void thread_started() { word_.fetch_add(kOneAlive, std::memory_order_acq_rel); }
  // By a thread that does not wait, and will do nothing to futexes any more. True: there are others, and all of them wait for ever
  // (also in a process that is being killed, where some have not given their waits up yet).
  [[nodiscard]] bool thread_ended() {
    const uint64_t before = word_.fetch_sub(kOneAlive, std::memory_order_acq_rel);
    WEFT_ASSERT(alive_of(before) > blocked_of(before), "a thread ended that was not alive, or waits");
    return stuck(before - kOneAlive);
  }

  uint32_t alive() const { return alive_of(word_.load(std::memory_order_acquire)); }
  uint32_t blocked() const { return blocked_of(word_.load(std::memory_order_acquire)); }

  // By the queues, under the lock of the queue that the thread enters or leaves. True: with this one all are blocked.
  [[nodiscard]] bool thread_blocked() {
    const uint64_t before = word_.fetch_add(1, std::memory_order_acq_rel);
    WEFT_ASSERT(alive_of(before) > blocked_of(before), "a thread waits that was not counted as started");
    return stuck(before + 1);
  }
  void thread_unblocked() {
    const uint64_t before = word_.fetch_sub(1, std::memory_order_acq_rel);
    WEFT_ASSERT(blocked_of(before) > 0, "a thread stopped waiting that did not wait");
  }

 private:
  static constexpr uint64_t kOneAlive = uint64_t{1} << 32U;
  static constexpr uint32_t alive_of(uint64_t word) { return static_cast<uint32_t>(word >> 32U); }
  static constexpr uint32_t blocked_of(uint64_t word) { return static_cast<uint32_t>(word); }
  static constexpr bool stuck(uint64_t word) { return alive_of(word) != 0 && alive_of(word) == blocked_of(word); }

  // alive << 32 | blocked. Writers: threads that start, end, and enter and leave queues; readers: the same, and dumps. The counts
  // need no order, being one word; acq_rel, partner of itself at each of these, so that the one that makes the counts equal sees all
  // that the others did before they blocked.
  base::atomic<uint64_t> word_{0};
};

}  // namespace weft::sync
