// Import module weft_channel. sdk/include/weft/channel.h says what each function does.
//
// A message is copied twice: out of the sender's memory into Bytes, and out of them into the receiver's. What is received was never more than the guest has room
// for: the channel itself is told how much that is (Receiver::receive_for), also while the receiver waits. From taking a message out of the channel to copying it
// the guest cannot be stopped, so none is lost with it.
#include <algorithm>
#include <limits>
#include <span>
#include <typeinfo>
#include <vector>

#include "process/together/channel_end.hpp"
#include "process/together/guest_calls.hpp"

namespace weft::process {
namespace {

constexpr std::uint32_t kCapacityMax = 65'536;
constexpr std::uint32_t kBytesMax = 1U << 20;       // of a channel that a guest makes
constexpr std::uint32_t kBatchMax = 1024;           // messages
constexpr std::uint64_t kBatchBytesMax = 1U << 20;  // of several that are sent by one call

// struct weft_received
struct Received {
  std::uint64_t lost = 0;
  std::uint32_t size = 0;
  std::uint32_t count = 0;
};
static_assert(sizeof(Received) == 16);

// struct weft_channel_stats
struct Stats {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  std::uint32_t senders = 0;
  std::uint32_t receivers = 0;
  std::uint32_t senders_waiting = 0;
  std::uint32_t receivers_waiting = 0;
  std::uint32_t closed = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Stats) == 64);

using End = std::shared_ptr<const ChannelEnd>;

End end_of(Process::State& self, std::int32_t handle) {
  std::shared_ptr<Shareable> found = Society::find_handle(self, handle);
  // Nothing derives from it, and a dynamic cast takes ten times as long.
  if (!found || typeid(*found) != typeid(ChannelEnd)) return nullptr;
  return std::static_pointer_cast<const ChannelEnd>(std::move(found));
}
End end_of(Caller& caller, std::int32_t handle) { return end_of(caller_of(caller), handle); }

std::int32_t to_errno(ChannelError error) {
  switch (error.failure) {
    case ChannelFailure::kWouldWait:
      return wasi::kAgain;
    case ChannelFailure::kTimedOut:
      return wasi::kTimedOut;
    case ChannelFailure::kClosed:
      return wasi::kPipe;
    case ChannelFailure::kTooLarge:
      return wasi::kMessageSize;
    case ChannelFailure::kOverLimit:
      return wasi::kNoSpace;
    case ChannelFailure::kLost:
      return wasi::kOverflow;
  }
  return wasi::kInvalid;
}

// What a channel is paid from, and given back to when it goes.
struct ChannelPayment {
  ChannelPayment(std::shared_ptr<Budget> by_maker, std::shared_ptr<Budget> by_all, std::uint64_t of)
      : maker(std::move(by_maker)), all(std::move(by_all)), bytes(of) {}
  ChannelPayment(const ChannelPayment&) = delete;
  ChannelPayment& operator=(const ChannelPayment&) = delete;
  ~ChannelPayment() {
    maker->give_back(bytes);
    all->give_back(bytes);
  }
  const std::shared_ptr<Budget> maker;
  const std::shared_ptr<Budget> all;
  const std::uint64_t bytes;
};

Result<std::int32_t> make(Caller& caller, std::uint32_t kind, std::uint32_t capacity, std::uint32_t bytes_max, std::uint32_t loses,
                          std::uint32_t ends_at) {
  Process::State& self = caller_of(caller);
  if (const auto to = guest_bytes(caller, ends_at, 2 * sizeof(std::int32_t), "make: the ends"); !to)
    return std::unexpected(to.error());
  if (kind > static_cast<std::uint32_t>(ChannelKind::kBroadcast) || capacity > kCapacityMax || bytes_max > kBytesMax || loses > 1)
    return wasi::kInvalid;
  const std::uint32_t bytes = bytes_max == 0 ? kBytesMax : bytes_max;
  const ChannelOptions options{.kind = static_cast<ChannelKind>(kind),
                               .capacity = capacity,
                               .bytes_max = bytes,
                               .message_bytes_max = bytes,
                               .slow_receiver = loses != 0 ? SlowReceiver::kLoses : SlowReceiver::kHoldsBack};
  std::shared_ptr<const void> paid = self.environment.society.pay_for_channel(self, bytes);
  const bool enough = paid != nullptr;
  // What makes no sense is said first.
  Result<Channel> made = detail::make_channel(options, std::move(paid));
  if (!made) return wasi::kInvalid;
  if (!enough) return wasi::kNoSpace;
  std::int32_t ends[2] = {};
  ends[0] = Society::add_handle(self, std::make_shared<ChannelEnd>(std::move(made->sender), true));
  if (ends[0] < 0) return -ends[0];
  ends[1] = Society::add_handle(self, std::make_shared<ChannelEnd>(std::move(made->receiver)));
  if (ends[1] < 0) {
    (void)Society::drop_handle(self, ends[0]);
    return -ends[1];
  }
  if (const auto stored = guest_store(caller, ends_at, ends, "make"); !stored) return std::unexpected(stored.error());
  return 0;
}

// A message that is copied a second time if it has to wait after all.
constexpr std::uint32_t kAttemptBytesMax = 4096;

Attempt try_send(Caller& caller, std::int32_t handle, std::uint32_t at, std::uint32_t size, std::int64_t timeout_ns) {
  const Result<std::span<std::byte>> bytes = guest_bytes(caller, at, size, "send");
  if (!bytes) return std::unexpected(bytes.error());
  const End end = end_of(caller, handle);
  if (!end || !end->sender) return wasi::kBadHandle;
  // Before it is copied: a guest may have gigabytes.
  if (size > end->sender.message_bytes_max()) return wasi::kMessageSize;
  if (timeout_ns != 0 && size > kAttemptBytesMax) return std::nullopt;
  const ChannelResult<void> sent = end->sender.try_send(Bytes::copy_of(*bytes));
  if (!sent && sent.error().failure == ChannelFailure::kWouldWait && timeout_ns != 0) return std::nullopt;
  return sent ? 0 : to_errno(sent.error());
}

Answer send(Caller& caller, std::int32_t handle, std::uint32_t at, std::uint32_t size, std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kChannel);
    if (refused != 0) co_return refused;
    if (Attempt answer = try_send(caller, handle, at, size, timeout_ns)) co_return *std::move(answer);
  }
  const End end = end_of(self, handle);
  const Result<std::span<std::byte>> bytes = guest_bytes(caller, at, size, "send");
  if (!end || !bytes) co_return wasi::kBadHandle;  // closed by another thread of the guest
  Sender::Send operation = end->sender.send_for(Bytes::copy_of(*bytes), guest_bound(timeout_ns));
  const ChannelResult<void> sent = co_await operation;
  co_return sent ? 0 : to_errno(sent.error());
}

// The messages that lie one after the other at `at`: as many of the first ones as there may be at once.
Result<std::vector<Bytes>> messages_at(Caller& caller, std::uint32_t at, std::uint32_t sizes_at, std::uint32_t count,
                                       std::uint64_t message_bytes_max) {
  const auto sizes_bytes =
      guest_bytes(caller, sizes_at, count * static_cast<std::uint32_t>(sizeof(std::uint32_t)), "send_many: the sizes");
  if (!sizes_bytes) return std::unexpected(sizes_bytes.error());
  std::vector<std::uint32_t> sizes(count);
  if (count != 0) std::memcpy(sizes.data(), sizes_bytes->data(), sizes_bytes->size());
  std::uint64_t all = 0;
  for (const std::uint32_t size : sizes) all += size;
  const auto bytes = guest_bytes(caller, at, static_cast<std::uint32_t>(std::min<std::uint64_t>(all, UINT32_MAX)), "send_many");
  if (!bytes || all > UINT32_MAX) {
    return fail(ErrorKind::kBadArgument,
                "send_many: " + std::to_string(all) + " bytes at " + std::to_string(at) + " are not all in the guest's memory");
  }
  std::vector<Bytes> messages;
  messages.reserve(count);
  std::uint64_t taken = 0;
  for (const std::uint32_t size : sizes) {
    if (size > message_bytes_max || (!messages.empty() && taken + size > kBatchBytesMax)) break;
    messages.push_back(Bytes::copy_of(bytes->subspan(taken, size)));
    taken += size;
  }
  return messages;
}

Answer send_many(Caller& caller, std::int32_t handle, std::uint32_t at, std::uint32_t sizes_at, std::uint32_t count,
                 std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kChannel);
    if (refused != 0) co_return -refused;
  }
  if (count == 0 || count > kBatchMax) co_return -wasi::kInvalid;
  const End end = end_of(self, handle);
  Result<std::vector<Bytes>> messages =
      messages_at(caller, at, sizes_at, count, end && end->sender ? end->sender.message_bytes_max() : 0);
  if (!messages) co_return std::unexpected(messages.error());
  if (!end || !end->sender) co_return -wasi::kBadHandle;
  if (messages->empty()) co_return -wasi::kMessageSize;
  ChannelResult<std::size_t> sent;
  if (timeout_ns == 0) {
    sent = end->sender.try_send_many(*messages);
  } else {
    Sender::SendMany operation = end->sender.send_many_for(*messages, guest_bound(timeout_ns));
    sent = co_await operation;
  }
  co_return sent ? static_cast<std::int32_t>(*sent) : -to_errno(sent.error());
}

// Where a guest wants to have what it receives.
struct Into {
  std::uint32_t at;
  std::uint32_t size;
  std::uint32_t sizes_at;
  std::uint32_t info_at;
};

Result<void> check(Caller& caller, const Into& into, std::uint32_t sizes) {
  Result<std::span<std::byte>> room = guest_bytes(caller, into.at, into.size, "receive: the buffer");
  if (room) room = guest_bytes(caller, into.info_at, sizeof(Received), "receive: what was received");
  if (room) room = guest_bytes(caller, into.sizes_at, sizes, "receive: the sizes");
  if (!room) return std::unexpected(std::move(room.error()));
  return {};
}

// After the wait, in one go: the messages, their sizes if they are wanted, and what there is to say.
Result<void> store(Caller& caller, const Into& into, const ChannelResult<std::size_t>& result, std::span<const Bytes> messages,
                   bool with_sizes) {
  Received info;
  if (!result) {
    info.lost = result.error().lost;
    info.size = static_cast<std::uint32_t>(std::min<std::uint64_t>(result.error().bytes, UINT32_MAX));
    return guest_store(caller, into.info_at, info, "receive");
  }
  const Result<std::span<std::byte>> room = guest_bytes(caller, into.at, into.size, "receive: the buffer");
  if (!room) return std::unexpected(room.error());
  std::vector<std::uint32_t> sizes;
  for (const Bytes& message : messages.first(*result)) {
    if (!message.empty()) std::memcpy(room->data() + info.size, message.view().data(), message.size());
    info.size += static_cast<std::uint32_t>(message.size());
    if (with_sizes) sizes.push_back(static_cast<std::uint32_t>(message.size()));
  }
  info.count = static_cast<std::uint32_t>(*result);
  if (with_sizes) {
    const auto to =
        guest_bytes(caller, into.sizes_at, info.count * static_cast<std::uint32_t>(sizeof(std::uint32_t)), "receive: the sizes");
    if (!to) return std::unexpected(to.error());
    std::memcpy(to->data(), sizes.data(), to->size());
  }
  return guest_store(caller, into.info_at, info, "receive");
}

bool has_to_wait(const ChannelResult<std::size_t>& received, std::int64_t timeout_ns) {
  return !received && received.error().failure == ChannelFailure::kWouldWait && timeout_ns != 0;
}

Attempt try_receive(Caller& caller, std::int32_t handle, std::uint32_t at, std::uint32_t size, std::uint32_t info_at,
                    std::int64_t timeout_ns) {
  const Into into{at, size, info_at, info_at};
  if (const auto checked = check(caller, into, 0); !checked) return std::unexpected(checked.error());
  const End end = end_of(caller, handle);
  if (!end || !end->receiver) return wasi::kBadHandle;
  Bytes message;
  const ChannelResult<std::size_t> received = end->receiver.try_receive_many({&message, 1}, size);
  if (has_to_wait(received, timeout_ns)) return std::nullopt;
  if (const auto stored = store(caller, into, received, {&message, 1}, false); !stored) return std::unexpected(stored.error());
  return received ? 0 : to_errno(received.error());
}

Answer receive(Caller& caller, std::int32_t handle, std::uint32_t at, std::uint32_t size, std::uint32_t info_at,
               std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kChannel);
    if (refused != 0) co_return refused;
    if (Attempt answer = try_receive(caller, handle, at, size, info_at, timeout_ns)) co_return *std::move(answer);
  }
  const End end = end_of(self, handle);
  if (!end) co_return wasi::kBadHandle;
  Bytes message;
  Receiver::ReceiveMany operation = end->receiver.receive_many_for({&message, 1}, guest_bound(timeout_ns), size);
  const ChannelResult<std::size_t> received = co_await operation;
  const Into into{at, size, info_at, info_at};
  if (const auto stored = store(caller, into, received, {&message, 1}, false); !stored) co_return std::unexpected(stored.error());
  co_return received ? 0 : to_errno(received.error());
}

Attempt try_receive_many(Caller& caller, std::int32_t handle, std::uint32_t at, std::uint32_t size, std::uint32_t sizes_at,
                         std::uint32_t count, std::uint32_t info_at, std::int64_t timeout_ns) {
  if (count == 0 || count > kBatchMax) return -wasi::kInvalid;
  const Into into{at, size, sizes_at, info_at};
  if (const auto checked = check(caller, into, count * static_cast<std::uint32_t>(sizeof(std::uint32_t))); !checked)
    return std::unexpected(checked.error());
  const End end = end_of(caller, handle);
  if (!end || !end->receiver) return -wasi::kBadHandle;
  std::vector<Bytes> messages(count);
  const ChannelResult<std::size_t> received = end->receiver.try_receive_many(messages, size);
  if (has_to_wait(received, timeout_ns)) return std::nullopt;
  if (const auto stored = store(caller, into, received, messages, true); !stored) return std::unexpected(stored.error());
  return received ? static_cast<std::int32_t>(*received) : -to_errno(received.error());
}

Answer receive_many(Caller& caller, std::int32_t handle, std::uint32_t at, std::uint32_t size, std::uint32_t sizes_at,
                    std::uint32_t count, std::uint32_t info_at, std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kChannel);
    if (refused != 0) co_return -refused;
    if (Attempt answer = try_receive_many(caller, handle, at, size, sizes_at, count, info_at, timeout_ns))
      co_return *std::move(answer);
  }
  const End end = end_of(self, handle);
  if (!end) co_return -wasi::kBadHandle;
  std::vector<Bytes> messages(count);
  Receiver::ReceiveMany operation = end->receiver.receive_many_for(messages, guest_bound(timeout_ns), size);
  const ChannelResult<std::size_t> received = co_await operation;
  const Into into{at, size, sizes_at, info_at};
  if (const auto stored = store(caller, into, received, messages, true); !stored) co_return std::unexpected(stored.error());
  co_return received ? static_cast<std::int32_t>(*received) : -to_errno(received.error());
}

std::int32_t close(Caller& caller, std::int32_t handle) {
  const End end = end_of(caller, handle);
  if (!end) return wasi::kBadHandle;
  end->sender.close();
  end->receiver.close();
  return 0;
}

std::int32_t subscribe(Caller& caller, std::int32_t handle) {
  const End end = end_of(caller, handle);
  if (!end || (end->sender && !end->subscribes)) return -wasi::kBadHandle;
  return Society::add_handle(caller_of(caller),
                             std::make_shared<ChannelEnd>(end->sender ? end->sender.subscribe() : end->receiver));
}

Result<std::int32_t> stats(Caller& caller, std::int32_t handle, std::uint32_t at) {
  if (const auto to = guest_bytes(caller, at, sizeof(Stats), "stats"); !to) return std::unexpected(to.error());
  const End end = end_of(caller, handle);
  if (!end) return wasi::kBadHandle;
  const ChannelStats now = end->sender ? end->sender.stats() : end->receiver.stats();
  const auto small = [](std::size_t count) { return static_cast<std::uint32_t>(std::min<std::size_t>(count, UINT32_MAX)); };
  const Stats stats{.messages = now.messages,
                    .bytes = now.bytes,
                    .sent = now.sent,
                    .received = now.received,
                    .lost = now.lost,
                    .senders = small(now.senders),
                    .receivers = small(now.receivers),
                    .senders_waiting = small(now.senders_waiting),
                    .receivers_waiting = small(now.receivers_waiting),
                    .closed = now.closed ? 1U : 0U};
  if (const auto stored = guest_store(caller, at, stats, "stats"); !stored) return std::unexpected(stored.error());
  return 0;
}

}  // namespace

std::shared_ptr<const void> Society::pay_for_channel(Process::State& maker, std::uint64_t bytes) {
  Peer* const peer = maker.peer();
  if (peer == nullptr) return nullptr;
  std::shared_ptr<Budget> own;
  {
    base::Lock lock(peer->mutex);
    if (!peer->channels) peer->channels = std::make_shared<Budget>(maker.limits().channel_bytes);
    own = peer->channels;
  }
  const std::uint64_t cost = bytes + Budget::kOverheadBytes;
  if (!own->take(cost)) return nullptr;
  (void)channels_->take(cost);
  return std::make_shared<const ChannelPayment>(std::move(own), channels_, cost);
}

void define_channel_calls(HostFunctions& functions) {
  constexpr const char* kModule = "weft_channel";
  functions.define(kModule, "make", make);
  functions.define(kModule, "send", unless_paid(try_send), send);
  functions.define(kModule, "send_many", send_many);
  functions.define(kModule, "receive", unless_paid(try_receive), receive);
  functions.define(kModule, "receive_many", unless_paid(try_receive_many), receive_many);
  functions.define(kModule, "close", close);
  functions.define(kModule, "subscribe", subscribe);
  functions.define(kModule, "stats", stats);
}

}  // namespace weft::process
