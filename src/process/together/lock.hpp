// LockState: behind weft::ProcessLock and the handles of guests. One permit makes a mutex.
//
// Locks: mutex_ is a leaf; nobody is woken under it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/intrusive_list.hpp"
#include "base/mutex.hpp"
#include "process/together/shareable.hpp"
#include "sync/sleeper.hpp"
#include "sync/wake_list.hpp"
#include "weft/process_lock.hpp"

namespace weft::detail {

// Belongs to the acquisition; its fields to the lock's mutex.
struct LockWaiter final : base::ListHook<struct LockWaiterLink> {
  LockWaiter(sync::Sleeper who, ProcessId of) : sleeper(who), owner(of) {}
  const sync::Sleeper sleeper;
  const ProcessId owner;
  bool has = false;
  bool owner_died = false;
};

class LockState final : public process::Shareable {
 public:
  explicit LockState(std::uint32_t permits) : permits_(permits), free_(permits) {}
  ~LockState() override = default;

  std::uint32_t permits() const { return permits_; }
  enum class Answer : std::uint8_t { kHas, kOwnerDied, kWaits, kHeld };
  // kWaits: with a waiter it is in the queue.
  Answer acquire(ProcessId owner, LockWaiter* waiter);
  // Whether a waiter has been served.
  bool served(LockWaiter& waiter) const;
  void withdraw(LockWaiter& waiter);
  // False: it has none. `died`: not as it should be, and the next one is told.
  bool release(ProcessId owner, bool died = false);
  bool holds(ProcessId owner) const;
  void process_gone(ProcessId process) override;
  // A process that closed it while one of its threads is about to get it would hold it unknown to anybody.
  bool may_be_dropped() const override { return false; }
  LockStats stats() const;

 private:
  using Wakes = sync::WakeList<sync::Sleeper>;
  bool give_back(ProcessId owner, Wakes& wakes) WEFT_REQUIRES(mutex_);

  const std::uint32_t permits_;
  mutable base::Mutex mutex_;
  std::uint32_t free_ WEFT_GUARDED_BY(mutex_);
  bool owner_died_ WEFT_GUARDED_BY(mutex_) = false;
  std::unordered_map<ProcessId, std::uint32_t> held_ WEFT_GUARDED_BY(mutex_);
  mutable base::List<LockWaiter, LockWaiterLink> waiters_ WEFT_GUARDED_BY(mutex_);
};

}  // namespace weft::detail
