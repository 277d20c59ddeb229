// Process::State: everything there is about one process. GuestTask (guest_task.hpp) runs it; handles, timers and the output
// pump refer to it.
//
// Life: spawn() makes it and adds it to the table; GuestTask ends it by finish(), once; the end is published when its output is out (at
// once when it was stopped); publish() takes it out of the table. It dies with the last handle.
//
// How a process is stopped. stop() may be called from any thread, any number of times; the first cause counts. It is written down first,
// then the task is woken: a parked or queued one sees the cause at its next run, a running one at the next epoch check, for which the
// epoch is moved, again and again until the process has ended (one move can come too early: before the guest's first check was armed).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic.hpp"
#include "base/ref.hpp"
#include "guest/input.hpp"
#include "guest/output.hpp"
#include "process/environment.hpp"
#include "process/program.hpp"
#include "sched/task.hpp"
#include "sched/timer.hpp"
#include "weft/process.hpp"

namespace weft::process {

class GuestTask;

enum class StopCause : std::uint8_t { kNone, kKill, kWallTime, kCpuTime, kOutput };

}  // namespace weft::process

namespace weft {

struct Process::State : std::enable_shared_from_this<Process::State> {
  State(std::shared_ptr<process::Environment> environment, std::shared_ptr<const Program::State> program, SpawnOptions options);
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  const ProcessSpec& spec() const noexcept { return program->spec; }
  const Limits& limits() const noexcept { return program->spec.limits; }

  // Any thread. See above.
  void stop(process::StopCause cause, std::string_view by);
  void request_stop();

  // By GuestTask, once, with everything but the usage filled in. The call is gone by then.
  void finish(ExitStatus status, process::StopCause cause);

  Usage usage_now() const;
  // False: ended already, and `waiter` was not registered.
  bool wait_for_end(sched::Task& waiter);

  const std::shared_ptr<process::Environment> kept;  // a handle may outlive the runtime's own
  process::Environment& environment;
  const std::shared_ptr<const Program::State> program;
  const ProcessId id;
  const std::string name;
  const std::uint64_t spawned_ns;
  const std::shared_ptr<guest::OutputPort> output;  // null: discarded
  guest::InputPort input;

  // Writer: request_stop; readers: the guest's stop_requested and reads. Publishes nothing.
  base::atomic<bool> stop_requested{false};
  // Writer: publish; readers: running(), the nudge. Set before the waiters are told.
  base::atomic<bool> over{false};

  mutable std::mutex mutex;
  std::condition_variable ended;
  // Under mutex:
  std::string stopped_by;
  std::unique_ptr<const ExitStatus> status;  // a process that runs has no use for the room
  std::vector<base::Ref<sched::Task>> waiters;
  base::Ref<process::GuestTask> task;  // until the end is published

 private:
  void publish(ExitStatus status);

  // Stops the process when its wall time is over.
  class WallTimer final : public sched::TimerEntry {
   public:
    explicit WallTimer(State& state) : state_(state) {}
    ~WallTimer() override { cancel(); }
    void fire() noexcept override { state_.stop(process::StopCause::kWallTime, {}); }

   private:
    State& state_;
  };
  // Moves the epoch until a stopped process has seen it.
  class Nudge final : public sched::TimerEntry {
   public:
    explicit Nudge(State& state) : state_(state) {}
    ~Nudge() override { cancel(); }
    void fire() noexcept override;

   private:
    State& state_;
  };

 public:
  WallTimer wall_timer{*this};

 private:
  Nudge nudge_{*this};
};

}  // namespace weft
