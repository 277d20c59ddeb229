// ChannelQueue: the channels in which each message is received once: bounded, unbounded, rendezvous, oneshot.
//
// Why nothing is lost, and order holds
// ------------------------------------
// Everything happens under one lock. A message lies in the ring, in a sender that waits, or is handed to a receiver that waits, straight
// into its own memory; so at any moment between two calls:
//
//   a receiver waits  ⇒  nothing is in the ring, none was returned, and no sender waits
//   a sender waits    ⇒  its first message does not fit, or others wait before it (nobody overtakes those who wait)
//
// A receiver may say how many bytes it takes. A message with more is never moved: where it would be, the receiver's wait is over instead
// (kTooLarge), and the message goes on to whoever is next: another receiver, the ring, or its sender, who keeps it.
//
// Whoever makes room fills it from those who wait, in their order. Whoever is done is taken out of its list, and its state word is the last
// thing touched; it is woken after the lock is let go.
//
// A receiver that is dropped after it was handed messages, and before it took them, returns them. Each message that leaves gets a ticket;
// returned ones are kept by their tickets and go out before all others, so that they are received at their old place. What was handed over
// and not taken yet is unsettled; as long as there is any, a closed channel is not empty: receivers wait until it is taken, or comes back.
//
//   ChannelWaiter:   kIdle ──send/receive──▶ kQueued ──moved──▶ kDone
//                      ▲                       │ │ └──message too large──▶ kTooLarge
//                      └───────cancel──────────┘ └──close──▶ kClosed
//
// Template over the sleeper and the message, so that the model checker runs this very code (channel_model.cpp). A message has a
// noexcept move and size().
#pragma once

#include "sync/channel_waiter.hpp"
#include "sync/short_lock.hpp"
#include "sync/wake_list.hpp"

namespace weft::sync {

struct ChannelRules {
  std::size_t capacity = 0;  // messages in the ring; 0: rendezvous
  uint64_t bytes_max = UINT64_MAX;
  uint64_t message_bytes_max = UINT64_MAX;  // its cost is at most bytes_max, so that any message fits into an empty ring
  bool senders_wait = true;                 // else: over bytes_max it fails
  bool once = false;                        // closed with its first message
};

template <class Sleeper, class Message>
class BasicChannelQueue {
 public:
  using Waiter = ChannelWaiter<Sleeper, Message>;

  // What is left to do once the lock is let go: notify the watchers of what has become ready. The wakes happen by themselves.
  struct Effects {
    WakeList<Sleeper> wakes;
    bool readable = false;
    bool writable = false;
  };

  explicit BasicChannelQueue(ChannelRules rules) : rules_(rules) {}
  BasicChannelQueue(const BasicChannelQueue&) = delete;
  BasicChannelQueue& operator=(const BasicChannelQueue&) = delete;

  const ChannelRules& rules() const { return rules_; }

  // Moves as many as there is room for. `waiter` null: never waits. kQueued: the waiter says when the rest has been moved, and `messages`
  // stays where it is until then, or until it is cancelled.
  Attempted send(Waiter* waiter, Message* messages, std::size_t count, Effects& effects) {
    const std::size_t asked = count;
    count = 0;
    while (count < asked && messages[count].size() <= rules_.message_bytes_max) ++count;
    if (count == 0 && asked != 0) return {Attempt::kTooLarge, messages[0].size()};

    ShortLock lock(mutex_);
    if (closed_) return {Attempt::kClosed};
    const std::size_t moved = push(messages, count, effects);
    Attempt how = Attempt::kMoved;
    if (moved < count && waiter != nullptr && rules_.senders_wait && !closed_) {
      queue(senders_, *waiter, messages, count, moved);
      how = Attempt::kQueued;
    } else if (moved == 0 && count != 0) {
      how = rules_.senders_wait ? Attempt::kWouldWait : Attempt::kOverLimit;
    }
    update(effects);
    return {how, moved};
  }

  // Moves as many as there are, at most `room`, and at most `bytes_max` bytes of them. The same. kTooLarge: the first one alone has more.
  Attempted receive(Waiter* waiter, Message* into, std::size_t room, uint64_t bytes_max, Effects& effects) {
    ShortLock lock(mutex_);
    uint64_t too_large = 0;
    const std::size_t moved = pull(into, room, bytes_max, too_large, effects);
    Attempt how = Attempt::kMoved;
    if (moved == 0 && too_large != 0) return {Attempt::kTooLarge, static_cast<std::size_t>(too_large)};
    if (moved == 0 && room != 0) {
      if (over()) {
        how = Attempt::kClosed;
      } else if (waiter == nullptr) {
        how = Attempt::kWouldWait;
      } else {
        waiter->bytes_max = bytes_max;
        queue(receivers_, *waiter, into, room, 0);
        how = Attempt::kQueued;
      }
    }
    update(effects);
    return {how, moved};
  }

  // Gives up a send that was queued. What has not been moved is the owner's again.
  void cancel_send(Waiter& waiter, Effects& effects) {
    ShortLock lock(mutex_);
    if (!leave(waiter)) return;
    refill(effects);  // the next one's message may fit where this one's did not
    update(effects);
  }

  // The owner of one that was queued and is kDone: takes what it was handed. The fast way has no lock.
  void accept(const Waiter& waiter, Effects& effects) {
    // Both seq_cst, partners of close_locked() and over(): either this sees that it is closed, or they see that all is settled.
    if (unsettled_.fetch_sub(waiter.moved, std::memory_order_seq_cst) != waiter.moved) return;
    if (!closing_.load(std::memory_order_seq_cst)) return;
    ShortLock lock(mutex_);
    end_receivers(effects);
    update(effects);
  }

  // Gives up a receive that was queued: what it has been handed, and nobody has seen, goes back. Not after its result was taken.
  void cancel_receive(Waiter& waiter, Effects& effects) {
    ShortLock lock(mutex_);
    if (leave(waiter)) {
      update(effects);
      return;
    }
    if (waiter.state() != ChannelWait::kDone) return;
    unsettled_.fetch_sub(waiter.moved, std::memory_order_seq_cst);
    if (abandoned_) return;
    for (std::size_t i = 0; i < waiter.moved; ++i) returned_.put(waiter.ticket + i, std::move(waiter.messages[i]));
    received_ -= waiter.moved;
    waiter.moved = 0;
    while (!returned_.empty() && !receivers_.empty()) {
      Waiter& next = *receivers_.front();
      if (refuses(next, returned_.front(), effects)) continue;
      next.ticket = returned_.ticket();
      next.messages[next.moved++] = returned_.take();
      ++received_;
      unsettled_.fetch_add(1, std::memory_order_seq_cst);
      finish(next, ChannelWait::kDone, effects);
    }
    end_receivers(effects);
    update(effects);
  }
  // The time of one that was queued is over. True: it is out of the list; what was moved so far stands. False: it was over before.
  bool expire_receive(Waiter& waiter, Effects& effects) {
    ShortLock lock(mutex_);
    const bool left = leave(waiter);
    update(effects);
    return left;
  }

  // Nothing can be sent any more.
  void close(Effects& effects) {
    ShortLock lock(mutex_);
    close_locked(effects);
  }
  // The last receiver is gone: what is in it is thrown away, outside of the lock.
  void abandon(Effects& effects) {
    MessageRing<Message> ring;
    ReturnedMessages<Message> returned;
    ShortLock lock(mutex_);
    abandoned_ = true;
    close_locked(effects);
    std::swap(ring, ring_);
    std::swap(returned, returned_);
    bytes_ = 0;
  }

  // For the sources: any thread, no lock. Right only once track() was called.
  bool readable() const { return readable_.load(std::memory_order_seq_cst); }
  bool writable() const { return writable_.load(std::memory_order_seq_cst); }
  // From now on they are kept: somebody wants to know.
  void track() {
    ShortLock lock(mutex_);
    if (tracked_) return;
    tracked_ = true;
    Effects none;
    update(none);
  }

  bool closed() const {
    ShortLock lock(mutex_);
    return closed_;
  }
  struct Counts {
    std::size_t messages = 0;
    uint64_t bytes = 0;
    uint64_t sent = 0;
    uint64_t received = 0;
    std::size_t senders_waiting = 0;
    std::size_t receivers_waiting = 0;
    bool closed = false;
  };
  Counts counts() const {
    ShortLock lock(mutex_);
    return {ring_.size() + returned_.size(), bytes_, sent_, received_, senders_waiting_, receivers_waiting_, closed_};
  }

 private:
  using Waiters = base::List<Waiter, ChannelWaiterLink>;

  bool fits(const Message& message) const WEFT_REQUIRES(mutex_) {
    return ring_.size() < rules_.capacity && bytes_ + cost_of(message) <= rules_.bytes_max;
  }

  void put(Message&& message) WEFT_REQUIRES(mutex_) {
    const uint64_t cost = cost_of(message);
    ring_.push_back(std::move(message));
    bytes_ += cost;
  }

  std::size_t push(Message* messages, std::size_t count, Effects& effects) WEFT_REQUIRES(mutex_) {
    std::size_t moved = 0;
    while (moved < count && !closed_) {
      if (Waiter* const receiver = receivers_.front()) {
        if (refuses(*receiver, messages[moved], effects)) continue;
        receiver->ticket = next_ticket_;
        const std::size_t most = rules_.once ? 1 : std::min(count - moved, receiver->count);
        const std::size_t many = how_many_fit(messages + moved, most, receiver->bytes_max);
        for (std::size_t i = 0; i < many; ++i) receiver->messages[i] = std::move(messages[moved + i]);
        receiver->moved = many;
        next_ticket_ += many;
        received_ += many;
        moved += many;
        unsettled_.fetch_add(many, std::memory_order_seq_cst);
        finish(*receiver, ChannelWait::kDone, effects);
      } else if (senders_.empty() && fits(messages[moved])) {
        put(std::move(messages[moved++]));
      } else {
        break;
      }
      if (rules_.once) close_locked(effects);
    }
    sent_ += moved;
    return moved;
  }

  // `too_large`: if the next one is, its size.
  std::size_t pull(Message* into, std::size_t room, uint64_t bytes_max, uint64_t& too_large, Effects& effects)
      WEFT_REQUIRES(mutex_) {
    std::size_t moved = 0;
    const auto fits_still = [&](const Message& next) {
      too_large = next.size() > bytes_max ? next.size() : 0;
      return too_large == 0;
    };
    while (moved < room) {
      if (!returned_.empty()) {
        if (!fits_still(returned_.front())) break;
        bytes_max -= returned_.front().size();
        into[moved++] = returned_.take();
      } else if (!ring_.empty()) {
        if (!fits_still(ring_.front())) break;
        const std::size_t many = how_many_fit(ring_, std::min(room - moved, ring_.size()), bytes_max);
        uint64_t cost = 0;
        for (const std::size_t end = moved + many; moved < end; ++moved) {
          cost += cost_of(ring_.front());
          bytes_max -= ring_.front().size();
          ring_.pop_front(into[moved]);
        }
        bytes_ -= cost;
        next_ticket_ += many;
        refill(effects);
      } else if (Waiter* const sender = senders_.front()) {
        // Rendezvous: it is met where it stands.
        Message& next = sender->messages[sender->moved];
        if (!fits_still(next)) break;
        bytes_max -= next.size();
        into[moved++] = std::move(next);
        ++sender->moved;
        ++next_ticket_;
        ++sent_;
        if (sender->moved == sender->count) finish(*sender, ChannelWait::kDone, effects);
      } else {
        break;
      }
    }
    received_ += moved;
    return moved;
  }

  // The message is more than this receiver takes: its wait is over.
  bool refuses(Waiter& receiver, const Message& message, Effects& effects) WEFT_REQUIRES(mutex_) {
    if (message.size() <= receiver.bytes_max) return false;
    receiver.too_large = message.size();
    finish(receiver, ChannelWait::kTooLarge, effects);
    return true;
  }

  // Those who wait go on as far as there is room.
  void refill(Effects& effects) WEFT_REQUIRES(mutex_) {
    while (Waiter* const sender = senders_.front()) {
      while (sender->moved < sender->count && fits(sender->messages[sender->moved])) {
        put(std::move(sender->messages[sender->moved++]));
        ++sent_;
      }
      if (sender->moved < sender->count) return;
      finish(*sender, ChannelWait::kDone, effects);
    }
  }

  void queue(Waiters& waiters, Waiter& waiter, Message* messages, std::size_t count, std::size_t moved) WEFT_REQUIRES(mutex_) {
    waiter.messages = messages;
    waiter.count = count;
    waiter.moved = moved;
    // Relaxed: others look at it under the lock.
    waiter.word.store(ChannelWait::kQueued, std::memory_order_relaxed);
    waiters.push_back(waiter);
    waiter.sends = &waiters == &senders_;
    ++(waiter.sends ? senders_waiting_ : receivers_waiting_);
  }
  void unlink(Waiter& waiter) WEFT_REQUIRES(mutex_) {
    --(waiter.sends ? senders_waiting_ : receivers_waiting_);
    Waiters::remove(waiter);
  }
  void finish(Waiter& waiter, ChannelWait how, Effects& effects) WEFT_REQUIRES(mutex_) {
    unlink(waiter);
    effects.wakes.add(waiter.sleeper);
    waiter.word.store(how, std::memory_order_release);
  }
  bool leave(Waiter& waiter) WEFT_REQUIRES(mutex_) {
    if (waiter.state() != ChannelWait::kQueued) return false;
    unlink(waiter);
    waiter.word.store(ChannelWait::kIdle, std::memory_order_relaxed);
    return true;
  }

  void close_locked(Effects& effects) WEFT_REQUIRES(mutex_) {
    if (closed_) return;
    closed_ = true;
    closing_.store(true, std::memory_order_seq_cst);
    while (Waiter* const sender = senders_.front()) finish(*sender, ChannelWait::kClosed, effects);
    end_receivers(effects);
    update(effects);
  }
  // Closed, and nothing will come back.
  bool over() const WEFT_REQUIRES(mutex_) { return closed_ && (abandoned_ || unsettled_.load(std::memory_order_seq_cst) == 0); }
  // Those who wait have nothing to wait for.
  void end_receivers(Effects& effects) WEFT_REQUIRES(mutex_) {
    if (!over()) return;
    while (Waiter* const receiver = receivers_.front()) finish(*receiver, ChannelWait::kClosed, effects);
  }

  void update(Effects& effects) WEFT_REQUIRES(mutex_) {
    if (!tracked_) return;
    const bool rendezvous = rules_.capacity == 0;
    set(readable_, over() || !ring_.empty() || !returned_.empty() || (rendezvous && !senders_.empty()), effects.readable);
    const bool room = senders_.empty() && ring_.size() < rules_.capacity && bytes_ + kMessageCostMin <= rules_.bytes_max;
    set(writable_, closed_ || room || !receivers_.empty(), effects.writable);
  }
  static void set(base::atomic<bool>& flag, bool to, bool& became) {
    if (flag.load(std::memory_order_relaxed) == to) return;
    flag.store(to, std::memory_order_seq_cst);
    if (to) became = true;
  }

  const ChannelRules rules_;
  mutable ShortMutex mutex_;
  MessageRing<Message> ring_ WEFT_GUARDED_BY(mutex_);
  Waiters senders_ WEFT_GUARDED_BY(mutex_);
  Waiters receivers_ WEFT_GUARDED_BY(mutex_);
  ReturnedMessages<Message> returned_ WEFT_GUARDED_BY(mutex_);
  uint64_t bytes_ WEFT_GUARDED_BY(mutex_) = 0;        // cost of what is in the ring
  uint64_t next_ticket_ WEFT_GUARDED_BY(mutex_) = 1;  // of the next message to leave
  uint64_t sent_ WEFT_GUARDED_BY(mutex_) = 0;
  uint64_t received_ WEFT_GUARDED_BY(mutex_) = 0;
  std::size_t senders_waiting_ WEFT_GUARDED_BY(mutex_) = 0;
  std::size_t receivers_waiting_ WEFT_GUARDED_BY(mutex_) = 0;
  bool closed_ WEFT_GUARDED_BY(mutex_) = false;
  bool abandoned_ WEFT_GUARDED_BY(mutex_) = false;
  bool tracked_ WEFT_GUARDED_BY(mutex_) = false;
  // How many messages receivers have been handed and have not taken. Writers: whoever hands over or gives back, under mutex_; accept(), without.
  base::atomic<std::size_t> unsettled_{0};
  // closed_, for accept(). Writer: close_locked().
  base::atomic<bool> closing_{false};
  // Written under mutex_, read by watchers without it. seq_cst: the protocol of source.hpp.
  base::atomic<bool> readable_{false};
  base::atomic<bool> writable_{false};
};

}  // namespace weft::sync
