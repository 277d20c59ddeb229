// Timers: calls at a time, by a hierarchical wheel (Varghese and Lauck). Arming and cancelling are O(1); a timer never fires
// early, and at most kTickNs late on an idle machine.
//
//   sched::TaskTimer timer(task);                       // wakes the task
//   scheduler.timers().arm(timer, now_ns + 5'000'000);
//   …
//   timer.cancel();                                     // true: it will not fire any more, and did not
//
// Any thread. fire() runs on a worker or on the ticker, outside any lock; it must be short and may not park. An entry may be
// armed again from its own fire(). cancel() waits for a fire() in progress on another thread, so that after it (and so after
// the destructor of TaskTimer) the entry may be freed.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/intrusive_list.hpp"
#include "base/mutex.hpp"
#include "base/ref.hpp"
#include "sched/task.hpp"

namespace weft::sched {

class Timers;

// No deadline. Also what Timers::next_deadline_ns says when nothing is armed.
inline constexpr uint64_t kNever = UINT64_MAX;

class TimerEntry : public base::ListHook<struct TimerLink> {
 public:
  TimerEntry() = default;
  TimerEntry(const TimerEntry&) = delete;
  TimerEntry& operator=(const TimerEntry&) = delete;

  // The deadline is reached.
  virtual void fire() noexcept = 0;

  // Takes it out of the wheel. True: it was armed and will not fire. False: it is not armed, or has fired; a fire() in progress on
  // another thread is over when this returns. Any thread, but not at the same time as arm() of the same entry.
  bool cancel();

 protected:
  // A derived class cancels in its own destructor: here it would be too late, since fire() is gone. Asserted.
  virtual ~TimerEntry();

 private:
  friend class Timers;
  uint64_t tick_ = 0;
  // Set by the first arm(); the rest of the fields belong to that wheel's lock.
  Timers* timers_ = nullptr;
  bool armed_ = false;
  uint8_t firing_ = 0;  // threads inside its fire(): a second one when it was armed again meanwhile and is due again
  uint8_t level_ = 0;
  uint8_t slot_ = 0;
};

// Hears that the earliest deadline moved forward, so that whoever sleeps until the old one can be told.
class DeadlineListener {
 public:
  // Any thread, outside any lock.
  virtual void earlier_deadline(uint64_t deadline_ns) = 0;

 protected:
  ~DeadlineListener() = default;
};

class Timers {
 public:
  // 32.8 us: a power of two, so that a tick is a shift.
  static constexpr unsigned kTickShift = 15;
  static constexpr uint64_t kTickNs = uint64_t{1} << kTickShift;

  // `listener` may be null (a wheel that is only advanced by hand) and outlives the wheel.
  explicit Timers(uint64_t now_ns, DeadlineListener* listener);
  ~Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // Any thread. An armed entry is moved. A deadline in the past fires at the next advance; kNever and other far ones just
  // wait. Not at the same time as cancel() of the same entry.
  void arm(TimerEntry& entry, uint64_t deadline_ns);

  // Fires all that is due. Any thread, several at once too; not from fire(). Answers how many were fired.
  uint32_t advance(uint64_t now_ns);

  // No timer is due before this; kNever when none is armed. It may be a little early for far deadlines (advance then re-sorts and
  // fires nothing). Any thread, one load.
  uint64_t next_deadline_ns() const { return next_deadline_ns_.load(std::memory_order_seq_cst); }

  // Statistics. Any thread.
  uint64_t armed() const;
  uint64_t fired() const;

 private:
  friend class TimerEntry;
  static constexpr unsigned kLevelBits = 6;
  static constexpr unsigned kSlots = 1U << kLevelBits;
  static constexpr unsigned kLevels = 9;  // 2^(15 + 54) ns: all that 64 bits can say
  using Entries = base::List<TimerEntry, TimerLink>;

  bool cancel(TimerEntry& entry);
  void insert(TimerEntry& entry) WEFT_REQUIRES(mutex_);
  void unlink(TimerEntry& entry) WEFT_REQUIRES(mutex_);
  void collect(uint64_t tick) WEFT_REQUIRES(mutex_);
  uint64_t earliest_tick() const WEFT_REQUIRES(mutex_);
  // Recomputes and publishes next_deadline_ns_.
  void publish() WEFT_REQUIRES(mutex_);

  DeadlineListener* const listener_;
  mutable base::Mutex mutex_;
  base::Condition fired_one_;  // some fire() returned, and somebody waits for that
  uint32_t waiting_ WEFT_GUARDED_BY(mutex_) = 0;
  uint64_t armed_ WEFT_GUARDED_BY(mutex_) = 0;
  uint64_t fired_ WEFT_GUARDED_BY(mutex_) = 0;
  uint64_t now_tick_ WEFT_GUARDED_BY(mutex_);  // all ticks up to this one are collected
  uint64_t occupied_[kLevels] WEFT_GUARDED_BY(mutex_) = {};
  Entries slots_[kLevels][kSlots] WEFT_GUARDED_BY(mutex_);
  Entries due_ WEFT_GUARDED_BY(mutex_);  // collected, not yet fired; cancel() still finds them
  // Written under mutex_; read by workers, ticker and whoever goes to sleep until then. seq_cst: partner of the worker that announces
  // itself as timekeeper and then reads this (see scheduler.cpp).
  base::atomic<uint64_t> next_deadline_ns_{kNever};
};

// Wakes a task. Keeps a reference to it. Cancels itself when destroyed. One user at a time, as any TimerEntry.
class TaskTimer final : public TimerEntry {
 public:
  explicit TaskTimer(base::Ref<Task> task) : task_(std::move(task)) {}
  // Without a task until borrow_task(): for a timer that is a member of the task itself (a reference to it would be a cycle).
  TaskTimer() = default;
  ~TaskTimer() override { cancel(); }
  // Borrowed: the owner of this timer guarantees that the task outlives it. Only while not armed.
  void borrow_task(Task& task) { borrowed_ = &task; }
  // True once it fired, until clear(). Read it inside the task's run().
  bool fired() const { return fired_.load(std::memory_order_acquire); }
  void clear() { fired_.store(false, std::memory_order_relaxed); }
  void fire() noexcept override;

 private:
  base::Ref<Task> task_;
  Task* borrowed_ = nullptr;
  // Writer: fire(); reader: the task's run. Release/acquire partners of each other; the wake that follows publishes it too.
  base::atomic<bool> fired_{false};
};

}  // namespace weft::sched
