// TaskState: the ONE atomic word that says what a task is doing, and the one function that changes it.
//
//                    spawn                pick                  done
//            kNew ──────────▶ kQueued ──────────▶ kRunning ──────────────▶ kDone
//                              ▲                    │ │   ▲                  ▲
//                         wake │                    │ │   │ pick             │ done
//                              │                    │ │wake (after a yield)  │
//            kParked ──────────┘                    │ └─────▶ kNotified ─────┤
//               ▲                park               │            │           │
//               └───────────────────────────────────┘            └──▶ kQueued (park)
//
// A yield leaves the word alone: for a waker it makes no difference whether a task runs or is queued, there is nothing to be queued by it
// either way; and the next pick, a read-modify-write, sees what it wrote. So a yield costs a plain store, to a flag that only those
// look at who want to know what a task is doing.
//
// The end of the scheduler abandons what is left: kQueued or kParked or yielded → kDone, without a run (not drawn).
//
// A wake in kNew, kQueued, kNotified or kDone changes nothing, but is still a read-modify-write: what the waker wrote before is
// then visible to the run that follows (a plain load could read kQueued while the run that must see the data has begun).
//
// The bits above the state count the runs. So the word never has the same value in two runs, which is what lets a dump read a task's
// other fields without stopping it (see Task::info), and the count is the statistic `switches` for free.
//
// Thread rules: wake from any thread; spawn once; begin_run, park, requeue and finish only from the thread that took the task out of
// a queue. The outcome of a transition is the right to act on it: whoever moved the task to kQueued, and only that
// thread, puts it into a queue, exactly once.
#pragma once

#include <cstdint>

#include "base/assert.hpp"
#include "base/atomic.hpp"

namespace weft::sched {

enum class State : uint8_t { kNew, kQueued, kRunning, kNotified, kParked, kDone };

// The word's name for people: "new", "queued", "running", "running" (a notified task runs too), "parked", "done".
constexpr const char* state_name(State state) {
  switch (state) {
    case State::kNew:
      return "new";
    case State::kQueued:
      return "queued";
    case State::kRunning:
    case State::kNotified:
      return "running";
    case State::kParked:
      return "parked";
    case State::kDone:
      return "done";
  }
  return "?";
}

enum class Event : uint8_t { kSpawn, kWake, kPick, kPark, kDone, kAbandon };

// The transition table. An event that cannot happen in a state is our bug, hence an assertion.
constexpr State next_state(State from, Event event) {
  switch (event) {
    case Event::kSpawn:
      WEFT_ASSERT(from == State::kNew, "a task can be spawned only once");
      return State::kQueued;
    case Event::kWake:
      if (from == State::kParked) return State::kQueued;
      if (from == State::kRunning) return State::kNotified;
      return from;
    case Event::kPick:
      // The latter two after a yield: see begin_run.
      WEFT_ASSERT(from == State::kQueued || from == State::kRunning || from == State::kNotified,
                  "picked a task that was not queued");
      return State::kRunning;
    case Event::kPark:
      WEFT_ASSERT(from == State::kRunning || from == State::kNotified, "parked a task that was not running");
      return from == State::kNotified ? State::kQueued : State::kParked;
    case Event::kDone:
      WEFT_ASSERT(from == State::kRunning || from == State::kNotified, "finished a task that was not running");
      return State::kDone;
    case Event::kAbandon:
      return from == State::kQueued || from == State::kParked ? State::kDone : from;
  }
  return from;
}

class TaskState {
 public:
  // kNew → kQueued. The caller queues the task.
  void spawn() { (void)apply(Event::kSpawn); }
  // Any thread. True: the task was parked, and the caller must now queue it.
  bool wake() { return apply(Event::kWake) == State::kParked; }
  // kQueued → kRunning, by the thread that took it out of a queue. Sees everything written before any earlier wake.
  void begin_run() {
    const State from = apply(Event::kPick);
    WEFT_DEBUG_ASSERT((from == State::kQueued) != yielded_.load(std::memory_order_relaxed), "picked a task that was running");
    yielded_.store(false, std::memory_order_relaxed);
  }
  // After a run: true = it is parked now, and not ours to touch any more; false = it was woken meanwhile, and the caller queues it.
  bool park() { return apply(Event::kPark) == State::kRunning; }
  // After a run: the caller queues it. The queue publishes what the run wrote.
  void requeue() { yielded_.store(true, std::memory_order_relaxed); }
  void finish() { (void)apply(Event::kDone); }

  // After all workers have stopped: true = it was waiting, and is done now without having run again.
  bool abandon() {
    const bool yielded = yielded_.load(std::memory_order_relaxed);
    const State from = apply(yielded ? Event::kDone : Event::kAbandon);
    return yielded || from == State::kQueued || from == State::kParked;
  }

  State state() const { return unpack(word()); }
  uint64_t runs() const { return word_.load(std::memory_order_relaxed) >> kRunsShift; }
  // For a dump: two equal answers around some reads mean that the task did not move in between, other than by a yield at most.
  uint64_t word() const {
    const uint64_t word = word_.load(std::memory_order_acquire);
    const State state = unpack(word);
    const bool waits = (state == State::kRunning || state == State::kNotified) && yielded_.load(std::memory_order_acquire);
    return waits ? (word & ~kStateMask) | static_cast<uint64_t>(State::kQueued) : word;
  }
  static State unpack(uint64_t word) { return static_cast<State>(word & kStateMask); }
  static uint64_t runs_of(uint64_t word) { return word >> kRunsShift; }

 private:
  static constexpr uint64_t kStateMask = 7;
  static constexpr unsigned kRunsShift = 3;

  // The one transition function; answers the state before. acq_rel on every path, also on those that change nothing: release
  // partners with the acquire of the begin_run that follows (a release sequence of read-modify-writes), acquire with the
  // release of the park or requeue that ended the run before.
  State apply(Event event) {
    uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const State from = unpack(word);
      const State to = next_state(from, event);
      uint64_t next = (word & ~kStateMask) | static_cast<uint64_t>(to);
      if (event == Event::kPick) next += uint64_t{1} << kRunsShift;
      if (word_.compare_exchange_weak(word, next, std::memory_order_acq_rel, std::memory_order_relaxed)) return from;
    }
  }

  // Writers: whoever holds the right named at each method; readers: the same, and dumps. Publishes all non-atomic fields of the
  // task from one run to the next, and what a waker wrote before it woke.
  base::atomic<uint64_t> word_{static_cast<uint64_t>(State::kNew)};
  // In kRunning and kNotified: it does not run, but was queued again by a yield. Writer: whoever runs it; readers: dumps, and the next run. Publishes
  // nothing, hence relaxed.
  base::atomic<bool> yielded_{false};
};

}  // namespace weft::sched
