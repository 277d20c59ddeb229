// LockState: behind weft::ProcessLock and the handles of guests. How it does it, is in lock_core.hpp.
#pragma once

#include "process/together/lock_core.hpp"
#include "process/together/shareable.hpp"
#include "sync/sleeper.hpp"
#include "weft/process_lock.hpp"

namespace weft::detail {

struct LockWaiter final : BasicLockWaiter<sync::Sleeper> {
  using BasicLockWaiter::BasicLockWaiter;
};

class LockState final : public process::Shareable, public LockCore<sync::Sleeper> {
 public:
  using LockCore::LockCore;

  void process_gone(ProcessId process) override { owner_gone(process); }
  // A process that closed it while one of its threads is about to get it would hold it unknown to anybody.
  bool may_be_dropped() const override { return false; }
};

}  // namespace weft::detail
