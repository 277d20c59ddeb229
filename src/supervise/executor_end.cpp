// How a supervisor ends, what it tells of itself, and what handles see.
#include <utility>

#include "supervise/executor.hpp"

namespace weft {

using supervise::Command;
using supervise::InboxMessage;
using supervise::Policy;
using supervise::PolicyEvent;
using supervise::Running;

void Supervisor::State::finish(SupervisorEndReason reason, ChildKey cause) {
  SupervisorEnd end{.reason = reason};
  const auto found = children_.find(cause);
  if (found != children_.end()) end.child = found->second.id;
  switch (reason) {
    case SupervisorEndReason::kStopped:
      end.message = "stopped";
      break;
    case SupervisorEndReason::kKilled:
      end.message = "killed by " + killed_by_;
      break;
    case SupervisorEndReason::kGaveUp:
      end.message = "gave up: more than " + std::to_string(prepared->rules.max_restarts) + " restarts within " +
                    format_duration(prepared->rules.period) + ", the last one of '" + end.child + "'";
      if (found != children_.end() && !found->second.last_end.empty()) end.message += " (" + found->second.last_end + ")";
      break;
    case SupervisorEndReason::kStartFailed:
      end.message = "'" + end.child + "' could not be started: " + start_failure_.message;
      break;
    case SupervisorEndReason::kAutoShutdown:
      end.message = "its work is done";
      break;
    case SupervisorEndReason::kCancelled:
      end.message = "the runtime is shutting down";
      break;
  }
  publish(std::move(end));
}

// The task is dropped where it waits.
void Supervisor::State::abandon() {
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    const bool runs = policy_.knows(child->first) && policy_.state_of(child->first) != Policy::State::kDown &&
                      policy_.state_of(child->first) != Policy::State::kWaiting;
    if (runs && child->second.running) child->second.running->kill("the end of its supervisor");
  }
  publish({.reason = SupervisorEndReason::kCancelled, .message = "the runtime is shutting down"});
}

void Supervisor::State::publish(SupervisorEnd end) {
  // From here on nobody is heard any more.
  for (InboxMessage& message : inbox->close()) {
    if (message.command && message.command->done) message.command->done(fail(ErrorKind::kCancelled, path + " has ended"));
  }
  for (auto& [id, command] : std::exchange(commands_, {})) {
    if (command.done) command.done(fail(ErrorKind::kCancelled, path + " has ended"));
  }
  const SupervisorEndReason reason = end.reason;
  const std::string message = end.message;
  bool up = false;
  {
    std::lock_guard lock(mutex_);
    end.restarts = policy_.restarts();
    end_ = std::move(end);
    up = policy_.up();
  }
  report(SupervisorEvent::Kind::kEnded, 0, {.message = message});
  if (parent_ && !up) {
    parent_->start_failed(message);
  } else if (parent_) {
    // OTP: a supervisor that gives up ends with `shutdown`, which is normal.
    ExitStatus status;
    status.message = reason == SupervisorEndReason::kStopped || reason == SupervisorEndReason::kAutoShutdown ? "" : message;
    const bool killed = reason == SupervisorEndReason::kKilled || reason == SupervisorEndReason::kCancelled;
    if (killed) status.kind = ExitKind::kKilled;
    if (killed) status.killed_by = killed_by_;
    if (reason == SupervisorEndReason::kGaveUp) status.kind = ExitKind::kFailed;
    parent_->exited(std::move(status), !killed);
  }
  ended.finish();
}

void Supervisor::State::report(SupervisorEvent::Kind kind, ChildKey key, SupervisorEvent event) {
  if (!on_event) return;
  event.kind = kind;
  event.supervisor = path;
  if (const auto found = children_.find(key); found != children_.end()) {
    event.child = found->second.id;
    if (found->second.running) event.process = found->second.running->process();
    if (policy_.knows(key)) event.restarts = policy_.restarts_of(key);
  } else {
    event.restarts = policy_.restarts();
  }
  try {
    on_event(event);
  } catch (...) {
    // Whoever only looks on cannot keep a supervisor from its work.
  }
}

// ---- handles; any thread ----

void Supervisor::State::command(Command command) {
  InboxMessage message{.kind = command.kind, .command = std::make_unique<Command>(std::move(command))};
  const supervise::Inbox::Posted posted = inbox->post(std::move(message));
  if (posted == supervise::Inbox::Posted::kTaken || !message.command->done) return;
  message.command->done(posted == supervise::Inbox::Posted::kClosed
                            ? fail(ErrorKind::kCancelled, path + " has ended")
                            : fail(ErrorKind::kExhausted, "100,000 commands for " + path + " wait already"));
}

ChildInfo Supervisor::State::info(ChildKey key, const Child& child) const {
  ChildInfo info{.id = child.id, .restart = child.restart, .last_end = child.last_end};
  if (child.running) {
    info.process = child.running->process();
    info.supervisor = child.running->supervisor();
  }
  if (!policy_.knows(key)) return info;
  info.restarts = policy_.restarts_of(key);
  switch (policy_.state_of(key)) {
    case Policy::State::kDown:
    case Policy::State::kWaiting:
      info.state = !end_ && policy_.will_start(key) ? ChildState::kWaiting : ChildState::kStopped;
      break;
    case Policy::State::kStarting:
      info.state = ChildState::kStarting;
      break;
    case Policy::State::kRunning:
      info.state = ChildState::kRunning;
      break;
    case Policy::State::kStopping:
    case Policy::State::kKilling:
      info.state = ChildState::kStopping;
      break;
  }
  if (end_) info.state = ChildState::kStopped;
  return info;
}

std::vector<ChildInfo> Supervisor::State::children(bool only_pending) const {
  std::lock_guard lock(mutex_);
  std::vector<ChildInfo> all;
  all.reserve(only_pending ? 0 : children_.size());
  for (const auto& [key, child] : children_) {
    ChildInfo one = info(key, child);
    if (!only_pending || one.state != ChildState::kStopped) all.push_back(std::move(one));
  }
  return all;
}

std::optional<ChildInfo> Supervisor::State::child(std::string_view id) const {
  std::lock_guard lock(mutex_);
  const auto found = keys_.find(std::string(id));
  if (found == keys_.end()) return std::nullopt;
  return info(found->second, children_.at(found->second));
}

std::uint64_t Supervisor::State::restarts() const {
  std::lock_guard lock(mutex_);
  return policy_.restarts();
}

bool Supervisor::State::running() const {
  std::lock_guard lock(mutex_);
  return !end_;
}

SupervisorEnd Supervisor::State::end() const {
  std::lock_guard lock(mutex_);
  return *end_;
}

}  // namespace weft
