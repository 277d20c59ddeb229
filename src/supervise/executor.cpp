#include "supervise/executor.hpp"

#include <random>
#include <utility>

#include "base/assert.hpp"
#include "sched/timer.hpp"

namespace weft {

using supervise::Action;
using supervise::Answer;
using supervise::Command;
using supervise::CommandId;
using supervise::Inbox;
using supervise::InboxMessage;
using supervise::Policy;
using supervise::PolicyEvent;
using supervise::PreparedChild;
using supervise::Running;

namespace {

std::uint64_t any_seed() {
  std::random_device random;
  return (std::uint64_t{random()} << 32U) | random();
}

}  // namespace

Supervisor::State::State(Prepared made, std::string names, std::function<void(const SupervisorEvent&)> told,
                         std::optional<supervise::Port> parent)
    : prepared(std::move(made)),
      path(std::move(names)),
      on_event(std::move(told)),
      inbox(std::make_shared<Inbox>()),
      parent_(std::move(parent)),
      policy_(prepared->rules, prepared->seed ? *prepared->seed : any_seed()) {}

Supervisor::State::~State() = default;

// Lives in the frame of the task: whatever ends the task, the supervisor ends.
struct Supervisor::State::Alive {
  explicit Alive(std::shared_ptr<State> of) : state(std::move(of)) {}
  Alive(Alive&& other) noexcept : state(std::move(other.state)) {}
  Alive& operator=(Alive&&) = delete;
  ~Alive() {
    if (state && state->running()) state->abandon();
  }
  std::shared_ptr<State> state;
};

std::shared_ptr<Supervisor::State> Supervisor::State::start(Prepared prepared, std::string path,
                                                            std::function<void(const SupervisorEvent&)> on_event,
                                                            std::optional<supervise::Port> parent) {
  auto state = std::make_shared<State>(std::move(prepared), std::move(path), std::move(on_event), std::move(parent));
  // Nobody else knows of it yet, so this is the task's to do; done here, the children are there as soon as somebody asks.
  if (state->prepared->rules.strategy != Strategy::kSimpleOneForOne) {
    for (const PreparedChild& child : state->prepared->children) {
      state->tell({.kind = PolicyEvent::Kind::kAdd, .child = state->add_child(child.id, child, {}), .rules = child.rules});
    }
  }
  (void)state->prepared->launch(run(Alive(state)), state->prepared->priority, state->path);
  return state;
}

Task<> Supervisor::State::run(Alive alive) {
  State& state = *alive.state;
  std::vector<InboxMessage> messages;
  // How many messages are dealt with before others get their turn: a thousand children may fall at once.
  constexpr std::size_t kBatch = 64;
  state.now_ns_ = co_await state.inbox->next(0, messages);
  state.tell({.kind = PolicyEvent::Kind::kBegin});
  while (true) {
    std::size_t done = 0;
    for (InboxMessage& message : messages) {
      state.take(std::move(message));
      if (++done % kBatch == 0) co_await yield();
    }
    messages.clear();
    state.fire_timers();
    if (!state.running()) co_return;
    const std::uint64_t deadline_ns = state.timers_.empty() ? sched::kNever : state.timers_.begin()->first;
    state.now_ns_ = co_await state.inbox->next(deadline_ns, messages);
  }
}

// ---- the task ----

Supervisor::State::ChildKey Supervisor::State::add_child(std::string id, const PreparedChild& child, SpawnOptions options) {
  const ChildKey key = ++last_child_;
  std::lock_guard lock(mutex_);
  keys_.emplace(id, key);
  children_.emplace(key, Child{.id = std::move(id),
                               .restart = child.rules.restart,
                               .starter = child.starter,
                               .options = std::move(options),
                               .running = nullptr});
  return key;
}

void Supervisor::State::take(InboxMessage message) {
  if (message.command) {
    Command command = std::move(*message.command);
    if (command.kind == PolicyEvent::Kind::kAdd) {
      take_add(std::move(command));
      return;
    }
    const auto found = keys_.find(command.id);
    const ChildKey key = found == keys_.end() ? 0 : found->second;
    const PolicyEvent event{.kind = command.kind, .child = key, .command = ++last_command_};
    commands_.emplace(last_command_, std::move(command));
    tell(event);
    return;
  }
  PolicyEvent event{.kind = message.kind, .child = message.child, .incarnation = message.incarnation, .normal = message.normal};
  if (message.kind == PolicyEvent::Kind::kKill) killed_by_ = message.text;
  if (message.child != 0) {
    const auto found = children_.find(message.child);
    if (found == children_.end()) return;
    if (message.kind == PolicyEvent::Kind::kExited) {
      {
        std::lock_guard lock(mutex_);
        const std::string& text = message.status->message;
        found->second.last_end = text.empty() ? std::string(name_of(message.status->kind)) : text;
      }
      report(SupervisorEvent::Kind::kExited, message.child, {.exit = *message.status, .message = message.status->message});
    } else if (message.kind == PolicyEvent::Kind::kStartFailed) {
      start_failed(message.child, {ErrorKind::kExhausted, std::move(message.text), {}});
    }
  }
  tell(event);
}

void Supervisor::State::take_add(Command command) {
  const auto refuse = [&](ErrorKind kind, std::string message) {
    if (command.done) command.done(fail(kind, std::move(message)));
  };
  const bool simple = prepared->rules.strategy == Strategy::kSimpleOneForOne;
  if (simple == (command.child != nullptr)) {
    refuse(ErrorKind::kBadArgument, simple ? path + " has copies of one child: add_copy() adds one"
                                           : path + " is no simple_one_for_one: add_child() adds a child to it");
    return;
  }
  const PreparedChild& child = simple ? prepared->children.front() : *command.child;
  std::string id = simple ? std::move(command.id) : child.id;
  if (id.empty()) {
    do id = child.id + "-" + std::to_string(++copies_);
    while (keys_.contains(id));
  } else if (keys_.contains(id)) {
    refuse(ErrorKind::kBadArgument, path + " has a child '" + id + "' already");
    return;
  }
  command.id = id;
  const ChildKey key = add_child(std::move(id), child, std::move(command.options));
  const PolicyEvent event{.kind = PolicyEvent::Kind::kAdd, .child = key, .command = ++last_command_, .rules = child.rules};
  commands_.emplace(last_command_, std::move(command));
  tell(event);
}

void Supervisor::State::fire_timers() {
  while (!timers_.empty() && timers_.begin()->first <= now_ns_) {
    const supervise::TimerId id = timers_.begin()->second;
    const ChildKey key = timers_by_id_.at(id).second;
    timers_.erase(timers_.begin());
    timers_by_id_.erase(id);
    tell({.kind = PolicyEvent::Kind::kTimer, .child = key, .timer = id});
  }
}

// Also what comes of it at once: a process that is started runs by the time that start() returns.
void Supervisor::State::tell(PolicyEvent event) {
  events_.push_back(event);
  while (!events_.empty()) {
    event = events_.front();
    events_.pop_front();
    event.now_ns = now_ns_;
    actions_.clear();
    bool is_new = false;
    {
      std::lock_guard lock(mutex_);
      policy_.on(event, actions_);
      is_new = event.kind == PolicyEvent::Kind::kStarted && policy_.knows(event.child) &&
               policy_.state_of(event.child) == Policy::State::kRunning;
    }
    if (is_new) report(SupervisorEvent::Kind::kStarted, event.child);
    for (const Action& action : actions_) perform(action);
  }
}

void Supervisor::State::perform(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kStart:
      start_child(action.child, action.incarnation);
      break;
    case Action::Kind::kAsk:
      report(SupervisorEvent::Kind::kStopping, action.child);
      children_.at(action.child).running->request_stop();
      break;
    case Action::Kind::kKill:
      report(SupervisorEvent::Kind::kKilling, action.child);
      children_.at(action.child).running->kill(killed_by_);
      break;
    case Action::Kind::kSetTimer:
      timers_.emplace(action.deadline_ns, action.timer);
      timers_by_id_.emplace(action.timer, std::pair(action.deadline_ns, action.child));
      break;
    case Action::Kind::kCancelTimer: {
      const auto found = timers_by_id_.find(action.timer);
      if (found == timers_by_id_.end()) break;
      timers_.erase({found->second.first, action.timer});
      timers_by_id_.erase(found);
      break;
    }
    case Action::Kind::kRestarting:
      report(SupervisorEvent::Kind::kRestarting, action.child, {.delay = action.delay});
      break;
    case Action::Kind::kGaveUp:
      report(SupervisorEvent::Kind::kGaveUp, action.child);
      break;
    case Action::Kind::kForget:
      forget(action.child);
      break;
    case Action::Kind::kAnswer:
      answer(action.command, action.answer);
      break;
    case Action::Kind::kUp:
      if (parent_) parent_->started();
      break;
    case Action::Kind::kEnd:
      finish(action.reason, action.child);
      break;
  }
}

void Supervisor::State::start_child(ChildKey key, std::uint64_t incarnation) {
  Child& child = children_.at(key);
  Result<std::unique_ptr<Running>> made = fail(ErrorKind::kInternal, "");
  try {
    made = child.starter->start({.port = supervise::Port(inbox, key, incarnation),
                                 .id = child.id,
                                 .path = path,
                                 .on_event = on_event,
                                 .options = child.options});
  } catch (...) {
    made = std::unexpected(detail::error_of(std::current_exception()));
  }
  if (!made) {
    start_failed(key, made.error());
    events_.push_back({.kind = PolicyEvent::Kind::kStartFailed,
                       .child = key,
                       .incarnation = incarnation,
                       .hopeless = made.error().kind == ErrorKind::kCancelled});
    return;
  }
  if ((*made)->started()) events_.push_back({.kind = PolicyEvent::Kind::kStarted, .child = key, .incarnation = incarnation});
  std::shared_ptr<Running> before = std::move(*made);  // released outside the mutex
  std::lock_guard lock(mutex_);
  std::swap(child.running, before);
}

void Supervisor::State::start_failed(ChildKey key, Error why) {
  start_failure_ = std::move(why);
  {
    std::lock_guard lock(mutex_);
    children_.at(key).last_end = start_failure_.message;
  }
  report(SupervisorEvent::Kind::kStartFailed, key, {.message = start_failure_.message});
}

void Supervisor::State::forget(ChildKey key) {
  report(SupervisorEvent::Kind::kRemoved, key);
  Child gone;  // released outside the mutex
  std::lock_guard lock(mutex_);
  const auto found = children_.find(key);
  gone = std::move(found->second);
  keys_.erase(gone.id);
  children_.erase(found);
}

void Supervisor::State::answer(CommandId id, Answer answer) {
  const auto found = commands_.find(id);
  const Command command = std::move(found->second);
  commands_.erase(found);
  if (!command.done) return;
  switch (answer) {
    case Answer::kDone:
      command.done(command.id);
      break;
    case Answer::kNotFound:
      command.done(fail(ErrorKind::kNotFound, path + " has no child '" + command.id + "'"));
      break;
    case Answer::kStartFailed:
      command.done(
          fail(start_failure_.kind, command.id + " could not be started: " + start_failure_.message, start_failure_.detail));
      break;
    case Answer::kSuperseded:
      command.done(fail(ErrorKind::kCancelled, "another command for '" + command.id + "' came after this one"));
      break;
    case Answer::kEnding:
      command.done(fail(ErrorKind::kCancelled, path + " has ended"));
      break;
  }
}

}  // namespace weft
