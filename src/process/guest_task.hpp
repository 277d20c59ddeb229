// GuestTask: a thread of a guest as the scheduler sees it, a fiber, and what the guest's calls into the host come back to. A process has one, or, if its
// program starts threads, several: the first (thread 0) and those that it started.
//
// One run() is one poll of the engine's call. The guest leaves it by ending, by waiting in a host call (parked, with the call's name as the
// reason), or by yielding: it asked, or its quantum was over and others wait.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "process/state.hpp"
#include "sched/run_context.hpp"
#include "sched/task.hpp"
#include "sched/timer.hpp"
#include "sync/futex.hpp"
#include "wasm/call.hpp"
#include "wasm/call_host.hpp"

namespace weft::process {

class GuestTask final : public sched::Task, public wasm::CallHost {
 public:
  // Prepares the call; nothing runs before the task is spawned. kNoEntryPoint, kBadArgument.
  static Result<base::Ref<GuestTask>> create(std::shared_ptr<Process::State> process, Priority priority);
  // Another thread, started by `parent`, which is being polled: inside its spawn_thread().
  static Result<base::Ref<GuestTask>> create_thread(GuestTask& parent, std::uint32_t thread, std::int32_t argument);

  Process::State& process() const noexcept { return *process_; }

  std::uint32_t thread() const noexcept { return thread_; }  // 0: the first

  // It is to end, for a reason that the process knows. By Process::State, under its mutex, which then wakes the task.
  void stop() noexcept { stopped_.store(true, std::memory_order_release); }
  // Before it is stopped: it is asked for its stack once more, and hands it to Process::State::add_waiting.
  void report_when_stopped() noexcept { report_.store(true, std::memory_order_relaxed); }

  // Unwinds the guest and frees what it has. Once the task is done, or inside run(); on a thread that entered the engine.
  void drop_call();
  // What it waits for in shared memory.
  sync::FutexWaiter::Info futex_info() const { return futex_.info(); }
  std::uint64_t futex_address() const { return futex_address_.load(std::memory_order_relaxed); }  // as the guest calls it

  // What the engine counts. Any thread; each by itself.
  void read_counters(Usage& usage) const noexcept;

  // Asks for the guest's stack: see wasm::Call. False when there is none to be had. Any thread.
  bool request_stack(weft_backtrace_fn receive, void* context);

  // See wasm::Call. kCancelled when the guest is gone. Any thread; wakes the task.
  Result<void> spawn_strand(std::string_view function, std::span<const Value> arguments, std::uint64_t token);
  void finish_strands();

  sched::Poll run(sched::RunContext& context) override;
  void on_done() override;
  void cancel_requested() override;

  wasm::Decision epoch() noexcept override;
  void spinning() noexcept override { spinning_ = true; }
  void yield_now() noexcept override;
  std::int64_t write(std::uint32_t stream, std::span<const std::byte> bytes) noexcept override;
  std::int64_t write_ready(std::uint32_t stream, sched::Task* task) noexcept override;
  std::int64_t read(std::span<std::byte> buffer, sched::Task* task) noexcept override;
  bool sleep(std::uint64_t deadline_ns, sched::Task* task, void** op) noexcept override;
  void sleep_drop(void* op) noexcept override;
  wasm::FutexAnswer futex_wait(const wasm::FutexWait& wait, void** op) noexcept override;
  void futex_drop(void* op) noexcept override;
  std::uint32_t futex_notify(const void* address, std::uint32_t count) noexcept override;
  std::int32_t spawn_thread(std::int32_t argument) noexcept override;
  void strand_finished(std::uint64_t token, Result<std::vector<Value>> results) noexcept override;
  std::uint64_t process_id() const noexcept override { return process_->id; }
  void alive() noexcept override { process_->beat(); }
  void progress(double fraction, std::string_view text) noexcept override;
  void acknowledge_stop() noexcept override;
  bool stop_requested() const noexcept override { return process_->stop_requested.load(std::memory_order_acquire); }

 private:
  GuestTask(std::shared_ptr<Process::State> process, Priority priority, std::uint32_t thread);
  ~GuestTask() override;

  bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }
  void end(ExitStatus status);
  void report_waiting(sched::RunContext& context);
  void sleep_over(void* op) noexcept;
  void check_cpu_time(std::uint64_t now_ns) noexcept;
  const char* park_reason();

  // What every switch touches stands together, in one cache line, and nothing else with it: at a thousand processes a switch costs what its
  // cache misses cost. Only within run(), but for stopped_ and report_:
  alignas(64) sched::RunContext* context_ = nullptr;
  std::optional<wasm::Call> call_;  // the worker takes it away under call_mutex_; others look at it under call_mutex_
  std::optional<sched::YieldKind> yielding_;
  bool spinning_ = false;  // the last run ended while the guest only waited for another thread
  const bool cpu_time_limited_;
  const bool metered_;  // its process draws from a pool of fuel
  // Writer: Process::State, under its mutex; readers: the worker, at every run and epoch check. Publishes report_, and nothing else: why it is to end is
  // read under that mutex.
  base::atomic<bool> stopped_{false};
  base::atomic<bool> report_{false};
  weft_counters counters_{};  // written by the engine, relaxed; read through atomic_ref

  std::uint64_t sleep_deadline_ns_ = 0;
  // Of its wait on shared memory, as the guest calls it; 0 while there is none. Writer: the worker; readers: reports of deadlocks. Publishes nothing.
  base::atomic<std::uint64_t> futex_address_{0};
  std::uint64_t accounted_from_ns_ = 0;  // of this run, what came before is in the process's CPU time
  std::string_view last_waiting_for_;
  const char* last_reason_ =
      "host call";  // also what it waits for when the engine itself lets others run, between steps of a collection

  const std::shared_ptr<Process::State> process_;
  const std::uint32_t thread_;
  sched::TaskTimer sleep_timer_;
  bool sleeping_ = false;  // sleep_timer_ is in use
  sync::FutexWaiter futex_;
  std::mutex call_mutex_;
};

}  // namespace weft::process
