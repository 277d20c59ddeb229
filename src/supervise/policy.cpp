#include "supervise/policy.hpp"

#include "base/assert.hpp"
#include "supervise/delay.hpp"

namespace weft::supervise {

Policy::Policy(Rules rules, std::uint64_t seed) : rules_(rules), random_(seed), intensity_(rules.max_restarts, rules.period) {}

void Policy::on(const PolicyEvent& event, std::vector<Action>& actions) {
  actions_ = &actions;
  now_ns_ = event.now_ns;
  if (ended_) {
    if (event.command != 0) answer_command(event.command, Answer::kEnding);
    return;
  }
  switch (event.kind) {
    case PolicyEvent::Kind::kBegin:
      WEFT_ASSERT(!begun_, "a policy begins once");
      begun_ = true;
      if (!ending()) sweep_ = {.kind = Sweep::Kind::kBegin, .stage = Sweep::Stage::kStarting, .number = ++last_sweep_};
      break;
    case PolicyEvent::Kind::kStarted:
      started(event);
      break;
    case PolicyEvent::Kind::kStartFailed:
    case PolicyEvent::Kind::kExited: {
      const auto found = children_.find(event.child);
      if (found == children_.end() || found->second.incarnation != event.incarnation || !alive(found->second.state)) break;
      went_down(found->first, found->second, event.kind == PolicyEvent::Kind::kStartFailed, event);
      break;
    }
    case PolicyEvent::Kind::kTimer:
      timer(event);
      break;
    case PolicyEvent::Kind::kAdd:
      add(event);
      break;
    case PolicyEvent::Kind::kRemove:
    case PolicyEvent::Kind::kStopChild:
    case PolicyEvent::Kind::kRestartChild:
      command(event);
      break;
    case PolicyEvent::Kind::kStop:
      begin_end(SupervisorEndReason::kStopped, 0, false);
      break;
    case PolicyEvent::Kind::kKill:
      begin_end(SupervisorEndReason::kKilled, 0, true);
      break;
    case PolicyEvent::Kind::kCancel:
      begin_end(SupervisorEndReason::kCancelled, 0, true);
      break;
  }
  advance();
}

void Policy::started(const PolicyEvent& event) {
  const auto found = children_.find(event.child);
  if (found == children_.end() || found->second.incarnation != event.incarnation) return;
  Child& child = found->second;
  if (!alive(child.state)) return;
  child.started = true;
  if (child.state != State::kStarting) return;  // it is being stopped already
  child.started_ns = now_ns_;
  set_state(child, State::kRunning);
  answer(child, Answer::kDone);
}

void Policy::went_down(ChildKey key, Child& child, bool failed, const PolicyEvent& event) {
  const State before = child.state;
  cancel_timer(child.timer);
  set_state(child, State::kDown);
  if (stopping(before)) {
    stopped(key, child);
  } else if (ending() || sweep_stops(key)) {
    // It fell before the sweep came to it; nothing is counted.
  } else if (failed || before == State::kStarting) {
    start_failed(key, child, event.hopeless);
  } else {
    fell(key, child, event.normal);
  }
}

// It was asked to end, or killed, and has ended: by hand, or by a sweep, which goes on by itself.
void Policy::stopped(ChildKey key, Child& child) {
  if (ending()) return;
  switch (child.after) {
    case After::kSweep:
      break;
    case After::kStay:
      // sup_princ, "Stopping a Child Process": the specification of a temporary child goes with it.
      if (child.rules.restart == Restart::kTemporary || rules_.strategy == Strategy::kSimpleOneForOne) {
        forget(key);
      } else {
        answer(child, Answer::kDone);
      }
      break;
    case After::kRemove:
      forget(key);
      break;
    case After::kStart:
      if (!will_sweep_start(key)) begin_start(key, child);
      break;
  }
  end_if_idle();
}

// It ended by itself.
void Policy::fell(ChildKey key, Child& child, bool normal) {
  const bool again = child.rules.restart == Restart::kPermanent || (child.rules.restart == Restart::kTransient && !normal);
  if (again) {
    if (now_ns_ - child.started_ns >= static_cast<std::uint64_t>(rules_.backoff.stable.count())) child.attempts = 0;
    restart(key, child, Duration::zero());
    return;
  }
  const ChildRules rules = child.rules;
  if (rules.restart == Restart::kTemporary || rules_.strategy == Strategy::kSimpleOneForOne) forget(key);
  // supervisor(3), "Automatic Shutdown": only an end of its own counts, and only where no restart follows.
  if (rules.significant && (rules_.auto_shutdown == AutoShutdown::kAnySignificant ||
                            (rules_.auto_shutdown == AutoShutdown::kAllSignificant && significant_ == 0))) {
    begin_end(SupervisorEndReason::kAutoShutdown, 0, false);
    return;
  }
  end_if_idle();
}

void Policy::start_failed(ChildKey key, Child& child, bool hopeless) {
  if (hopeless) {
    begin_end(SupervisorEndReason::kCancelled, 0, true);
  } else if (child.command != 0) {
    // By hand: whoever asked for it is told, and decides. supervisor:start_child/2 forgets the specification, restart_child/2 keeps it.
    child.held = sweep_.number;
    if (child.adding) {
      forget(key, Answer::kStartFailed);
    } else {
      answer(child, Answer::kStartFailed);
    }
    end_if_idle();
  } else if (initial_ && !child.started) {
    // supervisor:start_link/2: what was started is stopped, and the supervisor fails.
    begin_end(SupervisorEndReason::kStartFailed, key, false);
  } else {
    restart(key, child, kStartRetryMin);
  }
}

void Policy::timer(const PolicyEvent& event) {
  if (event.child == 0) {
    if (event.timer == sweep_.timer) sweep_.timer = 0;  // advance() looks at the time
    return;
  }
  const auto found = children_.find(event.child);
  if (found == children_.end() || found->second.timer != event.timer || event.timer == 0) return;
  Child& child = found->second;
  child.timer = 0;
  if (child.state == State::kStopping) {
    kill(found->first, child);
  } else if (child.state == State::kWaiting) {
    if (ending()) {
      set_state(child, State::kDown);
    } else {
      begin_start(found->first, child);
    }
  }
}

void Policy::add(const PolicyEvent& event) {
  if (ending()) {
    answer_command(event.command, Answer::kEnding);
    return;
  }
  WEFT_ASSERT(children_.empty() || children_.rbegin()->first < event.child, "the keys of children grow");
  Child child;
  child.rules = event.rules;
  child.command = event.command;
  child.adding = event.command != 0;
  const auto added = children_.emplace(event.child, child).first;
  if (begun_ && !will_sweep_start(event.child)) begin_start(added->first, added->second);
}

void Policy::command(const PolicyEvent& event) {
  const auto found = children_.find(event.child);
  if (ending() || found == children_.end()) {
    answer_command(event.command, ending() ? Answer::kEnding : Answer::kNotFound);
    return;
  }
  const ChildKey key = found->first;
  Child& child = found->second;
  take_command(child, event.command);
  if (child.state == State::kWaiting) {
    cancel_timer(child.timer);
    set_state(child, State::kDown);
  }
  if (event.kind == PolicyEvent::Kind::kRestartChild) {
    child.held = 0;
    if (alive(child.state)) {
      child.after = After::kStart;
      if (!stopping(child.state)) ask(key, child);
    } else if (!will_sweep_start(key)) {
      begin_start(key, child);
    }
    return;
  }
  child.held = sweep_.number;
  child.after = event.kind == PolicyEvent::Kind::kRemove ? After::kRemove : After::kStay;
  if (alive(child.state)) {
    if (!stopping(child.state)) ask(key, child);
    return;
  }
  if (event.kind == PolicyEvent::Kind::kRemove || child.rules.restart == Restart::kTemporary ||
      rules_.strategy == Strategy::kSimpleOneForOne) {
    forget(key);
  } else {
    answer(child, Answer::kDone);
  }
  end_if_idle();
}

}  // namespace weft::supervise
