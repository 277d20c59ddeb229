// What the import modules weft_process, weft_channel, weft_wait, weft_lock, weft_topic and weft_region share (docs/guide/messages.md; headers for guests in sdk/include/weft).
//
// Their functions answer 0 or an errno of WASI, those that answer with an id or a handle -errno instead. They trap for one thing only: a pointer to what is not
// memory of the guest. What a guest points to is checked, then copied once; after every wait it is looked up anew, since memory may have moved.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "process/state.hpp"
#include "process/together/society.hpp"
#include "weft/fuel_pool.hpp"
#include "weft/host.hpp"
#include "weft/waitable.hpp"

namespace weft::process {

// WASI preview 1.
namespace wasi {
inline constexpr std::int32_t kAccess = 2;
inline constexpr std::int32_t kAgain = 6;
inline constexpr std::int32_t kBadHandle = 8;
inline constexpr std::int32_t kCancelled = 11;
inline constexpr std::int32_t kDeadlock = 16;
inline constexpr std::int32_t kQuota = 19;
inline constexpr std::int32_t kExists = 20;
inline constexpr std::int32_t kInvalid = 28;
inline constexpr std::int32_t kTooManyHandles = 33;
inline constexpr std::int32_t kMessageSize = 35;
inline constexpr std::int32_t kNotFound = 44;
inline constexpr std::int32_t kNoSpace = 51;
inline constexpr std::int32_t kOverflow = 61;
inline constexpr std::int32_t kOwnerDied = 62;
inline constexpr std::int32_t kNotPermitted = 63;
inline constexpr std::int32_t kPipe = 64;
inline constexpr std::int32_t kNoProcess = 71;
inline constexpr std::int32_t kTimedOut = 73;
}  // namespace wasi

inline constexpr const char* kRegionModule = "weft_region";

// For whom: most functions find out at the call; those that never wait but for fuel have to be others (process/paid_link.hpp).
enum class Payment : std::uint8_t { kNone, kFromPool };

// All of them, but for those that `unless_in` has: an embedder's own go first.
HostFunctions guest_calls(const HostFunctions& unless_in, Payment payment);

// Each adds its import module, or its functions to one.
void define_process_calls(HostFunctions& functions);
void define_grant_calls(HostFunctions& functions);
void define_channel_calls(HostFunctions& functions);
void define_wait_calls(HostFunctions& functions);
void define_lock_calls(HostFunctions& functions);
void define_region_calls(HostFunctions& functions, Payment payment);
void define_topic_calls(HostFunctions& functions);

// The process that calls.
Process::State& caller_of(Caller& caller);
// And which of its threads.
std::uint32_t thread_of(Caller& caller);

// Every call that names another process comes through here: the place for rules about who may reach whom. Null: no such process.
StateRef reach(Process::State& from, ProcessId to);

// Pays for a call from the pool of fuel that the process draws from: waits for it, or answers kQuota, as the pool says. Else 0. Only if there is a pool, and before
// the guest's memory is looked at. A batch is one call.
Task<std::int32_t> pay(Process::State& self, SyncOperation operation);

// What a call that may wait answers, and what it answers if it need not.
using Answer = Task<Result<std::int32_t>>;
using Attempt = std::optional<Result<std::int32_t>>;

// For HostFunctions::define: an attempt, but for processes that pay, which may have to wait for that.
template <class... Arguments>
auto unless_paid(Attempt (*attempt)(Caller&, Arguments...)) {
  return [attempt](Caller& caller, Arguments... arguments) -> Attempt {
    if (caller_of(caller).fuel) return std::nullopt;
    return attempt(caller, arguments...);
  };
}

// `what` is for the trap's message.
Result<std::span<std::byte>> guest_bytes(Caller& caller, std::uint32_t at, std::uint32_t size, std::string_view what);
Result<std::string> guest_text(Caller& caller, std::uint32_t at, std::uint32_t size, std::uint32_t size_max, std::string_view what);
template <class T>
Result<void> guest_store(Caller& caller, std::uint32_t at, const T& value, std::string_view what) {
  Result<std::span<std::byte>> to = guest_bytes(caller, at, sizeof value, what);
  if (!to) return std::unexpected(std::move(to.error()));
  std::memcpy(to->data(), &value, sizeof value);
  return {};
}

// Nanoseconds; negative: for ever.
inline Duration guest_bound(std::int64_t timeout_ns) { return timeout_ns < 0 ? kForever : Duration(timeout_ns); }

std::int32_t to_errno(MailError error);

}  // namespace weft::process
