// Locks that processes share by name: mutexes and semaphores that survive the death of who holds them.
//
//   weft::Result<weft::ProcessLock> lock = weft::open_lock(runtime, "ledger");       // a mutex; with permits = 3 a semaphore
//   weft::LockResult<weft::LockHold> hold = co_await lock->acquire();
//   if (hold && hold->owner_died()) repair();
//   …                                                                                // given back with the hold
//
// Who waits is served in order. A process that ends gives back what it held, and the next one that acquires is told so, once: what the lock protects may be half
// done. A permit belongs to the process that acquired it (to the host, for a LockHold): nobody else can give it back. A process cannot have a mutex twice.
// A task that is dropped while it waits gives its place up, or the permit, if it had just been given.
//
// A lock lives as long as somebody has it open. Guests open it by the same name (import module weft_lock, weft/lock.h). A handle: copy it freely, use it from any
// thread; dropping it gives nothing back.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "weft/error.hpp"
#include "weft/process.hpp"
#include "weft/waitable.hpp"

namespace weft {

class Runtime;

enum class LockFailure : std::uint8_t {
  kWouldWait,  // the bound is zero and all permits are taken
  kTimedOut,
  kHeld,  // the process has this mutex already
};
template <class T>
using LockResult = std::expected<T, LockFailure>;

struct LockStats {
  std::uint32_t free = 0;  // permits
  std::size_t holders = 0;
  std::size_t waiting = 0;
};

namespace detail {
class LockState;
struct LockWaiter;

// Of a process, or of the host (0).
class Acquisition : public Operation {
 public:
  Acquisition(std::shared_ptr<LockState> state, ProcessId owner, Duration bound);
  ~Acquisition() override;

 protected:
  bool begin(const sync::Sleeper& sleeper) final;
  bool done() final;
  void expire() final;
  const char* reason() const noexcept final { return "process lock"; }
  // The permit is the caller's. True: its last owner died.
  LockResult<bool> take();

  const std::shared_ptr<LockState> state_;

 private:
  bool over(bool served);

  const ProcessId owner_;
  const bool tries_;
  std::unique_ptr<LockWaiter> waiter_;
  std::optional<LockFailure> failure_{};
  bool has_ = false;
  bool owner_died_ = false;
};
}  // namespace detail

// One permit of the host. Movable; given back when it is dropped.
class [[nodiscard]] LockHold {
 public:
  LockHold(std::shared_ptr<detail::LockState> state, bool owner_died) : state_(std::move(state)), owner_died_(owner_died) {}
  LockHold(LockHold&&) noexcept = default;
  LockHold& operator=(LockHold&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  LockHold(const LockHold&) = delete;
  LockHold& operator=(const LockHold&) = delete;
  ~LockHold();
  bool owner_died() const noexcept { return owner_died_; }

 private:
  std::shared_ptr<detail::LockState> state_;
  bool owner_died_ = false;
};

class ProcessLock {
 public:
  class [[nodiscard]] Acquire final : public detail::Acquisition {
   public:
    using Acquisition::Acquisition;
    LockResult<LockHold> await_resume();
    // Parks the calling thread instead of a task. Never on a worker (asserted).
    LockResult<LockHold> block() {
      run_blocking();
      return await_resume();
    }
  };

  // Parks until a permit is free.
  Acquire acquire(Duration bound = kForever) const { return {state_, 0, bound}; }
  LockStats stats() const;

  explicit ProcessLock(std::shared_ptr<detail::LockState> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<detail::LockState> state_;
};

// The lock of that name, made if nobody has it open. Any thread. kBadArgument: no permits, or not as many as those have it open with; a name of no bytes
// or of more than 255. kExhausted: there are 16,384 already.
Result<ProcessLock> open_lock(const Runtime& runtime, std::string_view name, std::uint32_t permits = 1);

}  // namespace weft
