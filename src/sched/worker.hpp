// Worker: one of the few that run tasks. It owns a ring per priority and a LIFO slot, picks from them and from the shared queue, steals from
// other workers when it has nothing, and sleeps when nobody has.
//
// It is a machine that is stepped: step() runs one task, or says that there is nothing to do until some time. A thread of its own
// steps it in a loop, and parks in between; on the sim platform the driver does (sim.hpp).
//
// Thread rules: everything is for the thread that steps it, except what is said to be for any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "base/atomic.hpp"
#include "base/cache_line.hpp"
#include "base/rng.hpp"
#include "platform/fast_clock.hpp"
#include "sched/injection.hpp"
#include "sched/ring.hpp"
#include "sched/run_context.hpp"
#include "sched/task.hpp"

namespace weft::sched {

class Core;
class Recorder;

// Of each priority, on each worker; 32 KiB when first used. 1,000 tasks on one worker stay far away from the shared queue.
inline constexpr size_t kRingCapacity = 4096;
// A task in a LIFO slot is left to its owner for this long: mostly it runs there, with warm caches, as soon as the task that woke it parks.
inline constexpr uint64_t kLifoStealNs = 50'000;

struct Step {
  enum class Kind : uint8_t { kRan, kAgain, kIdle };
  Kind kind;
  uint64_t until_ns = 0;  // kIdle: step again after an unpark, or at this time at the latest
};

class alignas(base::kCacheLinePair) Worker {
 public:
  Worker(Core& core, uint32_t index, uint64_t seed);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The worker that this thread is right now, null elsewhere.
  static Worker* current() noexcept;

  // Makes this thread a worker, as it must be for step(). They nest: in a simulation a task's run may step another worker.
  class AsCurrent {
   public:
    explicit AsCurrent(Worker& worker);
    ~AsCurrent();
    AsCurrent(const AsCurrent&) = delete;
    AsCurrent& operator=(const AsCurrent&) = delete;

   private:
    Worker* const before_;
  };

  Step step();

  // Puts a task that became kQueued on this worker. Back: behind all others of its priority. Woken: see the head of scheduler.hpp.
  // kAnnouncedLater: this worker's next step looks whether somebody sleeps, before it runs anything.
  enum class Push : uint8_t { kAnnounced, kAnnouncedLater };
  void push_back(Task& task, Push push = Push::kAnnounced);
  void push_woken(Task& task);

  bool should_yield();
  void needs_ticks();
  void shorten(uint64_t slice_ns);
  uint64_t clock_ns() { return clock_.now_ns(); }
  RunContext* context() { return task_running_ ? &context_ : nullptr; }

  // The rest is for any thread.
  Core& core() const { return core_; }
  uint32_t index() const { return index_; }
  // Is there something that another worker could take now?
  bool has_stealable(uint64_t now_ns) const;
  // Does a task wait for this worker?
  bool has_waiting() const;
  // The tasks in its rings and the one that runs; and the most urgent priority among the former, kPriorities when there are none.
  struct Load {
    uint64_t tasks = 0;
    unsigned best_level = kPriorities;
  };
  Load load() const;
  // When the run in progress began, or, shortened, would have to have begun for a quantum to be over when it should end; 0: none is.
  uint64_t running_since_ns() const { return running_since_ns_.load(std::memory_order_seq_cst); }
  // The run in progress is to be a short one, and so may be the next.
  bool shortened() const { return shortened_.load(std::memory_order_relaxed); }
  bool wants_ticks() const { return wants_ticks_.load(std::memory_order_seq_cst); }
  // A task has waited in the LIFO slot for so long that a sleeper should be woken for it.
  bool lifo_overdue(uint64_t now_ns) const;

  struct Counts {
    // Written by the worker alone, read by statistics; each by itself, hence relaxed.
    base::atomic<uint64_t> switches{0};
    base::atomic<uint64_t> preemptions{0};
    base::atomic<uint64_t> steals{0};
    base::atomic<uint64_t> stolen{0};
    base::atomic<uint64_t> parks{0};
  };
  const Counts& counts() const { return counts_; }

 private:
  friend class Core;
  using Ring = LocalRing<Task, kRingCapacity>;

  Ring& ring(unsigned level);
  bool ring_waiting();
  Task* pick();
  unsigned choose_level(uint32_t waiting);
  Task* pick_ordinary(unsigned level, uint32_t shared);
  Task* take_lifo();
  void refill(unsigned level);
  bool push_ring(Task& task, unsigned level, Push push);
  void wake_up();
  void announce_waiting();
  Task* search();
  void found_after_idling(const Task& task);
  uint32_t take_half(Worker& victim, unsigned level);
  Task* steal_from(Worker& victim);
  void balance();
  bool others_have_waiting() const;
  Step go_to_sleep();
  void run(Task& task);
  void finish(Task& task);
  void fire_timers();

  Core& core_;
  const uint32_t index_;
  Recorder* const recorder_;
  const uint64_t quantum_ns_;
  platform::FastClock clock_;
  RunContext context_;
  base::Rng rng_;

  uint64_t balanced_ns_ = 0;      // when this worker last compared its load with the others'
  uint32_t nearly_balanced_ = 0;  // times in a row that another had one task more
  uint64_t now_ns_ = 0;           // the last reading: the end of the last run
  uint32_t ring_mask_ = 0;        // priorities whose ring may have something
  uint32_t seen_mask_ = 0;        // priorities that had something at the last pick
  uint64_t picks_ = 0;
  uint64_t served_[kPriorities] = {};  // the value of picks_ when a priority was last served, or began to wait
  uint8_t boosted_[kPriorities] = {};  // woken tasks run in a row, by priority
  bool last_boost_was_lifo_ = false;
  // When it last ran out of work, 0: it has some; and whether the next came so soon the time before that it is worth waiting awake.
  uint64_t idle_from_ns_ = 0;
  bool lingers_ = false;
  bool searching_ = false;
  bool sleeping_ = false;
  bool timekeeper_ = false;
  bool task_running_ = false;
  bool firing_timers_ = false;
  bool more_here_ = false;  // when the last task was taken from a ring, it was not the last one there
  Counts counts_;

  // What other threads read, away from the above.
  // lifo_: the owner puts (into an empty slot) and takes, thieves take, by exchange. Publishes the task. seq_cst: partner of the ticker
  // that goes to sleep and then looks at it.
  alignas(base::kCacheLinePair) base::atomic<Task*> lifo_{nullptr};
  // Written by the owner before it fills the slot; hints for thieves and ticker, hence relaxed. The level is read by the owner only.
  base::atomic<uint64_t> lifo_since_ns_{0};
  unsigned lifo_level_ = 0;
  // Written by the owner, read by the ticker. Relaxed: a late look costs a tick.
  base::atomic<uint64_t> running_since_ns_{0};
  // Set by the owner's task, cleared by the owner; read by the ticker, for which a late look costs a tick, hence relaxed.
  base::atomic<bool> shortened_{false};
  // Set by the owner's task, cleared by the owner; seq_cst: partner as for lifo_.
  base::atomic<bool> wants_ticks_{false};
  // Made by the owner on first use and kept; release/acquire publishes the ring itself.
  base::atomic<Ring*> rings_[kPriorities] = {};
};

}  // namespace weft::sched
