// The steps that the policy is made of: each changes one child and says so.
#include <algorithm>

#include "base/assert.hpp"
#include "supervise/delay.hpp"
#include "supervise/policy.hpp"

namespace weft::supervise {
namespace {

std::uint64_t later(std::uint64_t now_ns, Duration delay) {
  const auto span_ns = static_cast<std::uint64_t>(std::max(delay, Duration::zero()).count());
  return span_ns < UINT64_MAX - now_ns ? now_ns + span_ns : UINT64_MAX;
}

}  // namespace

void Policy::set_state(Child& child, State state) {
  const auto count = [&](bool before, bool after, std::uint64_t& counter) {
    if (before != after) counter = after ? counter + 1 : counter - 1;
  };
  count(alive(child.state), alive(state), alive_);
  count(child.state == State::kWaiting, state == State::kWaiting, waiting_);
  if (child.rules.significant) count(child.state != State::kDown, state != State::kDown, significant_);
  child.state = state;
}

void Policy::begin_start(ChildKey key, Child& child) {
  WEFT_ASSERT(!alive(child.state), "a child is started that has not ended");
  cancel_timer(child.timer);
  if (child.started && child.command == 0) ++child.restarts;
  ++child.incarnation;
  child.after = After::kSweep;
  set_state(child, State::kStarting);
  act({.kind = Action::Kind::kStart, .child = key, .incarnation = child.incarnation});
}

// supervisor(3), child specifications, `shutdown`: asked, and killed when the time is over; or killed at once.
void Policy::ask(ChildKey key, Child& child) {
  if (child.rules.grace <= Duration::zero()) {
    kill(key, child);
    return;
  }
  set_state(child, State::kStopping);
  act({.kind = Action::Kind::kAsk, .child = key, .incarnation = child.incarnation});
  if (child.rules.grace != kForever) set_timer(key, child.timer, later(now_ns_, child.rules.grace));
}

void Policy::kill(ChildKey key, Child& child) {
  cancel_timer(child.timer);
  set_state(child, State::kKilling);
  act({.kind = Action::Kind::kKill, .child = key, .incarnation = child.incarnation});
}

// The child is down and is to run again, if the intensity allows it: sup_princ, "Maximum Restart Intensity".
void Policy::restart(ChildKey key, Child& child, Duration least) {
  if (!intensity_.add(now_ns_)) {
    act({.kind = Action::Kind::kGaveUp, .child = key});
    begin_end(SupervisorEndReason::kGaveUp, key, false);
    return;
  }
  ++restarts_;
  const Duration delay = std::max(least, delay_of(rules_.backoff, child.attempts, random_));
  if (child.attempts < UINT32_MAX) ++child.attempts;
  act({.kind = Action::Kind::kRestarting, .child = key, .delay = delay});
  if (group()) {
    begin_restart(rules_.strategy == Strategy::kOneForAll ? 0 : key, delay);
  } else if (delay == Duration::zero()) {
    begin_start(key, child);
  } else {
    set_state(child, State::kWaiting);
    set_timer(key, child.timer, later(now_ns_, delay));
  }
}

void Policy::end_if_idle() {
  if (rules_.auto_shutdown != AutoShutdown::kIdle || initial_ || sweeping() || alive_ != 0 || waiting_ != 0) return;
  begin_end(SupervisorEndReason::kAutoShutdown, 0, false);
}

void Policy::forget(ChildKey key, Answer result) {
  const auto found = children_.find(key);
  Child& child = found->second;
  WEFT_ASSERT(!alive(child.state), "a child is forgotten that has not ended");
  cancel_timer(child.timer);
  set_state(child, State::kDown);
  const CommandId command = child.command;
  children_.erase(found);
  act({.kind = Action::Kind::kForget, .child = key});
  // Last, so that whoever hears of it finds the child gone.
  answer_command(command, result);
}

void Policy::set_timer(ChildKey key, TimerId& timer, std::uint64_t deadline_ns) {
  cancel_timer(timer);
  timer = ++last_timer_;
  act({.kind = Action::Kind::kSetTimer, .child = key, .timer = timer, .deadline_ns = deadline_ns});
}

void Policy::cancel_timer(TimerId& timer) {
  if (timer == 0) return;
  act({.kind = Action::Kind::kCancelTimer, .timer = timer});
  timer = 0;
}

// A later command for the same child takes the place of an earlier one.
void Policy::take_command(Child& child, CommandId command) {
  answer(child, Answer::kSuperseded);
  child.command = command;
}

void Policy::answer(Child& child, Answer answer) {
  answer_command(child.command, answer);
  child.command = 0;
  child.adding = false;
}

void Policy::answer_command(CommandId command, Answer answer) {
  if (command != 0) act({.kind = Action::Kind::kAnswer, .command = command, .answer = answer});
}

}  // namespace weft::supervise
