// Sweeps: stopping from the last child down to one, waiting, starting from that one up.
#include <algorithm>
#include <iterator>

#include "supervise/policy.hpp"

namespace weft::supervise {

// The sweep that goes on will start this child when it comes to it.
bool Policy::will_sweep_start(ChildKey key) const {
  if (sweep_.kind != Sweep::Kind::kBegin && sweep_.kind != Sweep::Kind::kRestart) return false;
  if (sweep_.stage != Sweep::Stage::kStarting) return key >= sweep_.from;
  return sweep_.in_flight ? key > sweep_.cursor : key >= sweep_.cursor;
}

// The sweep that goes on wants this child down.
bool Policy::sweep_stops(ChildKey key) const {
  return sweep_.kind == Sweep::Kind::kRestart && sweep_.stage != Sweep::Stage::kStarting && key >= sweep_.from;
}

// sup_princ, "Restart Strategy": `from` and all after it are stopped, in reverse order, and then started again; those, too, that had ended before.
void Policy::begin_restart(ChildKey from, Duration delay) {
  const auto span_ns = static_cast<std::uint64_t>(delay.count());
  const std::uint64_t until_ns = span_ns < UINT64_MAX - now_ns_ ? now_ns_ + span_ns : UINT64_MAX;
  std::uint64_t not_before_ns = until_ns;
  std::uint64_t number = last_sweep_ + 1;
  if (sweep_.kind == Sweep::Kind::kBegin || sweep_.kind == Sweep::Kind::kRestart) {
    // What the old one had still to start is the new one's.
    from = std::min(from, sweep_.stage == Sweep::Stage::kStarting ? sweep_.cursor : sweep_.from);
    not_before_ns = std::max(until_ns, sweep_.not_before_ns);
    number = sweep_.number;
    cancel_timer(sweep_.timer);
  }
  last_sweep_ = number;
  sweep_ = {.kind = Sweep::Kind::kRestart,
            .stage = Sweep::Stage::kStopping,
            .number = number,
            .from = from,
            .cursor = UINT64_MAX,
            .not_before_ns = not_before_ns};
}

// sup_princ, "Stopping": in the reverse order of the start. `hard`: without asking, and without waiting for one before the next.
void Policy::begin_end(SupervisorEndReason reason, ChildKey cause, bool hard) {
  if (sweep_.kind != Sweep::Kind::kEnd) {
    cancel_timer(sweep_.timer);
    sweep_ = {.kind = Sweep::Kind::kEnd, .stage = Sweep::Stage::kStopping, .number = ++last_sweep_, .cursor = UINT64_MAX};
    reason_ = reason;
    cause_ = cause;
    hard_ = false;
    // supervisor(3): a simple_one_for_one stops its children together, there being no order among them.
    if (!hard && (rules_.stop_order == StopOrder::kTogether || rules_.strategy == Strategy::kSimpleOneForOne)) {
      for (auto each = children_.rbegin(); each != children_.rend(); ++each) {
        if (alive(each->second.state) && !stopping(each->second.state)) ask(each->first, each->second);
      }
    }
  }
  if (!hard || hard_) return;
  hard_ = true;
  for (auto each = children_.rbegin(); each != children_.rend(); ++each) {
    if (alive(each->second.state) && each->second.state != State::kKilling) kill(each->first, each->second);
  }
}

void Policy::advance() {
  while (!ended_ && sweeping()) {
    switch (sweep_.stage) {
      case Sweep::Stage::kStopping:
        if (!advance_stopping()) return;
        break;
      case Sweep::Stage::kWaiting:
        if (!advance_waiting()) return;
        break;
      case Sweep::Stage::kStarting:
        if (!advance_starting()) return;
        break;
    }
  }
}

bool Policy::advance_stopping() {
  const bool ends = sweep_.kind == Sweep::Kind::kEnd;
  auto next = children_.lower_bound(sweep_.cursor);
  while (next != children_.begin()) {
    const auto here = std::prev(next);
    const auto& [key, child] = *here;
    if (key < sweep_.from) break;
    if (alive(child.state)) {
      if (!stopping(child.state)) ask(key, here->second);
      return false;
    }
    if (child.state == State::kWaiting) {
      cancel_timer(here->second.timer);
      set_state(here->second, State::kDown);
    }
    sweep_.cursor = key;
    // sup_princ, "Child Specification": a temporary child is not restarted when a sibling's end takes it along.
    const bool gone = !ends && child.rules.restart == Restart::kTemporary && child.incarnation != 0 && child.command == 0;
    if (gone) {
      forget(key);
      next = children_.lower_bound(sweep_.cursor);
    } else {
      next = here;
    }
  }
  if (ends) {
    finish();
  } else {
    sweep_.stage = Sweep::Stage::kWaiting;
  }
  return true;
}

bool Policy::advance_waiting() {
  if (now_ns_ < sweep_.not_before_ns) {
    if (sweep_.timer == 0) set_timer(0, sweep_.timer, sweep_.not_before_ns);
    return false;
  }
  cancel_timer(sweep_.timer);
  sweep_.stage = Sweep::Stage::kStarting;
  sweep_.cursor = sweep_.from;
  return true;
}

bool Policy::advance_starting() {
  auto here = children_.lower_bound(sweep_.cursor);
  if (sweep_.in_flight && here != children_.end() && here->first == sweep_.cursor) {
    if (here->second.state == State::kStarting) return false;
    ++here;
  }
  sweep_.in_flight = false;
  for (; here != children_.end(); ++here) {
    if (here->second.state != State::kDown || here->second.held == sweep_.number) continue;
    sweep_.cursor = here->first;
    sweep_.in_flight = true;
    begin_start(here->first, here->second);
    return false;
  }
  sweep_ = {};
  if (initial_) {
    initial_ = false;
    act({.kind = Action::Kind::kUp});
  }
  end_if_idle();
  return true;
}

void Policy::finish() {
  for (auto& [key, child] : children_) {
    cancel_timer(child.timer);
    answer(child, Answer::kEnding);
  }
  ended_ = true;
  act({.kind = Action::Kind::kEnd, .child = cause_, .reason = reason_});
}

}  // namespace weft::supervise
