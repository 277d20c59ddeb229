// What the children of the simulated soak have in common, and what must hold of it: mailboxes, a lock, a channel, a topic, each with a ledger beside it. The children
// die at any moment; their guards close the books. Header for soak_test.cpp only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ref.hpp"
#include "base/rng.hpp"
#include "process/together/lock.hpp"
#include "process/together/mailbox.hpp"
#include "process/together/topic.hpp"
#include "weft/channel.hpp"
#include "weft/supervisor.hpp"

namespace weft::supervise::soak {

using namespace std::chrono_literals;

inline Bytes bytes_of(std::uint64_t number) {
  return Bytes::make(sizeof number, [number](std::span<std::byte> to) { std::memcpy(to.data(), &number, sizeof number); });
}
inline std::uint64_t number_in(const Bytes& bytes) {
  std::uint64_t number = 0;
  std::memcpy(&number, bytes.view().data(), std::min(sizeof number, bytes.size()));
  return number;
}

// What was sent and what came. A sender may be dropped after its message went and before it knows: such a message may come, or be still on its way, but none comes twice,
// and none is missing of which the sender knows.
class Ledger {
 public:
  // The sender knows that it went.
  void acknowledged(std::uint64_t number) {
    if (!came_.contains(number)) owed_.insert(number);
  }
  // False: twice.
  bool came(std::uint64_t number) {
    owed_.erase(number);
    return came_.insert(number).second;
  }
  std::size_t missing() const { return owed_.size(); }

 private:
  std::unordered_set<std::uint64_t> owed_;
  std::unordered_set<std::uint64_t> came_;
};

struct Commons {
  struct Box {
    Mailbox mailbox{new detail::MailboxState({.messages = 8, .bytes = 4096})};
    Ledger ledger;
    std::unordered_map<std::uint64_t, std::uint64_t> last{};  // number, by sender
  };

  Commons() {
    Channel made = make_channel({.capacity = 4}).value();
    sender = std::move(made.sender);
    receiver = std::move(made.receiver);
  }

  void rule(bool holds, const std::string& text) {
    if (!holds && broken.empty()) broken = text;
  }

  std::string broken{};  // the first that was
  std::unordered_map<std::string, int> running{};
  std::uint64_t last_life = 0;
  std::uint64_t last_number = 0;
  std::uint64_t deeds = 0;  // messages, turns with the lock, events: that anything happens at all

  std::vector<std::shared_ptr<Box>> boxes{};  // of those that receive, now
  const std::shared_ptr<detail::LockState> lock = std::make_shared<detail::LockState>(1);
  std::string holder{};  // a child
  bool holder_died = false;
  Sender sender;
  Receiver receiver;
  Ledger channel{};
  const std::shared_ptr<detail::TopicState> topic = std::make_shared<detail::TopicState>();
  std::uint64_t published = 0;
};

enum class Role : std::uint8_t {
  kReceives,
  kSends,
  kLocks,
  kProduces,
  kConsumes,
  kPublishes,
  kSubscribes,
  kCrashes,
  kReturns,
  kDeaf
};
inline constexpr std::uint32_t kRoles = 10;

// One life of one child.
struct Life {
  Life(Commons& in, std::string of, std::uint64_t seed)
      : commons(in), id(std::move(of)), number(++in.last_life), rng(seed ^ number) {
    commons.rule(++commons.running[id] == 1, id + " runs twice");
  }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;
  ~Life() { --commons.running[id]; }

  Duration span(std::uint32_t ms_max) { return std::chrono::milliseconds(1 + rng.below(ms_max)); }

  Commons& commons;
  const std::string id;
  const std::uint64_t number;  // as a process would have one
  base::Rng rng;
};

// ---- mailboxes ----

class Reception {
 public:
  explicit Reception(Commons& commons) : commons_(commons), box_(std::make_shared<Commons::Box>()) {
    commons_.boxes.push_back(box_);
  }
  Reception(const Reception&) = delete;
  Reception& operator=(const Reception&) = delete;
  ~Reception() {
    std::erase(commons_.boxes, box_);
    // What is in it, and what senders wait with, which moves up.
    while (MailResult<Message> left = box_->mailbox.try_receive()) take(*left);
    box_->mailbox.state()->close();
    // Acknowledgements of messages that went at the last moment are still to come.
    commons_.rule(box_->ledger.missing() == 0, "a message that was sent to a mailbox is lost");
    commons_.rule(box_->mailbox.stats().messages == 0, "a closed mailbox has messages");
  }
  const Mailbox& mailbox() const { return box_->mailbox; }
  void take(const Message& message) {
    const std::uint64_t number = number_in(message.bytes);
    commons_.rule(box_->ledger.came(number), "a message came twice");
    commons_.rule(std::exchange(box_->last[message.sender], number) < number, "messages of one sender came in another order");
    ++commons_.deeds;
  }

 private:
  Commons& commons_;
  const std::shared_ptr<Commons::Box> box_;
};

inline Task<> receives(Life& life, StopSignal stop) {
  Reception reception(life.commons);
  while (!stop.requested()) {
    Mailbox::Receive receive = reception.mailbox().receive({}, life.span(100));
    const MailResult<Message> message = co_await receive;
    if (message) reception.take(*message);
    if (life.rng.one_in(4)) co_await sleep_for(life.span(60));
  }
}

inline Task<> sends(Life& life, StopSignal stop) {
  while (!stop.requested()) {
    co_await sleep_for(life.span(120));
    if (life.commons.boxes.empty()) continue;
    const std::shared_ptr<Commons::Box> box =
        life.commons.boxes[life.rng.below(static_cast<std::uint32_t>(life.commons.boxes.size()))];
    const std::uint64_t number = ++life.commons.last_number;
    Mailbox::Send send = box->mailbox.send({.sender = life.number, .bytes = bytes_of(number)}, life.span(50));
    const MailResult<void> sent = co_await send;
    // After its receiver's end the books are closed.
    if (sent && std::ranges::find(life.commons.boxes, box) != life.commons.boxes.end()) box->ledger.acknowledged(number);
  }
}

// ---- the lock ----

class Hold final : public detail::Acquisition {
 public:
  using Acquisition::Acquisition;
  LockResult<bool> await_resume() { return take(); }
};

// What a process does to its locks when it ends.
class LockEnd {
 public:
  explicit LockEnd(Life& life) : life_(life) {}
  LockEnd(const LockEnd&) = delete;
  LockEnd& operator=(const LockEnd&) = delete;
  ~LockEnd() {
    if (life_.commons.holder == life_.id) {
      life_.commons.holder.clear();
      life_.commons.holder_died = true;
    }
    life_.commons.lock->process_gone(life_.number);
    life_.commons.rule(!life_.commons.lock->holds(life_.number), "the dead hold the lock");
  }

 private:
  Life& life_;
};

inline Task<> locks(Life& life, StopSignal stop) {
  const LockEnd end(life);
  Commons& commons = life.commons;
  while (!stop.requested()) {
    Hold hold(commons.lock, life.number, life.span(80));
    const LockResult<bool> taken = co_await hold;
    if (taken) {
      commons.rule(commons.holder.empty(), "two have the lock");
      commons.rule(*taken == std::exchange(commons.holder_died, false), "the death of a holder was not told once");
      commons.holder = life.id;
      ++commons.deeds;
      co_await sleep_for(life.span(20));
      commons.holder.clear();
      commons.rule(commons.lock->release(life.number), "a holder could not release");
    }
    co_await sleep_for(life.span(80));
  }
}

// ---- the channel ----

inline Task<> produces(Life& life, StopSignal stop) {
  Commons& commons = life.commons;
  const Sender sender = commons.sender;
  while (!stop.requested()) {
    const std::uint64_t number = ++commons.last_number;
    Sender::Send send = sender.send_for(bytes_of(number), life.span(50));
    const ChannelResult<void> sent = co_await send;
    if (sent) commons.channel.acknowledged(number);
    co_await sleep_for(life.span(80));
  }
}

inline void came_from_channel(Commons& commons, const Bytes& bytes) {
  const std::uint64_t number = number_in(bytes);
  commons.rule(commons.channel.came(number), "a message came twice out of the channel");
  ++commons.deeds;
}

inline Task<> consumes(Life& life, StopSignal stop) {
  const Receiver receiver = life.commons.receiver;
  while (!stop.requested()) {
    Receiver::Receive receive = receiver.receive_for(life.span(100));
    const ChannelResult<Bytes> bytes = co_await receive;
    if (bytes) came_from_channel(life.commons, *bytes);
    if (life.rng.one_in(4)) co_await sleep_for(life.span(100));
  }
}

// ---- the topic ----

inline Task<> publishes(Life& life, StopSignal stop) {
  while (!stop.requested()) {
    co_await sleep_for(life.span(100));
    life.commons.topic->publish(life.number, bytes_of(++life.commons.published));
  }
}

class Hearing {
 public:
  explicit Hearing(Commons& commons) : commons_(commons), since_(commons.published), last_(commons.published) {
    auto box = base::make_ref<detail::MailboxState>(
        MailboxLimits{.messages = 3, .bytes = 4096, .notices = 0, .when_full = FullMailbox::kDropsOldest});
    commons_.rule(commons_.topic->add(box), "no room for a subscriber");
    state_ = std::make_shared<detail::SubscriptionState>(commons_.topic, std::move(box));
  }
  Hearing(const Hearing&) = delete;
  Hearing& operator=(const Hearing&) = delete;
  ~Hearing() {
    while (MailResult<Message> left = state_->mailbox().try_receive()) take(std::move(*left));
    commons_.rule(heard_ == commons_.published - since_, "an event was neither heard nor counted as lost");
  }
  Mailbox mailbox() const { return state_->mailbox(); }
  void take(Message message) {
    const TopicEvent event = state_->event_of(std::move(message));
    const std::uint64_t number = number_in(event.bytes);
    commons_.rule(std::exchange(last_, number) < number, "events came in another order");
    heard_ += 1 + event.lost;
    ++commons_.deeds;
  }

 private:
  Commons& commons_;
  std::shared_ptr<detail::SubscriptionState> state_;
  const std::uint64_t since_;
  std::uint64_t last_;
  std::uint64_t heard_ = 0;  // with those that were lost
};

inline Task<> subscribes(Life& life, StopSignal stop) {
  Hearing hearing(life.commons);
  while (!stop.requested()) {
    const Mailbox mailbox = hearing.mailbox();
    Mailbox::Receive receive = mailbox.receive({}, life.span(100));
    MailResult<Message> message = co_await receive;
    if (message) hearing.take(std::move(*message));
    if (life.rng.one_in(3)) co_await sleep_for(life.span(300));
  }
}

// ---- all of them ----

inline Task<> live(Commons& commons, std::string id, Role role, std::uint64_t seed, StopSignal stop) {
  Life life(commons, std::move(id), seed);
  switch (role) {
    case Role::kReceives:
      co_await receives(life, std::move(stop));
      break;
    case Role::kSends:
      co_await sends(life, std::move(stop));
      break;
    case Role::kLocks:
      co_await locks(life, std::move(stop));
      break;
    case Role::kProduces:
      co_await produces(life, std::move(stop));
      break;
    case Role::kConsumes:
      co_await consumes(life, std::move(stop));
      break;
    case Role::kPublishes:
      co_await publishes(life, std::move(stop));
      break;
    case Role::kSubscribes:
      co_await subscribes(life, std::move(stop));
      break;
    case Role::kCrashes:
      co_await sleep_for(life.span(20'000));
      throw std::runtime_error("crash");
    case Role::kReturns:
      co_await sleep_for(life.span(20'000));
      break;
    case Role::kDeaf:
      while (true) co_await sleep_for(1h);
  }
}

}  // namespace weft::supervise::soak
