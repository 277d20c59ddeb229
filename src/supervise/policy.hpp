// Policy: what a supervisor does about what happens, as a pure state machine from events to actions. It knows no clock, no thread and no process: time comes with
// each event, and whoever owns it carries the actions out, in order, and tells it what came of them.
//
//   supervise::Policy policy(rules, seed);
//   policy.on({.kind = PolicyEvent::Kind::kBegin, .now_ns = now}, actions);   // appends: start the first child
//   policy.on({.kind = PolicyEvent::Kind::kStarted, .now_ns = now, .child = 1, .incarnation = 1}, actions);
//
// The rules are those of OTP: https://www.erlang.org/doc/apps/stdlib/supervisor.html and …/doc/system/sup_princ.html, of which the comments name the sections.
//
// A child
//
//                    start                     it ended, and is to be restarted later
//   kDown ──────────────────────> kStarting   ┌─────────────────────────────> kWaiting ──┐ its time has come
//     ^  ^                         │ started  │                                          │
//     │  │                         v          │                                          v
//     │  └── it ended ────────── kRunning ────┘                                      kStarting
//     │                            │ asked (also from kStarting)
//     └── it ended ── kKilling <── kStopping    kKilling: its grace is over, or there was none
//
// A sweep goes over many children: it stops all from the last one down to `from`, waits until the time of the restart has come, and starts them upwards.
// There is at most one. The first start is a sweep without the stopping, the end of the supervisor one without the starting, the restart of a group is both.
// A child that falls before the sweep has reached it is part of it; one that falls outside of it moves `from`. one_for_one restarts without a sweep.
//
// Cost: O(log n) an event for n children, apart from sweeps, which cost that for each child they stop or start.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/rng.hpp"
#include "supervise/intensity.hpp"
#include "supervise/rules.hpp"

namespace weft::supervise {

class Policy {
 public:
  enum class State : std::uint8_t { kDown, kStarting, kRunning, kStopping, kKilling, kWaiting };

  Policy(Rules rules, std::uint64_t seed);

  // Appends to `actions`. After kEnd every command is answered with kEnding, and nothing else does anything.
  void on(const PolicyEvent& event, std::vector<Action>& actions);

  // Looks, O(log n).
  bool knows(ChildKey child) const { return children_.contains(child); }
  State state_of(ChildKey child) const { return children_.at(child).state; }
  std::uint64_t restarts_of(ChildKey child) const { return children_.at(child).restarts; }
  bool ended() const { return ended_; }
  bool ending() const { return ended_ || sweep_.kind == Sweep::Kind::kEnd; }
  bool sweeping() const { return sweep_.kind != Sweep::Kind::kNone; }
  bool up() const { return !initial_; }
  // It does not run, and will without anybody's asking.
  bool will_start(ChildKey child) const {
    return state_of(child) == State::kWaiting || (state_of(child) == State::kDown && will_sweep_start(child));
  }
  std::uint64_t alive() const { return alive_; }  // children that have been started, or are being, and have not ended
  std::uint64_t restarts() const { return restarts_; }

 private:
  // What is to become of a child that is being stopped.
  enum class After : std::uint8_t { kSweep, kStay, kRemove, kStart };  // as the sweep will have it; or by hand

  struct Child {
    ChildRules rules{};
    State state = State::kDown;
    After after = After::kSweep;
    bool started = false;  // it ran once
    std::uint32_t attempts = 0;
    std::uint64_t incarnation = 0;
    std::uint64_t restarts = 0;
    std::uint64_t started_ns = 0;
    std::uint64_t held = 0;  // the sweep with this number does not start it: it was stopped by hand, or failed by hand
    TimerId timer = 0;       // of its grace in kStopping, of its restart in kWaiting
    CommandId command = 0;   // to be answered when it has come to rest
    bool adding = false;     // `command` is the one that added it
  };
  using Children = std::map<ChildKey, Child>;

  struct Sweep {
    enum class Kind : std::uint8_t { kNone, kBegin, kRestart, kEnd };
    enum class Stage : std::uint8_t { kStopping, kWaiting, kStarting };
    Kind kind = Kind::kNone;
    Stage stage = Stage::kStopping;
    bool in_flight = false;  // the child at the cursor is being started
    std::uint64_t number = 0;
    ChildKey from = 0;
    ChildKey cursor = 0;  // stopping: all from here on are down; starting: all before are done with
    std::uint64_t not_before_ns = 0;
    TimerId timer = 0;
  };

  bool group() const { return rules_.strategy == Strategy::kOneForAll || rules_.strategy == Strategy::kRestForOne; }
  static bool alive(State state) { return state != State::kDown && state != State::kWaiting; }
  static bool stopping(State state) { return state == State::kStopping || state == State::kKilling; }
  bool will_sweep_start(ChildKey key) const;
  bool sweep_stops(ChildKey key) const;

  // What happens to one child (policy.cpp).
  void started(const PolicyEvent& event);
  void went_down(ChildKey key, Child& child, bool start_failed, const PolicyEvent& event);
  void stopped(ChildKey key, Child& child);
  void fell(ChildKey key, Child& child, bool normal);
  void start_failed(ChildKey key, Child& child, bool hopeless);
  void timer(const PolicyEvent& event);
  void add(const PolicyEvent& event);
  void command(const PolicyEvent& event);

  // Steps (policy_steps.cpp).
  void set_state(Child& child, State state);
  void begin_start(ChildKey key, Child& child);
  void ask(ChildKey key, Child& child);
  void kill(ChildKey key, Child& child);
  void restart(ChildKey key, Child& child, Duration least);
  void end_if_idle();
  void forget(ChildKey key, Answer result = Answer::kDone);  // which its command gets
  void set_timer(ChildKey key, TimerId& timer, std::uint64_t deadline_ns);
  void cancel_timer(TimerId& timer);
  void take_command(Child& child, CommandId command);
  void answer(Child& child, Answer answer);
  void answer_command(CommandId command, Answer answer);
  void act(Action action) { actions_->push_back(action); }

  // Sweeps (policy_sweep.cpp).
  void begin_restart(ChildKey from, Duration delay);
  void begin_end(SupervisorEndReason reason, ChildKey cause, bool hard);
  void advance();
  // Each of these: false when it has to wait for something.
  bool advance_stopping();
  bool advance_waiting();
  bool advance_starting();
  void finish();

  const Rules rules_;
  base::Rng random_;
  Intensity intensity_;
  Children children_;
  Sweep sweep_;
  bool begun_ = false;
  bool initial_ = true;  // not all that it began with have been started yet
  bool ended_ = false;
  bool hard_ = false;  // the end does not ask
  SupervisorEndReason reason_ = SupervisorEndReason::kStopped;
  ChildKey cause_ = 0;
  std::uint64_t alive_ = 0;
  std::uint64_t waiting_ = 0;
  std::uint64_t significant_ = 0;  // significant ones that are alive or waiting
  std::uint64_t restarts_ = 0;
  std::uint64_t last_sweep_ = 0;
  TimerId last_timer_ = 0;
  // Of the event that is being handled.
  std::uint64_t now_ns_ = 0;
  std::vector<Action>* actions_ = nullptr;
};

}  // namespace weft::supervise
