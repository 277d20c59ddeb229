// GuestTask: the fiber of a guest as the scheduler sees it, and what the guest's calls into the host come back to.
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
#include "wasm/call.hpp"
#include "wasm/call_host.hpp"

namespace weft::process {

class GuestTask final : public sched::Task, public wasm::CallHost {
 public:
  // Prepares the call; nothing runs before the task is spawned. kNoEntryPoint, kBadArgument.
  static Result<base::Ref<GuestTask>> create(std::shared_ptr<Process::State> process, Priority priority);

  Process::State& process() const noexcept { return *process_; }

  // Why the process is to end; the first cause counts. False: there was one already. By Process::State::stop, under its mutex.
  bool set_stop_cause(StopCause cause) noexcept {
    StopCause none = StopCause::kNone;
    return stop_cause_.compare_exchange_strong(none, cause, std::memory_order_acq_rel);
  }
  StopCause stop_cause() const noexcept { return stop_cause_.load(std::memory_order_acquire); }

  // What the engine counts. Any thread; each by itself.
  void read_counters(Usage& usage) const noexcept;

  // Asks for the guest's stack: see wasm::Call. False when there is none to be had. Any thread.
  bool request_stack(weft_backtrace_fn receive, void* context);

  sched::Poll run(sched::RunContext& context) override;
  void on_done() override;
  void cancel_requested() override;

  wasm::Decision epoch() noexcept override;
  void yield_now() noexcept override;
  std::int64_t write(std::uint32_t stream, std::span<const std::byte> bytes) noexcept override;
  std::int64_t write_ready(std::uint32_t stream, sched::Task* task) noexcept override;
  std::int64_t read(std::span<std::byte> buffer, sched::Task* task) noexcept override;
  bool sleep(std::uint64_t deadline_ns, sched::Task* task, void** op) noexcept override;
  void sleep_drop(void* op) noexcept override;
  std::uint64_t process_id() const noexcept override { return process_->id; }
  bool stop_requested() const noexcept override { return process_->stop_requested.load(std::memory_order_acquire); }

 private:
  GuestTask(std::shared_ptr<Process::State> process, Priority priority);
  ~GuestTask() override;

  bool stopped() const noexcept { return stop_cause_.load(std::memory_order_acquire) != StopCause::kNone; }
  void end(ExitStatus status);
  void check_cpu_time(std::uint64_t now_ns) noexcept;
  const char* park_reason();

  // What every switch touches stands together, in one cache line, and nothing else with it: at a thousand processes a switch costs what its
  // cache misses cost. Only within run(), but for stop_cause_:
  alignas(64) sched::RunContext* context_ = nullptr;
  std::optional<wasm::Call> call_;  // the worker takes it away under call_mutex_; others look at it under call_mutex_
  std::optional<sched::YieldKind> yielding_;
  const bool cpu_time_limited_;
  // Writer: Process::State::stop on any thread, by compare-exchange from kNone; readers: the worker, at every run and epoch check. Publishes the
  // words that say who stopped it; they are read under the process's mutex all the same.
  base::atomic<StopCause> stop_cause_{StopCause::kNone};
  weft_counters counters_{};  // written by the engine, relaxed; read through atomic_ref

  std::uint64_t sleep_deadline_ns_ = 0;
  std::string_view last_waiting_for_;
  const char* last_reason_ =
      "host call";  // also what it waits for when the engine itself lets others run, between steps of a collection

  const std::shared_ptr<Process::State> process_;
  sched::TaskTimer sleep_timer_;
  std::mutex call_mutex_;
};

}  // namespace weft::process
