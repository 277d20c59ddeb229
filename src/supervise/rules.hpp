// The vocabulary of the policy: what it is told (PolicyEvent), what it wants done (Action), and the rules that it follows. Plain data.
#pragma once

#include <cstdint>

#include "weft/supervisor.hpp"

namespace weft::supervise {

using ChildKey = std::uint64_t;   // from 1, growing: the order of start
using TimerId = std::uint64_t;    // never used twice by one policy; 0: none
using CommandId = std::uint64_t;  // chosen by whoever gives the command; 0: none

// What ChildSpec says that matters here.
struct ChildRules {
  Restart restart = Restart::kPermanent;
  Duration grace = kForever;  // 0: killed at once
  bool significant = false;
};

// What SupervisorSpec says that matters here.
struct Rules {
  Strategy strategy = Strategy::kOneForOne;
  std::int64_t max_restarts = 1;
  Duration period = std::chrono::seconds(5);
  Backoff backoff{};
  AutoShutdown auto_shutdown = AutoShutdown::kNever;
  StopOrder stop_order = StopOrder::kReverse;
};

struct PolicyEvent {
  enum class Kind : std::uint8_t {
    kBegin,         // once, before all others but kAdd; starts the children added so far
    kStarted,       // a start has succeeded: child, incarnation
    kStartFailed,   // it has not: child, incarnation, hopeless
    kExited,        // child, incarnation, normal
    kTimer,         // child (0: the policy's own), timer
    kAdd,           // child (a new key, greater than all before), rules, command
    kRemove,        // child, command
    kStopChild,     // child, command
    kRestartChild,  // child, command
    kStop,          // the supervisor should end, its children having been stopped in order
    kKill,          // the same, without asking or waiting
    kCancel,        // as kKill: nothing can be started any more
  };
  Kind kind = Kind::kBegin;
  std::uint64_t now_ns = 0;  // never goes back
  ChildKey child = 0;
  std::uint64_t incarnation = 0;
  bool normal = false;
  bool hopeless = false;  // no later start will succeed either
  TimerId timer = 0;
  CommandId command = 0;
  ChildRules rules{};
};

// How a command has ended.
enum class Answer : std::uint8_t { kDone, kNotFound, kStartFailed, kSuperseded, kEnding };

struct Action {
  enum class Kind : std::uint8_t {
    kStart,        // child, incarnation; answered by kStarted or kStartFailed
    kAsk,          // child, incarnation: it should end; answered by kExited
    kKill,         // child, incarnation: end it; answered by kExited
    kSetTimer,     // child, timer, deadline_ns; answered by kTimer
    kCancelTimer,  // timer; a kTimer that comes nevertheless does no harm
    kRestarting,   // to be told: child, after delay
    kGaveUp,       // to be told: child
    kForget,       // the policy has forgotten the child
    kAnswer,       // command, answer
    kUp,           // once: all the children that it began with have been started
    kEnd,          // the last action: reason, child (the one that is the cause, or 0)
  };
  Kind kind = Kind::kStart;
  ChildKey child = 0;
  std::uint64_t incarnation = 0;
  TimerId timer = 0;
  std::uint64_t deadline_ns = 0;
  Duration delay{0};
  CommandId command = 0;
  Answer answer = Answer::kDone;
  SupervisorEndReason reason = SupervisorEndReason::kStopped;
};

}  // namespace weft::supervise
