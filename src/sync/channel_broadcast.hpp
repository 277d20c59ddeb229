// ChannelBroadcast: the channel in which each receiver gets each message.
//
// One ring; each receiver has a cursor in it, the number of the next message that it gets. A slot knows how many receivers have not got it
// yet, and goes with the last of them. When the ring is full, either senders wait (in their order, as in channel_queue.hpp), or the oldest
// slot goes all the same, and a cursor that pointed to it has lost it: its next receive says how many.
//
// Nothing is handed to a receiver that waits: it is woken and looks again. So one that is dropped meanwhile leaves everything as it was.
//
// Cost: a send O(receivers that wait), a receive O(1), a receiver that goes O(messages it has not got).
#pragma once

#include <vector>

#include "sync/channel_queue.hpp"

namespace weft::sync {

// One receiver. The public handle's state derives from it.
class BroadcastCursor : public base::ListHook<struct CursorLink> {
 public:
  BroadcastCursor() = default;
  BroadcastCursor(const BroadcastCursor&) = delete;
  BroadcastCursor& operator=(const BroadcastCursor&) = delete;
  // Called under the channel's lock, so no more than a counter.
  virtual void retain_cursor() noexcept = 0;
  // Outside of it: there is something to read now. Lets go of the reference.
  virtual void notify_and_release() = 0;

  bool readable() const { return readable_.load(std::memory_order_seq_cst); }

 protected:
  virtual ~BroadcastCursor() = default;

 private:
  template <class, class>
  friend class BasicBroadcast;
  // Under the channel's lock.
  uint64_t next_ = 0;
  bool tracked_ = false;
  // Written under it; read by watchers without it. seq_cst: the protocol of source.hpp.
  base::atomic<bool> readable_{false};
};

template <class Sleeper, class Message>
class BasicBroadcast {
 public:
  using Waiter = ChannelWaiter<Sleeper, Message>;
  struct Effects {
    WakeList<Sleeper> wakes;
    std::vector<BroadcastCursor*> readable;  // referred to
    bool writable = false;
  };

  // `loses`: see above. rules.capacity is not 0.
  BasicBroadcast(ChannelRules rules, bool loses) : rules_(rules), loses_(loses) {}
  BasicBroadcast(const BasicBroadcast&) = delete;
  BasicBroadcast& operator=(const BasicBroadcast&) = delete;

  const ChannelRules& rules() const { return rules_; }

  // A receiver from now on; or, `of` given, one that stands where that one does.
  void join(BroadcastCursor& cursor, const BroadcastCursor* of) {
    ShortLock lock(mutex_);
    cursor.next_ = of != nullptr ? of->next_ : head();
    for (uint64_t at = std::max(cursor.next_, tail_); at < head(); ++at) ++ring_[at - tail_].unread;
    cursors_.push_back(cursor);
    ++receivers_here_;
  }
  // Nobody waits with it any more.
  void leave(BroadcastCursor& cursor, Effects& effects) {
    ShortLock lock(mutex_);
    Cursors::remove(cursor);
    --receivers_here_;
    for (uint64_t at = std::max(cursor.next_, tail_); at < head(); ++at) --ring_[at - tail_].unread;
    drop_read(effects);
    update_writable(effects);
  }

  // As those of ChannelQueue.
  Attempted send(Waiter* waiter, Message* messages, std::size_t count, Effects& effects) {
    const std::size_t asked = count;
    count = 0;
    while (count < asked && messages[count].size() <= rules_.message_bytes_max) ++count;
    if (count == 0 && asked != 0) return {Attempt::kTooLarge, messages[0].size()};

    ShortLock lock(mutex_);
    if (closed_) return {Attempt::kClosed};
    std::size_t moved = 0;
    while (moved < count && senders_.empty() && make_room(messages[moved])) put(std::move(messages[moved++]));
    Attempt how = Attempt::kMoved;
    if (moved < count && waiter != nullptr) {
      waiter->sends = true;
      queue(senders_, *waiter, messages, count, moved);
      how = Attempt::kQueued;
    } else if (moved == 0 && count != 0) {
      how = Attempt::kWouldWait;
    }
    if (moved != 0) tell_receivers(effects);
    update_writable(effects);
    return {how, moved};
  }

  Attempted receive(BroadcastCursor& cursor, Waiter* waiter, Message* into, std::size_t room, uint64_t bytes_max,
                    Effects& effects) {
    ShortLock lock(mutex_);
    if (cursor.next_ < tail_) {
      const uint64_t lost = tail_ - cursor.next_;
      cursor.next_ = tail_;
      lost_ += lost;
      update_readable(cursor, effects);
      return {Attempt::kLost, static_cast<std::size_t>(lost)};
    }
    std::size_t moved = 0;
    while (moved < room && cursor.next_ < head()) {
      Slot& slot = ring_[cursor.next_ - tail_];
      const uint64_t size = slot.message.size();
      if (size > bytes_max) {
        if (moved == 0) return {Attempt::kTooLarge, static_cast<std::size_t>(size)};
        break;
      }
      bytes_max -= size;
      ++cursor.next_;
      if (--slot.unread != 0) {
        into[moved++] = slot.message;
      } else {
        into[moved++] = std::move(slot.message);
        // Its cost is still counted: the slot remembers it.
      }
    }
    received_ += moved;
    if (moved != 0) drop_read(effects);
    Attempt how = Attempt::kMoved;
    if (moved == 0 && room != 0) {
      if (closed_) {
        how = Attempt::kClosed;
      } else if (waiter == nullptr) {
        how = Attempt::kWouldWait;
      } else {
        waiter->sends = false;
        waiter->bytes_max = bytes_max;
        queue(waiting_, *waiter, into, room, 0);
        how = Attempt::kQueued;
      }
    }
    update_readable(cursor, effects);
    update_writable(effects);
    return {how, moved};
  }

  // Either side. True: it was waiting, and is not any more.
  bool cancel(Waiter& waiter, Effects& effects) {
    ShortLock lock(mutex_);
    if (waiter.state() != ChannelWait::kQueued) return false;
    unlink(waiter);
    waiter.word.store(ChannelWait::kIdle, std::memory_order_relaxed);
    if (waiter.sends) {
      refill(effects);
      update_writable(effects);
    }
    return true;
  }

  void close(Effects& effects) {
    ShortLock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    while (Waiter* const sender = senders_.front()) finish(*sender, ChannelWait::kClosed, effects);
    tell_receivers(effects);
    update_writable(effects);
  }

  bool writable() const { return writable_.load(std::memory_order_seq_cst); }
  void track() {
    ShortLock lock(mutex_);
    tracked_ = true;
    Effects none;
    update_writable(none);
  }
  void track(BroadcastCursor& cursor) {
    ShortLock lock(mutex_);
    if (cursor.tracked_) return;
    cursor.tracked_ = true;
    // Nobody watches yet.
    cursor.readable_.store(is_readable(cursor), std::memory_order_seq_cst);
  }

  bool closed() const {
    ShortLock lock(mutex_);
    return closed_;
  }
  struct Counts {
    typename BasicChannelQueue<Sleeper, Message>::Counts common;
    uint64_t lost = 0;
  };
  Counts counts() const {
    ShortLock lock(mutex_);
    return {{ring_.size(), bytes_, sent_, received_, senders_waiting_, receivers_waiting_, closed_}, lost_};
  }

 private:
  struct Slot {
    Message message{};
    uint64_t cost = 0;
    std::size_t unread = 0;
  };
  using Waiters = base::List<Waiter, ChannelWaiterLink>;
  using Cursors = base::List<BroadcastCursor, CursorLink>;

  uint64_t head() const WEFT_REQUIRES(mutex_) { return tail_ + ring_.size(); }

  void drop_front() WEFT_REQUIRES(mutex_) {
    bytes_ -= ring_.front().cost;
    Slot dropped;
    ring_.pop_front(dropped);
    ++tail_;
  }
  bool make_room(const Message& message) WEFT_REQUIRES(mutex_) {
    while (ring_.size() >= rules_.capacity || bytes_ + cost_of(message) > rules_.bytes_max) {
      if (!loses_) return false;
      drop_front();
    }
    return true;
  }
  void put(Message&& message) WEFT_REQUIRES(mutex_) {
    ++sent_;
    if (receivers_here_ == 0) {
      [[maybe_unused]] const Message nobody_wants_it = std::move(message);
      ++tail_;
      return;
    }
    const uint64_t cost = cost_of(message);
    ring_.push_back(Slot{std::move(message), cost, receivers_here_});
    bytes_ += cost;
  }
  // What all have got goes, and those who wait for room go on.
  void drop_read(Effects& effects) WEFT_REQUIRES(mutex_) {
    while (!ring_.empty() && ring_.front().unread == 0) drop_front();
    refill(effects);
  }
  void refill(Effects& effects) WEFT_REQUIRES(mutex_) {
    bool any = false;
    while (Waiter* const sender = senders_.front()) {
      while (sender->moved < sender->count && make_room(sender->messages[sender->moved])) {
        put(std::move(sender->messages[sender->moved++]));
        any = true;
      }
      if (sender->moved < sender->count) break;
      finish(*sender, ChannelWait::kDone, effects);
    }
    if (any) tell_receivers(effects);
  }

  // There is something new, for all.
  void tell_receivers(Effects& effects) WEFT_REQUIRES(mutex_) {
    while (Waiter* const receiver = waiting_.front())
      finish(*receiver, closed_ ? ChannelWait::kClosed : ChannelWait::kDone, effects);
    for (BroadcastCursor* cursor = cursors_.front(); cursor != nullptr; cursor = cursors_.next(*cursor)) {
      if (cursor->tracked_) update_readable(*cursor, effects);
    }
  }
  bool is_readable(const BroadcastCursor& cursor) const WEFT_REQUIRES(mutex_) { return closed_ || cursor.next_ < head(); }
  void update_readable(BroadcastCursor& cursor, Effects& effects) WEFT_REQUIRES(mutex_) {
    if (!cursor.tracked_ || cursor.readable_.load(std::memory_order_relaxed) == is_readable(cursor)) return;
    cursor.readable_.store(is_readable(cursor), std::memory_order_seq_cst);
    if (!is_readable(cursor)) return;
    cursor.retain_cursor();
    effects.readable.push_back(&cursor);
  }
  void update_writable(Effects& effects) WEFT_REQUIRES(mutex_) {
    if (!tracked_) return;
    const bool room =
        loses_ || (senders_.empty() && ring_.size() < rules_.capacity && bytes_ + kMessageCostMin <= rules_.bytes_max);
    const bool now = closed_ || room;
    if (writable_.load(std::memory_order_relaxed) == now) return;
    writable_.store(now, std::memory_order_seq_cst);
    if (now) effects.writable = true;
  }

  void queue(Waiters& waiters, Waiter& waiter, Message* messages, std::size_t count, std::size_t moved) WEFT_REQUIRES(mutex_) {
    waiter.messages = messages;
    waiter.count = count;
    waiter.moved = moved;
    waiter.word.store(ChannelWait::kQueued, std::memory_order_relaxed);
    waiters.push_back(waiter);
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

  const ChannelRules rules_;
  const bool loses_;
  mutable ShortMutex mutex_;
  MessageRing<Slot> ring_ WEFT_GUARDED_BY(mutex_);
  uint64_t tail_ WEFT_GUARDED_BY(mutex_) = 0;  // the number of the first one in the ring
  uint64_t bytes_ WEFT_GUARDED_BY(mutex_) = 0;
  Cursors cursors_ WEFT_GUARDED_BY(mutex_);
  std::size_t receivers_here_ WEFT_GUARDED_BY(mutex_) = 0;
  Waiters senders_ WEFT_GUARDED_BY(mutex_);
  Waiters waiting_ WEFT_GUARDED_BY(mutex_);
  uint64_t sent_ WEFT_GUARDED_BY(mutex_) = 0;
  uint64_t received_ WEFT_GUARDED_BY(mutex_) = 0;
  uint64_t lost_ WEFT_GUARDED_BY(mutex_) = 0;
  std::size_t senders_waiting_ WEFT_GUARDED_BY(mutex_) = 0;
  std::size_t receivers_waiting_ WEFT_GUARDED_BY(mutex_) = 0;
  bool closed_ WEFT_GUARDED_BY(mutex_) = false;
  bool tracked_ WEFT_GUARDED_BY(mutex_) = false;
  base::atomic<bool> writable_{false};
};

}  // namespace weft::sync
