// TaskState: the ONE atomic word that says what a task is doing, and the one function that changes it.
//
//                    spawn                pick                  done
//            kNew ──────────▶ kQueued ──────────▶ kRunning ──────────────▶ kDone
//                              ▲   ▲                │ │ ▲                    ▲
//                         wake │   │ yield          │ │ │ (never left        │ done
//                              │   └────────────────┤ │ │  by a wake:        │
//                              │                    │ │wake                  │
//            kParked ──────────┘                    │ └─────▶ kNotified ─────┤
//               ▲                park               │            │           │
//               └───────────────────────────────────┘            └──▶ kQueued (park or yield)
//
// The end of the scheduler abandons what is left: kQueued or kParked → kDone, without a run (not drawn).
//
// A wake in kNew, kQueued, kNotified or kDone changes nothing, but is still a read-modify-write: what the waker wrote before is
// then visible to the run that follows (a plain load could read kQueued while the run that must see the data has begun).
//
// The bits above the state count the runs. So the word never has the same value twice while a task moves, which is what lets
// a dump read a task's other fields without stopping it (see Task::info), and the count is the statistic `switches` for free.
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

enum class Event : uint8_t { kSpawn, kWake, kPick, kPark, kYield, kDone, kAbandon };

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
      WEFT_ASSERT(from == State::kQueued, "picked a task that was not queued");
      return State::kRunning;
    case Event::kPark:
      WEFT_ASSERT(from == State::kRunning || from == State::kNotified, "parked a task that was not running");
      return from == State::kNotified ? State::kQueued : State::kParked;
    case Event::kYield:
      WEFT_ASSERT(from == State::kRunning || from == State::kNotified, "yielded a task that was not running");
      return State::kQueued;
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
  void begin_run() { (void)apply(Event::kPick); }
  // After a run: true = it is parked now, and not ours to touch any more; false = it was woken meanwhile, and the caller queues it.
  bool park() { return apply(Event::kPark) == State::kRunning; }
  // After a run: the caller queues it.
  void requeue() { (void)apply(Event::kYield); }
  void finish() { (void)apply(Event::kDone); }

  // After all workers have stopped: true = it was waiting, and is done now without having run again.
  bool abandon() {
    const State from = apply(Event::kAbandon);
    return from == State::kQueued || from == State::kParked;
  }

  State state() const { return unpack(word_.load(std::memory_order_acquire)); }
  uint64_t runs() const { return word_.load(std::memory_order_relaxed) >> kRunsShift; }
  // For a dump: two equal answers around some reads mean that the task did not move in between.
  uint64_t word() const { return word_.load(std::memory_order_acquire); }
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
};

}  // namespace weft::sched
