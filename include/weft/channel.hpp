// Channels: messages of bytes from many senders to many receivers, in the order in which they were sent.
//
//   weft::Channel channel = *weft::make_channel({.capacity = 64});
//   weft::Task<void> produce(weft::Sender to) {
//     for (int i = 0; i < 10; ++i) (void)co_await to.send(weft::Bytes::copy_of(std::to_string(i)));
//   }                                                            // the last sender goes: the channel is closed
//   weft::Task<void> consume(weft::Receiver from) {
//     while (auto message = co_await from.receive()) use(message->text());
//   }
//   channel.sender.send(weft::Bytes::copy_of("from a thread")).block();
//
// A message is moved, not copied, and each is received once (broadcast: once by each receiver). Who waits is served in order, senders and
// receivers alike.
//
// Closed is a channel whose last sender or last receiver is gone, or that somebody closed. Nothing can be sent then; senders that wait are
// told so, and keep their messages. What is in it can still be received, after that receivers are told. With the last receiver what is in it
// is thrown away. (A broadcast stays open without receivers, since others may subscribe.)
//
// A task that is dropped while it waits loses nothing: what it was to send is not sent, what it was to receive goes to the next receiver, at
// its old place, and whoever can go on instead is woken.
//
// Sender and Receiver are handles: copy them to have more of them. Different handles may be used by different threads at the same time, and
// so may one, except for assigning to it. Dropping the last of a side closes, as above; waits and waitables do not count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "weft/bytes.hpp"
#include "weft/error.hpp"
#include "weft/units.hpp"
#include "weft/waitable.hpp"

namespace weft {

enum class ChannelKind : std::uint8_t {
  kBounded,     // `capacity` messages fit; who sends more waits until there is room
  kUnbounded,   // sending never waits; over bytes_max it fails with kOverLimit
  kRendezvous,  // nothing fits: a send is over when a receiver has come for the message
  kOneshot,     // one message, then it is closed; sending never waits
  kBroadcast,  // each receiver gets each message that is sent while it is there; see SlowReceiver. Without any, messages are accepted and forgotten
};

// What becomes of a broadcast when one of its receivers is `capacity` messages behind.
enum class SlowReceiver : std::uint8_t {
  kHoldsBack,  // senders wait for it
  kLoses,      // the oldest message goes, and the next receive of those that had not got it says how many they missed (kLost)
};

struct ChannelOptions {
  ChannelKind kind = ChannelKind::kBounded;
  std::size_t capacity = 64;  // messages; kBounded and kBroadcast only
  std::uint64_t bytes_max =
      64ULL << 20;  // of all messages in it; each counts for its size, but for at least 64. Bounded: senders wait
  std::uint64_t message_bytes_max =
      16ULL << 20;  // of each one; sending a larger one fails with kTooLarge. At most bytes_max counts.
  SlowReceiver slow_receiver = SlowReceiver::kHoldsBack;  // kBroadcast only
};

enum class ChannelFailure : std::uint8_t {
  kWouldWait,  // try_send: no room; try_receive: no message
  kTimedOut,   // the bound has passed
  kClosed,     // see above
  kTooLarge,  // the message is larger than message_bytes_max; or receiving: than what the receiver takes, and it stays at its place
  kOverLimit,  // unbounded: with this message the channel would hold more than bytes_max
  kLost,       // receiving from a broadcast: `lost` messages went by; the next receive gets the oldest there is
};

// Small, because trying and failing is ordinary here.
struct ChannelError {
  ChannelFailure failure = ChannelFailure::kClosed;
  std::uint64_t lost = 0;   // kLost: messages
  std::uint64_t bytes = 0;  // kTooLarge: the message's size

  bool operator==(const ChannelError&) const = default;
};
// "would-wait", "timed-out", "closed", "too-large", "over-limit", "lost".
std::string_view name_of(ChannelFailure failure) noexcept;
// The same as an Error for people: kExhausted, kTimedOut, kCancelled, kBadArgument, kExhausted, kExhausted.
Error to_error(ChannelError error);

template <class T>
using ChannelResult = std::expected<T, ChannelError>;

// A picture of a channel.
struct ChannelStats {
  std::uint64_t messages = 0;  // in it
  std::uint64_t bytes = 0;     // of these, as bytes_max counts them
  std::uint64_t sent = 0;      // so far
  std::uint64_t received = 0;  // so far; broadcast: by all receivers together
  std::uint64_t lost = 0;      // broadcast: that receivers missed, all together
  std::size_t senders = 0;
  std::size_t receivers = 0;
  std::size_t senders_waiting = 0;
  std::size_t receivers_waiting = 0;
  bool closed = false;
};

struct Channel;

namespace sync {
struct Attempted;
}

namespace detail {

class ChannelState;  // counted
class ReceiverState;

// A send or receive in progress, of one message or several.
class ChannelOperation : public Operation {
 protected:
  enum class Outcome : std::uint8_t { kWaiting, kDone, kFailed };

  ChannelOperation(ChannelState* channel, Duration bound) : Operation(bound), channel_(channel) {}
  ~ChannelOperation() override;
  void fail(ChannelError error) {
    outcome_ = Outcome::kFailed;
    error_ = error;
  }
  ChannelResult<std::size_t> result() const;

  ChannelState* const channel_;  // counted while it waits
  std::size_t moved_ = 0;
  ChannelError error_{};
  Outcome outcome_ = Outcome::kWaiting;
  bool queued_ = false;
  Opaque<96> waiter_;
};

class SendOperation : public ChannelOperation {
 protected:
  SendOperation(ChannelState* channel, std::span<Bytes> messages, Duration bound)
      : ChannelOperation(channel, bound), messages_(messages) {}
  ~SendOperation() override { withdraw(); }
  bool begin(const sync::Sleeper& sleeper) final;
  bool done() final;
  void expire() final;
  const char* reason() const noexcept final { return "channel send"; }
  void withdraw();

  std::span<Bytes> messages_;
};

class ReceiveOperation : public ChannelOperation {
 protected:
  ReceiveOperation(ChannelState* channel, ReceiverState* receiver, std::span<Bytes> into, Duration bound, std::uint64_t bytes_max)
      : ChannelOperation(channel, bound), receiver_(receiver), into_(into), bytes_max_(bytes_max) {}
  ~ReceiveOperation() override { withdraw(); }
  bool begin(const sync::Sleeper& sleeper) final;
  bool done() final;
  void expire() final;
  const char* reason() const noexcept final { return "channel receive"; }
  void withdraw();

  ReceiverState* const receiver_;  // of a broadcast; counted while it waits
  std::span<Bytes> into_;
  const std::uint64_t bytes_max_;

 private:
  bool settle(sync::Attempted attempted);
  void let_go();
};

}  // namespace detail

class Receiver;
struct Channel;

namespace detail {
// The same, with something that goes when the channel does: with its last end, and all that waits for it.
Result<Channel> make_channel(const ChannelOptions& options, std::shared_ptr<const void> kept);
}  // namespace detail

class Sender {
 public:
  Sender() = default;  // of no channel: everything fails with kClosed
  Sender(const Sender& other) noexcept;
  Sender(Sender&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  Sender& operator=(Sender other) noexcept {
    std::swap(channel_, other.channel_);
    return *this;
  }
  ~Sender();
  explicit operator bool() const noexcept { return channel_ != nullptr; }

  class [[nodiscard]] Send final : public detail::SendOperation {
   public:
    Send(detail::ChannelState* channel, Bytes message, Duration bound)
        : SendOperation(channel, {&message_, 1}, bound), message_(std::move(message)) {}
    ~Send() override { withdraw(); }
    // kClosed, kTooLarge, kOverLimit, kTimedOut.
    ChannelResult<void> await_resume();
    // Parks the calling thread instead of a task. Never on a worker (asserted).
    ChannelResult<void> block() {
      run_blocking();
      return await_resume();
    }
    // After a failure: the message that was not sent.
    Bytes take_back() { return std::move(message_); }

   private:
    Bytes message_;
  };
  class [[nodiscard]] SendMany final : public detail::SendOperation {
   public:
    SendMany(detail::ChannelState* channel, std::span<Bytes> messages, Duration bound) : SendOperation(channel, messages, bound) {}
    ~SendMany() override { withdraw(); }
    // How many were sent: all, or fewer when it failed after the first. What was not sent is left where it was.
    ChannelResult<std::size_t> await_resume() { return result(); }
    ChannelResult<std::size_t> block() {
      run_blocking();
      return await_resume();
    }
  };

  // Parks until there is room.
  Send send(Bytes message) const { return {channel_, std::move(message), kForever}; }
  Send send_for(Bytes message, Duration bound) const { return {channel_, std::move(message), bound}; }
  // Never parks. On a failure the message is left as it was.
  ChannelResult<void> try_send(Bytes&& message) const;
  // Several, in their order, as many as fit under one lock; parks until the last is in. `messages` must last as long as the operation.
  SendMany send_many(std::span<Bytes> messages) const { return {channel_, messages, kForever}; }
  SendMany send_many_for(std::span<Bytes> messages, Duration bound) const { return {channel_, messages, bound}; }
  // As many as there is room for now. kWouldWait: none.
  ChannelResult<std::size_t> try_send_many(std::span<Bytes> messages) const;

  // Ready when a send of a small message would not wait (or would fail at once). Of a rendezvous: when a receiver waits.
  Waitable writable() const;
  // Another receiver; of a broadcast it gets what is sent from now on. Of a channel that is closed it is told so.
  Receiver subscribe() const;
  // What a message may have: ChannelOptions::message_bytes_max, or bytes_max if that is less. Of no channel: 0.
  std::uint64_t message_bytes_max() const noexcept;
  void close() const;
  bool closed() const noexcept;
  ChannelStats stats() const;

 private:
  friend Result<Channel> detail::make_channel(const ChannelOptions&, std::shared_ptr<const void>);
  explicit Sender(detail::ChannelState* channel) noexcept : channel_(channel) {}
  detail::ChannelState* channel_ = nullptr;
};

// Of a broadcast, a copy is a receiver of its own, which has received what its original had. Copies of all others share the messages.
class Receiver {
 public:
  Receiver() = default;  // of no channel: everything fails with kClosed
  Receiver(const Receiver& other);
  Receiver(Receiver&& other) noexcept
      : channel_(std::exchange(other.channel_, nullptr)), state_(std::exchange(other.state_, nullptr)) {}
  Receiver& operator=(Receiver other) noexcept {
    std::swap(channel_, other.channel_);
    std::swap(state_, other.state_);
    return *this;
  }
  ~Receiver();
  explicit operator bool() const noexcept { return channel_ != nullptr; }

  class [[nodiscard]] Receive final : public detail::ReceiveOperation {
   public:
    Receive(detail::ChannelState* channel, detail::ReceiverState* receiver, Duration bound, std::uint64_t bytes_max)
        : ReceiveOperation(channel, receiver, {&message_, 1}, bound, bytes_max) {}
    ~Receive() override { withdraw(); }
    // kClosed, kTimedOut, kTooLarge; broadcast: kLost.
    ChannelResult<Bytes> await_resume();
    // Parks the calling thread instead of a task. Never on a worker (asserted).
    ChannelResult<Bytes> block() {
      run_blocking();
      return await_resume();
    }

   private:
    Bytes message_;
  };
  class [[nodiscard]] ReceiveMany final : public detail::ReceiveOperation {
   public:
    ReceiveMany(detail::ChannelState* channel, detail::ReceiverState* receiver, std::span<Bytes> into, Duration bound,
                std::uint64_t bytes_max)
        : ReceiveOperation(channel, receiver, into, bound, bytes_max) {}
    ~ReceiveMany() override { withdraw(); }
    // How many, at least one (none only if there was room for none).
    ChannelResult<std::size_t> await_resume() { return result(); }
    ChannelResult<std::size_t> block() {
      run_blocking();
      return await_resume();
    }
  };

  // Parks until there is a message. With `bytes_max`: a message that has more is not received; kTooLarge says its size, and it stays at its place. (Of a
  // rendezvous: with its sender.)
  Receive receive() const { return {channel_, state_, kForever, UINT64_MAX}; }
  Receive receive_for(Duration bound, std::uint64_t bytes_max = UINT64_MAX) const { return {channel_, state_, bound, bytes_max}; }
  // Never parks.
  ChannelResult<Bytes> try_receive() const;
  // As many as there are and fit, under one lock; parks until there is one. `into` must last as long as the operation. `bytes_max`: of all of them together;
  // kTooLarge: the first one alone has more.
  ReceiveMany receive_many(std::span<Bytes> into) const { return {channel_, state_, into, kForever, UINT64_MAX}; }
  ReceiveMany receive_many_for(std::span<Bytes> into, Duration bound, std::uint64_t bytes_max = UINT64_MAX) const {
    return {channel_, state_, into, bound, bytes_max};
  }
  ChannelResult<std::size_t> try_receive_many(std::span<Bytes> into, std::uint64_t bytes_max = UINT64_MAX) const;

  // Ready when a receive would not wait (there is a message, or the channel is closed).
  Waitable readable() const;
  void close() const;
  bool closed() const noexcept;
  ChannelStats stats() const;

 private:
  friend class Sender;
  friend Result<Channel> detail::make_channel(const ChannelOptions&, std::shared_ptr<const void>);
  Receiver(detail::ChannelState* channel, detail::ReceiverState* state) noexcept : channel_(channel), state_(state) {}
  detail::ChannelState* channel_ = nullptr;
  detail::ReceiverState* state_ = nullptr;  // of a broadcast
};

struct Channel {
  Sender sender{};
  Receiver receiver{};
};

// kBadArgument: room for no messages or no bytes (for none, there is the rendezvous), or for more than 2^32 messages.
Result<Channel> make_channel(ChannelOptions options = {});

}  // namespace weft
