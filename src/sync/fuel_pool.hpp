// FuelPoolState: the pool behind weft::FuelPool: a token bucket with a queue.
//
// The amount is brought up to date from the clock whenever somebody looks; there is no thread and no timer of its own. Gains are exact: what is less than a
// unit is carried over in billionths. A full pool gains nothing, so time spent full is not time in which a burst is saved up.
//
// Who waits stands in a queue, first in, first out, and only its head keeps a timer (its task's) for the moment when there will be enough. Whoever brings the
// amount up to date serves from the head as far as it goes, and wakes the new head, which then sets its timer.
//
// Locks: one, a leaf; held for some ten instructions. Tasks are woken outside.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/intrusive_list.hpp"
#include "base/mutex.hpp"
#include "platform/fast_clock.hpp"
#include "sched/timer.hpp"
#include "sync/short_lock.hpp"
#include "sync/sleeper.hpp"
#include "sync/wake_list.hpp"
#include "weft/fuel_pool.hpp"

namespace weft::sync {

// One that waits; owned by its Take. Linked and changed under the pool's lock.
struct FuelWaiter : base::ListHook<struct FuelWaiterLink> {
  explicit FuelWaiter(Sleeper who) : sleeper(who) {}
  const Sleeper sleeper;
  std::uint64_t amount = 0;
  bool granted = false;
  std::unique_ptr<sched::TaskTimer> timer;  // a task's; only its own run touches it
};

class FuelPoolState {
 public:
  explicit FuelPoolState(FuelPoolOptions options);

  const FuelPoolOptions& options() const noexcept { return options_; }
  std::uint64_t cost_of(const FuelOperation& operation) const noexcept;

  // True: taken. Else `available` says what is there.
  bool try_take(std::uint64_t amount, std::int64_t& available);
  void owe(std::uint64_t amount) noexcept;
  void give_back(std::uint64_t amount);
  void undo(std::uint64_t amount);
  void refresh();
  std::int64_t available();
  FuelPoolStats stats();

  // True: taken at once. False: the waiter stands in the queue now.
  bool enter(FuelWaiter& waiter, std::uint64_t amount);
  // True: it has been granted. False: nanoseconds until it may be worth asking again if it is the head, kNever if somebody else wakes it.
  bool ask(FuelWaiter& waiter, std::uint64_t& again_in_ns);
  // Out of the queue. True: it had been granted before; nothing else changed.
  bool leave(FuelWaiter& waiter);

 private:
  using Wakes = WakeList<Sleeper>;
  void update() WEFT_REQUIRES(mutex_);
  void add_gain(std::uint64_t units, std::uint64_t billionths, std::uint64_t room) WEFT_REQUIRES(mutex_);
  bool try_take_slowly(std::uint64_t amount, std::int64_t& available);
  void serve(Wakes& wakes) WEFT_REQUIRES(mutex_);
  std::uint64_t until_ns(std::uint64_t amount) const WEFT_REQUIRES(mutex_);
  std::uint64_t now_ns() WEFT_REQUIRES(mutex_) { return options_.clock ? options_.clock() : clock_.now_ns(); }

  const FuelPoolOptions options_;
  const std::int64_t capacity_;
  ShortMutex mutex_;
  platform::FastClock clock_ WEFT_GUARDED_BY(mutex_);
  std::int64_t available_ WEFT_GUARDED_BY(mutex_);
  std::uint64_t updated_ns_ WEFT_GUARDED_BY(mutex_) = 0;
  std::uint64_t billionths_ WEFT_GUARDED_BY(mutex_) = 0;  // gained, of one unit
  base::List<FuelWaiter, FuelWaiterLink> waiters_ WEFT_GUARDED_BY(mutex_);
  std::uint64_t waiting_ WEFT_GUARDED_BY(mutex_) = 0;
  std::uint64_t taken_ WEFT_GUARDED_BY(mutex_) = 0;
  std::uint64_t operations_ WEFT_GUARDED_BY(mutex_) = 0;
  std::uint64_t refused_ WEFT_GUARDED_BY(mutex_) = 0;
  std::uint64_t waited_ WEFT_GUARDED_BY(mutex_) = 0;
};

}  // namespace weft::sync
