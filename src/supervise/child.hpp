// Children as the executor sees them: how one is started, what can be done to one that runs, and how it reports.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "supervise/inbox.hpp"
#include "supervise/rules.hpp"
#include "weft/supervisor.hpp"

namespace weft::supervise {

// Where one incarnation of a child says what becomes of it. Any thread; after the supervisor's end nobody hears it.
class Port {
 public:
  Port() = default;
  Port(std::weak_ptr<Inbox> inbox, ChildKey child, std::uint64_t incarnation)
      : inbox_(std::move(inbox)), child_(child), incarnation_(incarnation) {}

  void started() const { post({.kind = PolicyEvent::Kind::kStarted}); }
  void start_failed(std::string why) const { post({.kind = PolicyEvent::Kind::kStartFailed, .text = std::move(why)}); }
  void exited(ExitStatus status, bool normal) const {
    post({.kind = PolicyEvent::Kind::kExited, .normal = normal, .status = std::make_unique<const ExitStatus>(std::move(status))});
  }

 private:
  void post(InboxMessage message) const {
    const std::shared_ptr<Inbox> inbox = inbox_.lock();
    if (!inbox) return;
    message.child = child_;
    message.incarnation = incarnation_;
    (void)inbox->post(std::move(message));
  }
  std::weak_ptr<Inbox> inbox_;
  ChildKey child_ = 0;
  std::uint64_t incarnation_ = 0;
};

// A child that was started. Any thread; nothing happens once it has ended.
class Running {
 public:
  virtual ~Running() = default;
  virtual void request_stop() = 0;
  virtual void kill(std::string_view by) = 0;
  virtual bool started() const { return true; }  // false: its port will say when
  virtual Process process() const { return {}; }
  virtual Supervisor supervisor() const { return {}; }
};

// How a child starts.
struct Start {
  Port port;
  const std::string& id;
  const std::string& path;  // the supervisors' names, down to its own
  const std::function<void(const SupervisorEvent&)>& on_event;
  const SpawnOptions& options;
};
class Starter {
 public:
  virtual ~Starter() = default;
  // By the supervisor's task, on a worker. The port must hear of the end of whatever this has started, once.
  virtual Result<std::unique_ptr<Running>> start(const Start& start) const = 0;
};

// Starts a coroutine as a task; its end is its own affair. The handle is for dropping the task where it waits.
using Launch = std::function<JoinHandle<void>(Task<> task, Priority priority, std::string_view name)>;

// ChildSpec and SupervisorSpec, made ready.
struct PreparedChild {
  std::string id{};
  ChildRules rules{};
  std::shared_ptr<const Starter> starter;
};
struct PreparedSupervisor {
  std::string name{};
  Rules rules{};
  Priority priority = kPriorityNormal;
  std::optional<std::uint64_t> seed{};
  std::function<void(const SupervisorEvent&)> on_event{};
  std::vector<PreparedChild> children{};
  Launch launch;
  std::weak_ptr<Runtime::State> runtime{};  // what children that are added later are prepared with
};

// Processes, of a runtime that they do not keep alive.
std::shared_ptr<const Starter> program_starter(Program program, std::weak_ptr<Runtime::State> runtime);
std::shared_ptr<const Starter> function_starter(StartProcess start, std::weak_ptr<Runtime::State> runtime);
// Tasks.
std::shared_ptr<const Starter> task_starter(StartTask start, Priority priority, Launch launch);
// Supervisors below a supervisor.
std::shared_ptr<const Starter> nested_starter(std::shared_ptr<const PreparedSupervisor> prepared);
// The same, prepared at each start. On a worker.
using PrepareNested = std::function<Result<std::shared_ptr<const PreparedSupervisor>>()>;
std::shared_ptr<const Starter> nested_function_starter(PrepareNested prepare);

}  // namespace weft::supervise
