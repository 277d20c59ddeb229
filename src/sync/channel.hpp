// What Sender and Receiver refer to. Two kinds behind one face: ChannelQueue and ChannelBroadcast.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "base/atomic.hpp"
#include "sync/channel_waiter.hpp"
#include "sync/sleeper.hpp"
#include "weft/channel.hpp"

namespace weft::detail {

// A receiver of a broadcast: its place in it. Counted.
class ReceiverState {
 public:
  virtual void retain_state() noexcept = 0;
  virtual void release_state() noexcept = 0;

 protected:
  ~ReceiverState() = default;
};

class ChannelState {
 public:
  using Waiter = sync::ChannelWaiter<sync::Sleeper, Bytes>;

  ChannelState(const ChannelState&) = delete;
  ChannelState& operator=(const ChannelState&) = delete;

  virtual sync::Attempted send(Waiter* waiter, std::span<Bytes> messages) = 0;
  virtual void cancel_send(Waiter& waiter) = 0;
  virtual sync::Attempted receive(ReceiverState* receiver, Waiter* waiter, std::span<Bytes> into, std::uint64_t bytes_max) = 0;
  // After a wake-up of one that was queued; kQueued: it still is.
  virtual sync::Attempted resume_receive(ReceiverState* receiver, Waiter& waiter) = 0;
  // Dropped: what it was handed goes back.
  virtual void cancel_receive(Waiter& waiter) = 0;
  // Its time is over. True: it was still waiting.
  virtual bool expire_receive(Waiter& waiter) = 0;

  virtual Waitable readable(ReceiverState* receiver) = 0;
  virtual Waitable writable() = 0;
  virtual void close() = 0;
  virtual bool closed() const = 0;
  virtual ChannelStats stats() const = 0;
  virtual std::uint64_t message_bytes_max() const noexcept = 0;
  // Another receiver's place, where `of` stands or, null, from now on. Null where receivers have none.
  virtual ReceiverState* place(ReceiverState* of) = 0;

  // Goes with the memory. Set once, before anybody has the channel.
  void keep(std::shared_ptr<const void> what) noexcept { kept_ = std::move(what); }

  // Of the memory.
  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // Handles. Each also holds the memory.
  void add_sender() noexcept {
    senders_.fetch_add(1, std::memory_order_relaxed);
    retain();
  }
  void drop_sender() {
    if (senders_.fetch_sub(1, std::memory_order_acq_rel) == 1) close();
    release();
  }
  void add_receiver() noexcept {
    receivers_.fetch_add(1, std::memory_order_relaxed);
    retain();
  }
  void drop_receiver(ReceiverState* place) {
    if (place != nullptr) place->release_state();
    if (receivers_.fetch_sub(1, std::memory_order_acq_rel) == 1) last_receiver_gone();
    release();
  }

 protected:
  ChannelState() = default;
  virtual ~ChannelState() = default;
  virtual void last_receiver_gone() = 0;

  std::size_t senders() const noexcept { return senders_.load(std::memory_order_relaxed); }
  std::size_t receivers() const noexcept { return receivers_.load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<const void> kept_;
  // Writers: whoever has a handle; acq_rel where the last one goes: it sees what the others did.
  base::atomic<std::size_t> references_{0};
  base::atomic<std::size_t> senders_{0};
  base::atomic<std::size_t> receivers_{0};
};

}  // namespace weft::detail

namespace weft::sync {

struct ChannelRules;

// With no handles yet, and no references.
detail::ChannelState* make_queue_channel(const ChannelRules& rules);
detail::ChannelState* make_broadcast_channel(const ChannelRules& rules, bool loses);

}  // namespace weft::sync
