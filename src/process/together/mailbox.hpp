// MailboxState: the mailbox behind weft::Mailbox. What it promises is said there; how it does it, here.
//
// There is one order of messages, by sequence number, in two lists: `queue_`, what the mailbox holds, and behind it `waiting_`, what senders wait with. A
// receiver looks through both. What leaves makes room for the head of `waiting_`.
//
// A receiver that waits has looked through all there was (without a predicate under the lock, with one outside of it, by copies), and from then on sees each
// new message: so whoever adds one asks the receivers in their order first, and hands it over. Those with a predicate cannot be asked under the lock: they
// are woken, which ends their wait, and look for themselves.
//
// Locks: mutex_ is a leaf, but for the locks of sources (notify is called without it). Nobody is woken and nothing is called under it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/atomic.hpp"
#include "base/intrusive_list.hpp"
#include "base/mutex.hpp"
#include "sync/sleeper.hpp"
#include "sync/waitable.hpp"
#include "sync/wake_list.hpp"
#include "weft/limits.hpp"
#include "weft/mailbox.hpp"

namespace weft::detail {

struct MailNode final : base::ListHook<struct MailNodeLink> {
  std::uint64_t sequence = 0;
  Message message;
  MailSender* sender = nullptr;  // in waiting_: who waits with it; null if it was put back
  bool notice() const { return message.kind != MessageKind::kUser; }
};

// Both belong to the operation; their fields to the mailbox's lock.
struct MailSender {
  explicit MailSender(sync::Sleeper who) : sleeper(who) {}
  const sync::Sleeper sleeper;
  MailNode* node = nullptr;  // while it waits
  bool closed = false;
};

struct MailReceiver final : base::ListHook<struct MailReceiverLink> {
  MailReceiver(sync::Sleeper who, const MessageFilter& what) : sleeper(who), filter(what) {}
  const sync::Sleeper sleeper;
  const MessageFilter& filter;
  std::unique_ptr<MailNode> node;  // what it was handed
  bool closed = false;
};

class MailboxState final : public sync::CountedSource {
 public:
  static constexpr std::uint64_t kCostMin = 64;
  using Node = std::unique_ptr<MailNode>;

  explicit MailboxState(const MailboxLimits& limits) : limits_(limits) {}

  // Any thread, each. kWouldWait leaves the message.
  std::optional<MailError> try_send(Message& message);
  // Nothing: it is sent. kWouldWait: it waits, and `sender` is woken when that is over.
  std::optional<MailError> send(Message& message, MailSender& sender);
  // Whether the wait is over. The message comes back if it was for nothing.
  bool sent(MailSender& sender, Message& message);
  // The wait is given up. False: it was sent before.
  bool withdraw(MailSender& sender, Message& message);

  // The first that passes the filter (not its predicate). Null: none, and `receiver`, if any, waits now.
  Node receive(const MessageFilter& filter, MailReceiver* receiver);
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
  // The next few that it has not seen and that pass the filter (not its predicate). None: it has seen all.
  std::vector<Copy> copies(const MessageFilter& filter, Seen& seen);
  // The message of that number, if it is still there.
  Node take(std::uint64_t sequence);
  // Waits from now on, if it has seen all there is. False: it has not.
  bool wait(MailReceiver& receiver, Seen& seen);
  // False: it still waits. True: it does not, and has a node, or is closed, or has a predicate and is to look.
  bool received(MailReceiver& receiver) const;
  void withdraw(MailReceiver& receiver);
  // Undoes a receive: the message goes to its old place, or to whoever waits for it.
  void put_back(Node node);

  // Room for one message about an end. False at the bound, or closed.
  bool reserve_notice();
  void release_notice();
  // In a place that was reserved. Nobody is woken before `wakes` is: the caller may hold a lock, and calls told() without it if this says so.
  using Wakes = sync::WakeList<sync::Sleeper>;
  [[nodiscard]] bool post_notice(Message message, Wakes& wakes);
  void told() { notify(); }
  // Takes out what a monitor has told. True: it was there.
  bool flush(MonitorId monitor);

  void count_dropped();
  void close();
  bool closed() const;
  MailboxStats stats() const;

  bool ready() const noexcept override { return ready_.load(std::memory_order_seq_cst); }
  bool gone() const noexcept override { return closed_word_.load(std::memory_order_seq_cst); }
  const char* reason() const noexcept override { return "mailbox"; }

 private:
  ~MailboxState() override;
  using Nodes = base::List<MailNode, MailNodeLink>;

  // Gives it to a receiver that waits for it. True: done.
  bool hand_over(Node& node, Wakes& wakes) WEFT_REQUIRES(mutex_);
  // Sends it if it can be: handed over, kept, or dropped.
  bool offer(Node& node, Wakes& wakes) WEFT_REQUIRES(mutex_);
  std::optional<MailError> refused(const Message& message) const WEFT_REQUIRES(mutex_);
  bool has_room(const MailNode& node) const WEFT_REQUIRES(mutex_);
  void keep(Node node) WEFT_REQUIRES(mutex_);
  // Takes it out of the list that it is in.
  Node unlink(MailNode& node, bool queued, Wakes& wakes) WEFT_REQUIRES(mutex_);
  void admit(Wakes& wakes) WEFT_REQUIRES(mutex_);
  template <class Test>
  Node take_first(const Test& test, Wakes& wakes) WEFT_REQUIRES(mutex_);
  // Publishes whether there is something. True: notify() has to be called.
  bool publish() WEFT_REQUIRES(mutex_);

  const MailboxLimits limits_;
  mutable base::Mutex mutex_;
  Nodes queue_ WEFT_GUARDED_BY(mutex_);
  Nodes waiting_ WEFT_GUARDED_BY(mutex_);
  mutable base::List<MailReceiver, MailReceiverLink> receivers_ WEFT_GUARDED_BY(mutex_);
  std::uint64_t next_sequence_ WEFT_GUARDED_BY(mutex_) = 1;
  std::uint64_t put_backs_ WEFT_GUARDED_BY(mutex_) = 0;
  MailboxStats stats_ WEFT_GUARDED_BY(mutex_);
  // Writers: under mutex_; readers: anyone. seq_cst: the protocol of the source.
  base::atomic<bool> ready_{false};
  base::atomic<bool> closed_word_{false};
};

}  // namespace weft::detail
