#include "sync/channel.hpp"

#include <algorithm>
#include <new>
#include <string>

#include "sync/channel_queue.hpp"
#include "sync/waitable.hpp"

namespace weft {
namespace {

using detail::ChannelState;
using sync::Attempt;
using sync::Attempted;

constexpr std::size_t kCapacityMax = std::size_t{1} << 32U;

ChannelError failure_of(Attempted attempted) {
  switch (attempted.how) {
    case Attempt::kWouldWait:
      return {ChannelFailure::kWouldWait};
    case Attempt::kTooLarge:
      return {.failure = ChannelFailure::kTooLarge, .bytes = attempted.moved};
    case Attempt::kOverLimit:
      return {ChannelFailure::kOverLimit};
    case Attempt::kLost:
      return {ChannelFailure::kLost, attempted.moved};
    default:
      return {ChannelFailure::kClosed};
  }
}

ChannelResult<std::size_t> result_of(Attempted attempted) {
  if (attempted.how == Attempt::kMoved) return attempted.moved;
  return std::unexpected(failure_of(attempted));
}

}  // namespace

std::string_view name_of(ChannelFailure failure) noexcept {
  switch (failure) {
    case ChannelFailure::kWouldWait:
      return "would-wait";
    case ChannelFailure::kTimedOut:
      return "timed-out";
    case ChannelFailure::kClosed:
      return "closed";
    case ChannelFailure::kTooLarge:
      return "too-large";
    case ChannelFailure::kOverLimit:
      return "over-limit";
    case ChannelFailure::kLost:
      return "lost";
  }
  return "?";
}

Error to_error(ChannelError error) {
  switch (error.failure) {
    case ChannelFailure::kWouldWait:
      return {ErrorKind::kExhausted, "channel: no room or no message right now; wait for it, or try again later", {}};
    case ChannelFailure::kTimedOut:
      return {ErrorKind::kTimedOut, "channel: the bound in time has passed", {}};
    case ChannelFailure::kClosed:
      return {ErrorKind::kCancelled, "channel: it is closed", {}};
    case ChannelFailure::kTooLarge:
      return {ErrorKind::kBadArgument,
              "channel: a message of " + std::to_string(error.bytes) +
                  " bytes is too large; raise message_bytes_max or what the receiver takes, or send it in parts",
              {}};
    case ChannelFailure::kOverLimit:
      return {ErrorKind::kExhausted,
              "channel: it holds as many bytes as it may; raise bytes_max, or use a bounded one, where senders wait",
              {}};
    case ChannelFailure::kLost:
      return {ErrorKind::kExhausted, "channel: " + std::to_string(error.lost) + " messages went by before they were received", {}};
  }
  return {};
}

// ---- operations ----

namespace detail {
namespace {

using Waiter = ChannelState::Waiter;

Waiter& waiter_in(Opaque<96>& room) { return *std::launder(reinterpret_cast<Waiter*>(room.bytes)); }

}  // namespace

ChannelOperation::~ChannelOperation() = default;

ChannelResult<std::size_t> ChannelOperation::result() const {
  if (outcome_ == Outcome::kDone) return moved_;
  return std::unexpected(error_);
}

// A waiter is nothing that needs to be destroyed once it is in no list.
static_assert(sizeof(Waiter) <= sizeof(Opaque<96>));

bool SendOperation::begin(const sync::Sleeper& sleeper) {
  if (channel_ == nullptr) {
    fail({ChannelFailure::kClosed});
    return true;
  }
  Waiter* const waiter = new (waiter_.bytes) Waiter(sleeper);
  const Attempted attempted = channel_->send(waiter, messages_);
  if (attempted.how == Attempt::kQueued) {
    // The handle may go while it waits; until this returns, it is there.
    channel_->retain();
    queued_ = true;
    return false;
  }
  moved_ = attempted.moved;
  if (attempted.how == Attempt::kMoved) {
    outcome_ = Outcome::kDone;
  } else {
    fail(failure_of(attempted));
  }
  return true;
}

bool SendOperation::done() {
  const Waiter& waiter = waiter_in(waiter_);
  const sync::ChannelWait state = waiter.state();
  if (state == sync::ChannelWait::kQueued) return false;
  moved_ = waiter.moved;
  if (state == sync::ChannelWait::kDone || moved_ != 0) {
    outcome_ = Outcome::kDone;
  } else {
    fail({ChannelFailure::kClosed});
  }
  queued_ = false;
  channel_->release();
  return true;
}

void SendOperation::expire() {
  channel_->cancel_send(waiter_in(waiter_));
  if (waiter_in(waiter_).state() != sync::ChannelWait::kIdle) {
    (void)done();  // over just before
    return;
  }
  moved_ = waiter_in(waiter_).moved;
  if (moved_ != 0) {
    outcome_ = Outcome::kDone;
  } else {
    fail({ChannelFailure::kTimedOut});
  }
  queued_ = false;
  channel_->release();
}

void SendOperation::withdraw() {
  if (!queued_) return;
  queued_ = false;
  channel_->cancel_send(waiter_in(waiter_));
  channel_->release();
}

bool ReceiveOperation::begin(const sync::Sleeper& sleeper) {
  if (channel_ == nullptr) {
    fail({ChannelFailure::kClosed});
    return true;
  }
  Waiter* const waiter = new (waiter_.bytes) Waiter(sleeper);
  if (settle(channel_->receive(receiver_, waiter, into_, bytes_max_))) return true;
  // The handle may go while it waits; until this returns, it is there.
  channel_->retain();
  if (receiver_ != nullptr) receiver_->retain_state();
  queued_ = true;
  return false;
}

bool ReceiveOperation::done() { return settle(channel_->resume_receive(receiver_, waiter_in(waiter_))); }

void ReceiveOperation::expire() {
  if (!channel_->expire_receive(waiter_in(waiter_)) && done()) return;
  // A broadcast's may have been woken, and have found nothing.
  if (queued_) (void)channel_->expire_receive(waiter_in(waiter_));
  fail({ChannelFailure::kTimedOut});
  let_go();
}

void ReceiveOperation::withdraw() {
  if (queued_) channel_->cancel_receive(waiter_in(waiter_));
  let_go();
}

// What the channel said. True: it is over.
bool ReceiveOperation::settle(sync::Attempted attempted) {
  if (attempted.how == Attempt::kQueued) return false;
  moved_ = attempted.moved;
  if (attempted.how == Attempt::kMoved) {
    outcome_ = Outcome::kDone;
  } else {
    fail(failure_of(attempted));
  }
  let_go();
  return true;
}

void ReceiveOperation::let_go() {
  if (!std::exchange(queued_, false)) return;
  if (receiver_ != nullptr) receiver_->release_state();
  channel_->release();
}

}  // namespace detail

ChannelResult<void> Sender::Send::await_resume() {
  if (outcome_ == Outcome::kDone) return {};
  return std::unexpected(error_);
}

ChannelResult<Bytes> Receiver::Receive::await_resume() {
  if (outcome_ == Outcome::kDone) return std::move(message_);
  return std::unexpected(error_);
}

// ---- handles ----

Sender::Sender(const Sender& other) noexcept : channel_(other.channel_) {
  if (channel_ != nullptr) channel_->add_sender();
}
Sender::~Sender() {
  if (channel_ != nullptr) channel_->drop_sender();
}

ChannelResult<void> Sender::try_send(Bytes&& message) const {
  const ChannelResult<std::size_t> sent = try_send_many({&message, 1});
  if (sent) return {};
  return std::unexpected(sent.error());
}
ChannelResult<std::size_t> Sender::try_send_many(std::span<Bytes> messages) const {
  if (channel_ == nullptr) return std::unexpected(ChannelError{ChannelFailure::kClosed});
  return result_of(channel_->send(nullptr, messages));
}
Waitable Sender::writable() const { return channel_ == nullptr ? Waitable() : channel_->writable(); }
Receiver Sender::subscribe() const {
  if (channel_ == nullptr) return {};
  channel_->add_receiver();
  return {channel_, channel_->place(nullptr)};
}
std::uint64_t Sender::message_bytes_max() const noexcept { return channel_ == nullptr ? 0 : channel_->message_bytes_max(); }
void Sender::close() const {
  if (channel_ != nullptr) channel_->close();
}
bool Sender::closed() const noexcept { return channel_ == nullptr || channel_->closed(); }
ChannelStats Sender::stats() const { return channel_ == nullptr ? ChannelStats{.closed = true} : channel_->stats(); }

Receiver::Receiver(const Receiver& other) : channel_(other.channel_) {
  if (channel_ == nullptr) return;
  state_ = channel_->place(other.state_);
  channel_->add_receiver();
}
Receiver::~Receiver() {
  if (channel_ != nullptr) channel_->drop_receiver(state_);
}

ChannelResult<Bytes> Receiver::try_receive() const {
  Bytes message;
  const ChannelResult<std::size_t> received = try_receive_many({&message, 1});
  if (received) return message;
  return std::unexpected(received.error());
}
ChannelResult<std::size_t> Receiver::try_receive_many(std::span<Bytes> into, std::uint64_t bytes_max) const {
  if (channel_ == nullptr) return std::unexpected(ChannelError{ChannelFailure::kClosed});
  return result_of(channel_->receive(state_, nullptr, into, bytes_max));
}
Waitable Receiver::readable() const { return channel_ == nullptr ? Waitable() : channel_->readable(state_); }
void Receiver::close() const {
  if (channel_ != nullptr) channel_->close();
}
bool Receiver::closed() const noexcept { return channel_ == nullptr || channel_->closed(); }
ChannelStats Receiver::stats() const { return channel_ == nullptr ? ChannelStats{.closed = true} : channel_->stats(); }

Result<Channel> detail::make_channel(const ChannelOptions& options, std::shared_ptr<const void> kept) {
  const bool sized = options.kind == ChannelKind::kBounded || options.kind == ChannelKind::kBroadcast;
  if (sized && options.capacity == 0) {
    return weft::fail(ErrorKind::kBadArgument,
                      "a channel with room for 0 messages: take ChannelKind::kRendezvous, or a capacity of at least 1");
  }
  if (sized && options.capacity > kCapacityMax) {
    return weft::fail(ErrorKind::kBadArgument, "a channel with room for " + std::to_string(options.capacity) +
                                                   " messages: at most " + std::to_string(kCapacityMax) + " are possible");
  }
  if (options.bytes_max < sync::kMessageCostMin) {
    return weft::fail(ErrorKind::kBadArgument, "a channel with room for " + std::to_string(options.bytes_max) +
                                                   " bytes: each message counts for " + std::to_string(sync::kMessageCostMin) +
                                                   " at least");
  }
  sync::ChannelRules rules{.capacity = options.capacity,
                           .bytes_max = options.bytes_max,
                           .message_bytes_max = std::min(options.message_bytes_max, options.bytes_max)};
  switch (options.kind) {
    case ChannelKind::kBounded:
    case ChannelKind::kBroadcast:
      break;
    case ChannelKind::kUnbounded:
      rules.capacity = SIZE_MAX;
      rules.senders_wait = false;
      break;
    case ChannelKind::kRendezvous:
      rules.capacity = 0;
      break;
    case ChannelKind::kOneshot:
      rules.capacity = 1;
      rules.senders_wait = false;
      rules.once = true;
      break;
    default:
      return weft::fail(ErrorKind::kBadArgument,
                        "there is no channel of kind " + std::to_string(static_cast<unsigned>(options.kind)));
  }
  ChannelState* const channel = options.kind == ChannelKind::kBroadcast
                                    ? sync::make_broadcast_channel(rules, options.slow_receiver == SlowReceiver::kLoses)
                                    : sync::make_queue_channel(rules);
  channel->keep(std::move(kept));
  channel->add_sender();
  channel->add_receiver();
  Channel ends;
  ends.sender = Sender(channel);
  ends.receiver = Receiver(channel, channel->place(nullptr));
  return ends;
}

Result<Channel> make_channel(ChannelOptions options) { return detail::make_channel(options, nullptr); }

}  // namespace weft
