// Task: what the scheduler schedules. It is polled: a worker calls run(), which works for a while and then answers kDone, or kPending
// after saying why (RunContext::park with a reason, or RunContext::yield). It has no stack of its own.
//
//   class Counter final : public sched::Task {
//    public:
//     Counter() : Task({.kind = "counter"}) {}
//     Poll run(RunContext& context) override {
//       if (++count_ == 10) return Poll::kDone;
//       context.yield();
//       return Poll::kPending;
//     }
//    private:
//     int count_ = 0;
//   };
//   scheduler.spawn(base::make_ref<Counter>());
//
// The protocol, and who may touch what
// ------------------------------------
// The state machine is in task_state.hpp. run() is never called twice at once, and everything one run wrote is visible to the next,
// on whichever worker: a task's own fields need no lock as long as only run() touches them.
//
// To wait without losing a wake-up: inside run(), FIRST make yourself findable (put the task into the waiters' list, arm the timer), THEN
// look once more whether what you wait for is already there, THEN context.park("why") and return kPending. A wake that
// arrives after the first step and before the run returns turns into another run. A run may be spurious: look again, park again.
//
// References: a new task has one, owned by its maker. spawn() takes one over, which the scheduler keeps until after on_done(). So no
// queue counts, and wake() needs a reference only to be called at all: whoever may call wake() must own one.
//
//   field                          written by                             read by
//   config (kind, name), id        constructor, spawn                     anyone who has a reference
//   priority                       anyone (takes effect when next queued) the thread that queues it
//   park reason, deadline, address run(), on the worker, while kRunning   dumps, if the word did not move (info())
//   cpu_ns, preemptions            the worker, while kRunning             anyone (each is monotone by itself)
//   wakes, since_ns                the thread whose transition it was     anyone
//   queue link                     whoever made it kQueued, then the lock of the injection queue
//   registry link, shard           the registry's lock
#pragma once

#include <cstdint>
#include <string>

#include "base/atomic.hpp"
#include "base/intrusive_list.hpp"
#include "base/ref.hpp"
#include "sched/task_state.hpp"

namespace weft::sched {

class Core;
class RunContext;

enum class Poll : uint8_t { kPending, kDone };

// 0 runs first, 7 last; see scheduler.hpp for how the last still run.
inline constexpr unsigned kPriorities = 8;
inline constexpr uint8_t kPriorityHighest = 0;
inline constexpr uint8_t kPriorityNormal = 4;
inline constexpr uint8_t kPriorityLowest = 7;

struct TaskConfig {
  const char* kind = "task";           // static text: "process", "thread", "coroutine", …
  std::string name;                    // for people; empty is fine
  uint8_t priority = kPriorityNormal;  // 0 … 7
};

// Where a task is queued that another one spawns. kNext, as if it had been woken: it runs as soon as its maker gives way, on the same worker, where what they
// share is warm; should its maker go on for long, or make another, an idle worker comes for it. Right for a maker that soon waits for it. From outside the workers: among the tasks that were woken.
enum class SpawnPlace : uint8_t { kBack, kNext };

// What a task waits for. `reason` is static text ("futex", "sleep", "channel receive"); the rest is 0 where it means nothing.
struct ParkReason {
  const char* reason = "";
  uint64_t deadline_ns = 0;  // on the scheduler's clock
  uint64_t address = 0;      // what is waited on, as whoever parks names it
};

// One task at one moment, for dumps and statistics.
struct TaskInfo {
  uint64_t id = 0;
  const char* kind = "";
  std::string name;
  State state = State::kNew;
  uint8_t priority = 0;
  ParkReason park;           // meaningful when state is kParked
  uint64_t cpu_ns = 0;       // spent inside run()
  uint64_t switches = 0;     // runs begun
  uint64_t preemptions = 0;  // runs ended because the quantum was over
  uint64_t wakes = 0;        // times it went from parked to queued
  uint64_t since_ns = 0;     // when it last became running, parked or queued
};

class Task : public base::ListHook<struct RegistryLink> {
 public:
  explicit Task(TaskConfig config);
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // One worker at a time. kPending only after context.park() or context.yield().
  virtual Poll run(RunContext& context) = 0;
  // After kDone, once, on the worker that ran it, outside any lock; may spawn, wake and destroy, may not park.
  virtual void on_done() {}
  // Shutdown asks the task to end soon: set a flag and wake() yourself. Any thread, outside any lock, possibly
  // while it runs, possibly more than once. A task that ignores it is reported as one that would not die.
  virtual void cancel_requested() {}
  // More about the task for a dump, one line ("pid 7, thread 3, in env.recv"). Any thread, also while it runs.
  virtual std::string describe() const { return {}; }

  void retain() const noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept;

  // Makes a parked task runnable; a running one runs once more. Any thread that owns a reference, any time, any number of times,
  // also before spawn and after done; never lost, never parks.
  void wake();

  uint64_t id() const { return id_.load(std::memory_order_relaxed); }  // 0 before spawn; unique in its scheduler
  const char* kind() const { return kind_; }
  const std::string& name() const { return name_; }
  uint8_t priority() const { return priority_.load(std::memory_order_relaxed); }
  // Takes effect the next time the task is queued. Any thread; 0 … 7.
  void set_priority(uint8_t priority);
  State state() const { return state_.state(); }
  // A picture of the task: the state, reason and times belong together unless the task moves too fast (then they may be of
  // neighbouring moments). Any thread.
  TaskInfo info() const;

  uint64_t cpu_ns() const { return cpu_ns_.load(std::memory_order_relaxed); }
  uint64_t switches() const { return state_.runs(); }
  uint64_t preemptions() const { return preemptions_.load(std::memory_order_relaxed); }
  uint64_t wakes() const { return wakes_.load(std::memory_order_relaxed); }

 protected:
  // Called by the last release(), on any thread. The scheduler does not know the task any more.
  virtual ~Task();

 private:
  friend class Core;
  friend class InjectionQueue;
  friend class Registry;
  friend class Worker;

  // What each switch touches comes first, in one cache line with the vtable pointer and the registry's links.
  TaskState state_;
  // Writer: spawn; readers: anyone who has a reference, also before. Publishes nothing, hence relaxed.
  base::atomic<uint64_t> id_{0};
  // Statistics. Each is written only by the thread that the state word makes the owner, hence load and store, no read-modify-write,
  // all relaxed: they publish nothing.
  base::atomic<uint64_t> cpu_ns_{0};
  base::atomic<uint64_t> since_ns_{0};
  // Writers: set_priority; readers: whoever queues the task. Publishes nothing, hence relaxed.
  base::atomic<uint8_t> priority_;
  // Writers and readers: whoever has a reference. The last release acquires what the others released: see release().
  mutable base::atomic<uint32_t> references_{1};

  Core* core_ = nullptr;        // of the scheduler it belongs to; set by spawn, before the task is queued
  Task* queue_next_ = nullptr;  // in an injection queue
  base::atomic<uint64_t> preemptions_{0};
  base::atomic<uint64_t> wakes_{0};
  // The park reason: written by the worker while kRunning, read by dumps that check the state word before and after.
  base::atomic<const char*> park_reason_{""};
  base::atomic<uint64_t> park_deadline_ns_{0};
  base::atomic<uint64_t> park_address_{0};

  const char* kind_;
  std::string name_;
  uint32_t registry_shard_ = 0;
};

}  // namespace weft::sched
