// A supervisor: starts children, restarts those that end when they should not, stops them in order, and gives up when restarting does not help.
// The rules are those of OTP's supervisor behaviour; docs/guide/supervision.md says where we add to them.
//
//   weft::Result<weft::Supervisor> shop = weft::Supervisor::start(runtime, {
//       .name = "shop",
//       .strategy = weft::Strategy::kOneForOne,
//       .children = {weft::child_file("cart", "cart.wasm"), weft::child_file("mailer", "mailer.wasm", {}, weft::Restart::kTransient)}});
//   …
//   shop->stop();
//   weft::SupervisorEnd end = shop->join();
//
// A Supervisor is a handle. Copying it is cheap; all functions may be called from any thread. Dropping the last handle detaches: the supervisor and its
// children run on, until they are done or the runtime shuts down. It does not keep the runtime alive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weft/error.hpp"
#include "weft/process.hpp"
#include "weft/runtime.hpp"
#include "weft/task.hpp"
#include "weft/units.hpp"

namespace weft {

// Which children are restarted when one of them has to be.
enum class Strategy : std::uint8_t {
  kOneForOne,        // that one
  kOneForAll,        // all: the others are stopped first
  kRestForOne,       // that one and those after it in the order of start
  kSimpleOneForOne,  // that one; all children are copies of one template, added while the supervisor runs
};

// When a child is restarted. A child ends normally by returning, by exit(0), and a supervisor by being stopped or giving up.
enum class Restart : std::uint8_t {
  kPermanent,  // always
  kTransient,  // unless it ended normally
  kTemporary,  // never; it is forgotten when it has ended
};

// When a supervisor ends by itself, its children having been stopped.
enum class AutoShutdown : std::uint8_t {
  kNever,
  kAnySignificant,  // a significant child has ended by itself and is not restarted
  kAllSignificant,  // the last significant child has
  kIdle,            // no child runs and none waits to be restarted
};

// How children are stopped at the end.
enum class StopOrder : std::uint8_t {
  kReverse,   // one after the other, the last started first; each has its grace. kSimpleOneForOne stops its children together
  kTogether,  // all are asked at once
};

// How long a supervisor waits before it restarts a child: first, first * factor, first * factor², …, at most `max`, each made longer or shorter by up to
// `jitter` of itself, at random, so that children that fell together do not rise together. A child that ran for `stable` begins anew at `first`.
struct Backoff {
  Duration first{0};  // 0: restart at once. (A child that could not even be started is tried again after 10 ms at the earliest.)
  double factor = 2;  // 1 or more
  Duration max = std::chrono::seconds(30);
  double jitter = 0.1;  // 0 … 1
  Duration stable = std::chrono::seconds(10);
};

// Given to a task that is a child: tells it that it should end.
class StopSignal {
 public:
  // Any thread.
  bool requested() const noexcept { return state_->done(); }
  // Parks the task until it is asked to end. Inside a Task only.
  Task<> raised() const;

  explicit StopSignal(std::shared_ptr<detail::JoinState> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<detail::JoinState> state_;
};

struct SupervisorSpec;

// What a child is. Modules in files and bytes are compiled by Supervisor::start(), or add_child(), once.
struct ModuleFile {
  std::filesystem::path path{};  // wasm, binary or text
  ProcessSpec process{};         // without its module
};
struct ModuleBytes {
  std::vector<std::uint8_t> bytes{};  // wasm, binary or text
  std::string name{};
  ProcessSpec process{};  // without its module
};
// Called at every start and restart, on a worker: may not block. An error means that the child could not be started.
using StartProcess = std::function<Result<Process>(const Runtime&)>;
// Makes the task that is the child. It ends well by returning and badly by an exception; it is killed by being dropped where it waits.
using StartTask = std::function<Task<>(StopSignal)>;

// Says what a supervisor below is, at each of its starts and restarts. On a worker: may not block, so its children are programs, functions or tasks, and no files.
// (A SupervisorSpec says so once: restarted, the supervisor has the children that stand there, whichever were added or taken away meanwhile.)
using StartSupervisor = std::function<Result<SupervisorSpec>()>;

using ChildBody = std::variant<std::monostate, ProcessSpec, Program, ModuleFile, ModuleBytes, StartProcess, StartTask,
                               std::shared_ptr<const SupervisorSpec>, StartSupervisor>;

struct ChildSpec {
  std::string id{};  // unique among its siblings
  ChildBody body{};
  Restart restart = Restart::kPermanent;
  // From asking the child to end (Process::request_stop, StopSignal, Supervisor::stop) to killing it. 0: killed at once. kForever: never killed.
  // Unset: 5 s, and kForever for a supervisor.
  std::optional<Duration> grace{};
  bool significant = false;  // see AutoShutdown; not for a permanent child
};

// Children in short. `process` may say everything about the process but its module.
ChildSpec child_process(std::string id, ProcessSpec process, Restart restart = Restart::kPermanent);
ChildSpec child_program(std::string id, Program program, Restart restart = Restart::kPermanent);
ChildSpec child_file(std::string id, std::filesystem::path path, ProcessSpec process = {}, Restart restart = Restart::kPermanent);
ChildSpec child_wat(std::string id, std::string_view text, ProcessSpec process = {}, Restart restart = Restart::kPermanent);
ChildSpec child_wasm(std::string id, std::span<const std::uint8_t> bytes, ProcessSpec process = {},
                     Restart restart = Restart::kPermanent);
ChildSpec child_function(std::string id, StartProcess start, Restart restart = Restart::kPermanent);
ChildSpec child_task(std::string id, StartTask start, Restart restart = Restart::kPermanent);
ChildSpec child_supervisor(std::string id, SupervisorSpec spec, Restart restart = Restart::kPermanent);
ChildSpec child_supervisor_function(std::string id, StartSupervisor start, Restart restart = Restart::kPermanent);

class Supervisor;

// What has happened to a child, or to the supervisor itself.
struct SupervisorEvent {
  enum class Kind : std::uint8_t {
    kStarted,      // it runs: `process`, or `nested`; `restarts` says how often it was restarted so far
    kStartFailed,  // `message` says why
    kExited,       // `exit`
    kRestarting,   // after `delay`
    kStopping,     // it was asked to end
    kKilling,      // it is being killed: its grace is over, or there was none
    kRemoved,      // the supervisor has forgotten it
    kGaveUp,       // `child` fell once too often: all others are being stopped
    kEnded,        // the supervisor itself has; `message` says why, `child` is empty
  };
  Kind kind = Kind::kStarted;
  std::string supervisor{};  // its name, below those of the supervisors above it: "shop/payment"
  std::string child{};
  Process process{};
  std::optional<ExitStatus> exit{};
  Duration delay{0};
  std::uint64_t restarts = 0;
  std::string message{};
};

std::string_view name_of(SupervisorEvent::Kind kind) noexcept;  // "started", "start failed", …
std::string to_string(const SupervisorEvent& event);            // one line for people: "shop: cart restarting in 100ms"

struct SupervisorSpec {
  std::string name = "supervisor";
  Strategy strategy = Strategy::kOneForOne;
  // At most so many restarts within `period`; one more and the supervisor gives up. Below 0: no limit. By hand does not count.
  std::int64_t max_restarts = 1;
  Duration period = std::chrono::seconds(5);
  Backoff backoff{};
  AutoShutdown auto_shutdown = AutoShutdown::kNever;
  StopOrder stop_order = StopOrder::kReverse;
  Priority priority = kPriorityNormal;  // of the supervisor's own task
  std::vector<ChildSpec> children{};    // in the order of start; for kSimpleOneForOne: one, the template
  std::optional<std::uint64_t> seed{};  // of the jitter; unset: another one each time
  // Called on a worker, one call at a time, in the order in which things happen: it must not block. Supervisors below that have none use this one, too;
  // then several may call at once.
  std::function<void(const SupervisorEvent&)> on_event{};
};

enum class ChildState : std::uint8_t {
  kStopped,   // it has ended, or was stopped, and is not restarted
  kStarting,  // a supervisor whose children are not all there yet
  kRunning,
  kStopping,  // it was asked to end, or is being killed
  kWaiting,   // to be restarted
};
std::string_view name_of(ChildState state) noexcept;

struct ChildInfo;
struct SupervisorResult;

enum class SupervisorEndReason : std::uint8_t {
  kStopped,       // stop()
  kKilled,        // kill()
  kGaveUp,        // too many restarts
  kStartFailed,   // a child could not be started when the supervisor began
  kAutoShutdown,  // see AutoShutdown
  kCancelled,     // the runtime shut down
};
std::string_view name_of(SupervisorEndReason reason) noexcept;  // "stopped", "gave up", …

struct SupervisorEnd {
  SupervisorEndReason reason = SupervisorEndReason::kStopped;
  std::string child{};    // kGaveUp, kStartFailed: which one
  std::string message{};  // one line for people
  std::uint64_t restarts = 0;
};

class Supervisor {
 public:
  Supervisor() = default;
  explicit operator bool() const noexcept { return state_ != nullptr; }

  // Compiles and links what the children need, and starts the supervisor, which starts them in order. Never waits for a child; compiling may take seconds: from a
  // task, call it inside weft::blocking(). Fails, before anything runs, as Runtime::load and Runtime::prepare do (the message names the child), and with
  // kBadArgument on a spec that makes no sense. A child that cannot be started later ends the supervisor: kStartFailed.
  static Result<Supervisor> start(const Runtime& runtime, SupervisorSpec spec);

  const std::string& name() const noexcept;
  bool running() const noexcept;
  std::uint64_t restarts() const noexcept;  // so far, without those by hand

  // Waits for the end. Block the calling thread: not to be called on a worker (asserted); await ended() there.
  SupervisorEnd join() const;
  // The same with a bound. Reaching it is no error and ends nothing: the result holds the children that still run, as live handles.
  SupervisorResult join_for(Duration bound) const;
  Task<SupervisorEnd> ended() const;  // co_await supervisor.ended() inside a Task

  // Stops the children as the spec says, then ends. Returns at once.
  void stop() const;
  // Kills all children at once, and so on down the tree, then ends. Returns at once; `by` is what their exit statuses will say.
  void kill(std::string_view by) const;

  // The children in the order of start: a copy, which takes time in proportion. child(): one of them.
  std::vector<ChildInfo> children() const;
  std::optional<ChildInfo> child(std::string_view id) const;

  // By hand, at any moment, from any thread; none of them waits. The handle's result is there when it is done; dropping the handle changes nothing.
  // In common: kNotFound: no such child. kCancelled: the supervisor ends, or another command for the same child came after this one. kExhausted: 100,000
  // commands wait.
  //
  // Adds a child after all others, and starts it. kBadArgument: the id is taken, or the spec makes no sense. Otherwise as start(), which holds for compiling, too.
  // A child that cannot be started is not added.
  JoinHandle<void> add_child(ChildSpec child) const;
  // kSimpleOneForOne: another copy of the template. An empty id: one is made up, `<template>-<number>`; the result is the id. `options` are used at each of its
  // starts, if it is a process that the supervisor spawns itself.
  JoinHandle<std::string> add_copy(std::string id = {}, SpawnOptions options = {}) const;
  // Stops the child, with its grace, and forgets it.
  JoinHandle<void> remove_child(std::string_view id) const;
  // Stops the child, with its grace, and keeps it for restart_child(). (When its siblings are restarted as a group, so is it.) A temporary one is forgotten.
  JoinHandle<void> stop_child(std::string_view id) const;
  // Starts it if it does not run, at once if it waits; else stops it, with its grace, and starts it again. Its siblings stay as they are.
  JoinHandle<void> restart_child(std::string_view id) const;

  struct State;
  explicit Supervisor(std::shared_ptr<State> state) : state_(std::move(state)) {}
  const std::shared_ptr<State>& state() const noexcept { return state_; }

 private:
  std::shared_ptr<State> state_;
};

// One child at one moment.
struct ChildInfo {
  std::string id{};
  ChildState state = ChildState::kStopped;
  Restart restart = Restart::kPermanent;
  std::uint64_t restarts = 0;  // by the supervisor: its own, and those with its group
  Process process{};           // the running one, or the last; empty before its first start, and for tasks and supervisors
  Supervisor supervisor{};     // the same for supervisors
  std::string last_end{};      // how it last ended, one line; empty: it never did
};

// What a join with a bound saw.
struct SupervisorResult {
  std::optional<SupervisorEnd> end{};  // empty: it still runs
  std::uint64_t restarts = 0;
  std::vector<ChildInfo> pending{};  // those that have not ended: keep the handles, kill the processes, or let go
  bool timed_out() const noexcept { return !end.has_value(); }
};

}  // namespace weft
