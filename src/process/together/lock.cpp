#include "process/together/lock.hpp"

#include <utility>

#include "process/environment.hpp"
#include "process/together/society.hpp"
#include "weft/runtime.hpp"

namespace weft::detail {

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

bool Acquisition::done() { return over(state_->served(*waiter_)); }

void Acquisition::expire() {
  if (waiter_ && over(state_->expire(*waiter_))) return;
  waiter_.reset();
  failure_ = tries_ ? LockFailure::kWouldWait : LockFailure::kTimedOut;
}

bool Acquisition::over(bool served) {
  if (!served) return false;
  has_ = true;
  owner_died_ = waiter_->owner_died;
  waiter_.reset();
  return true;
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
