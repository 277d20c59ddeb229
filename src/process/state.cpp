#include "process/state.hpp"

#include <utility>

#include "base/assert.hpp"
#include "process/exit_status.hpp"
#include "process/guest_task.hpp"
#include "sync/task_context.hpp"

namespace weft {
namespace {

Duration span(std::uint64_t ns) { return Duration(static_cast<std::int64_t>(ns)); }

std::shared_ptr<guest::OutputPort> open_output(process::Environment& environment, ProcessId id, const Output& output,
                                               std::uint64_t limit_bytes) {
  if (output.kind == Output::Kind::kDiscard) return nullptr;
  return environment.output.open(id, output, limit_bytes);
}

bool on_worker(const sched::Task& task) {
  const sched::State state = task.state();
  return state == sched::State::kRunning || state == sched::State::kNotified;
}

}  // namespace

Process::State::State(std::shared_ptr<process::Environment> in, std::shared_ptr<const Program::State> of, SpawnOptions options)
    : kept(std::move(in)),
      environment(*kept),
      program(std::move(of)),
      id(environment.table.next_id()),
      name(options.name ? std::move(*options.name) : program->spec.name),
      spawned_ns(environment.scheduler().now_ns()),
      output(open_output(environment, id, options.output ? *options.output : program->spec.output, limits().output_bytes)),
      input(program->spec.input, environment.input) {}

Process::State::~State() {
  wall_timer.cancel();
  nudge_.cancel();
}

void Process::State::stop(process::StopCause cause, std::string_view by) {
  const std::shared_ptr<State> self = weak_from_this().lock();
  if (!self) return;  // a timer that fires while the last reference goes
  base::Ref<process::GuestTask> running;
  {
    std::lock_guard lock(mutex);
    if (!task || over.load(std::memory_order_relaxed)) return;
    if (!task->set_stop_cause(cause)) return;
    stopped_by = by;
    running = task;
    // Under the mutex, so that it comes before the end, which disarms it, or not at all.
    environment.scheduler().timers().arm(nudge_, environment.scheduler().now_ns() + environment.scheduler().quantum_ns());
  }
  running->wake();
  if (on_worker(*running)) environment.scheduler().request_tick();
}

// Only a guest that runs right now needs the epoch to move: any other sees that it was stopped when it is run next. Without this, ten
// thousand parked processes killed at once would move the epoch ten thousand times a quantum until the last one is gone.
void Process::State::Nudge::fire() noexcept {
  // No reference of its own: dropped here as the last one, it would destroy this timer from inside. The mutex to the end: as in stop().
  std::lock_guard lock(state_.mutex);
  if (!state_.task || !on_worker(*state_.task)) return;
  sched::Scheduler& scheduler = state_.environment.scheduler();
  scheduler.request_tick();
  scheduler.timers().arm(*this, scheduler.now_ns() + scheduler.quantum_ns());
}

void Process::State::request_stop() {
  stop_requested.store(true, std::memory_order_release);
  input.end();
  base::Ref<process::GuestTask> waiting;
  {
    std::lock_guard lock(mutex);
    waiting = task;
  }
  if (waiting) waiting->wake();  // it may wait for input
}

Usage Process::State::usage_now() const {
  std::unique_lock lock(mutex);
  if (status) return status->usage;
  const base::Ref<process::GuestTask> running = task;
  lock.unlock();
  Usage usage;
  if (running) {
    const sched::TaskInfo info = running->info();
    const bool in_a_run = info.state == sched::State::kRunning || info.state == sched::State::kNotified;
    const std::uint64_t now_ns = environment.scheduler().now_ns();
    usage.cpu_time = span(info.cpu_ns + (in_a_run && now_ns > info.since_ns ? now_ns - info.since_ns : 0));
    // Runs begun; the one that goes on has not left the worker yet, and the last one never does.
    usage.switches = info.switches - (in_a_run ? 1U : 0U);
    usage.preemptions = info.preemptions;
    running->read_counters(usage);
  }
  usage.wall_time = span(environment.scheduler().now_ns() - spawned_ns);
  return usage;
}

void Process::State::finish(ExitStatus outcome, process::StopCause cause) {
  wall_timer.cancel();
  outcome.usage = usage_now();
  // A guest that ended by itself before it saw the stop has ended by itself.
  const bool stopped = outcome.kind == ExitKind::kKilled;
  if (stopped) {
    std::lock_guard lock(mutex);
    switch (cause) {
      case process::StopCause::kNone:
      case process::StopCause::kKill:
        outcome.killed_by = stopped_by;
        outcome.message = "killed by " + stopped_by;
        break;
      case process::StopCause::kWallTime:
        outcome.kind = ExitKind::kLimitReached;
        outcome.limit = LimitReached{LimitKind::kWallTime, static_cast<std::uint64_t>(limits().wall_time->count()),
                                     static_cast<std::uint64_t>(outcome.usage.wall_time.count())};
        break;
      case process::StopCause::kCpuTime:
        outcome.kind = ExitKind::kLimitReached;
        outcome.limit = LimitReached{LimitKind::kCpuTime, static_cast<std::uint64_t>(limits().cpu_time->count()),
                                     static_cast<std::uint64_t>(outcome.usage.cpu_time.count())};
        break;
      case process::StopCause::kOutput:
        outcome.kind = ExitKind::kLimitReached;
        outcome.limit = LimitReached{LimitKind::kOutput, limits().output_bytes, 0};
        break;
    }
  }
  if (outcome.limit) {
    if (outcome.limit->kind == LimitKind::kOutput) outcome.limit->value = limits().output_bytes;
    outcome.message = process::describe(*outcome.limit);
  }
  if (!output) {
    publish(std::move(outcome));
  } else if (stopped) {
    output->close([] {});
    publish(std::move(outcome));
  } else {
    output->close([self = shared_from_this(), outcome]() mutable { self->publish(std::move(outcome)); });
  }
}

void Process::State::publish(ExitStatus outcome) {
  environment.table.remove(id);
  environment.table.release();
  std::vector<base::Ref<sched::Task>> told;
  base::Ref<process::GuestTask> done;
  {
    std::lock_guard lock(mutex);
    WEFT_ASSERT(!status, "a process ended twice");
    status = std::make_unique<const ExitStatus>(std::move(outcome));
    over.store(true, std::memory_order_release);
    told.swap(waiters);
    std::swap(done, task);
  }
  nudge_.cancel();  // outside the mutex, for which its fire() may wait
  ended.notify_all();
  for (const base::Ref<sched::Task>& waiter : told) waiter->wake();
}

bool Process::State::wait_for_end(sched::Task& waiter) {
  std::lock_guard lock(mutex);
  if (status) return false;
  for (const base::Ref<sched::Task>& known : waiters) {
    if (known.get() == &waiter) return true;
  }
  waiters.emplace_back(&waiter);
  return true;
}

// The public handle.

ProcessId Process::id() const noexcept { return state_->id; }
const std::string& Process::name() const noexcept { return state_->name; }
bool Process::running() const noexcept { return !state_->over.load(std::memory_order_acquire); }
Usage Process::usage() const { return state_->usage_now(); }

ExitStatus Process::join() const {
  WEFT_ASSERT(sched::RunContext::current() == nullptr, "join() blocks its thread, and this is a worker: co_await exited() instead");
  std::unique_lock lock(state_->mutex);
  state_->ended.wait(lock, [&] { return state_->status != nullptr; });
  return *state_->status;
}

std::optional<ExitStatus> Process::join_for(Duration bound) const {
  WEFT_ASSERT(sched::RunContext::current() == nullptr,
              "join_for() blocks its thread, and this is a worker: co_await exited() instead");
  std::unique_lock lock(state_->mutex);
  if (!state_->ended.wait_for(lock, bound, [&] { return state_->status != nullptr; })) return std::nullopt;
  return *state_->status;
}

std::optional<ExitStatus> Process::try_join() const {
  std::lock_guard lock(state_->mutex);
  if (state_->status == nullptr) return std::nullopt;
  return *state_->status;
}

namespace {

class ProcessEnd final : public Awaitable {
 public:
  explicit ProcessEnd(std::shared_ptr<Process::State> state) : state_(std::move(state)) {}
  bool poll(detail::TaskContext& context) override {
    if (!state_->wait_for_end(context.task())) return true;
    context.run.park("process end");
    return false;
  }
  ExitStatus await_resume() const {
    std::lock_guard lock(state_->mutex);
    return *state_->status;
  }

 private:
  std::shared_ptr<Process::State> state_;
};

}  // namespace

Task<ExitStatus> Process::exited() const {
  ProcessEnd end(state_);
  co_return co_await end;
}

void Process::kill(std::string_view by) const { state_->stop(process::StopCause::kKill, by); }
void Process::request_stop() const { state_->request_stop(); }

void Process::set_priority(Priority priority) const {
  base::Ref<process::GuestTask> running;
  {
    std::lock_guard lock(state_->mutex);
    running = state_->task;
  }
  if (running) running->set_priority(priority > kPriorityLowest ? kPriorityLowest : priority);
}

std::string Process::captured(Stream stream) const { return state_->output ? state_->output->captured(stream) : std::string(); }

}  // namespace weft
