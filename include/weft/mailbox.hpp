// Mailboxes: each process has one, for messages from other processes and from the host.
//
//   weft::Mailbox mailbox = process.mailbox();
//   (void)co_await mailbox.send({.tag = 7, .bytes = weft::Bytes::copy_of("hello")});
//   weft::MailResult<weft::Message> reply = co_await mailbox.receive({.tags = {8}}, std::chrono::seconds(1));   // on the process's behalf
//
// A mailbox is bounded (Limits::mailbox). Who sends to a full one waits, in order, unless the limits say that something is dropped. A message that
// somebody waits for at that moment goes straight to them, full or not: so a receiver that waits for one kind of message cannot be locked out by others.
//
// Receiving is selective: the first message that the filter lets through; all others stay where they are, in their order. Messages of one sender
// keep their order. Each is received once, by whichever of several receivers comes first; receivers that wait are served in order.
//
// Messages about the ends of linked and monitored processes (weft/link.hpp) are ordinary messages of another kind. They do not count as messages, wait
// for nothing and are never dropped: their number is bounded where links and monitors are made.
//
// It closes with its process: what is in it is thrown away, and whoever waits is told kClosed.
//
// A task that is dropped while it waits loses nothing: what it was to send is not sent; what it was to receive is put back at its place.
//
// A handle: copy it freely, use it from any thread, drop it at any time; it keeps the memory of the mailbox only, not the process. A process that has
// no use for its mailbox pays a pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "weft/message.hpp"
#include "weft/process.hpp"
#include "weft/waitable.hpp"

namespace weft {

// What a message has to be to be received. Each field that is set must hold.
struct MessageFilter {
  std::vector<std::uint64_t>
      tags{};  // one of them; empty: any. Messages about ends have no tag, and pass only where there are none
  std::optional<ProcessId> sender{};
  std::optional<MessageKind> kind{};
  std::optional<MonitorId> monitor{};
  // Looks at the message itself. Called on the thread that receives, outside of all locks, once or more for a message, possibly for one that another
  // receiver gets. Must not park.
  std::function<bool(const Message&)> predicate{};
  std::size_t bytes_max = SIZE_MAX;  // a larger message that fits the rest is not received: kTooLarge says its size, and it stays
};

// A picture of a mailbox.
struct MailboxStats {
  std::size_t messages = 0;  // in it, of user kind
  std::uint64_t bytes = 0;   // of these, as MailboxLimits::bytes counts them
  std::size_t notices = 0;   // messages about ends, in it
  std::size_t reserved = 0;  // links and monitors, and notices: what MailboxLimits::notices bounds
  std::uint64_t received = 0;
  std::uint64_t dropped = 0;
  std::size_t senders_waiting = 0;
  std::size_t receivers_waiting = 0;
  bool closed = false;
};

namespace detail {
class MailboxState;  // counted
struct MailSender;
struct MailReceiver;
enum class MailWait : std::uint8_t;
template <class Sleeper, class Message>
struct BasicMailNode;
using MailNode = BasicMailNode<sync::Sleeper, Message>;
}  // namespace detail

class Mailbox {
 public:
  Mailbox() = default;  // of no process: everything fails with kClosed
  Mailbox(const Mailbox& other) noexcept;
  Mailbox(Mailbox&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Mailbox& operator=(Mailbox other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Mailbox();

  class [[nodiscard]] Send final : public detail::Operation {
   public:
    Send(detail::MailboxState* state, Message message, Duration bound);
    ~Send() override;
    // kClosed, kTooLarge, kTimedOut; with a bound of zero kWouldWait.
    MailResult<void> await_resume();
    // Parks the calling thread instead of a task. Never on a worker (asserted).
    MailResult<void> block() {
      run_blocking();
      return await_resume();
    }
    // After a failure: the message that was not sent.
    Message take_back() { return std::move(message_); }

   private:
    bool begin(const sync::Sleeper& sleeper) override;
    bool done() override;
    void expire() override;
    const char* reason() const noexcept override { return "mailbox send"; }
    void over(detail::MailWait how);

    detail::MailboxState* const state_;  // counted
    const bool tries_;
    Message message_;
    std::unique_ptr<detail::MailSender> waiter_;
    std::optional<MailError> error_{};
  };

  class [[nodiscard]] Receive final : public detail::Operation {
   public:
    Receive(detail::MailboxState* state, MessageFilter filter, Duration bound);
    ~Receive() override;
    // kClosed, kTimedOut, kTooLarge; with a bound of zero kWouldWait.
    MailResult<Message> await_resume();
    MailResult<Message> block() {
      run_blocking();
      return await_resume();
    }

   private:
    bool begin(const sync::Sleeper& sleeper) override;
    bool done() override;
    void expire() override;
    const char* reason() const noexcept override { return "mailbox receive"; }
    bool look();
    bool over(detail::MailWait how);
    friend Mailbox;

    detail::MailboxState* const state_;  // counted
    const bool tries_;
    const MessageFilter filter_;
    std::unique_ptr<detail::MailReceiver> waiter_;
    std::unique_ptr<detail::MailNode> node_;
    std::optional<MailError> error_{};
  };

  // Parks until there is room. `message.kind` and what belongs to the other kinds are not the sender's: they are reset.
  Send send(Message message, Duration bound = kForever) const { return {state_, std::move(message), bound}; }
  // Never parks. On a failure the message is left as it was.
  MailResult<void> try_send(Message&& message) const;

  // Parks until there is such a message.
  Receive receive(MessageFilter filter = {}, Duration bound = kForever) const { return {state_, std::move(filter), bound}; }
  // Never parks, but calls the predicate.
  MailResult<Message> try_receive(MessageFilter filter = {}) const;

  // Ready while there is any message; gone when it is closed.
  Waitable readable() const;
  MailboxStats stats() const;

  // For the rooms below the public interface: takes over one reference.
  explicit Mailbox(detail::MailboxState* counted) noexcept : state_(counted) {}
  detail::MailboxState* state() const noexcept { return state_; }

 private:
  detail::MailboxState* state_ = nullptr;
};

}  // namespace weft
