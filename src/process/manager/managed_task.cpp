#include "process/manager/managed_task.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "process/manager/task_manager.hpp"
#include "process/spawn.hpp"
#include "process/state.hpp"
#include "sched/core.hpp"
#include "sync/task_context.hpp"

namespace weft::process {
namespace {

constexpr std::size_t kTextBytesMax = 256;

std::string name_for(const TaskSpec& spec, TaskWork& work) {
  if (!spec.name.empty()) return spec.name;
  if (const Program* const program = std::get_if<Program>(&work.what())) return program->state()->spec.name;
  return spec.type.empty() ? "task" : spec.type;
}

// At most so many bytes, and no half of a character at the end.
std::string_view cut(std::string_view text) {
  if (text.size() <= kTextBytesMax) return text;
  std::size_t size = kTextBytesMax;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
  return text.substr(0, size);
}

}  // namespace

// Ends the grace. It is let go of outside of the manager's mutex, by whoever ends the task, who waits for a fire() in progress.
class ManagedTask::Grace final : public sched::TimerEntry {
 public:
  Grace(ManagedTask& task, sched::Scheduler& scheduler) : core_(&scheduler.core()), task_(task.weak_from_this()) {}
  ~Grace() override { cancel(); }
  void arm(std::uint64_t deadline_ns) { core_->timers().arm(*this, deadline_ns); }

 private:
  void fire() noexcept override {
    if (const std::shared_ptr<ManagedTask> task = task_.lock()) task->force_end();
  }
  const base::Ref<sched::Core> core_;  // the wheel is a part of it
  const std::weak_ptr<ManagedTask> task_;
};

// A coroutine that is a task of a manager, as the scheduler sees it.
class CoroutineOfTask final : public sched::Task {
 public:
  explicit CoroutineOfTask(std::shared_ptr<ManagedTask> task)
      : Task({.kind = "coroutine", .name = task->name, .priority = task->priority}),
        work_(std::move(task->work)),
        task_(std::move(task)) {}

  sched::Poll run(sched::RunContext& context) override {
    if (dropped_.load(std::memory_order_acquire)) {
      end({.end = TaskEnd::kCancelled, .message = "the runtime has shut down", .forced = true});
      return sched::Poll::kDone;
    }
    try {
      if (!begun_) begin();
      detail::TaskContext now{context};
      if (!chain_.poll(now, coroutine_.handle())) return sched::Poll::kPending;
      coroutine_.handle().promise().take();
      end({.end = TaskEnd::kSucceeded});
    } catch (...) {
      end({.end = TaskEnd::kFailed, .message = detail::error_of(std::current_exception()).message});
    }
    return sched::Poll::kDone;
  }

  // Drops it where it waits. Any thread.
  void cancel_requested() override {
    dropped_.store(true, std::memory_order_release);
    wake();
  }
  // The scheduler did not take it.
  void refuse() { end({.end = TaskEnd::kCancelled, .message = "the runtime is shutting down"}); }

 private:
  void begin() {
    begun_ = true;
    if (auto* const body = std::get_if<TaskWork::Body>(&work_.what())) {
      coroutine_ = (*body)(TaskControl(task_));
    } else {
      coroutine_ = std::move(std::get<weft::Task<void>>(work_.what()));
    }
    chain_.top = coroutine_.handle();
    coroutine_.handle().promise().chain = &chain_;
  }
  void end(TaskStatus status) {
    // First the frames, which may use what the body has captured, and all of it before anybody hears of the end.
    coroutine_ = {};
    work_ = TaskWork(weft::Task<void>());
    Usage usage;
    const sched::TaskInfo now = info();
    usage.cpu_time = Duration(static_cast<std::int64_t>(now.cpu_ns));
    usage.switches = now.switches;
    usage.preemptions = now.preemptions;
    const std::shared_ptr<ManagedTask> task = std::move(task_);
    task->ended(std::move(status), usage);
  }

  TaskWork work_;  // this and the next four: only run()
  std::shared_ptr<ManagedTask> task_;
  weft::Task<void> coroutine_;
  detail::Chain chain_;
  bool begun_ = false;
  // Writer: cancel_requested, any thread; reader: run(). The wake that follows the store publishes it.
  base::atomic<bool> dropped_{false};
};

ManagedTask::ManagedTask(std::shared_ptr<TaskManagerState> of, TaskWork does, TaskSpec spec, std::uint64_t counts_for)
    : manager(std::move(of)),
      type(std::move(spec.type)),
      name(name_for(spec, does)),
      priority(spec.priority.value_or(static_cast<Priority>(manager->config().priority_levels / 2))),
      memory_bytes(counts_for),
      strategy(manager->strategy_of(type)),
      source(spec.token),
      work(std::move(does)) {}

ManagedTask::~ManagedTask() = default;

// ---- beginning ----

void ManagedTask::start() {
  if (std::holds_alternative<Program>(work.what())) {
    start_process();
  } else {
    start_coroutine();
  }
}

void ManagedTask::start_process() {
  const Program program = std::move(std::get<Program>(work.what()));
  SpawnOptions options;
  options.name = name;
  options.priority = priority;
  options.fuel = manager->config().fuel;
  Result<Process> spawned = process::spawn(manager->environment(), program.state(), std::move(options), weak_from_this());
  if (!spawned) {
    const bool over = spawned.error().kind == ErrorKind::kCancelled;
    ended({.end = over ? TaskEnd::kCancelled : TaskEnd::kFailed, .message = std::move(spawned.error().message)}, {});
    return;
  }
  bool ask = false;
  {
    base::Lock lock(manager->mutex);
    process = *spawned;
    process_id = spawned->id();
    under_way = true;
    ask = phase == Phase::kCancelling;
  }
  if (ask) ask_to_end();
  spawned->state()->on_end([self = shared_from_this()](const ExitStatus& exit) {
    TaskStatus status;
    status.end = exit.success() ? TaskEnd::kSucceeded : TaskEnd::kFailed;
    status.message = !exit.message.empty() || exit.success() ? exit.message : "exit code " + std::to_string(exit.code);
    status.exit = exit;
    self->ended(std::move(status), exit.usage);
  });
}

void ManagedTask::start_coroutine() {
  auto task = base::make_ref<CoroutineOfTask>(shared_from_this());
  bool ask = false;
  {
    base::Lock lock(manager->mutex);
    coroutine = task;
    under_way = true;
    ask = phase == Phase::kCancelling;
  }
  Environment& environment = *manager->environment();
  if (!environment.scheduler().spawn(task)) {
    task->refuse();
    return;
  }
  if (environment.recorder) environment.names.add(task->id(), 0, name);
  if (ask) ask_to_end();
}

// ---- ending ----

void ManagedTask::cancelled() {
  using After = TaskManagerState::AfterCancel;
  switch (manager->cancel(*this)) {
    case After::kNothing:
      break;
    case After::kAsk:
      ask_to_end();
      break;
    case After::kNeverBegan:
      never_began();
      break;
  }
}

void ManagedTask::never_began() { ended({.end = TaskEnd::kCancelled, .message = source.token().reason()}, {}); }

void ManagedTask::ask_to_end() {
  switch (strategy.kind) {
    case CancellationStrategy::Kind::kImmediate:
      force_end();
      return;
    case CancellationStrategy::Kind::kCooperative:
      request_end();
      return;
    case CancellationStrategy::Kind::kGraceful:
      break;
  }
  request_end();
  sched::Scheduler& scheduler = manager->environment()->scheduler();
  auto timer = std::make_unique<Grace>(*this, scheduler);
  base::Lock lock(manager->mutex);
  if (phase != Phase::kCancelling) return;  // ended meanwhile
  grace = std::move(timer);
  // Under the mutex, so that whoever ends the task finds it armed.
  grace->arm(sync::deadline_after(scheduler.now_ns(), strategy.grace));
}

// A coroutine has been asked already: its token says so.
void ManagedTask::request_end() {
  Process running;
  {
    base::Lock lock(manager->mutex);
    running = process;
  }
  if (running) running.request_stop();
}

void ManagedTask::force_end() {
  Process running;
  base::Ref<sched::Task> task;
  {
    base::Lock lock(manager->mutex);
    if (phase != Phase::kCancelling) return;
    forced = true;
    running = process;
    task = coroutine;
  }
  if (running) running.kill(source.token().reason());
  if (task) task->cancel_requested();
}

// Once, by whatever it was that ended. No lock held.
void ManagedTask::ended(TaskStatus status, Usage usage_in_all) {
  const std::shared_ptr<ManagedTask> self = shared_from_this();
  std::unique_ptr<Grace> no_grace;
  CancellationCallback no_callback;
  Process no_process;
  base::Ref<sched::Task> no_coroutine;
  TaskWork no_work{weft::Task<void>()};
  base::Ref<sync::FlagSource> told;
  std::unique_ptr<TaskStatus> no_status;
  bool advance = false;
  {
    base::Lock lock(manager->mutex);
    if (phase == Phase::kCancelling) {
      status.end = TaskEnd::kCancelled;
      status.message = source.token().reason();
    }
    status.forced = forced && (!status.exit || status.exit->kind == ExitKind::kKilled);
    usage = usage_in_all;
    no_grace = std::move(grace);
    no_callback = std::move(callback);
    std::swap(no_process, process);
    std::swap(no_coroutine, coroutine);
    std::swap(no_work, work);
    const TaskEnd how = status.end;
    const bool by_force = status.forced;
    status.acknowledged = ended_with != nullptr;
    no_status = std::exchange(ended_with, std::make_unique<TaskStatus>(std::move(status)));
    told = flag;
    advance = !starting;
    manager->retire(*this, how, by_force);
  }
  // Outside: each may wait for a call in progress on another thread, or run code of others.
  no_grace.reset();
  no_callback = {};
  if (told) told->set();
  if (advance) manager->advance();
}

// ---- what it says of itself ----

void ManagedTask::progress(double reported, std::string_view words) noexcept {
  std::string kept(cut(words));
  base::Lock lock(manager->mutex);
  fraction = std::isnan(reported) ? 0 : std::clamp(reported, 0.0, 1.0);
  text.swap(kept);
}

void ManagedTask::acknowledged() noexcept {
  base::Ref<sync::FlagSource> told;
  {
    base::Lock lock(manager->mutex);
    if (phase != Phase::kCancelling || ended_with) return;
    ended_with = std::make_unique<TaskStatus>();
    ended_with->end = TaskEnd::kCancelled;
    ended_with->message = source.token().reason();
    ended_with->acknowledged = true;
    told = flag;
  }
  if (told) told->set();
}

TaskInfo ManagedTask::info_locked() const {
  TaskInfo info;
  info.id = id;
  info.type = type;
  info.name = name;
  info.priority = priority;
  switch (phase) {
    case Phase::kNew:
    case Phase::kQueued:
      info.state = TaskState::kQueued;
      break;
    case Phase::kRunning:
      info.state = TaskState::kRunning;
      break;
    case Phase::kCancelling:
      info.state = TaskState::kCancelling;
      info.message = source.token().reason();
      break;
    case Phase::kDone:
      info.state = TaskState::kDone;
      info.end = ended_with->end;
      info.message = ended_with->message;
      break;
  }
  info.progress = fraction;
  info.progress_text = text;
  info.usage = usage;
  info.process_id = process_id;
  info.memory_limit_bytes = memory_bytes;
  return info;
}

TaskInfo ManagedTask::info() const {
  TaskInfo info;
  Process running;
  base::Ref<sched::Task> task;
  {
    base::Lock lock(manager->mutex);
    info = info_locked();
    running = process;
    task = coroutine;
  }
  if (running) info.usage = running.usage();
  if (task) info.usage.cpu_time = Duration(static_cast<std::int64_t>(task->cpu_ns()));
  return info;
}

Waitable ManagedTask::when_done() {
  base::Ref<sync::FlagSource> watched;
  bool over = false;
  {
    base::Lock lock(manager->mutex);
    if (!flag) flag = base::make_ref<sync::FlagSource>("task end", coroutine.get());
    watched = flag;
    over = ended_with != nullptr;
  }
  if (over) watched->set();
  return sync::to_waitable(std::move(watched));
}

TaskStatus ManagedTask::status() const {
  base::Lock lock(manager->mutex);
  return ended_with ? *ended_with : TaskStatus{};
}

}  // namespace weft::process
