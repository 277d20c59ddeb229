// Process::State: everything there is about one process. GuestTasks (guest_task.hpp), one a thread, run it; handles, timers and the output
// pump refer to it.
//
// Life: spawn() makes it and adds it to the table; it ends with its last thread, by finish(), once; the end is published when its output is out (at
// once when it was stopped); publish() takes it out of the table. It dies with the last handle.
//
// Threads: thread 0 is there from the start, others are started by any of them. The first end that is the process's own (thread 0 returns, any thread
// exits, traps or reaches a limit) decides how the process ends; all others are then stopped. What thread 0's call owns, the others use: it is
// dropped last.
//
// How a process is stopped. stop() may be called from any thread, any number of times; the first cause counts. It is written down first,
// then its threads are woken: a parked or queued one sees the cause at its next run, a running one at the next epoch check, for which the
// epoch is moved, again and again until the process has ended (one move can come too early: before the guest's first check was armed).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/atomic.hpp"
#include "base/ref.hpp"
#include "guest/input.hpp"
#include "guest/output.hpp"
#include "process/environment.hpp"
#include "process/process_observer.hpp"
#include "process/program.hpp"
#include "process/thread_ids.hpp"
#include "sched/task.hpp"
#include "sched/timer.hpp"
#include "sync/futex_group.hpp"
#include "sync/waitable.hpp"
#include "weft/process.hpp"

namespace weft::process {

class GuestTask;
class Peer;

enum class StopCause : std::uint8_t { kNone, kKill, kWallTime, kCpuTime, kOutput, kDeadlock };

}  // namespace weft::process

namespace weft {

struct Process::State : std::enable_shared_from_this<Process::State> {
  State(std::shared_ptr<process::Environment> environment, std::shared_ptr<const Program::State> program,
        std::shared_ptr<const wasm::Program> linked, SpawnOptions options, std::weak_ptr<process::ProcessObserver> observer = {});
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  const ProcessSpec& spec() const noexcept { return program->spec; }
  const Limits& limits() const noexcept { return program->spec.limits; }

  // Any thread. See above.
  void stop(process::StopCause cause, std::string_view by);
  void request_stop();
  void set_priority(Priority priority);

  // By a thread, once, at the end of its last run; on a worker. Its call is gone by then, but for thread 0's.
  void thread_ended(process::GuestTask& thread, ExitStatus status);
  // A thread of the guest starts another: its id, or a negative number. Inside a run of `parent`.
  std::int32_t spawn_thread(process::GuestTask& parent, std::int32_t argument);
  // Ready once that thread has ended, whoever has its number by then. Of one that there never was: of nothing. Any thread.
  Waitable when_thread_ended(std::uint64_t thread);
  // All threads wait on memory without a time-out. By the thread that made it so, inside its run.
  void deadlocked();
  void add_waiting_stack(std::uint32_t thread, std::vector<Frame> stack);

  Result<JoinHandle<std::vector<Value>>> spawn_strand(std::string_view function, std::span<const Value> arguments);
  void finish_strands();
  void strand_finished(std::uint64_t token, Result<std::vector<Value>> results);

  // By the guest: weft.alive.
  void beat() noexcept;
  Heartbeat heartbeat() const noexcept;

  Usage usage_now() const;
  // False: ended already, and `waiter` was not registered.
  bool wait_for_end(sched::Task& waiter);
  // Any thread. Calls `listener` once: when the end is published, on the thread that does that, outside the mutex; here and now if it has been. It may not park.
  using EndListener = std::function<void(const ExitStatus&)>;
  void on_end(EndListener listener);

  // What it is to others; made when first asked for. Null: it ends, and never had one. Lives as long as the state.
  process::Peer* peer();

  const std::shared_ptr<process::Environment> kept;  // a handle may outlive the runtime's own
  process::Environment& environment;
  const std::shared_ptr<const Program::State> program;
  const std::shared_ptr<const wasm::Program> linked;  // of the program: as it is, or so that calls are paid for
  const ProcessId id;
  const std::string name;
  const std::uint64_t spawned_ns;
  const std::shared_ptr<guest::OutputPort> output;  // null: discarded
  guest::InputPort input;
  const FuelPool fuel;  // what its threads and their waits draw from; none: free
  const std::weak_ptr<process::ProcessObserver> observer;

  // Writer: request_stop; readers: the guest's stop_requested and reads. Publishes nothing.
  base::atomic<bool> stop_requested{false};
  // Writer: publish; readers: running(), the nudge. Set before the waiters are told.
  base::atomic<bool> over{false};

  // weft.alive. Writers: the guest's threads; readers: heartbeat(). The time is written first, released by the count and acquired with it.
  base::atomic<std::uint64_t> last_beat_ns{0};
  base::atomic<std::uint64_t> beats{0};

  // CPU time of all threads, kept only where it is limited. Writers: the threads, each adding its own; readers: the same. Publishes nothing.
  base::atomic<std::uint64_t> cpu_spent_ns{0};
  sync::FutexGroup group;
  // Writer: peer(), once, under the mutex; readers: anyone. Release/acquire partners of each other: the peer is made.
  base::atomic<process::Peer*> peer_or_null{nullptr};

  mutable std::mutex mutex;
  std::condition_variable ended;
  // Under mutex:
  process::StopCause stop_cause = process::StopCause::kNone;
  std::string stopped_by;
  std::unique_ptr<const ExitStatus> status;  // a process that runs has no use for the room
  std::vector<base::Ref<sched::Task>> waiters;
  std::vector<EndListener> end_listeners;
  base::Ref<sync::FlagSource> exit_source;  // once somebody has asked for a waitable
  base::Ref<process::GuestTask> task;       // thread 0, until the end is published

 private:
  struct Thread {
    base::Ref<process::GuestTask> task;
    base::Ref<sync::FlagSource> end;  // once somebody has asked for a waitable
  };
  // What there is only once the process has started a thread. Under mutex.
  struct Threads {
    std::unordered_map<std::uint32_t, Thread> alive;  // without thread 0
    process::ThreadIds ids;
    std::uint64_t started = 1;  // with thread 0
    std::uint64_t most = 1;     // with thread 0
    Usage ended;                // of those that are gone
  };
  // The strands that were asked for and have not ended. Under mutex.
  using StrandJoin = detail::TypedJoinState<std::vector<Value>>;
  struct Strands {
    std::unordered_map<std::uint64_t, std::shared_ptr<StrandJoin>> alive;  // by token
    std::uint64_t next = 0;                                                // the token given last
  };
  // How it ends, once that is decided. Under mutex.
  struct Ending {
    ExitStatus status;
    process::StopCause cause = process::StopCause::kNone;
  };

  void publish(ExitStatus status);
  void finish(ExitStatus status, process::StopCause cause);
  std::uint64_t threads_max() const;
  template <class Body>
  void for_each_thread(const Body& body) const;
  bool any_on_worker() const;
  static void add_usage(Usage& usage, const process::GuestTask& thread, std::uint64_t now_ns);

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
  // Under mutex:
  std::unique_ptr<Threads> threads_;
  std::unique_ptr<Strands> strands_;
  std::unique_ptr<Ending> ending_;
  std::vector<WaitingThread> waiting_;  // once it is found deadlocked
  std::uint64_t waiting_threads_ = 0;   // how many they are, shown or not
  bool first_ended_ = false;            // thread 0 is done
  bool leaving_ = false;                // no peer is made any more
};

}  // namespace weft
