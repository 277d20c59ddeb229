#include "base/assert.hpp"
#include "process/together/mailbox.hpp"

namespace weft {

using detail::MailboxState;
using detail::MailReceiver;
using detail::MailSender;
using detail::MailWait;

namespace {

MailError gave_up(bool tries) { return {tries ? MailFailure::kWouldWait : MailFailure::kTimedOut, 0}; }

MailboxState* counted(MailboxState* state) {
  if (state != nullptr) state->retain();
  return state;
}

// What only the runtime may say.
Message from_user(Message message) {
  message.kind = MessageKind::kUser;
  message.monitor = 0;
  message.reason = nullptr;
  return message;
}

}  // namespace

std::string_view name_of(MailFailure failure) noexcept {
  switch (failure) {
    case MailFailure::kWouldWait:
      return "would-wait";
    case MailFailure::kTimedOut:
      return "timed-out";
    case MailFailure::kClosed:
      return "closed";
    case MailFailure::kTooLarge:
      return "too-large";
  }
  return "unknown";
}

Error to_error(MailError error) {
  switch (error.failure) {
    case MailFailure::kWouldWait:
      return {ErrorKind::kExhausted, "mailbox: it would have to wait; await it, or raise Limits::mailbox", {}};
    case MailFailure::kTimedOut:
      return {ErrorKind::kTimedOut, "mailbox: the bound in time has passed", {}};
    case MailFailure::kClosed:
      return {ErrorKind::kCancelled, "mailbox: its process has ended", {}};
    case MailFailure::kTooLarge:
      return {ErrorKind::kBadArgument,
              "mailbox: a message of " + std::to_string(error.bytes) +
                  " bytes is too large; raise Limits::mailbox or the receiver's buffer",
              {}};
  }
  return {};
}

ExitReason reason_of(const ExitStatus& status) { return {false, status.kind, status.code, status.message}; }

Mailbox::Mailbox(const Mailbox& other) noexcept : state_(counted(other.state_)) {}
Mailbox::~Mailbox() {
  if (state_ != nullptr) state_->release();
}

MailResult<void> Mailbox::try_send(Message&& message) const {
  if (state_ == nullptr) return std::unexpected(MailError{});
  message = from_user(std::move(message));
  if (auto error = state_->try_send(message)) return std::unexpected(*error);
  return {};
}

MailResult<Message> Mailbox::try_receive(MessageFilter filter) const {
  Receive receive(state_, std::move(filter), Duration::zero());
  if (!receive.look()) return std::unexpected(gave_up(true));
  return receive.await_resume();
}

Waitable Mailbox::readable() const { return state_ == nullptr ? Waitable() : sync::to_waitable(*state_); }
MailboxStats Mailbox::stats() const { return state_ == nullptr ? MailboxStats{.closed = true} : state_->stats(); }

// ---- Send ----

Mailbox::Send::Send(MailboxState* state, Message message, Duration bound)
    : Operation(bound), state_(counted(state)), tries_(bound <= Duration::zero()), message_(from_user(std::move(message))) {}

Mailbox::Send::~Send() {
  if (waiter_) (void)state_->give_up(*waiter_, message_);
  if (state_ != nullptr) state_->release();
}

bool Mailbox::Send::begin(const sync::Sleeper& sleeper) {
  if (state_ == nullptr) {
    error_ = MailError{};
    return true;
  }
  error_ = state_->try_send(message_);
  if (!error_ || error_->failure != MailFailure::kWouldWait || tries_) return true;
  waiter_ = std::make_unique<MailSender>(sleeper);
  error_ = state_->send(message_, waiter_.get());
  if (error_ && error_->failure == MailFailure::kWouldWait) return false;
  waiter_.reset();
  return true;
}

bool Mailbox::Send::done() {
  const MailWait how = state_->sent(*waiter_, message_);
  if (how == MailWait::kNothing) return false;
  over(how);
  return true;
}

void Mailbox::Send::expire() {
  if (waiter_) over(state_->give_up(*waiter_, message_));
}

void Mailbox::Send::over(MailWait how) {
  waiter_.reset();
  error_.reset();
  if (how != MailWait::kOver) error_ = how == MailWait::kClosed ? MailError{} : gave_up(tries_);
}

MailResult<void> Mailbox::Send::await_resume() {
  if (error_) return std::unexpected(*error_);
  return {};
}

// ---- Receive ----

Mailbox::Receive::Receive(MailboxState* state, MessageFilter filter, Duration bound)
    : Operation(bound), state_(counted(state)), tries_(bound <= Duration::zero()), filter_(std::move(filter)) {}

Mailbox::Receive::~Receive() {
  if (waiter_) state_->withdraw(*waiter_);
  if (node_) state_->put_back(std::move(node_));
  if (state_ != nullptr) state_->release();
}

// Without a waiter it does not wait. True: it is over.
bool Mailbox::Receive::look() {
  return state_ == nullptr ? over(MailWait::kClosed) : over(state_->look(filter_, waiter_.get(), node_));
}

bool Mailbox::Receive::begin(const sync::Sleeper& sleeper) {
  if (look()) return true;
  if (tries_) return false;
  waiter_ = std::make_unique<MailReceiver>(sleeper, filter_);
  return look();
}

bool Mailbox::Receive::done() { return over(state_->received(*waiter_, node_)); }

void Mailbox::Receive::expire() {
  if (waiter_ && over(state_->give_up(*waiter_, node_))) return;
  error_ = gave_up(tries_);
}

bool Mailbox::Receive::over(MailWait how) {
  if (how == MailWait::kClosed) error_ = MailError{};
  return how != MailWait::kNothing;
}

MailResult<Message> Mailbox::Receive::await_resume() {
  if (!node_) return std::unexpected(error_.value_or(MailError{}));
  if (const std::size_t size = node_->message.bytes.size(); size > filter_.bytes_max) {
    state_->put_back(std::move(node_));
    return std::unexpected(MailError{MailFailure::kTooLarge, size});
  }
  const std::unique_ptr<detail::MailNode> node = std::move(node_);
  return std::move(node->message);
}

}  // namespace weft
