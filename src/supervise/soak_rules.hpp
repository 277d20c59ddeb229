// The rules of OTP, seen from outside: what a supervisor says of itself, event by event, against what it may do (supervisor(3), sup_princ). Who is restarted, in which
// order, when it gives up, how long it waits and how long it is patient. Header for soak_test.cpp only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervise/delay.hpp"
#include "supervise/rules.hpp"
#include "weft/supervisor.hpp"

namespace weft::supervise::soak {

// One supervisor of the tree, in all its lives.
class Watch {
 public:
  struct Child {
    ChildRules rules{};
    bool supervisor = false;
    bool alive = false;
    bool started_once = false;
    std::optional<Duration> due{};    // to be restarted, not before
    std::optional<Duration> asked{};  // to end
    bool killing = false;
    std::uint64_t restarts = 0;
  };

  Watch() = default;
  // `children`: in the order of start; of a simple_one_for_one the template.
  Watch(Rules rules, std::vector<std::pair<std::string, Child>> children) : rules_(rules), first_(std::move(children)) { reset(); }

  // Between two lives of it there is time: what its supervisor waits at least.
  static constexpr Duration kBetweenLives = std::chrono::milliseconds(5);

  void reset() {
    order_.clear();
    children_.clear();
    restarts_.clear();
    for (const auto& [id, child] : first_) {
      if (rules_.strategy == Strategy::kSimpleOneForOne) continue;
      order_.push_back(id);
      children_[id] = child;
    }
    ending_ = may_end_ = hard_ = heard_ = false;
    sweep_from_.reset();
    fell_.reset();
  }
  // It is being ended from outside, asked or not: from now on it may, but it may have to do something else first.
  void ends(bool hard, Duration now) {
    ended_from_outside_ = now;
    may_end_ = true;
    hard_ = hard_ || hard;
  }

  // Empty: as it should be.
  std::string hear(const SupervisorEvent& event, Duration now) {
    using Kind = SupervisorEvent::Kind;
    // It was not alive when it was to be ended.
    if (!std::exchange(heard_, true) && now >= ended_from_outside_ + kBetweenLives) may_end_ = hard_ = false;
    const std::optional<std::string> fell = std::exchange(fell_, std::nullopt);
    if (fell && event.kind != Kind::kRestarting && event.kind != Kind::kGaveUp && !ending_ && !may_end_)
      return "'" + *fell + "' should have been restarted, or the supervisor given up";
    if (event.child.empty()) return event.kind == Kind::kEnded ? ended() : "an event without a child";
    if (!children_.contains(event.child)) {
      // A copy of the template.
      if (rules_.strategy != Strategy::kSimpleOneForOne) return "a child that nobody knows";
      children_[event.child] = first_.front().second;
      order_.push_back(event.child);
    }
    Child& child = children_[event.child];
    switch (event.kind) {
      case Kind::kStarted:
        return started(event.child, child, now);
      case Kind::kStartFailed:
        return start_failed(event.child, child);
      case Kind::kExited:
        return exited(event, child);
      case Kind::kRestarting:
        return restarting(event, child, now);
      case Kind::kStopping:
        return stopping(event.child, child, now);
      case Kind::kKilling:
        if (dead(child)) return "a dead child is killed";
        child.killing = true;
        if (std::string wrong = child.asked ? "" : concerned(event.child); !wrong.empty()) return wrong;
        if (hard_ || child.rules.grace == Duration::zero() || (child.asked && now >= *child.asked + child.rules.grace)) return "";
        return "killed before its grace was over";
      case Kind::kGaveUp:
        ending_ = true;
        if (rules_.max_restarts < 0) return "it gave up without a limit";
        return within(now) >= static_cast<std::size_t>(rules_.max_restarts) ? "" : "it gave up too early";
      case Kind::kRemoved:
        children_.erase(event.child);
        std::erase(order_, event.child);
        return "";
      case Kind::kEnded:
        break;
    }
    return "an event out of place";
  }

 private:
  bool group() const { return rules_.strategy == Strategy::kOneForAll || rules_.strategy == Strategy::kRestForOne; }
  // That a supervisor has begun to start is not said.
  static bool dead(const Child& child) { return !child.alive && !child.supervisor; }
  std::size_t place(const std::string& id) const {
    return static_cast<std::size_t>(std::ranges::find(order_, id) - order_.begin());
  }
  bool later_alive(const std::string& id) const {
    for (std::size_t at = place(id) + 1; at < order_.size(); ++at) {
      if (children_.at(order_[at]).alive) return true;
    }
    return false;
  }
  std::size_t within(Duration now) const {
    return static_cast<std::size_t>(std::ranges::count_if(restarts_, [&](Duration at) { return now - at <= rules_.period; }));
  }

  std::string ended() {
    std::string wrong;
    if (!ending_ && !may_end_ && rules_.auto_shutdown == AutoShutdown::kNever) wrong = "it ended without a reason";
    if (!hard_) {
      for (const auto& [id, child] : children_) {
        if (child.alive) wrong = "it ended while '" + id + "' runs";
      }
    }
    reset();
    return wrong;
  }

  std::string started(const std::string& id, Child& child, Duration now) {
    if (child.alive) return "started while it runs";
    if (ending_) return "started while the supervisor ends";
    if (child.due && now < *child.due) return "restarted before its delay was over";
    if (group() && later_alive(id)) return "started before those after it were down";
    if (child.started_once && !child.due && !(sweep_from_ && place(id) >= *sweep_from_)) return "started again without a reason";
    child = {.rules = child.rules, .supervisor = child.supervisor, .alive = true, .started_once = true};
    // The last of a group: it is complete.
    if (sweep_from_ && id == order_.back()) sweep_from_.reset();
    return "";
  }

  std::string start_failed(const std::string& id, Child& child) {
    if (child.alive) return "a start failed of a child that runs";
    child.due.reset();
    fell_may_ = id;
    // It has not even begun: then the supervisor ends. A copy is given up instead.
    if (!child.started_once && rules_.strategy != Strategy::kSimpleOneForOne) ending_ = true;
    return "";
  }

  std::string exited(const SupervisorEvent& event, Child& child) {
    if (dead(child)) return "a dead child ended";
    const bool by_itself = !child.asked && !child.killing;
    child.alive = false;
    child.asked.reset();
    child.killing = false;
    // One that falls while its group is on its way is part of that, or begins it anew.
    if (!by_itself || ending_ || sweep_from_) {
      fell_may_ = event.child;
      return "";
    }
    const bool normal = event.exit->success();
    const bool should =
        child.supervisor || child.rules.restart == Restart::kPermanent || (child.rules.restart == Restart::kTransient && !normal);
    if (should) fell_ = fell_may_ = event.child;
    return "";
  }

  std::string restarting(const SupervisorEvent& event, Child& child, Duration now) {
    if (ending_) return "a restart while the supervisor ends";
    if (child.alive) return "a restart of a child that runs";
    if (std::exchange(fell_may_, std::nullopt) != event.child) return "a restart of a child that did not fall";
    if (child.rules.restart == Restart::kTemporary) return "a restart of a temporary child";
    restarts_.push_back(now);
    while (now - restarts_.front() > rules_.period) restarts_.pop_front();
    if (rules_.max_restarts >= 0 && within(now) > static_cast<std::size_t>(rules_.max_restarts))
      return "more restarts than are allowed";
    const Duration most = std::max(kStartRetryMin, rules_.backoff.max);
    const Duration least =
        Duration(static_cast<std::int64_t>(static_cast<double>(rules_.backoff.first.count()) * (1 - rules_.backoff.jitter)));
    if (event.delay > most || event.delay < least) return "a delay that the back-off does not allow";
    child.due = now + event.delay;
    if (group()) {
      const std::size_t from = rules_.strategy == Strategy::kOneForAll ? 0 : place(event.child);
      sweep_from_ = std::min(from, sweep_from_.value_or(from));
    }
    return "";
  }

  // Whether it may be stopped at all.
  std::string concerned(const std::string& id) {
    if (ending_ || (sweep_from_ && place(id) >= *sweep_from_)) return "";
    // Idle supervisors end by themselves.
    if (!may_end_ && rules_.auto_shutdown == AutoShutdown::kNever) return "stopped though it is not concerned";
    ending_ = true;
    return "";
  }

  std::string stopping(const std::string& id, Child& child, Duration now) {
    if (dead(child)) return "a dead child is asked to end";
    if (child.asked) return "asked twice";
    child.asked = now;
    if (std::string wrong = concerned(id); !wrong.empty()) return wrong;
    const bool together = rules_.stop_order == StopOrder::kTogether || rules_.strategy == Strategy::kSimpleOneForOne;
    if (!together && !hard_ && later_alive(id)) return "asked before those after it were down";
    return "";
  }

  Rules rules_{};
  std::vector<std::pair<std::string, Child>> first_{};
  std::vector<std::string> order_{};
  std::map<std::string, Child> children_{};
  std::deque<Duration> restarts_{};
  std::optional<std::size_t> sweep_from_{};  // a group is being restarted, from this place on
  std::optional<std::string> fell_{};        // the next event has to be about it
  std::optional<std::string> fell_may_{};    // whom a restart may be about
  bool ending_ = false;
  bool may_end_ = false;
  bool hard_ = false;
  bool heard_ = false;  // in this life
  Duration ended_from_outside_{0};
};

}  // namespace weft::supervise::soak
