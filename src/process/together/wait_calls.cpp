// Import module weft_wait: wait sets and events. sdk/include/weft/wait.h says what each function does.
#include <algorithm>
#include <vector>

#include "process/together/channel_end.hpp"
#include "process/together/guest_calls.hpp"
#include "process/together/topic.hpp"
#include "weft/wait_set.hpp"

namespace weft::process {
namespace {

constexpr std::size_t kSetsMax = 16;
constexpr std::uint32_t kMembersMax = 1024;
constexpr std::uint32_t kAll = UINT32_MAX;

enum class Kind : std::uint32_t { kProcess, kReadable, kWritable, kMailbox, kTopic, kTimer, kEvent, kThread };

// struct weft_wait_event
struct Ready {
  std::uint64_t key = 0;
  std::uint32_t gone = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Ready) == 16);

// A process's own: what is in it refers to that process.
struct GuestWaitSet final : Shareable {
  bool may_be_granted() const override { return false; }
  const WaitSet set{WaitSetOptions{.members_max = kMembersMax}};
};

struct GuestEvent final : Shareable {
  const Event event{};
};

template <class T>
std::shared_ptr<const T> find(Process::State& self, std::int64_t handle) {
  if (handle < 0 || handle > INT32_MAX) return nullptr;
  return std::dynamic_pointer_cast<const T>(Society::find_handle(self, static_cast<std::int32_t>(handle)));
}

std::int32_t set_new(Caller& caller) { return Society::add_handle(caller_of(caller), std::make_shared<GuestWaitSet>(), kSetsMax); }

// What a guest names, or an errno.
std::expected<Waitable, std::int32_t> waitable_of(Process::State& self, Kind kind, std::int64_t argument) {
  switch (kind) {
    case Kind::kProcess: {
      if (static_cast<ProcessId>(argument) == self.id) return std::unexpected(wasi::kDeadlock);
      StateRef target = reach(self, static_cast<ProcessId>(argument));
      if (!target) return std::unexpected(wasi::kNoProcess);
      return Process(std::move(target)).when_exited();
    }
    case Kind::kReadable: {
      const auto end = find<ChannelEnd>(self, argument);
      if (!end || !end->receiver) return std::unexpected(wasi::kBadHandle);
      return end->receiver.readable();
    }
    case Kind::kWritable: {
      const auto end = find<ChannelEnd>(self, argument);
      if (!end || !end->sender) return std::unexpected(wasi::kBadHandle);
      return end->sender.writable();
    }
    case Kind::kMailbox: {
      Peer* const peer = self.peer();
      if (peer == nullptr) return std::unexpected(wasi::kNoProcess);
      return sync::to_waitable(*peer->mailbox);
    }
    case Kind::kTopic: {
      const auto from = find<detail::SubscriptionState>(self, argument);
      if (!from) return std::unexpected(wasi::kBadHandle);
      return from->mailbox().readable();
    }
    case Kind::kTimer:
      return timer(Duration(std::max<std::int64_t>(argument, 0)));
    case Kind::kEvent: {
      const auto known = find<GuestEvent>(self, argument);
      if (!known) return std::unexpected(wasi::kBadHandle);
      return known->event.when_set();
    }
    case Kind::kThread: {
      if (argument == 0) return std::unexpected(wasi::kDeadlock);
      Waitable end = self.when_thread_ended(static_cast<std::uint64_t>(argument));
      if (!end) return std::unexpected(wasi::kNoProcess);
      return end;
    }
  }
  return std::unexpected(wasi::kInvalid);
}

std::int32_t add(Caller& caller, std::int32_t handle, std::uint64_t key, std::uint32_t kind, std::int64_t argument) {
  Process::State& self = caller_of(caller);
  const auto in = find<GuestWaitSet>(self, handle);
  if (!in) return wasi::kBadHandle;
  const std::expected<Waitable, std::int32_t> what = waitable_of(self, static_cast<Kind>(kind), argument);
  if (!what) return what.error();
  const Result<void> added = in->set.add(key, *what);
  if (added) return 0;
  switch (added.error().kind) {
    case ErrorKind::kExhausted:
      return wasi::kNoSpace;
    case ErrorKind::kCancelled:
      return wasi::kBadHandle;
    default:
      return wasi::kExists;
  }
}

std::int32_t remove(Caller& caller, std::int32_t handle, std::uint64_t key) {
  const auto from = find<GuestWaitSet>(caller_of(caller), handle);
  if (!from) return wasi::kBadHandle;
  return from->set.remove(key) ? 0 : wasi::kNotFound;
}

Task<Result<std::int32_t>> wait(Caller& caller, std::int32_t handle, std::uint32_t events_at, std::uint32_t most,
                                std::uint32_t least, std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kWait);
    if (refused != 0) co_return -refused;
  }
  if (most == 0 || most > kMembersMax || least == 0 || (least != kAll && least > most)) co_return -wasi::kInvalid;
  const std::uint32_t bytes = most * static_cast<std::uint32_t>(sizeof(Ready));
  if (const auto to = guest_bytes(caller, events_at, bytes, "wait: the events"); !to) co_return std::unexpected(to.error());
  auto in = find<GuestWaitSet>(self, handle);
  if (!in) co_return -wasi::kBadHandle;
  if (least == kAll && in->set.size() > most) co_return -wasi::kInvalid;
  const WaitFor what{.least = least == kAll ? WaitFor::kAll : least, .most = most, .bound = guest_bound(timeout_ns)};
  WaitSet::Wait operation = in->set.wait(what);
  in.reset();  // who drops the handle meanwhile closes the set
  Result<std::vector<WaitEvent>> events = co_await operation;
  if (!events) {
    if (events.error().kind == ErrorKind::kCancelled) co_return -wasi::kCancelled;
    co_return timeout_ns == 0 ? -wasi::kAgain : -wasi::kTimedOut;
  }
  // For all there are members may have been added meanwhile. What is ready stays so; that one is gone is said once.
  if (events->size() > most) {
    std::ranges::partition(*events, &WaitEvent::gone);
    events->resize(most);
  }
  std::vector<Ready> ready;
  ready.reserve(events->size());
  for (const WaitEvent& event : *events) ready.push_back({.key = event.key, .gone = event.gone ? 1U : 0U});
  const auto to = guest_bytes(caller, events_at, static_cast<std::uint32_t>(ready.size() * sizeof(Ready)), "wait: the events");
  if (!to) co_return std::unexpected(to.error());
  if (!ready.empty()) std::memcpy(to->data(), ready.data(), to->size());
  co_return static_cast<std::int32_t>(ready.size());
}

std::int32_t event_new(Caller& caller) { return Society::add_handle(caller_of(caller), std::make_shared<GuestEvent>()); }

Task<Result<std::int32_t>> event_set(Caller& caller, std::int32_t handle) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kEvent);
    if (refused != 0) co_return refused;
  }
  const auto known = find<GuestEvent>(self, handle);
  if (!known) co_return wasi::kBadHandle;
  known->event.set();
  co_return 0;
}

std::int32_t event_reset(Caller& caller, std::int32_t handle) {
  const auto known = find<GuestEvent>(caller_of(caller), handle);
  if (!known) return wasi::kBadHandle;
  known->event.reset();
  return 0;
}

}  // namespace

void define_wait_calls(HostFunctions& functions) {
  constexpr const char* kModule = "weft_wait";
  functions.define(kModule, "set_new", set_new);
  functions.define(kModule, "add", add);
  functions.define(kModule, "remove", remove);
  functions.define(kModule, "wait", wait);
  functions.define(kModule, "event_new", event_new);
  functions.define(kModule, "event_set", event_set);
  functions.define(kModule, "event_reset", event_reset);
}

}  // namespace weft::process
