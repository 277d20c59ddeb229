#include "process/guest_task.hpp"

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "base/thread_sanitizer.hpp"
#include "sched/scheduler.hpp"

namespace weft::process {
namespace {

// A thread found spinning gets this part of a quantum; the ticker does not look more often. docs/design/threads.md says what else was tried.
constexpr std::uint64_t kSpinnersShare = 8;

// Names of host functions as static text, as park reasons have to be: dumps and traces may outlive the program. There are as many as there
// are functions that ever waited; they are kept for good.
const char* intern(std::string_view text) {
  static std::mutex mutex;
  static auto& names = *new std::set<std::string, std::less<>>;
  std::lock_guard lock(mutex);
  auto found = names.find(text);
  if (found == names.end()) found = names.emplace(text).first;
  return found->c_str();
}

// Carries the stack of a deadlocked thread to its process.
struct WaitingReport {
  std::shared_ptr<Process::State> process;
  std::uint32_t thread;

  static void receive(void* context, const weft_backtrace* backtrace) {
    const std::unique_ptr<WaitingReport> report(static_cast<WaitingReport*>(context));
    report->process->add_waiting_stack(report->thread, wasm::frames_of(backtrace));
  }
};

}  // namespace

GuestTask::GuestTask(std::shared_ptr<Process::State> process, Priority priority, std::uint32_t thread)
    : Task({.kind = thread == 0 ? "process" : "thread", .name = process->name, .priority = priority}),
      cpu_time_limited_(process->limits().cpu_time.has_value()),
      metered_(static_cast<bool>(process->fuel)),
      process_(std::move(process)),
      thread_(thread) {
  sleep_timer_.borrow_task(*this);
}

GuestTask::~GuestTask() = default;

Result<base::Ref<GuestTask>> GuestTask::create(std::shared_ptr<Process::State> process, Priority priority) {
  auto task = base::Ref<GuestTask>::adopt(new GuestTask(std::move(process), priority, 0));
  Process::State& state = *task->process_;
  const ProcessSpec& spec = state.spec();
  Result<wasm::Call> call = wasm::Call::prepare(*state.linked,
                                                {.wasi = state.program->wasi.get(),
                                                 .entry = spec.entry,
                                                 .values = spec.entry_values,
                                                 .text_values = spec.entry_text,
                                                 .limits = &spec.limits,
                                                 .counters = &task->counters_,
                                                 .resident = spec.resident,
                                                 .ignore_deadlock = spec.on_deadlock == OnDeadlock::kIgnore},
                                                *task);
  if (!call) return std::unexpected(call.error());
  task->call_.emplace(std::move(*call));
  return task;
}

Result<base::Ref<GuestTask>> GuestTask::create_thread(GuestTask& parent, std::uint32_t thread, std::int32_t argument) {
  auto task = base::Ref<GuestTask>::adopt(new GuestTask(parent.process_, parent.priority(), thread));
  Result<wasm::Call> call =
      wasm::Call::prepare_thread(*parent.call_, static_cast<std::int32_t>(thread), argument, &task->counters_, *task);
  if (!call) return std::unexpected(call.error());
  task->call_.emplace(std::move(*call));
  return task;
}

void GuestTask::read_counters(Usage& usage) const noexcept {
  const auto relaxed = [](const std::uint64_t& counter) {
    // atomic_ref has no const form in C++23.
    return std::atomic_ref(const_cast<std::uint64_t&>(counter)).load(std::memory_order_relaxed);
  };
  // The first thread's counters say what memory all of them have together.
  if (thread_ == 0) {
    usage.memory_bytes = relaxed(counters_.memory_bytes);
    usage.memory_bytes_max = relaxed(counters_.memory_bytes_max);
  }
  usage.host_calls += relaxed(counters_.host_calls);
  usage.fuel += relaxed(counters_.fuel_consumed);
}

bool GuestTask::request_stack(weft_backtrace_fn receive, void* context) {
  std::lock_guard lock(call_mutex_);
  return call_ && call_->request_stack(receive, context);
}

Result<void> GuestTask::spawn_strand(std::string_view function, std::span<const Value> arguments, std::uint64_t token) {
  {
    std::lock_guard lock(call_mutex_);
    if (!call_) return fail(ErrorKind::kCancelled, "the process has ended");
    if (Result<void> asked = call_->spawn_strand(function, arguments, token); !asked) return asked;
  }
  wake();
  return {};
}

void GuestTask::finish_strands() {
  {
    std::lock_guard lock(call_mutex_);
    if (!call_) return;
    call_->finish_strands();
  }
  wake();
}

void GuestTask::strand_finished(std::uint64_t token, Result<std::vector<Value>> results) noexcept {
  process_->strand_finished(token, std::move(results));
}

sched::Poll GuestTask::run(sched::RunContext& context) {
  if (stopped()) {
    if (report_.load(std::memory_order_relaxed)) report_waiting(context);
    end({.kind = ExitKind::kKilled});
    return sched::Poll::kDone;
  }
  context_ = &context;
  yielding_.reset();
  // What it waits for may be done by a thread that has no worker: that one should have to wait for a moment, not for a quantum each time.
  if (spinning_) context.shorten(context.scheduler().quantum_ns() / kSpinnersShare);
  spinning_ = false;
  if (cpu_time_limited_) {
    context.needs_ticks();
    accounted_from_ns_ = context.started_ns();
  }
  if (metered_) process_->fuel.owe(FuelOperation::context_switch());
  const bool done = call_->poll(*this);
  // A guest that often yields may never meet an epoch check.
  if (cpu_time_limited_) check_cpu_time(context.now_ns());
  if (done) {
    end(call_->outcome());
    return sched::Poll::kDone;
  }
  // Not one that is to report where it waits: it is woken for that.
  if (stopped() && !report_.load(std::memory_order_relaxed)) {
    end({.kind = ExitKind::kKilled});
    return sched::Poll::kDone;
  }
  context_ = nullptr;
  if (yielding_) {
    context.yield(*yielding_);
  } else {
    context.park(park_reason(), sleep_deadline_ns_, futex_address());
  }
  return sched::Poll::kPending;
}

// The guest waits, and will not be woken: a poll only makes it show its stack.
void GuestTask::report_waiting(sched::RunContext& context) {
  // Dumps may have asked before: a poll answers one of them.
  constexpr int kAttempts = 16;
  auto request = std::make_unique<WaitingReport>(process_, thread_);
  context_ = &context;
  for (int attempt = 0; request && attempt < kAttempts; ++attempt) {
    if (request_stack(WaitingReport::receive, request.get())) (void)request.release();
    (void)call_->poll(*this);
  }
  context_ = nullptr;
}

void GuestTask::drop_call() {
  std::optional<wasm::Call> gone;
  {
    std::lock_guard lock(call_mutex_);
    gone.swap(call_);
  }
  gone.reset();  // unwinds the guest, frees its memory; may call back into this object
}

void GuestTask::end(ExitStatus status) {
  context_ = nullptr;
  // Nobody needs to find it any more; of the first thread the rest stays, as long as others use what belongs to it.
  futex_.cancel();
  process_->input.forget(*this);
  if (thread_ != 0) drop_call();
  status.thread = thread_;
  process_->thread_ended(*this, std::move(status));
}

void GuestTask::on_done() {}

void GuestTask::cancel_requested() { process_->stop(StopCause::kKill, "shutdown"); }

void GuestTask::check_cpu_time(std::uint64_t now_ns) noexcept {
  const auto limit_ns = static_cast<std::uint64_t>(process_->limits().cpu_time->count());
  const std::uint64_t spent_ns = now_ns > accounted_from_ns_ ? now_ns - accounted_from_ns_ : 0;
  accounted_from_ns_ = now_ns;
  if (process_->cpu_spent_ns.fetch_add(spent_ns, std::memory_order_relaxed) + spent_ns >= limit_ns) {
    process_->stop(StopCause::kCpuTime, {});
  }
}

const char* GuestTask::park_reason() {
  const std::string_view waiting_for = call_->waiting_for();
  if (waiting_for.data() != last_waiting_for_.data() || waiting_for.size() != last_waiting_for_.size()) {
    last_waiting_for_ = waiting_for;
    last_reason_ = waiting_for.empty() ? "host call" : intern(waiting_for);
  }
  return last_reason_;
}

wasm::Decision GuestTask::epoch() noexcept {
  if (context_ == nullptr) return wasm::Decision::kContinue;  // while it is unwound
  if (cpu_time_limited_) check_cpu_time(context_->now_ns());
  if (stopped()) return wasm::Decision::kStop;
  if (!context_->should_yield()) return wasm::Decision::kContinue;
  yielding_ = sched::YieldKind::kPreempted;
  return wasm::Decision::kYield;
}

void GuestTask::yield_now() noexcept { yielding_ = sched::YieldKind::kAsked; }

std::int64_t GuestTask::write(std::uint32_t stream, std::span<const std::byte> bytes) noexcept {
  if (!process_->output) return static_cast<std::int64_t>(bytes.size());
  const auto written = process_->output->write(stream == 1 ? Stream::kOut : Stream::kErr, bytes);
  if (written) return static_cast<std::int64_t>(*written);
  switch (written.error()) {
    case guest::OutputPort::Refusal::kFull:
      return 0;
    case guest::OutputPort::Refusal::kClosed:
      return kWriteClosed;
    case guest::OutputPort::Refusal::kLimit:
      return kWriteStop;
  }
  return kWriteClosed;
}

std::int64_t GuestTask::write_ready(std::uint32_t stream, sched::Task* task) noexcept {
  constexpr std::int64_t kAnyBytes = 64 << 10;
  if (!process_->output) return kAnyBytes;
  return static_cast<std::int64_t>(process_->output->wait_for_room(stream == 1 ? Stream::kOut : Stream::kErr, task));
}

std::int64_t GuestTask::read(std::span<std::byte> buffer, sched::Task* task) noexcept { return process_->input.read(buffer, task); }

bool GuestTask::sleep(std::uint64_t deadline_ns, sched::Task*, void** op) noexcept {
  sched::Scheduler& scheduler = process_->environment.scheduler();
  if (*op == nullptr) {
    if (deadline_ns <= scheduler.now_ns()) return true;
    sched::TaskTimer* timer = &sleep_timer_;
    if (sleeping_) {
      // Only strands sleep side by side.
      timer = new sched::TaskTimer();
      timer->borrow_task(*this);
    } else {
      sleeping_ = true;
      sleep_deadline_ns_ = deadline_ns;
    }
    *op = timer;
    timer->clear();
    scheduler.timers().arm(*timer, deadline_ns);
  }
  if (!static_cast<sched::TaskTimer*>(*op)->fired()) return false;
  sleep_over(*op);
  *op = nullptr;
  return true;
}

void GuestTask::sleep_drop(void* op) noexcept {
  static_cast<sched::TaskTimer*>(op)->cancel();
  sleep_over(op);
}

void GuestTask::sleep_over(void* op) noexcept {
  if (op != &sleep_timer_) {
    delete static_cast<sched::TaskTimer*>(op);
    return;
  }
  sleeping_ = false;
  sleep_deadline_ns_ = 0;
}

wasm::FutexAnswer GuestTask::futex_wait(const wasm::FutexWait& wait, void** op) noexcept {
  sync::FutexOutcome outcome;
  base::taken_over(op);  // the engine's, which had it for another wait before
  if (*op == nullptr) {
    const std::uint64_t now_ns = process_->environment.scheduler().now_ns();
    const auto timeout_ns = static_cast<std::uint64_t>(wait.timeout_ns);
    const bool for_ever = wait.timeout_ns < 0 || timeout_ns >= sched::kNever - now_ns;
    const std::uint64_t deadline_ns = for_ever ? sched::kNever : now_ns + timeout_ns;
    // Before the wait is in the queue, and can be found to be the last one.
    futex_address_.store(wait.guest_address, std::memory_order_relaxed);
    sync::FutexWait queued;
    base::taken_over(&queued);  // on a guest's stack, as above
    if (metered_) process_->fuel.owe(FuelOperation::synchronization(SyncOperation::kWait));
    queued.address = wait.address;
    queued.width = wait.bytes == 4 ? sync::FutexWidth::k32 : sync::FutexWidth::k64;
    queued.expected = wait.expected;
    queued.deadline_ns = deadline_ns;
    queued.now_ns = now_ns;
    const auto begun = futex_.begin(*process_->environment.futexes, queued, *this, &process_->group);
    base::handed_over(&queued);
    outcome = begun.outcome;
    if (outcome == sync::FutexOutcome::kPending) {
      *op = &futex_;
      sleep_deadline_ns_ = for_ever ? 0 : deadline_ns;
      if (begun.all_blocked) process_->deadlocked();
    } else {
      futex_address_.store(0, std::memory_order_relaxed);
    }
  } else {
    outcome = futex_.poll();
    if (outcome != sync::FutexOutcome::kPending) {
      *op = nullptr;
      futex_address_.store(0, std::memory_order_relaxed);
      sleep_deadline_ns_ = 0;
    }
  }
  base::handed_over(op);
  switch (outcome) {
    case sync::FutexOutcome::kWoken:
      return wasm::FutexAnswer::kWoken;
    case sync::FutexOutcome::kNotEqual:
      return wasm::FutexAnswer::kNotEqual;
    case sync::FutexOutcome::kTimedOut:
      return wasm::FutexAnswer::kTimedOut;
    case sync::FutexOutcome::kPending:
      return wasm::FutexAnswer::kPending;
  }
  return wasm::FutexAnswer::kWoken;
}

void GuestTask::futex_drop(void*) noexcept {
  futex_.cancel();
  futex_address_.store(0, std::memory_order_relaxed);
  sleep_deadline_ns_ = 0;
}

std::uint32_t GuestTask::futex_notify(const void* address, std::uint32_t count) noexcept {
  if (metered_) process_->fuel.owe(FuelOperation::synchronization(SyncOperation::kNotify));
  return process_->environment.futexes->notify(address, count);
}

void GuestTask::progress(double fraction, std::string_view text) noexcept {
  if (const std::shared_ptr<ProcessObserver> observer = process_->observer.lock()) observer->progress(fraction, text);
}
void GuestTask::acknowledge_stop() noexcept {
  if (const std::shared_ptr<ProcessObserver> observer = process_->observer.lock()) observer->acknowledged();
}

std::int32_t GuestTask::spawn_thread(std::int32_t argument) noexcept { return process_->spawn_thread(*this, argument); }

}  // namespace weft::process
