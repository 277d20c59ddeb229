// A pool of fuel that operations are paid from: spawning (by the size of the stack), joining, switching, each kind of synchronisation. Several users
// of one pool share what it gives; what it gains over time bounds how much they may do, on average and at once. (Not Limits::fuel, which counts a guest's
// instructions.)
//
//   weft::Result<weft::FuelPool> pool = weft::FuelPool::create({.capacity = 10'000, .regeneration_per_second = 2'000});
//   runtime.spawn(program, {.fuel = *pool});                                  // this process, its threads and their waits draw from it
//   if (auto paid = pool->try_take(weft::FuelOperation::join()); !paid) …     // kExhausted says how much was missing
//   co_await pool->take(weft::FuelOperation::synchronization(weft::SyncOperation::kChannel));   // waits its turn, or fails, as configured
//
// A FuelPool is a counted handle: copy it freely, any function from any thread. Dropping the last one while somebody waits cannot happen:
// who waits has one. An operation that is paid for is not paid back, unless somebody calls give_back().
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "weft/error.hpp"
#include "weft/task.hpp"
#include "weft/units.hpp"

namespace weft {

namespace sync {
class FuelPoolState;
struct FuelWaiter;
}  // namespace sync

enum class SyncOperation : std::uint8_t {
  kMutex,
  kReadWriteLock,
  kCondition,
  kSemaphore,
  kBarrier,
  kEvent,
  kChannel,
  kMailbox,
  kWait,
  kNotify,
  kRegion  // a read, a write or a word of a shared region
};
inline constexpr std::size_t kSyncOperations = 11;

// What is paid for.
struct FuelOperation {
  enum class Kind : std::uint8_t { kSpawn, kJoin, kSwitch, kSynchronization };
  Kind kind = Kind::kSpawn;
  SyncOperation sync = SyncOperation::kMutex;  // kSynchronization: which
  std::uint64_t stack_bytes = 0;               // kSpawn: of the stack

  static FuelOperation spawn(std::uint64_t stack_bytes) { return {Kind::kSpawn, SyncOperation::kMutex, stack_bytes}; }
  static FuelOperation join() { return {Kind::kJoin, SyncOperation::kMutex, 0}; }
  static FuelOperation context_switch() { return {Kind::kSwitch, SyncOperation::kMutex, 0}; }
  static FuelOperation synchronization(SyncOperation which) { return {Kind::kSynchronization, which, 0}; }
};

// Units of fuel. 0: free.
struct FuelRates {
  std::uint64_t spawn = 100;
  std::uint64_t spawn_per_stack_page = 1;  // for each 64 KiB of stack begun
  std::uint64_t join = 10;
  std::uint64_t context_switch = 0;
  std::array<std::uint64_t, kSyncOperations> synchronization{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};  // by SyncOperation
};

// What take() does when there is not enough.
enum class OnExhausted : std::uint8_t {
  kWait,  // until there is: first come, first served, so that a large request is not starved by small ones
  kFail,  // kExhausted at once
};

struct FuelPoolOptions {
  std::uint64_t capacity = 0;                 // units; 1 … 2^53
  std::optional<std::uint64_t> initial{};     // what is there at first; unset: the capacity
  std::uint64_t regeneration_per_second = 0;  // units gained, up to the capacity; 0: only give_back() fills it. At most 10^12
  FuelRates rates{};
  OnExhausted on_exhausted = OnExhausted::kWait;
  std::string name = "fuel";  // for errors and dumps
  // Nanoseconds that never go back, called under the pool's lock; unset: the machine's. With one of your own call refresh() when it has moved: waits
  // are timed by the machine's.
  std::function<std::uint64_t()> clock{};
};

struct FuelPoolStats {
  std::uint64_t capacity = 0;
  std::int64_t available = 0;  // below zero: a debt, see owe()
  std::uint64_t taken = 0;     // in all, less what was given back by waits that were given up
  std::uint64_t operations = 0;
  std::uint64_t refused = 0;  // try_take() and take() that failed for want of fuel
  std::uint64_t waited = 0;   // take() that had to wait
  std::uint64_t waiting = 0;  // now
};

class FuelPool {
 public:
  FuelPool() = default;
  explicit operator bool() const noexcept { return state_ != nullptr; }

  // kBadArgument: a capacity of 0 or beyond 2^53, more at first than fits, a regeneration beyond 10^12.
  static Result<FuelPool> create(FuelPoolOptions options);

  std::uint64_t capacity() const noexcept;
  OnExhausted on_exhausted() const noexcept;
  std::uint64_t cost_of(const FuelOperation& operation) const noexcept;

  // Takes it all or nothing; never waits, and does not pass those who wait. kExhausted: how much was asked for and is there.
  // kBadArgument: more than the capacity.
  Result<void> try_take(std::uint64_t amount) const;
  Result<void> try_take(const FuelOperation& operation) const { return try_take(cost_of(operation)); }

  class [[nodiscard]] Take final : public Awaitable {
   public:
    Take(std::shared_ptr<sync::FuelPoolState> state, std::uint64_t amount, Duration bound);
    Take(const Take&) = delete;
    Take& operator=(const Take&) = delete;
    ~Take() override;  // gives a wait up; what had been granted meanwhile goes back
    bool poll(detail::TaskContext& context) override;
    // kExhausted: OnExhausted::kFail, and not enough was there. kTimedOut: the bound has passed. kBadArgument: more than the capacity.
    Result<void> await_resume();
    // The same on a thread of the host. Never on a worker (asserted).
    Result<void> block();

   private:
    enum class Outcome : std::uint8_t { kNone, kTaken, kRefused, kTooMuch, kTimedOut };
    bool begin(std::unique_ptr<sync::FuelWaiter> waiter);

    const std::shared_ptr<sync::FuelPoolState> state_;
    const std::uint64_t amount_;
    const Duration bound_;
    std::uint64_t deadline_ns_ = 0;
    Outcome outcome_ = Outcome::kNone;
    std::unique_ptr<sync::FuelWaiter> waiter_;
  };
  // Takes it as soon as there is enough, in turn; or fails at once (OnExhausted). co_await it in a task, or block() on a thread of the host.
  Take take(std::uint64_t amount, Duration bound = Duration::max()) const { return {state_, amount, bound}; }
  Take take(const FuelOperation& operation, Duration bound = Duration::max()) const { return {state_, cost_of(operation), bound}; }

  // For an operation that cannot be refused: takes it even if it is not there. The debt (at most the capacity; what goes beyond is forgiven) has to be
  // regained before anybody gets anything.
  void owe(const FuelOperation& operation) const noexcept;
  // Puts fuel back, up to the capacity.
  void give_back(std::uint64_t amount) const;
  // Looks at the clock and serves those who wait. Needed with a clock of your own only.
  void refresh() const;

  std::int64_t available() const;  // now; below zero: a debt
  FuelPoolStats stats() const;

  const std::shared_ptr<sync::FuelPoolState>& state() const noexcept { return state_; }

 private:
  explicit FuelPool(std::shared_ptr<sync::FuelPoolState> state) : state_(std::move(state)) {}
  std::shared_ptr<sync::FuelPoolState> state_;
};

}  // namespace weft
