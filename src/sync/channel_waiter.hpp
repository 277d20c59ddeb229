// What the two kinds of channels (channel_queue.hpp, channel_broadcast.hpp) share: who waits in them, what comes of an attempt, and the ring
// in which messages lie.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/atomic.hpp"
#include "base/intrusive_list.hpp"

namespace weft::sync {

enum class ChannelWait : uint8_t {
  kIdle,      // not waiting
  kQueued,    // in the channel's list
  kDone,      // over: its messages have been moved (a receiver of a broadcast: worth another look)
  kClosed,    // over: the channel was closed
  kTooLarge,  // over: a receiver's next message has more bytes than it takes; it stays where it is
};

// A send or receive that waits. It lies where its operation does.
template <class Sleeper, class Message>
struct ChannelWaiter : base::ListHook<struct ChannelWaiterLink> {
  explicit ChannelWaiter(Sleeper who) : sleeper(who) {}

  const Sleeper sleeper;
  // Of the operation; read and written by whoever moves messages, under the channel's lock, as long as it is queued.
  Message* messages = nullptr;
  std::size_t count = 0;
  std::size_t moved = 0;
  bool sends = false;
  uint64_t ticket = 0;              // of the first message that a receiver was handed: its place among all that have left
  uint64_t bytes_max = UINT64_MAX;  // a receiver's: what it takes at once, all messages together
  uint64_t too_large = 0;           // kTooLarge: the message's size
  // Written under the channel's lock; read by the owner without it. Release when it leaves kQueued, partner of the acquire in state(): it is the
  // last touch, and publishes the messages.
  base::atomic<ChannelWait> word{ChannelWait::kIdle};

  ChannelWait state() const { return word.load(std::memory_order_acquire); }
};

// What an attempt to send or receive came to.
enum class Attempt : uint8_t {
  kMoved,  // `moved` messages; fewer than asked when it went no further for one of the reasons below, or there were no more
  kQueued,
  kWouldWait,
  kClosed,
  kTooLarge,  // `moved` says how many bytes the message has
  kOverLimit,
  kLost,  // `moved` says how many
};
struct Attempted {
  Attempt how = Attempt::kMoved;
  std::size_t moved = 0;
};

// A message counts for its size, but not for less than the room it takes anyway: many empty ones are not nothing.
inline constexpr uint64_t kMessageCostMin = 64;
template <class Message>
uint64_t cost_of(const Message& message) {
  return std::max<uint64_t>(message.size(), kMessageCostMin);
}

// How many of the first `most` have `bytes_max` together. Of anything that has them by index.
template <class Messages>
std::size_t how_many_fit(Messages&& messages, std::size_t most, uint64_t bytes_max) {
  if (bytes_max == UINT64_MAX) return most;
  std::size_t many = 0;
  for (uint64_t left = bytes_max; many < most && messages[many].size() <= left; ++many) left -= messages[many].size();
  return many;
}

// What came back, in the order in which it had left. Few at any time. One thread at a time.
template <class Message>
class ReturnedMessages {
 public:
  bool empty() const { return list_.empty(); }
  std::size_t size() const { return list_.size(); }
  const Message& front() const { return list_.front().message; }
  uint64_t ticket() const { return list_.front().ticket; }

  void put(uint64_t ticket, Message&& message) {
    const auto behind = std::find_if(list_.begin(), list_.end(), [&](const Entry& one) { return one.ticket > ticket; });
    list_.insert(behind, Entry{ticket, std::move(message)});
  }
  Message take() {
    Message message = std::move(list_.front().message);
    list_.erase(list_.begin());
    return message;
  }

 private:
  struct Entry {
    uint64_t ticket;
    Message message;
  };
  std::vector<Entry> list_;
};

// First in, first out, growing by doubling; what it has grown to beyond kKeep is let go when it runs empty. One thread at a time.
template <class Message>
class MessageRing {
 public:
  static constexpr std::size_t kFirst = 16;
  static constexpr std::size_t kKeep = 4096;

  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  Message& operator[](std::size_t index) { return slots_[(head_ + index) & (room_ - 1)]; }
  Message& front() { return slots_[head_]; }

  void push_back(Message&& message) {
    if (count_ == room_) [[unlikely]]
      grow();
    slots_[(head_ + count_) & (room_ - 1)] = std::move(message);
    ++count_;
  }
  void pop_front(Message& to) {
    WEFT_DEBUG_ASSERT(count_ != 0, "nothing is in the ring");
    to = std::move(slots_[head_]);
    head_ = (head_ + 1) & (room_ - 1);
    --count_;
    if (count_ == 0 && room_ > kKeep) [[unlikely]]
      *this = MessageRing();
  }

  MessageRing() = default;
  MessageRing(MessageRing&& other) noexcept
      : slots_(std::move(other.slots_)),
        room_(std::exchange(other.room_, 0)),
        head_(std::exchange(other.head_, 0)),
        count_(std::exchange(other.count_, 0)) {}
  MessageRing& operator=(MessageRing&& other) noexcept {
    slots_ = std::move(other.slots_);
    room_ = std::exchange(other.room_, 0);
    head_ = std::exchange(other.head_, 0);
    count_ = std::exchange(other.count_, 0);
    return *this;
  }

 private:
  void grow() {
    const std::size_t room = room_ == 0 ? kFirst : 2 * room_;
    auto slots = std::make_unique<Message[]>(room);
    for (std::size_t i = 0; i < count_; ++i) slots[i] = std::move((*this)[i]);
    slots_ = std::move(slots);
    room_ = room;
    head_ = 0;
  }

  std::unique_ptr<Message[]> slots_;
  std::size_t room_ = 0;  // a power of two, or nothing yet
  std::size_t head_ = 0;
  std::size_t count_ = 0;
};

}  // namespace weft::sync
