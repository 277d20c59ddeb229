// Import module weft_lock. sdk/include/weft/lock.h says what each function does.
#include "process/together/guest_calls.hpp"
#include "process/together/lock.hpp"

namespace weft::process {
namespace {

// As of a host's task, but the permit is the process's.
class GuestAcquire final : public detail::Acquisition {
 public:
  using Acquisition::Acquisition;
  LockResult<bool> await_resume() { return take(); }
};

Result<std::int32_t> open(Caller& caller, std::uint32_t at, std::uint32_t size, std::uint32_t permits) {
  Process::State& self = caller_of(caller);
  const Result<std::string> name = guest_text(caller, at, size, Society::kNameBytesMax, "weft_lock.open");
  if (!name) return std::unexpected(name.error());
  const auto lock = self.environment.society.open_lock(*name, permits);
  if (!lock) return lock.error().kind == ErrorKind::kExhausted ? -wasi::kNoSpace : -wasi::kInvalid;
  return Society::add_handle(self, *lock);
}

Task<Result<std::int32_t>> acquire(Caller& caller, std::int32_t handle, std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  auto lock = std::dynamic_pointer_cast<detail::LockState>(Society::find_handle(self, handle));
  if (!lock) co_return wasi::kBadHandle;
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, lock->permits() == 1 ? SyncOperation::kMutex : SyncOperation::kSemaphore);
    if (refused != 0) co_return refused;
  }
  GuestAcquire operation(std::move(lock), self.id, guest_bound(timeout_ns));
  const LockResult<bool> taken = co_await operation;
  if (taken) co_return *taken ? wasi::kOwnerDied : 0;
  switch (taken.error()) {
    case LockFailure::kWouldWait:
      co_return wasi::kAgain;
    case LockFailure::kTimedOut:
      co_return wasi::kTimedOut;
    case LockFailure::kHeld:
      break;
  }
  co_return wasi::kDeadlock;
}

std::int32_t release(Caller& caller, std::int32_t handle) {
  Process::State& self = caller_of(caller);
  const auto lock = std::dynamic_pointer_cast<detail::LockState>(Society::find_handle(self, handle));
  if (!lock) return wasi::kBadHandle;
  return lock->release(self.id) ? 0 : wasi::kNotPermitted;
}

}  // namespace

void define_lock_calls(HostFunctions& functions) {
  constexpr const char* kModule = "weft_lock";
  functions.define(kModule, "open", open);
  functions.define(kModule, "acquire", acquire);
  functions.define(kModule, "release", release);
}

}  // namespace weft::process
