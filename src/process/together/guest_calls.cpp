#include "process/together/guest_calls.hpp"

#include <algorithm>

#include "guest/host_functions.hpp"
#include "process/guest_task.hpp"

namespace weft::process {

HostFunctions guest_calls(const HostFunctions& unless_in, Payment payment) {
  HostFunctions all;
  define_process_calls(all);
  define_grant_calls(all);
  define_channel_calls(all);
  define_wait_calls(all);
  define_lock_calls(all);
  define_region_calls(all, payment);
  define_topic_calls(all);
  const auto taken = [&unless_in](const HostFunctions::Function& one) {
    return std::ranges::any_of(unless_in.all(),
                               [&one](const auto& other) { return other.module == one.module && other.name == one.name; });
  };
  HostFunctions ours;
  for (const HostFunctions::Function& one : all.all()) {
    if (!taken(one)) ours.add(one);
  }
  return ours;
}

Process::State& caller_of(Caller& caller) { return static_cast<GuestTask&>(guest::call_host_of(caller)).process(); }
std::uint32_t thread_of(Caller& caller) { return static_cast<GuestTask&>(guest::call_host_of(caller)).thread(); }

StateRef reach(Process::State& from, ProcessId to) { return from.environment.table.find(to); }

Task<std::int32_t> pay(Process::State& self, SyncOperation operation) {
  FuelPool::Take take = self.fuel.take(FuelOperation::synchronization(operation));
  const Result<void> paid = co_await take;
  co_return paid ? 0 : wasi::kQuota;
}

Result<std::span<std::byte>> guest_bytes(Caller& caller, std::uint32_t at, std::uint32_t size, std::string_view what) {
  if (auto bytes = caller.bytes(at, size)) return *bytes;
  return fail(ErrorKind::kBadArgument, std::string(what) + ": " + std::to_string(size) + " bytes at " + std::to_string(at) +
                                           " are not all in the guest's memory");
}

Result<std::string> guest_text(Caller& caller, std::uint32_t at, std::uint32_t size, std::uint32_t size_max,
                               std::string_view what) {
  Result<std::span<std::byte>> bytes = guest_bytes(caller, at, size, what);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  // One byte more than is allowed says as much as all of them.
  return std::string(reinterpret_cast<const char*>(bytes->data()), std::min<std::size_t>(size, std::size_t{size_max} + 1));
}

std::int32_t to_errno(MailError error) {
  switch (error.failure) {
    case MailFailure::kWouldWait:
      return wasi::kAgain;
    case MailFailure::kTimedOut:
      return wasi::kTimedOut;
    case MailFailure::kClosed:
      return wasi::kNoProcess;
    case MailFailure::kTooLarge:
      return wasi::kMessageSize;
  }
  return wasi::kInvalid;
}

}  // namespace weft::process
