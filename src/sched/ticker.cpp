#include "sched/ticker.hpp"

#include <algorithm>

#include "sched/core.hpp"

namespace weft::sched {

Ticker::Ticker(Core& core) : core_(core), parker_(core.platform().make_parker()) {}

bool Ticker::needed() const {
  if (core_.injection().mask() != 0) return true;
  for (uint32_t i = 0; i < core_.worker_count(); ++i) {
    const Worker& worker = core_.worker(i);
    if (worker.wants_ticks() || worker.has_waiting()) return true;
  }
  return false;
}

uint64_t Ticker::tick(uint64_t now_ns) {
  const uint64_t quantum_ns = core_.config().quantum_ns;
  // A task that waits for one worker concerns all: one that runs a single endless task must come back to see that it could take some
  // (see Worker::balance).
  bool waiting = core_.injection().mask() != 0;
  for (uint32_t i = 0; i < core_.worker_count() && !waiting; ++i) waiting = core_.worker(i).has_waiting();
  bool due = false;
  // Not sooner than an eighth of a quantum: what a tick costs must stay small against the quantum. Not later than half of one: a
  // task that begins to run right after this look should be asked soon after its quantum.
  uint64_t next_ns = now_ns + quantum_ns / 2;
  for (uint32_t i = 0; i < core_.worker_count(); ++i) {
    const Worker& worker = core_.worker(i);
    if (worker.wants_ticks()) due = true;
    const uint64_t since_ns = worker.running_since_ns();
    if (since_ns == 0 || !waiting) continue;
    // Those that wait for one another mostly come in turns.
    if (worker.shortened()) next_ns = std::min(next_ns, now_ns + quantum_ns / 8);
    const uint64_t end_ns = since_ns + quantum_ns;
    if (end_ns <= now_ns) {
      due = true;
    } else {
      next_ns = std::min(next_ns, end_ns);
    }
  }
  if (due) {
    ticks_.store(ticks_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (core_.config().preempt_tick) core_.config().preempt_tick();
  }
  return std::max(next_ns, now_ns + quantum_ns / 8);
}

Step Ticker::step() {
  const uint64_t now_ns = core_.platform().now_ns();
  const uint64_t timer_ns = core_.timers().next_deadline_ns();
  // All workers run something long, or one is just about to fire it: then this finds nothing left.
  if (timer_ns != kNever && timer_ns + kTimerSlackNs <= now_ns) core_.timers().advance(now_ns);

  const auto watch_until = [this] {
    const uint64_t deadline_ns = core_.timers().next_deadline_ns();
    return deadline_ns >= kNever - kTimerSlackNs ? kNever : deadline_ns + kTimerSlackNs;
  };
  if (flag_.up()) {
    if (needed()) {
      idle_looks_ = 0;
      // Ring or slot waiting while somebody sleeps: whoever put it there left it to us (see Worker::push_woken).
      if (core_.idle().has_sleepers() && core_.any_work(now_ns)) core_.notify();
      return {Step::Kind::kIdle, std::min(tick(now_ns), watch_until())};
    }
    // Stays awake for some more ticks: two tasks that wake each other need it for a moment each time, and to be woken for each of
    // them would cost more.
    if (++idle_looks_ < kLinger) return {Step::Kind::kIdle, now_ns + core_.config().quantum_ns / 2};
    idle_looks_ = 0;
    if (!flag_.lower([this] { return needed(); })) return {Step::Kind::kAgain};
  }
  // Whoever arms an earlier timer stores its deadline and then reads wake_at_ns_; here it is the other way round.
  uint64_t until_ns = watch_until();
  for (;;) {
    wake_at_ns_.store(until_ns, std::memory_order_seq_cst);
    const uint64_t again_ns = watch_until();
    if (again_ns >= until_ns) break;
    until_ns = again_ns;
  }
  return {Step::Kind::kIdle, until_ns};
}

}  // namespace weft::sched
