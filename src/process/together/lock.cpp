#include "process/together/lock.hpp"

#include <utility>

#include "process/environment.hpp"
#include "process/together/society.hpp"
#include "weft/runtime.hpp"

namespace weft::detail {

LockState::Answer LockState::acquire(ProcessId owner, LockWaiter* waiter) {
  base::Lock lock(mutex_);
  // The host is many: only processes can be found to have it.
  if (permits_ == 1 && owner != 0 && held_.contains(owner)) return Answer::kHeld;
  if (free_ > 0 && waiters_.empty()) {
    --free_;
    ++held_[owner];
    return std::exchange(owner_died_, false) ? Answer::kOwnerDied : Answer::kHas;
  }
  if (waiter != nullptr) waiters_.push_back(*waiter);
  return Answer::kWaits;
}

bool LockState::served(LockWaiter& waiter) const {
  base::Lock lock(mutex_);
  return waiter.has;
}

bool LockState::give_back(ProcessId owner, Wakes& wakes) {
  const auto found = held_.find(owner);
  if (found == held_.end()) return false;
  if (--found->second == 0) held_.erase(found);
  if (LockWaiter* const next = waiters_.pop_front()) {
    ++held_[next->owner];
    next->has = true;
    next->owner_died = std::exchange(owner_died_, false);
    wakes.add(next->sleeper);
  } else {
    ++free_;
  }
  return true;
}

void LockState::withdraw(LockWaiter& waiter) {
  Wakes wakes;
  base::Lock lock(mutex_);
  if (waiter.linked()) {
    waiters_.remove(waiter);
  } else if (std::exchange(waiter.has, false)) {
    owner_died_ = owner_died_ || waiter.owner_died;  // it did not hear of it
    (void)give_back(waiter.owner, wakes);
  }
}

bool LockState::release(ProcessId owner, bool died) {
  Wakes wakes;
  base::Lock lock(mutex_);
  if (!held_.contains(owner)) return false;
  owner_died_ = owner_died_ || died;
  return give_back(owner, wakes);
}

bool LockState::holds(ProcessId owner) const {
  base::Lock lock(mutex_);
  return held_.contains(owner);
}

void LockState::process_gone(ProcessId process) {
  while (release(process, true)) continue;
}

LockStats LockState::stats() const {
  base::Lock lock(mutex_);
  LockStats stats{.free = free_, .holders = held_.size()};
  for (LockWaiter* one = waiters_.front(); one != nullptr; one = waiters_.next(*one)) ++stats.waiting;
  return stats;
}

// ---- acquiring ----

Acquisition::Acquisition(std::shared_ptr<LockState> state, ProcessId owner, Duration bound)
    : Operation(bound), state_(std::move(state)), owner_(owner), tries_(bound <= Duration::zero()) {}

Acquisition::~Acquisition() {
  if (waiter_) state_->withdraw(*waiter_);
  if (has_) (void)state_->release(owner_, owner_died_);
}

bool Acquisition::begin(const sync::Sleeper& sleeper) {
  if (!tries_) waiter_ = std::make_unique<LockWaiter>(sleeper, owner_);
  const LockState::Answer answer = state_->acquire(owner_, waiter_.get());
  if (answer == LockState::Answer::kWaits) return false;
  waiter_.reset();
  has_ = answer != LockState::Answer::kHeld;
  owner_died_ = answer == LockState::Answer::kOwnerDied;
  if (!has_) failure_ = LockFailure::kHeld;
  return true;
}

bool Acquisition::done() {
  if (!state_->served(*waiter_)) return false;
  has_ = true;
  owner_died_ = waiter_->owner_died;
  waiter_.reset();
  return true;
}

void Acquisition::expire() {
  if (waiter_) {
    if (done()) return;
    state_->withdraw(*waiter_);
    waiter_.reset();
  }
  failure_ = tries_ ? LockFailure::kWouldWait : LockFailure::kTimedOut;
}

LockResult<bool> Acquisition::take() {
  if (!std::exchange(has_, false)) return std::unexpected(failure_.value_or(LockFailure::kTimedOut));
  return owner_died_;
}

}  // namespace weft::detail

namespace weft {

LockHold::~LockHold() {
  if (state_) (void)state_->release(0);
}

LockResult<LockHold> ProcessLock::Acquire::await_resume() {
  const LockResult<bool> taken = take();
  if (!taken) return std::unexpected(taken.error());
  return LockHold(state_, *taken);
}

LockStats ProcessLock::stats() const { return state_->stats(); }

}  // namespace weft

namespace weft::process {

Result<std::shared_ptr<detail::LockState>> Society::open_lock(std::string_view name, std::uint32_t permits) {
  if (permits == 0) return fail(ErrorKind::kBadArgument, "a lock without permits could never be had");
  auto opened = locks_.open(name, [permits] { return std::make_shared<detail::LockState>(permits); });
  if (opened && (*opened)->permits() != permits) {
    return fail(ErrorKind::kBadArgument, "the lock " + std::string(name) + " has " + std::to_string((*opened)->permits()) +
                                             " permits, not " + std::to_string(permits));
  }
  return opened;
}

}  // namespace weft::process
