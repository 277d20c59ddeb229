// Ticker: makes running tasks look around when somebody waits for their worker, and sees to timers when all workers are busy. It has a
// thread of its own, asleep unless one of these is so:
//   - a task waits for a worker (in a ring, a LIFO slot or the shared queue), or a running task asked for ticks;
//   - a timer is overdue by kTimerSlackNs. Workers fire timers whenever they pick a task, and a sleeping one wakes for the next; so
//     the ticker comes in only when they all run something long.
//
// A machine that is stepped, like Worker. How it goes to sleep without missing a call: need_flag.hpp.
#pragma once

#include <cstdint>
#include <memory>

#include "base/atomic.hpp"
#include "platform/platform.hpp"
#include "sched/need_flag.hpp"
#include "sched/timer.hpp"
#include "sched/worker.hpp"

namespace weft::sched {

class Core;

class Ticker {
 public:
  // How late a timer may be before the ticker fires it. Longer than a sleeping worker needs to wake up by itself.
  static constexpr uint64_t kTimerSlackNs = 200'000;

  explicit Ticker(Core& core);

  // Any thread: something waits for a worker. One load when the ticker is active already.
  void need() {
    if (flag_.raise()) parker_->unpark();
  }
  // Any thread: a timer was armed that is earlier than all others.
  void watch(uint64_t deadline_ns) {
    if (!flag_.up() && deadline_ns < kNever - kTimerSlackNs &&
        deadline_ns + kTimerSlackNs < wake_at_ns_.load(std::memory_order_seq_cst)) {
      parker_->unpark();
    }
  }
  void unpark() { parker_->unpark(); }
  uint64_t ticks() const { return ticks_.load(std::memory_order_relaxed); }

  // The ticker's thread, or the sim driver.
  Step step();
  platform::Parker& parker() { return *parker_; }

 private:
  bool needed() const;
  // Asks running tasks to look around if one of them should, and answers when to look next.
  uint64_t tick(uint64_t now_ns);

  static constexpr int kLinger = 3;

  Core& core_;
  const std::unique_ptr<platform::Parker> parker_;
  int idle_looks_ = 0;  // active steps in a row that found no need
  NeedFlag flag_;
  // Written by the ticker; when it will wake while it is not active. Read in watch(); partner of the store to the wheel's next deadline.
  base::atomic<uint64_t> wake_at_ns_{kNever};
  // Written by the ticker; a statistic.
  base::atomic<uint64_t> ticks_{0};
};

}  // namespace weft::sched
