// BasicMailbox: how a mailbox does what weft::Mailbox promises.
//
// There is one order of messages, by sequence number, in two lists: `queue_`, what the mailbox holds, and behind it `waiting_`, what senders wait with. A
// receiver looks through both. What leaves makes room for the head of `waiting_`.
//
// A receiver that waits has looked through all there was (without a predicate under the lock, with one outside of it, by copies), and from then on sees each
// new message: so whoever adds one asks the receivers in their order first, and hands it over. Those with a predicate cannot be asked under the lock: they
// are woken, which ends their wait, and look for themselves.
//
//   MailSender:    send ──▶ waits ──taken or kept──▶ kOver        MailReceiver:   look ──▶ waits ──handed over──▶ kFound
//                            │ └──────close──▶ kClosed                              ▲        │ └──close──▶ kClosed
//                            └──give_up──▶ kNothing                                 └─woken──┤ (with a predicate)
//                                                                                            └──give_up──▶ kNothing
//
// Locks: mutex_ is a leaf, but for the locks of sources (notify is called without it). Nobody is woken and nothing is called under it.
//
// Template over the sleeper, the message, the filter and the source that it is, so that the model checker runs this very code (mailbox_model.cpp). A message
// has a kind, a monitor and bytes.size(); a filter has a predicate that may be empty, and passes(filter, message), which is everything but the predicate.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/atomic.hpp"
#include "base/intrusive_list.hpp"
#include "base/mutex.hpp"
#include "sync/wake_list.hpp"
#include "weft/limits.hpp"
#include "weft/mailbox.hpp"

namespace weft::detail {

template <class Sleeper, class Message>
struct BasicMailSender;

template <class Sleeper, class Message>
struct BasicMailNode final : base::ListHook<struct MailNodeLink> {
  std::uint64_t sequence = 0;
  Message message;
  BasicMailSender<Sleeper, Message>* sender = nullptr;  // in waiting_: who waits with it; null if it was put back
  bool notice() const { return message.kind != MessageKind::kUser; }
};

// Both belong to the operation; their fields to the mailbox's lock.
template <class Sleeper, class Message>
struct BasicMailSender {
  explicit BasicMailSender(Sleeper who) : sleeper(who) {}
  const Sleeper sleeper;
  BasicMailNode<Sleeper, Message>* node = nullptr;  // while it waits
  bool closed = false;
};

template <class Sleeper, class Message, class Filter>
struct BasicMailReceiver : base::ListHook<struct MailReceiverLink> {
  BasicMailReceiver(Sleeper who, const Filter& what) : sleeper(who), filter(what) {}
  const Sleeper sleeper;
  const Filter& filter;
  std::unique_ptr<BasicMailNode<Sleeper, Message>> node;  // what it was handed
  bool closed = false;
};

// How a wait stands.
enum class MailWait : std::uint8_t {
  kOver,     // sent; found
  kClosed,   // over: the process has ended
  kNothing,  // it waits, or, where it does not wait: there is no such message, the message was not sent
};

template <class Sleeper, class Message, class Filter, class Source>
class BasicMailbox : public Source {
 public:
  using Sender = BasicMailSender<Sleeper, Message>;
  using Receiver = BasicMailReceiver<Sleeper, Message, Filter>;
  using MailNode = BasicMailNode<Sleeper, Message>;
  using Node = std::unique_ptr<MailNode>;
  using Wakes = sync::WakeList<Sleeper>;
  static constexpr std::uint64_t kCostMin = 64;

  explicit BasicMailbox(const MailboxLimits& limits) : limits_(limits) {}

  // ---- sending: any thread ----

  // kWouldWait leaves the message.
  std::optional<MailError> try_send(Message& message) { return send(message, nullptr); }

  // Nothing: it is sent. kWouldWait: the sender, if there is one, waits, and is woken when that is over.
  std::optional<MailError> send(Message& message, Sender* sender) {
    auto node = std::make_unique<MailNode>();
    std::optional<MailError> error;
    bool tell = false;
    Wakes wakes;
    {
      base::Lock lock(mutex_);
      if (auto why = refused(message)) return why;
      node->message = std::move(message);
      if (!offer(node, wakes)) {
        error = MailError{MailFailure::kWouldWait, 0};
        if (sender == nullptr) {
          message = std::move(node->message);
          return error;
        }
        node->sender = sender;
        sender->node = node.get();
        waiting_.push_back(*node.release());
        ++stats_.senders_waiting;
      }
      tell = publish();
    }
    wakes.wake_all();
    if (tell) this->notify();
    return error;
  }

  // The message comes back if the wait was for nothing.
  MailWait sent(Sender& sender, Message& message) {
    Node node;
    base::Lock lock(mutex_);
    if (!sender.closed) return sender.node == nullptr ? MailWait::kOver : MailWait::kNothing;
    reclaim(sender, message, node);
    return MailWait::kClosed;
  }

  // It waits no more. kNothing: it was not sent. The message comes back unless it was.
  MailWait give_up(Sender& sender, Message& message) {
    Wakes wakes;
    Node node;
    base::Lock lock(mutex_);
    if (!sender.closed && sender.node == nullptr) return MailWait::kOver;
    reclaim(sender, message, node);
    if (sender.closed) return MailWait::kClosed;
    Nodes::remove(*node);
    --stats_.senders_waiting;
    admit(wakes);  // a smaller one may fit
    (void)publish();
    return MailWait::kNothing;
  }

  // ---- receiving: any thread ----

  // The first message that passes the filter, predicate and all. kNothing: the receiver, if there is one, waits. One that waited may look again once its wait
  // has ended.
  MailWait look(const Filter& filter, Receiver* receiver, Node& found) {
    if (!filter.predicate) return take_or_wait(filter, receiver, found);
    for (Seen seen;;) {
      const std::vector<Copy> copies = this->copies(filter, seen);
      for (const Copy& copy : copies) {
        if (!filter.predicate(copy.message)) continue;
        found = take(copy.sequence);
        if (found) return MailWait::kOver;
      }
      if (!copies.empty()) continue;
      if (const std::optional<MailWait> how = wait(receiver, seen)) return *how;
    }
  }

  // After a wake-up, possibly one without cause: kNothing, it waits on.
  MailWait received(Receiver& receiver, Node& found) {
    {
      base::Lock lock(mutex_);
      if (receiver.linked()) return MailWait::kNothing;
    }
    // Nobody else refers to it now.
    if (receiver.node || receiver.closed) return outcome(receiver, found);
    return look(receiver.filter, &receiver, found);
  }

  // Its time is over: it waits no more. One that was woken to look does that, for nobody else was.
  MailWait give_up(Receiver& receiver, Node& found) {
    leave(receiver);
    if (receiver.node || receiver.closed) return outcome(receiver, found);
    return receiver.filter.predicate ? look(receiver.filter, nullptr, found) : MailWait::kNothing;
  }

  // It is dropped: it waits no more, and what it was handed goes back.
  void withdraw(Receiver& receiver) {
    leave(receiver);
    if (receiver.node) put_back(std::move(receiver.node));
  }

  // Undoes a receive: the message goes to its old place, or to whoever waits for it.
  void put_back(Node node) {
    bool tell = false;
    Wakes wakes;
    {
      base::Lock lock(mutex_);
      --stats_.received;
      if (stats_.closed) return;
      ++put_backs_;
      if (node->notice()) ++stats_.reserved;
      if (!hand_over(node, wakes)) {
        // Behind what waits with a smaller number it waits, too; else it is kept, over the limits if need be.
        const bool waits = !waiting_.empty() && waiting_.front()->sequence < node->sequence;
        if (!waits || node->notice()) count(*node);
        Nodes& list = waits ? waiting_ : queue_;
        MailNode* behind = list.front();
        while (behind != nullptr && behind->sequence < node->sequence) behind = list.next(*behind);
        if (behind == nullptr) {
          list.push_back(*node.release());
        } else {
          list.insert_before(*behind, *node.release());
        }
        if (waits) admit(wakes);
        tell = publish();
      }
    }
    wakes.wake_all();
    if (tell) this->notify();
  }

  // ---- notices ----

  // Room for one message about an end. False at the bound, or closed.
  bool reserve_notice() {
    base::Lock lock(mutex_);
    if (stats_.closed || stats_.reserved >= limits_.notices) return false;
    ++stats_.reserved;
    return true;
  }
  void release_notice() {
    base::Lock lock(mutex_);
    if (!stats_.closed) --stats_.reserved;
  }
  // In a place that was reserved. Nobody is woken before `wakes` is: the caller may hold a lock, and calls told() without it if this says so.
  [[nodiscard]] bool post_notice(Message message, Wakes& wakes) {
    auto node = std::make_unique<MailNode>();
    node->message = std::move(message);
    base::Lock lock(mutex_);
    if (stats_.closed) return false;
    node->sequence = next_sequence_++;
    if (hand_over(node, wakes)) return false;
    count(*node);
    // The rest waits behind those that wait.
    (waiting_.empty() ? queue_ : waiting_).push_back(*node.release());
    return publish();
  }
  void told() { this->notify(); }
  // Takes out what a monitor has told. True: it was there.
  bool flush(MonitorId monitor) {
    Node node;
    Wakes wakes;
    base::Lock lock(mutex_);
    node = take_first(
        [monitor](const MailNode& one) { return one.message.kind == MessageKind::kDown && one.message.monitor == monitor; }, wakes);
    if (!node) return false;
    --stats_.received;
    (void)publish();
    return true;
  }

  // ---- the rest ----

  void count_dropped() {
    base::Lock lock(mutex_);
    ++stats_.dropped;
  }

  void close() {
    Wakes wakes;
    Nodes gone;
    {
      base::Lock lock(mutex_);
      if (std::exchange(stats_.closed, true)) return;
      gone.splice_back(queue_);
      while (MailNode* const node = waiting_.pop_front()) {
        if (node->sender == nullptr) {
          gone.push_back(*node);
          continue;
        }
        node->sender->closed = true;  // the node is its, from now on
        wakes.add(node->sender->sleeper);
      }
      while (Receiver* const receiver = receivers_.pop_front()) {
        receiver->closed = true;
        wakes.add(receiver->sleeper);
      }
      stats_ = {.received = stats_.received, .dropped = stats_.dropped, .closed = true};
      ready_.store(false, std::memory_order_seq_cst);
      closed_word_.store(true, std::memory_order_seq_cst);
    }
    while (MailNode* const node = gone.pop_front()) delete node;
    wakes.wake_all();
    this->notify();
  }
  bool closed() const { return closed_word_.load(std::memory_order_seq_cst); }

  MailboxStats stats() const {
    base::Lock lock(mutex_);
    MailboxStats stats = stats_;
    for (Receiver* one = receivers_.front(); one != nullptr; one = receivers_.next(*one)) ++stats.receivers_waiting;
    return stats;
  }

  bool ready() const noexcept override { return ready_.load(std::memory_order_seq_cst); }
  bool gone() const noexcept override { return closed_word_.load(std::memory_order_seq_cst); }
  const char* reason() const noexcept override { return "mailbox"; }

 protected:
  ~BasicMailbox() override {
    // Nobody waits any more: who waits has a reference.
    while (MailNode* const node = queue_.pop_front()) delete node;
    while (MailNode* const node = waiting_.pop_front()) delete node;
  }

 private:
  using Nodes = base::List<MailNode, MailNodeLink>;
  // What a receiver with a predicate has seen.
  struct Seen {
    std::uint64_t from = 0;       // sequence numbers from here on it has not
    std::uint64_t put_backs = 0;  // so many there had been when it began: one more, and it begins again
  };
  struct Copy {
    std::uint64_t sequence;
    Message message;
  };
  static constexpr std::size_t kBatch = 16;

  static std::uint64_t cost(const Message& message) { return std::max<std::uint64_t>(message.bytes.size(), kCostMin); }

  // ---- one step of a receive: they take the lock ----

  MailWait take_or_wait(const Filter& filter, Receiver* receiver, Node& found) {
    Wakes wakes;
    base::Lock lock(mutex_);
    found = take_first([&filter](const MailNode& one) { return passes(filter, one.message); }, wakes);
    if (found) {
      (void)publish();
      return MailWait::kOver;
    }
    if (stats_.closed) return MailWait::kClosed;
    if (receiver != nullptr) receivers_.push_back(*receiver);
    return MailWait::kNothing;
  }
  // The next few that it has not seen and that pass the filter (not its predicate). None: it has seen all.
  std::vector<Copy> copies(const Filter& filter, Seen& seen) {
    std::vector<Copy> copies;
    base::Lock lock(mutex_);
    if (seen.put_backs != put_backs_) seen = {0, put_backs_};
    for (Nodes* const list : {&queue_, &waiting_}) {
      for (MailNode* node = list->front(); node != nullptr; node = list->next(*node)) {
        if (node->sequence < seen.from || !passes(filter, node->message)) continue;
        if (copies.size() == kBatch) {
          seen.from = node->sequence;
          return copies;
        }
        copies.push_back({node->sequence, node->message});
      }
    }
    seen.from = next_sequence_;
    return copies;
  }
  // The message of that number, if it is still there.
  Node take(std::uint64_t sequence) {
    Wakes wakes;
    base::Lock lock(mutex_);
    Node node = take_first([sequence](const MailNode& one) { return one.sequence == sequence; }, wakes);
    if (node) (void)publish();
    return node;
  }
  // kNothing: it waits from now on, for it has seen all there is. None: it has not.
  std::optional<MailWait> wait(Receiver* receiver, const Seen& seen) {
    base::Lock lock(mutex_);
    if (stats_.closed) return MailWait::kClosed;
    if (receiver == nullptr) return MailWait::kNothing;
    if (seen.put_backs != put_backs_ || seen.from != next_sequence_) return std::nullopt;
    receivers_.push_back(*receiver);
    return MailWait::kNothing;
  }
  void leave(Receiver& receiver) {
    base::Lock lock(mutex_);
    if (receiver.linked()) receivers_.remove(receiver);
  }
  static MailWait outcome(Receiver& receiver, Node& found) {
    found = std::move(receiver.node);
    return found ? MailWait::kOver : MailWait::kClosed;
  }

  // ---- under the lock ----

  std::optional<MailError> refused(const Message& message) const WEFT_REQUIRES(mutex_) {
    if (stats_.closed) return MailError{MailFailure::kClosed, 0};
    if (cost(message) > limits_.bytes) return MailError{MailFailure::kTooLarge, message.bytes.size()};
    return std::nullopt;
  }

  bool has_room(const MailNode& node) const WEFT_REQUIRES(mutex_) {
    return node.notice() ||
           (stats_.messages < limits_.messages && cost(node.message) <= limits_.bytes - std::min(stats_.bytes, limits_.bytes));
  }

  // Gives it to a receiver that waits for it. True: done.
  bool hand_over(Node& node, Wakes& wakes) WEFT_REQUIRES(mutex_) {
    for (Receiver* receiver = receivers_.front(); receiver != nullptr;) {
      Receiver* const next = receivers_.next(*receiver);
      if (passes(receiver->filter, node->message)) {
        receivers_.remove(*receiver);
        wakes.add(receiver->sleeper);
        if (!receiver->filter.predicate) {
          if (node->notice()) --stats_.reserved;
          ++stats_.received;
          receiver->node = std::move(node);
          return true;
        }
      }
      receiver = next;
    }
    return false;
  }

  void count(const MailNode& node) WEFT_REQUIRES(mutex_) {
    if (node.notice()) {
      ++stats_.notices;
    } else {
      ++stats_.messages;
      stats_.bytes += cost(node.message);
    }
  }
  void keep(Node node) WEFT_REQUIRES(mutex_) {
    count(*node);
    queue_.push_back(*node.release());
  }

  // Sends it if it can be: handed over, kept, or dropped.
  bool offer(Node& node, Wakes& wakes) WEFT_REQUIRES(mutex_) {
    node->sequence = next_sequence_++;
    if (hand_over(node, wakes)) return true;
    // The rest waits behind those that wait.
    if (waiting_.empty() && has_room(*node)) {
      keep(std::move(node));
      return true;
    }
    if (limits_.when_full == FullMailbox::kHoldsBack) return false;
    if (limits_.when_full == FullMailbox::kDropsOldest) {
      for (MailNode* oldest = queue_.front(); oldest != nullptr && !has_room(*node);) {
        MailNode* const next = queue_.next(*oldest);
        if (!oldest->notice()) {
          (void)unlink(*oldest, true, wakes);
          ++stats_.dropped;
        }
        oldest = next;
      }
    }
    if (has_room(*node)) {
      keep(std::move(node));
    } else {
      ++stats_.dropped;
      node.reset();
    }
    return true;
  }

  // Takes it out of the list that it is in.
  Node unlink(MailNode& node, bool queued, Wakes& wakes) WEFT_REQUIRES(mutex_) {
    Nodes::remove(node);
    if (Sender* const sender = std::exchange(node.sender, nullptr)) {
      --stats_.senders_waiting;
      sender->node = nullptr;
      wakes.add(sender->sleeper);
    } else if (node.notice()) {
      --stats_.notices;
    } else if (queued) {
      --stats_.messages;
      stats_.bytes -= cost(node.message);
    }
    return Node(&node);
  }

  void admit(Wakes& wakes) WEFT_REQUIRES(mutex_) {
    while (MailNode* const first = waiting_.front()) {
      if (!has_room(*first)) return;
      keep(unlink(*first, false, wakes));
    }
  }

  template <class Test>
  Node take_first(const Test& test, Wakes& wakes) WEFT_REQUIRES(mutex_) {
    for (Nodes* const list : {&queue_, &waiting_}) {
      for (MailNode* node = list->front(); node != nullptr; node = list->next(*node)) {
        if (!test(*node)) continue;
        Node taken = unlink(*node, list == &queue_, wakes);
        admit(wakes);
        if (taken->notice()) --stats_.reserved;
        ++stats_.received;
        return taken;
      }
    }
    return nullptr;
  }

  // The message is its sender's again; the node is destroyed by whoever has `node`.
  static void reclaim(Sender& sender, Message& message, Node& node) {
    node.reset(std::exchange(sender.node, nullptr));
    if (node) message = std::move(node->message);
  }

  // Publishes whether there is something. True: notify() has to be called.
  bool publish() WEFT_REQUIRES(mutex_) {
    const bool something = !queue_.empty() || !waiting_.empty();
    return !ready_.exchange(something, std::memory_order_seq_cst) && something;
  }

  const MailboxLimits limits_;
  mutable base::Mutex mutex_;
  Nodes queue_ WEFT_GUARDED_BY(mutex_);
  Nodes waiting_ WEFT_GUARDED_BY(mutex_);
  mutable base::List<Receiver, MailReceiverLink> receivers_ WEFT_GUARDED_BY(mutex_);
  std::uint64_t next_sequence_ WEFT_GUARDED_BY(mutex_) = 1;
  std::uint64_t put_backs_ WEFT_GUARDED_BY(mutex_) = 0;
  MailboxStats stats_ WEFT_GUARDED_BY(mutex_);
  // Writers: under mutex_; readers: anyone. seq_cst: the protocol of the source.
  base::atomic<bool> ready_{false};
  base::atomic<bool> closed_word_{false};
};

}  // namespace weft::detail
