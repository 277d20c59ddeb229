// LockCore: who has the permits of a lock between processes, and who waits for one. One permit makes a mutex.
//
// Who waits is served in order: a permit that comes back goes straight to the first of them, so at any moment between two calls:
//
//   somebody waits  ⇒  no permit is free
//
// The death of an owner is told once, to whoever gets a permit next and takes it: who was handed it and gives up before that passes the news on.
//
//   LockWaiter:   acquire ──▶ waits ──a permit comes──▶ has ──▶ taken by its owner (served, expire), or given back (withdraw)
//                               └──expire, withdraw──▶ nothing
//
// Locks: mutex_ is a leaf; nobody is woken under it.
//
// Template over the sleeper, so that the model checker runs this very code (lock_model.cpp).
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "base/intrusive_list.hpp"
#include "base/mutex.hpp"
#include "sync/wake_list.hpp"
#include "weft/process_lock.hpp"

namespace weft::detail {

// Belongs to the acquisition; its fields to the lock's mutex.
template <class Sleeper>
struct BasicLockWaiter : base::ListHook<struct LockWaiterLink> {
  BasicLockWaiter(Sleeper who, ProcessId of) : sleeper(who), owner(of) {}
  const Sleeper sleeper;
  const ProcessId owner;
  bool has = false;
  bool owner_died = false;
};

template <class Sleeper>
class LockCore {
 public:
  using Waiter = BasicLockWaiter<Sleeper>;

  explicit LockCore(std::uint32_t permits) : permits_(permits), free_(permits) {}

  std::uint32_t permits() const { return permits_; }

  // Any thread, all of them.
  enum class Answer : std::uint8_t { kHas, kOwnerDied, kWaits, kHeld };
  // kWaits: with a waiter it is in the queue.
  Answer acquire(ProcessId owner, Waiter* waiter) {
    base::Lock lock(mutex_);
    // The host is many: only processes can be found to have it.
    if (permits_ == 1 && owner != 0 && held_.contains(owner)) return Answer::kHeld;
    if (free_ > 0) {
      --free_;
      ++held_[owner];
      return std::exchange(owner_died_, false) ? Answer::kOwnerDied : Answer::kHas;
    }
    if (waiter != nullptr) waiters_.push_back(*waiter);
    return Answer::kWaits;
  }
  // Whether a waiter has been served: the permit is its owner's.
  bool served(const Waiter& waiter) const {
    base::Lock lock(mutex_);
    return waiter.has;
  }
  // Its time is over: it waits no more. True: it was served before.
  bool expire(Waiter& waiter) {
    base::Lock lock(mutex_);
    if (waiter.linked()) waiters_.remove(waiter);
    return waiter.has;
  }
  // It is dropped, and with it what it was served.
  void withdraw(Waiter& waiter) {
    Wakes wakes;
    base::Lock lock(mutex_);
    if (waiter.linked()) {
      waiters_.remove(waiter);
    } else if (waiter.has) {
      (void)give_back(waiter.owner, waiter.owner_died, wakes);  // it did not hear of it
    }
  }
  // False: it has none. `died`: not as it should be, and the next one is told.
  bool release(ProcessId owner, bool died = false) {
    Wakes wakes;
    base::Lock lock(mutex_);
    return give_back(owner, died, wakes);
  }
  // Everything that it has is given back.
  void owner_gone(ProcessId owner) {
    while (release(owner, true)) continue;
  }

  bool holds(ProcessId owner) const {
    base::Lock lock(mutex_);
    return held_.contains(owner);
  }
  LockStats stats() const {
    base::Lock lock(mutex_);
    LockStats stats{.free = free_, .holders = held_.size()};
    for (Waiter* one = waiters_.front(); one != nullptr; one = waiters_.next(*one)) ++stats.waiting;
    return stats;
  }

 private:
  using Wakes = sync::WakeList<Sleeper>;

  bool give_back(ProcessId owner, bool died, Wakes& wakes) WEFT_REQUIRES(mutex_) {
    const auto found = held_.find(owner);
    if (found == held_.end()) return false;
    if (--found->second == 0) held_.erase(found);
    owner_died_ = owner_died_ || died;
    if (Waiter* const next = waiters_.pop_front()) {
      ++held_[next->owner];
      next->has = true;
      next->owner_died = std::exchange(owner_died_, false);
      wakes.add(next->sleeper);
    } else {
      ++free_;
    }
    return true;
  }

  const std::uint32_t permits_;
  mutable base::Mutex mutex_;
  std::uint32_t free_ WEFT_GUARDED_BY(mutex_);
  bool owner_died_ WEFT_GUARDED_BY(mutex_) = false;
  std::unordered_map<ProcessId, std::uint32_t> held_ WEFT_GUARDED_BY(mutex_);
  mutable base::List<Waiter, LockWaiterLink> waiters_ WEFT_GUARDED_BY(mutex_);
};

}  // namespace weft::detail
