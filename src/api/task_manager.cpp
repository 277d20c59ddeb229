// The public face of process/task_manager.hpp.
#include "weft/task_manager.hpp"

#include <algorithm>
#include <utility>

#include "api/runtime_state.hpp"
#include "process/manager/managed_task.hpp"
#include "process/manager/task_manager.hpp"
#include "process/program.hpp"

namespace weft {
namespace {

constexpr std::uint64_t kMost = 1'000'000;

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::kBadArgument, "task manager: " + std::move(message)); }

std::unexpected<Error> shutting_down() { return fail(ErrorKind::kCancelled, "the runtime is shutting down"); }

process::Bounds bounds_of(const Runtime::State& runtime) {
  return {.fuel = runtime.options.fuel, .memory_bytes_max = runtime.options.memory_bytes_max};
}

}  // namespace

std::string_view name_of(TaskState state) noexcept {
  switch (state) {
    case TaskState::kQueued:
      return "queued";
    case TaskState::kRunning:
      return "running";
    case TaskState::kCancelling:
      return "cancelling";
    case TaskState::kDone:
      return "done";
  }
  return "unknown";
}

std::string_view name_of(TaskEnd end) noexcept {
  switch (end) {
    case TaskEnd::kNone:
      return "none";
    case TaskEnd::kSucceeded:
      return "succeeded";
    case TaskEnd::kFailed:
      return "failed";
    case TaskEnd::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

// ---- the builder ----

TaskManager::Builder& TaskManager::Builder::max_tasks(std::uint64_t most) {
  max_tasks_ = most;
  return *this;
}
TaskManager::Builder& TaskManager::Builder::queue_max(std::uint64_t most) {
  queue_max_ = most;
  return *this;
}
TaskManager::Builder& TaskManager::Builder::priority_levels(unsigned levels) {
  priority_levels_ = levels;
  return *this;
}
TaskManager::Builder& TaskManager::Builder::ageing(std::uint32_t picks) {
  ageing_ = picks;
  return *this;
}
TaskManager::Builder& TaskManager::Builder::resource_limits(TaskResources most) {
  resources_ = most;
  return *this;
}
TaskManager::Builder& TaskManager::Builder::cancellation(std::string type, CancellationStrategy strategy) {
  strategies_.emplace_back(std::move(type), strategy);
  return *this;
}
TaskManager::Builder& TaskManager::Builder::default_cancellation(CancellationStrategy strategy) {
  default_strategy_ = strategy;
  return *this;
}
TaskManager::Builder& TaskManager::Builder::fuel(FuelPool pool) {
  fuel_ = std::move(pool);
  return *this;
}

Result<TaskManager> TaskManager::Builder::build() const {
  const std::shared_ptr<Runtime::State> runtime = runtime_.lock();
  if (!runtime) return shutting_down();
  if (max_tasks_ == 0) return bad("max_tasks of 0 lets nothing run; at least 1 is needed");
  if (max_tasks_ > kMost)
    return bad("max_tasks of " + std::to_string(max_tasks_) + ": at most " + std::to_string(kMost) + " is possible");
  if (queue_max_ > kMost)
    return bad("queue_max of " + std::to_string(queue_max_) + ": at most " + std::to_string(kMost) + " is possible");
  if (priority_levels_ == 0 || priority_levels_ > 8) {
    return bad("priority_levels of " + std::to_string(priority_levels_) + ": choose between 1 and 8");
  }
  if (ageing_ == 0 || ageing_ > kMost)
    return bad("ageing of " + std::to_string(ageing_) + ": choose between 1 and " + std::to_string(kMost));
  if (resources_.memory_bytes == std::uint64_t{0}) return bad("a memory limit of 0 lets nothing run; leave it out for no limit");
  process::TaskManagerConfig config;
  const auto check = [](const std::string& type, const CancellationStrategy& strategy) -> Result<void> {
    if (strategy.grace < Duration::zero()) return bad("the grace for '" + type + "' is negative");
    return {};
  };
  for (const auto& [type, strategy] : strategies_) {
    if (Result<void> checked = check(type, strategy); !checked) return std::unexpected(checked.error());
    if (!config.strategies.emplace(type, strategy).second) return bad("two cancellation strategies for '" + type + "'");
  }
  if (Result<void> checked = check("all other types", default_strategy_); !checked) return std::unexpected(checked.error());
  config.max_tasks = max_tasks_;
  config.queue_max = queue_max_;
  config.priority_levels = priority_levels_;
  config.ageing = ageing_;
  config.resources = resources_;
  config.default_strategy = default_strategy_;
  config.fuel = fuel_;
  config.stack_bytes = runtime->options.stack_bytes;
  config.memory_bytes_max = runtime->options.memory_bytes_max;
  return TaskManager(std::make_shared<process::TaskManagerState>(runtime->environment, std::move(config)), runtime_);
}

// ---- submitting ----

// Makes a program of a spec, with the limits of the task. All that needs no place.
Result<void> TaskManager::prepare(TaskWork& work, const TaskSpec& spec) const {
  const std::shared_ptr<Runtime::State> runtime = runtime_.lock();
  if (!runtime || runtime->shut_down.load()) return shutting_down();
  if (auto* const process = std::get_if<std::unique_ptr<ProcessSpec>>(&work.what())) {
    if (spec.limits) (*process)->limits = *spec.limits;
    Result<Program> program = Runtime(runtime).prepare(std::move(**process));
    if (!program) return std::unexpected(std::move(program.error()));
    work = TaskWork(std::move(*program));
  } else if (auto* const program = std::get_if<Program>(&work.what()); program != nullptr && *program && spec.limits) {
    auto limited = process::with_limits(*program->state(), *spec.limits, bounds_of(*runtime));
    if (!limited) return std::unexpected(std::move(limited.error()));
    work = TaskWork(Program(std::move(*limited)));
  }
  return state_->check(work, spec);
}

namespace {

Result<TaskHandle> handle_of(Result<std::shared_ptr<process::ManagedTask>> task) {
  if (!task) return std::unexpected(std::move(task.error()));
  return TaskHandle(std::move(*task));
}

Error no_room_in(Duration bound) {
  return {ErrorKind::kTimedOut, "the task manager had no room for the task within " + format_duration(bound), {}};
}

}  // namespace

Result<TaskHandle> TaskManager::try_submit(TaskWork work, TaskSpec spec) const {
  if (Result<void> prepared = prepare(work, spec); !prepared) return std::unexpected(std::move(prepared.error()));
  if (!state_->places().try_take(1)) return std::unexpected(state_->no_room());
  return handle_of(state_->accept(std::move(work), std::move(spec)));
}

Task<Result<TaskHandle>> TaskManager::submit(TaskWork work, TaskSpec spec, Duration bound) const {
  const TaskManager self = *this;  // this handle may be gone when there is room
  if (Result<void> prepared = self.prepare(work, spec); !prepared) co_return std::unexpected(std::move(prepared.error()));
  FuelPool::Take place = self.state_->places().take(1, bound);
  if (Result<void> taken = co_await place; !taken) co_return std::unexpected(no_room_in(bound));
  co_return handle_of(self.state_->accept(std::move(work), std::move(spec)));
}

Result<TaskHandle> TaskManager::submit_blocking(TaskWork work, TaskSpec spec, Duration bound) const {
  if (Result<void> prepared = prepare(work, spec); !prepared) return std::unexpected(std::move(prepared.error()));
  FuelPool::Take place = state_->places().take(1, bound);
  if (Result<void> taken = place.block(); !taken) return std::unexpected(no_room_in(bound));
  return handle_of(state_->accept(std::move(work), std::move(spec)));
}

// ---- looking, and ending ----

std::vector<TaskInfo> TaskManager::list() const {
  std::vector<TaskInfo> infos;
  for (const std::shared_ptr<process::ManagedTask>& task : state_->all()) infos.push_back(task->info());
  return infos;
}
std::vector<TaskInfo> TaskManager::history() const { return state_->history(); }
std::optional<TaskHandle> TaskManager::find(TaskId id) const {
  std::shared_ptr<process::ManagedTask> task = state_->find(id);
  if (!task) return std::nullopt;
  return TaskHandle(std::move(task));
}
TaskManagerStats TaskManager::stats() const { return state_->stats(); }

void TaskManager::cancel_all(const std::string& reason) const {
  for (const std::shared_ptr<process::ManagedTask>& task : state_->all()) task->source.cancel(reason);
}
void TaskManager::cancel_type(std::string_view type, const std::string& reason) const {
  for (const std::shared_ptr<process::ManagedTask>& task : state_->all()) {
    if (task->type == type) task->source.cancel(reason);
  }
}
bool TaskManager::wait_idle(Duration bound) const { return state_->wait_idle(bound); }

// ---- one task ----

TaskId TaskHandle::id() const noexcept { return task_->id; }
const std::string& TaskHandle::name() const noexcept { return task_->name; }
TaskState TaskHandle::state() const { return task_->info().state; }
TaskInfo TaskHandle::info() const { return task_->info(); }
void TaskHandle::cancel(std::string reason) const { task_->source.cancel(std::move(reason)); }
CancellationToken TaskHandle::token() const { return task_->source.token(); }
Waitable TaskHandle::when_done() const { return task_->when_done(); }

Task<TaskStatus> TaskHandle::done() const {
  const std::shared_ptr<process::ManagedTask> task = task_;
  const Waitable over = task->when_done();
  (void)co_await over.wait();
  co_return task->status();
}
TaskStatus TaskHandle::join() const {
  (void)task_->when_done().wait().block();
  return task_->status();
}
std::optional<TaskStatus> TaskHandle::join_for(Duration bound) const {
  if (!task_->when_done().wait_for(bound).block()) return std::nullopt;
  return task_->status();
}
std::optional<TaskStatus> TaskHandle::try_join() const {
  TaskStatus status = task_->status();
  if (status.end == TaskEnd::kNone) return std::nullopt;
  return status;
}
std::optional<Process> TaskHandle::process() const {
  base::Lock lock(task_->manager->mutex);
  if (!task_->process) return std::nullopt;
  return task_->process;
}

TaskId TaskControl::id() const noexcept { return task_->id; }
CancellationToken TaskControl::token() const { return task_->source.token(); }
void TaskControl::set_progress(double fraction, std::string_view text) const { task_->progress(fraction, text); }
void TaskControl::acknowledge() const { task_->acknowledged(); }

}  // namespace weft
