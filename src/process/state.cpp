#include "process/state.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "process/deadlock.hpp"
#include "process/exit_status.hpp"
#include "process/guest_task.hpp"
#include "process/together/society.hpp"
#include "sync/fuel_pool.hpp"
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

Process::State::State(std::shared_ptr<process::Environment> in, std::shared_ptr<const Program::State> of,
                      std::shared_ptr<const wasm::Program> linked_as, SpawnOptions options,
                      std::weak_ptr<process::ProcessObserver> by)
    : kept(std::move(in)),
      environment(*kept),
      program(std::move(of)),
      linked(std::move(linked_as)),
      id(environment.table.next_id()),
      name(options.name ? std::move(*options.name) : program->spec.name),
      spawned_ns(environment.scheduler().now_ns()),
      output(open_output(environment, id, options.output ? *options.output : program->spec.output, limits().output_bytes)),
      input(program->spec.input, environment.input),
      fuel(std::move(options.fuel)),
      observer(std::move(by)) {}

Process::State::~State() {
  wall_timer.cancel();
  nudge_.cancel();
  delete peer_or_null.load(std::memory_order_acquire);
}

process::Peer* Process::State::peer() {
  if (process::Peer* const known = peer_or_null.load(std::memory_order_acquire)) return known;
  std::lock_guard lock(mutex);
  process::Peer* peer = peer_or_null.load(std::memory_order_relaxed);
  if (peer == nullptr && !leaving_) {
    peer = new process::Peer(limits().mailbox);
    peer_or_null.store(peer, std::memory_order_release);
  }
  return peer;
}

template <class Body>
void Process::State::for_each_thread(const Body& body) const {
  if (task && !first_ended_) body(*task);
  if (!threads_) return;
  for (const auto& [number, thread] : threads_->alive) body(*thread.task);
}

bool Process::State::any_on_worker() const {
  bool any = false;
  for_each_thread([&any](process::GuestTask& thread) { any = any || on_worker(thread); });
  return any;
}

void Process::State::stop(process::StopCause cause, std::string_view by) {
  const std::shared_ptr<State> self = weak_from_this().lock();
  if (!self) return;  // a timer that fires while the last reference goes
  std::vector<base::Ref<process::GuestTask>> stopped;
  {
    std::lock_guard lock(mutex);
    if (!task || over.load(std::memory_order_relaxed) || stop_cause != process::StopCause::kNone) return;
    stop_cause = cause;
    stopped_by = by;
    for_each_thread([&stopped](process::GuestTask& thread) {
      thread.stop();
      stopped.emplace_back(&thread);
    });
    // Under the mutex, so that it comes before the end, which disarms it, or not at all.
    environment.scheduler().timers().arm(nudge_, environment.scheduler().now_ns() + environment.scheduler().quantum_ns());
  }
  bool running = false;
  for (const base::Ref<process::GuestTask>& thread : stopped) {
    thread->wake();
    running = running || on_worker(*thread);
  }
  if (running) environment.scheduler().request_tick();
}

// Only a guest that runs right now needs the epoch to move: any other sees that it was stopped when it is run next. Without this, ten
// thousand parked processes killed at once would move the epoch ten thousand times a quantum until the last one is gone.
void Process::State::Nudge::fire() noexcept {
  // No reference of its own: dropped here as the last one, it would destroy this timer from inside. The mutex to the end: as in stop().
  std::lock_guard lock(state_.mutex);
  if (!state_.task || !state_.any_on_worker()) return;
  sched::Scheduler& scheduler = state_.environment.scheduler();
  scheduler.request_tick();
  scheduler.timers().arm(*this, scheduler.now_ns() + scheduler.quantum_ns());
}

void Process::State::request_stop() {
  stop_requested.store(true, std::memory_order_release);
  input.end();
  std::vector<base::Ref<process::GuestTask>> waiting;
  {
    std::lock_guard lock(mutex);
    for_each_thread([&waiting](process::GuestTask& thread) { waiting.emplace_back(&thread); });
  }
  for (const base::Ref<process::GuestTask>& thread : waiting) thread->wake();  // it may wait for input
}

void Process::State::set_priority(Priority priority) {
  std::lock_guard lock(mutex);
  for_each_thread([priority](process::GuestTask& thread) { thread.set_priority(priority); });
}

// ---- threads ----

std::uint64_t Process::State::threads_max() const { return limits().threads.value_or(environment.threads.max()); }

std::int32_t Process::State::spawn_thread(process::GuestTask& parent, std::int32_t argument) {
  constexpr std::int32_t kAgain = -6;  // WASI's errno `again`, negative
  if (!environment.threads.reserve()) return kAgain;
  const std::uint64_t cost = fuel ? fuel.cost_of(FuelOperation::spawn(environment.stack_bytes)) : 0;
  std::int64_t available = 0;
  if (cost != 0 && !fuel.state()->try_take(cost, available)) {
    environment.threads.release();
    return kAgain;
  }
  base::Ref<process::GuestTask> thread;
  std::uint32_t number = 0;
  {
    std::lock_guard lock(mutex);
    const bool ending = ending_ != nullptr || stop_cause != process::StopCause::kNone;
    if (!threads_) threads_ = std::make_unique<Threads>();
    if (!ending && threads_->alive.size() + 1 < threads_max()) {
      process::ThreadIds ids = threads_->ids;
      // With thousands of them alive at most, one is soon found.
      number = ids.next([this](std::uint32_t one) { return threads_->alive.contains(one); });
      if (auto created = process::GuestTask::create_thread(parent, number, argument)) {
        thread = std::move(*created);
        threads_->ids = ids;
        threads_->alive.emplace(number, Thread{.task = thread, .end = {}});
        threads_->started += 1;
        threads_->most = std::max<std::uint64_t>(threads_->most, threads_->alive.size() + 1);
        group.thread_started();
      }
    }
  }
  if (!thread) {
    if (cost != 0) fuel.give_back(cost);
    environment.threads.release();
    return kAgain;
  }
  if (environment.scheduler().spawn(thread, sched::SpawnPlace::kNext)) {
    if (environment.recorder) environment.names.add(thread->id(), id, name + "/" + std::to_string(number));
    return static_cast<std::int32_t>(number);
  }
  // The runtime shuts down: it will never run.
  thread->drop_call();
  base::Ref<sync::FlagSource> end;
  {
    std::lock_guard lock(mutex);
    const auto found = threads_->alive.find(number);
    end = std::move(found->second.end);
    threads_->alive.erase(found);
    threads_->started -= 1;
  }
  if (end) end->set();
  (void)group.thread_ended();
  environment.threads.release();
  return kAgain;
}

void Process::State::add_usage(Usage& usage, const process::GuestTask& thread, std::uint64_t now_ns) {
  const sched::TaskInfo info = thread.info();
  const bool in_a_run = info.state == sched::State::kRunning || info.state == sched::State::kNotified;
  usage.cpu_time += span(info.cpu_ns + (in_a_run && now_ns > info.since_ns ? now_ns - info.since_ns : 0));
  // Runs begun; the one that goes on has not left the worker yet, and the last one never does.
  usage.switches += info.switches - (in_a_run ? 1U : 0U);
  usage.preemptions += info.preemptions;
  thread.read_counters(usage);
}

void Process::State::thread_ended(process::GuestTask& thread, ExitStatus outcome) {
  const bool first = thread.thread() == 0;
  const std::uint64_t now_ns = environment.scheduler().now_ns();
  std::vector<base::Ref<process::GuestTask>> stopped;
  Thread gone;
  std::unique_ptr<Ending> ending;
  bool ends = false;
  {
    std::lock_guard lock(mutex);
    // Of the other threads a return is only their own end.
    if (!ending_ && (first || outcome.kind != ExitKind::kReturned)) {
      ending_ = std::make_unique<Ending>(Ending{std::move(outcome), stop_cause});
      ends = true;
    }
    if (first) {
      first_ended_ = true;
    } else {
      add_usage(threads_->ended, thread, now_ns);
      const auto found = threads_->alive.find(thread.thread());
      gone = std::move(found->second);
      threads_->alive.erase(found);
      // Under the mutex: whoever hears of the process's end finds the places of all its threads free.
      environment.threads.release();
    }
    const bool others = !first_ended_ || (threads_ && !threads_->alive.empty());
    if (ends && others) {
      for_each_thread([&stopped](process::GuestTask& other) {
        other.stop();
        stopped.emplace_back(&other);
      });
      environment.scheduler().timers().arm(nudge_, now_ns + environment.scheduler().quantum_ns());
    }
    if (!others) ending = std::move(ending_);
  }
  bool running = false;
  for (const base::Ref<process::GuestTask>& other : stopped) {
    other->wake();
    running = running || on_worker(*other);
  }
  if (running) environment.scheduler().request_tick();
  if (gone.end) gone.end->set();
  const bool stuck = group.thread_ended();
  if (ending) {
    task->drop_call();
    if (program->linked->module().has_threads()) environment.threads.release();
    finish(std::move(ending->status), ending->cause);
  } else if (stuck && !ends) {
    deadlocked();
  }
}

void Process::State::deadlocked() {
  // Beyond this many threads the rest is more of the same, and stacks take time to read.
  constexpr std::size_t kStacksMax = 64;
  constexpr std::size_t kWaitingMax = 1000;
  if (spec().on_deadlock == OnDeadlock::kIgnore) return;
  {
    std::lock_guard lock(mutex);
    if (ending_ || stop_cause != process::StopCause::kNone) return;
    const std::uint64_t now_ns = environment.scheduler().now_ns();
    waiting_threads_ = group.alive();
    if (spec().on_deadlock == OnDeadlock::kReport) {
      for_each_thread([&](process::GuestTask& thread) {
        if (waiting_.size() == kWaitingMax) return;
        const sync::FutexWaiter::Info info = thread.futex_info();
        WaitingThread waiting;
        waiting.thread = thread.thread();
        waiting.address = thread.futex_address();
        waiting.waited = span(now_ns > info.since_ns ? now_ns - info.since_ns : 0);
        process::describe_mutex(info.address, waiting);
        if (waiting_.size() < kStacksMax) thread.report_when_stopped();
        waiting_.push_back(std::move(waiting));
      });
    }
  }
  stop(process::StopCause::kDeadlock, "deadlock");
}

void Process::State::add_waiting_stack(std::uint32_t thread, std::vector<Frame> stack) {
  std::lock_guard lock(mutex);
  for (WaitingThread& waiting : waiting_) {
    if (waiting.thread == thread) waiting.stack = std::move(stack);
  }
}

void Process::State::beat() noexcept {
  last_beat_ns.store(environment.scheduler().now_ns(), std::memory_order_relaxed);
  beats.fetch_add(1, std::memory_order_release);
}

Heartbeat Process::State::heartbeat() const noexcept {
  Heartbeat beat{.beats = beats.load(std::memory_order_acquire)};
  const std::uint64_t last_ns = beat.beats == 0 ? spawned_ns : last_beat_ns.load(std::memory_order_relaxed);
  // Another thread's beat may be a moment after this look at the clock.
  const std::uint64_t now_ns = environment.scheduler().now_ns();
  if (now_ns > last_ns) beat.silent = span(now_ns - last_ns);
  return beat;
}

Usage Process::State::usage_now() const {
  std::unique_lock lock(mutex);
  if (status) return status->usage;
  Usage usage;
  const std::uint64_t now_ns = environment.scheduler().now_ns();
  usage.threads_started = 1;
  usage.threads_max = 1;
  usage.threads = task && !first_ended_ ? 1 : 0;
  if (threads_) {
    usage = threads_->ended;
    usage.threads_started = threads_->started;
    usage.threads_max = threads_->most;
    usage.threads = threads_->alive.size() + (first_ended_ ? 0 : 1);
    for (const auto& [number, thread] : threads_->alive) add_usage(usage, *thread.task, now_ns);
  }
  const base::Ref<process::GuestTask> running = task;
  lock.unlock();
  if (running) add_usage(usage, *running, now_ns);
  usage.wall_time = span(environment.scheduler().now_ns() - spawned_ns);
  return usage;
}

void Process::State::finish(ExitStatus outcome, process::StopCause cause) {
  wall_timer.cancel();
  outcome.usage = usage_now();
  // A guest that ended by itself before it saw the stop has ended by itself.
  const bool stopped = outcome.kind == ExitKind::kKilled;
  if (stopped) {
    outcome.thread = 0;  // whichever saw the stop first has not done it
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
      case process::StopCause::kDeadlock:
        outcome.kind = ExitKind::kDeadlocked;
        outcome.waiting = std::move(waiting_);
        std::ranges::sort(outcome.waiting, {}, &WaitingThread::thread);
        process::describe_deadlock(outcome, waiting_threads_);
        break;
    }
  }
  if (outcome.limit) {
    if (outcome.limit->kind == LimitKind::kOutput) outcome.limit->value = limits().output_bytes;
    outcome.message = process::describe(*outcome.limit);
  }
  if (!output) {
    publish(std::move(outcome));
  } else if (stopped && cause != process::StopCause::kDeadlock) {
    output->close([] {});
    publish(std::move(outcome));
  } else {
    output->close([self = shared_from_this(), outcome]() mutable { self->publish(std::move(outcome)); });
  }
}

Result<JoinHandle<std::vector<Value>>> Process::State::spawn_strand(std::string_view function, std::span<const Value> arguments) {
  auto join = std::make_shared<StrandJoin>();
  base::Ref<process::GuestTask> first;
  std::uint64_t token = 0;
  {
    std::lock_guard lock(mutex);
    if (status || !task) return fail(ErrorKind::kCancelled, "the process has ended");
    if (!strands_) strands_ = std::make_unique<Strands>();
    token = ++strands_->next;
    strands_->alive.emplace(token, join);
    first = task;
  }
  if (Result<void> asked = first->spawn_strand(function, arguments, token); !asked) {
    std::lock_guard lock(mutex);
    if (strands_) strands_->alive.erase(token);
    return std::unexpected(std::move(asked.error()));
  }
  return JoinHandle<std::vector<Value>>(std::move(join));
}

void Process::State::finish_strands() {
  base::Ref<process::GuestTask> first;
  {
    std::lock_guard lock(mutex);
    first = task;
  }
  if (first) first->finish_strands();
}

void Process::State::strand_finished(std::uint64_t token, Result<std::vector<Value>> results) {
  std::shared_ptr<StrandJoin> join;
  {
    std::lock_guard lock(mutex);
    const auto found = strands_->alive.find(token);
    if (found == strands_->alive.end()) return;
    join = std::move(found->second);
    strands_->alive.erase(found);
  }
  join->result.emplace(std::move(results));
  join->finish();
}

void Process::State::publish(ExitStatus outcome) {
  environment.table.remove(id);
  environment.table.release();
  std::vector<base::Ref<sched::Task>> told;
  std::vector<EndListener> listeners;
  base::Ref<process::GuestTask> done;
  std::unique_ptr<Strands> strands;
  {
    std::lock_guard lock(mutex);
    leaving_ = true;
  }
  process::Bereaved bereaved = environment.society.leave(*this);
  {
    std::lock_guard lock(mutex);
    WEFT_ASSERT(!status, "a process ended twice");
    status = std::make_unique<const ExitStatus>(std::move(outcome));
    over.store(true, std::memory_order_release);
    told.swap(waiters);
    listeners.swap(end_listeners);
    std::swap(done, task);
    std::swap(strands, strands_);
  }
  nudge_.cancel();  // outside the mutex, for which its fire() may wait
  ended.notify_all();
  for (const base::Ref<sched::Task>& waiter : told) waiter->wake();
  for (const EndListener& listener : listeners) listener(*status);
  environment.society.tell(shared_from_this(), std::move(bereaved), *status);
  if (strands) {
    for (auto& [token, join] : strands->alive) {
      join->result.emplace(fail(ErrorKind::kCancelled, "the process has ended before its strand"));
      join->finish();
    }
  }
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

void Process::State::on_end(EndListener listener) {
  {
    std::lock_guard lock(mutex);
    if (!status) {
      end_listeners.push_back(std::move(listener));
      return;
    }
  }
  listener(*status);
}

// The public handle.

ProcessId Process::id() const noexcept { return state_->id; }
const std::string& Process::name() const noexcept { return state_->name; }
bool Process::running() const noexcept { return !state_->over.load(std::memory_order_acquire); }
Usage Process::usage() const { return state_->usage_now(); }
Heartbeat Process::heartbeat() const { return state_->heartbeat(); }

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
Result<JoinHandle<std::vector<Value>>> Process::spawn_strand(std::string_view function, std::span<const Value> arguments) const {
  return state_->spawn_strand(function, arguments);
}
void Process::finish_strands() const { state_->finish_strands(); }
void Process::request_stop() const { state_->request_stop(); }

void Process::set_priority(Priority priority) const { state_->set_priority(std::min(priority, kPriorityLowest)); }

std::string Process::captured(Stream stream) const { return state_->output ? state_->output->captured(stream) : std::string(); }

}  // namespace weft
