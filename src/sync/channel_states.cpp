// The two kinds of channels with what the world sees of them: waitables, handles, counts.
#include <memory>

#include "sync/channel.hpp"
#include "sync/channel_broadcast.hpp"
#include "sync/channel_queue.hpp"
#include "sync/waitable.hpp"

namespace weft::sync {
namespace {

using detail::ChannelState;
using detail::ReceiverState;

// One end of a channel, whose memory it is a part of.
template <class Channel, bool (Channel::*kReady)() const>
class EndSource final : public detail::Source {
 public:
  EndSource(Channel& channel, const char* reason) : channel_(channel), reason_(reason) {}
  bool ready() const noexcept override { return (channel_.*kReady)(); }
  const char* reason() const noexcept override { return reason_; }
  void retain() const noexcept override { channel_.retain(); }
  void release() const noexcept override { channel_.release(); }

 private:
  Channel& channel_;
  const char* const reason_;
};

template <class Counts>
ChannelStats stats_of(const Counts& counts, std::size_t senders, std::size_t receivers) {
  return {.messages = counts.messages,
          .bytes = counts.bytes,
          .sent = counts.sent,
          .received = counts.received,
          .senders = senders,
          .receivers = receivers,
          .senders_waiting = counts.senders_waiting,
          .receivers_waiting = counts.receivers_waiting,
          .closed = counts.closed};
}

class QueueChannel final : public ChannelState {
  using Queue = BasicChannelQueue<Sleeper, Bytes>;
  using Effects = Queue::Effects;

 public:
  explicit QueueChannel(const ChannelRules& rules) : queue_(rules) {}

  Attempted send(Waiter* waiter, std::span<Bytes> messages) override {
    Effects effects;
    const Attempted attempted = queue_.send(waiter, messages.data(), messages.size(), effects);
    apply(effects);
    return attempted;
  }
  void cancel_send(Waiter& waiter) override {
    Effects effects;
    queue_.cancel_send(waiter, effects);
    apply(effects);
  }
  Attempted receive(ReceiverState*, Waiter* waiter, std::span<Bytes> into, uint64_t bytes_max) override {
    Effects effects;
    const Attempted attempted = queue_.receive(waiter, into.data(), into.size(), bytes_max, effects);
    apply(effects);
    return attempted;
  }
  Attempted resume_receive(ReceiverState*, Waiter& waiter) override {
    switch (waiter.state()) {
      case ChannelWait::kDone: {
        Effects effects;
        queue_.accept(waiter, effects);
        apply(effects);
        return {Attempt::kMoved, waiter.moved};
      }
      case ChannelWait::kClosed:
        return {Attempt::kClosed};
      case ChannelWait::kTooLarge:
        return {Attempt::kTooLarge, static_cast<std::size_t>(waiter.too_large)};
      default:
        return {Attempt::kQueued};
    }
  }
  void cancel_receive(Waiter& waiter) override {
    Effects effects;
    queue_.cancel_receive(waiter, effects);
    apply(effects);
  }
  bool expire_receive(Waiter& waiter) override {
    Effects effects;
    const bool expired = queue_.expire_receive(waiter, effects);
    apply(effects);
    return expired;
  }
  Waitable readable(ReceiverState*) override {
    queue_.track();
    return to_waitable(readable_);
  }
  Waitable writable() override {
    queue_.track();
    return to_waitable(writable_);
  }
  void close() override {
    Effects effects;
    queue_.close(effects);
    apply(effects);
  }
  bool closed() const override { return queue_.closed(); }
  ChannelStats stats() const override { return stats_of(queue_.counts(), senders(), receivers()); }
  ReceiverState* place(ReceiverState*) override { return nullptr; }

  std::uint64_t message_bytes_max() const noexcept override { return queue_.rules().message_bytes_max; }

  bool is_readable() const { return queue_.readable(); }
  bool is_writable() const { return queue_.writable(); }

 private:
  void last_receiver_gone() override {
    Effects effects;
    queue_.abandon(effects);
    apply(effects);
  }
  // After the lock, while the caller keeps the channel.
  void apply(const Effects& effects) {
    if (effects.readable) readable_.notify();
    if (effects.writable) writable_.notify();
  }

  Queue queue_;
  EndSource<QueueChannel, &QueueChannel::is_readable> readable_{*this, "channel readable"};
  EndSource<QueueChannel, &QueueChannel::is_writable> writable_{*this, "channel writable"};
};

class BroadcastChannel final : public ChannelState {
  using Broadcast = BasicBroadcast<Sleeper, Bytes>;
  using Effects = Broadcast::Effects;

 public:
  BroadcastChannel(const ChannelRules& rules, bool loses) : broadcast_(rules, loses) {}

  Attempted send(Waiter* waiter, std::span<Bytes> messages) override {
    Effects effects;
    const Attempted attempted = broadcast_.send(waiter, messages.data(), messages.size(), effects);
    apply(effects);
    return attempted;
  }
  void cancel_send(Waiter& waiter) override { cancel_receive(waiter); }
  Attempted receive(ReceiverState* receiver, Waiter* waiter, std::span<Bytes> into, uint64_t bytes_max) override {
    Effects effects;
    const Attempted attempted =
        broadcast_.receive(static_cast<Place&>(*receiver), waiter, into.data(), into.size(), bytes_max, effects);
    apply(effects);
    return attempted;
  }
  Attempted resume_receive(ReceiverState* receiver, Waiter& waiter) override {
    if (waiter.state() == ChannelWait::kQueued) return {Attempt::kQueued};
    return receive(receiver, &waiter, {waiter.messages, waiter.count}, waiter.bytes_max);
  }
  void cancel_receive(Waiter& waiter) override { (void)expire_receive(waiter); }
  bool expire_receive(Waiter& waiter) override {
    Effects effects;
    const bool expired = broadcast_.cancel(waiter, effects);
    apply(effects);
    return expired;
  }
  Waitable readable(ReceiverState* receiver) override {
    Place& place = static_cast<Place&>(*receiver);
    broadcast_.track(place);
    return to_waitable(place);
  }
  Waitable writable() override {
    broadcast_.track();
    return to_waitable(writable_);
  }
  void close() override {
    Effects effects;
    broadcast_.close(effects);
    apply(effects);
  }
  bool closed() const override { return broadcast_.closed(); }
  ChannelStats stats() const override {
    const Broadcast::Counts counts = broadcast_.counts();
    ChannelStats stats = stats_of(counts.common, senders(), receivers());
    stats.lost = counts.lost;
    return stats;
  }
  ReceiverState* place(ReceiverState* of) override {
    auto* const made = new Place(*this);
    broadcast_.join(*made, static_cast<Place*>(of));
    return made;
  }

  std::uint64_t message_bytes_max() const noexcept override { return broadcast_.rules().message_bytes_max; }

  bool is_writable() const { return broadcast_.writable(); }

 private:
  // Where one receiver stands. Two counts: of the handles and waits that make it a receiver, and of the memory.
  class Place final : public ReceiverState, public BroadcastCursor, public CountedSource {
   public:
    explicit Place(BroadcastChannel& channel) : channel_(channel) { channel_.retain(); }
    ~Place() override { channel_.release(); }

    bool ready() const noexcept override { return readable(); }
    // Its handle is dropped: nobody will ever read here again.
    bool gone() const noexcept override { return left_.load(std::memory_order_seq_cst); }
    const char* reason() const noexcept override { return "channel readable"; }

    void retain_state() noexcept override { users_.fetch_add(1, std::memory_order_relaxed); }
    void release_state() noexcept override {
      if (users_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      channel_.leave(*this);
      left_.store(true, std::memory_order_seq_cst);
      notify();
      CountedSource::release();
    }
    void retain_cursor() noexcept override { CountedSource::retain(); }
    void notify_and_release() override {
      notify();
      CountedSource::release();
    }

   private:
    BroadcastChannel& channel_;
    // Writers: handles and waits; acq_rel where the last one goes.
    base::atomic<std::size_t> users_{1};
    // Writer: the last of these; readers: gone(). seq_cst: the protocol of the source.
    base::atomic<bool> left_{false};
  };

  void leave(Place& place) {
    Effects effects;
    broadcast_.leave(place, effects);
    apply(effects);
  }
  // Others may come: it stays open.
  void last_receiver_gone() override {}
  void apply(Effects& effects) {
    for (BroadcastCursor* const cursor : effects.readable) cursor->notify_and_release();
    if (effects.writable) writable_.notify();
  }

  Broadcast broadcast_;
  EndSource<BroadcastChannel, &BroadcastChannel::is_writable> writable_{*this, "channel writable"};
};

}  // namespace

detail::ChannelState* make_queue_channel(const ChannelRules& rules) { return new QueueChannel(rules); }
detail::ChannelState* make_broadcast_channel(const ChannelRules& rules, bool loses) { return new BroadcastChannel(rules, loses); }

}  // namespace weft::sync
