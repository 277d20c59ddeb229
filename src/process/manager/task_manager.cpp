#include "process/manager/task_manager.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "process/program.hpp"
#include "sync/fuel_pool.hpp"
#include "sync/task_context.hpp"

namespace weft::process {
namespace {

constexpr std::size_t kHistoryMax = 256;

FuelPool places_for(const TaskManagerConfig& config) {
  return *FuelPool::create({.capacity = config.max_tasks + config.queue_max, .name = "places"});
}

// Whoever may start may also learn how it ended: the join is paid with the spawn.
std::uint64_t spawn_and_join_cost(const FuelPool& pool, std::uint64_t stack_bytes) {
  return pool.cost_of(FuelOperation::spawn(stack_bytes)) + pool.cost_of(FuelOperation::join());
}

}  // namespace

// Waits in the fuel pool's queue for a manager.
class FuelWait final : public sched::Task {
 public:
  FuelWait(std::shared_ptr<TaskManagerState> manager, std::uint64_t amount)
      : Task({.kind = "task manager", .name = "fuel"}), amount_(amount), manager_(std::move(manager)) {
    take_.emplace(manager_->config().fuel.state(), amount, Duration::max());
  }

  sched::Poll run(sched::RunContext& context) override {
    if (given_up_.load(std::memory_order_acquire)) {
      take_.reset();
      manager_->fuel_lost(shutdown_.load(std::memory_order_relaxed));
    } else {
      detail::TaskContext now{context};
      if (!take_->poll(now)) return sched::Poll::kPending;
      manager_->fuel_arrived(amount_);
    }
    return sched::Poll::kDone;
  }
  void on_done() override {
    take_.reset();
    manager_.reset();
  }
  void cancel_requested() override {
    shutdown_.store(true, std::memory_order_relaxed);
    give_up();
  }
  void give_up() {
    given_up_.store(true, std::memory_order_release);
    wake();
  }

 private:
  const std::uint64_t amount_;
  std::shared_ptr<TaskManagerState> manager_;  // this and the next: only run() and on_done()
  std::optional<FuelPool::Take> take_;
  // Writers: whoever gives it up, any thread; reader: run(). given_up_ publishes the other.
  base::atomic<bool> given_up_{false};
  base::atomic<bool> shutdown_{false};
};

TaskManagerState::TaskManagerState(std::shared_ptr<Environment> environment, TaskManagerConfig config)
    : environment_(std::move(environment)),
      config_(std::move(config)),
      places_(places_for(config_)),
      queue_(config_.priority_levels, config_.ageing),
      idle_(base::make_ref<sync::FlagSource>("idle task manager")) {
  idle_->set();
}

TaskManagerState::~TaskManagerState() {
  if (prepaid_ != 0) config_.fuel.give_back(prepaid_);
}

CancellationStrategy TaskManagerState::strategy_of(std::string_view type) const {
  const auto found = config_.strategies.find(type);
  return found != config_.strategies.end() ? found->second : config_.default_strategy;
}

// ---- coming in ----

std::uint64_t TaskManagerState::memory_of(TaskWork& work, const TaskSpec& spec) const {
  if (const Program* const program = std::get_if<Program>(&work.what())) {
    return program->state()->spec.limits.memory_bytes.value_or(config_.memory_bytes_max);
  }
  return spec.limits ? spec.limits->memory_bytes.value_or(0) : 0;
}

Result<void> TaskManagerState::check(TaskWork& work, const TaskSpec& spec) const {
  const auto bad = [](std::string message) { return fail(ErrorKind::kBadArgument, std::move(message)); };
  if (const Program* const program = std::get_if<Program>(&work.what())) {
    if (!*program) return bad("an empty program cannot be a task: prepare() one");
  } else if (const auto* const coroutine = std::get_if<weft::Task<void>>(&work.what())) {
    if (!*coroutine) return bad("an empty coroutine cannot be a task");
  } else if (const auto* const body = std::get_if<TaskWork::Body>(&work.what())) {
    if (!*body) return bad("an empty function cannot be a task");
  }
  if (spec.priority.value_or(0) >= config_.priority_levels) {
    return bad("priority " + std::to_string(*spec.priority) + " does not exist: this task manager has 0 (the most urgent) to " +
               std::to_string(config_.priority_levels - 1));
  }
  const std::uint64_t memory_bytes = memory_of(work, spec);
  if (config_.resources.memory_bytes && memory_bytes > *config_.resources.memory_bytes) {
    return bad("its memory limit of " + format_size(memory_bytes) + " is beyond the " +
               format_size(*config_.resources.memory_bytes) +
               " of all tasks of the task manager together; lower Limits::memory_bytes, or raise resource_limits()");
  }
  const bool process = std::holds_alternative<Program>(work.what());
  if (config_.fuel && spawn_and_join_cost(config_.fuel, process ? config_.stack_bytes : 0) > config_.fuel.capacity()) {
    return bad("it costs more fuel than the pool can ever give; raise its capacity, or lower its rates");
  }
  if (spec.token.cancelled()) return fail(ErrorKind::kCancelled, "its token is cancelled: " + spec.token.reason());
  return {};
}

Error TaskManagerState::no_room() {
  base::Lock lock(mutex);
  ++stats_.refused;
  return {ErrorKind::kExhausted,
          "the task manager is full: max_tasks " + std::to_string(config_.max_tasks) + " and queue_max " +
              std::to_string(config_.queue_max) + " are taken up; wait with submit(), or raise them",
          {}};
}

Result<std::shared_ptr<ManagedTask>> TaskManagerState::accept(TaskWork work, TaskSpec spec) {
  const std::uint64_t memory_bytes = memory_of(work, spec);
  auto task = std::make_shared<ManagedTask>(shared_from_this(), std::move(work), std::move(spec), memory_bytes);
  if (config_.fuel && config_.fuel.on_exhausted() == OnExhausted::kFail) {
    const std::uint64_t cost = cost_of(*task);
    if (Result<void> paid = config_.fuel.try_take(cost); !paid) {
      places_.give_back(1);
      base::Lock lock(mutex);
      ++stats_.refused;
      return std::unexpected(std::move(paid.error()));
    }
    base::Lock lock(mutex);
    task->paid = cost;
  }
  // Before it is queued: it may be cancelled at any moment from here on.
  CancellationCallback callback = task->source.token().on_cancel([weak = std::weak_ptr(task)] {
    if (const std::shared_ptr<ManagedTask> cancelled = weak.lock()) cancelled->cancelled();
  });
  bool never_began = false;
  {
    base::Lock lock(mutex);
    task->id = next_id_++;
    task->callback = std::move(callback);
    ++stats_.submitted;
    if (alive_.empty()) idle_->reset();
    alive_.emplace_hint(alive_.end(), task->id, task);
    task->phase = ManagedTask::Phase::kQueued;
    never_began = task->cancelled_early;
    if (never_began) {
      task->phase = ManagedTask::Phase::kNew;
    } else {
      queue_.push(*task, task->priority);
    }
  }
  if (never_began) {
    task->never_began();
  } else {
    advance();
  }
  return task;
}

// ---- running ----

std::uint64_t TaskManagerState::cost_of(ManagedTask& task) const {
  const bool process = std::holds_alternative<Program>(task.work.what());
  return spawn_and_join_cost(config_.fuel, process ? config_.stack_bytes : 0);
}

// True: its fuel is paid. False: wanted_ says what to wait for, if nobody does yet.
bool TaskManagerState::pay(ManagedTask& task) {
  if (!config_.fuel || task.paid != 0) return true;
  const std::uint64_t cost = cost_of(task);
  if (cost == 0) return true;
  if (prepaid_ != 0) {
    // What has come may be for another one, that is not next any more.
    if (prepaid_ < cost) {
      config_.fuel.give_back(std::exchange(prepaid_, 0));
    } else {
      if (prepaid_ > cost) config_.fuel.give_back(prepaid_ - cost);
      prepaid_ = 0;
      task.paid = cost;
      return true;
    }
  }
  std::int64_t available = 0;
  if (!fuel_wait_ && config_.fuel.state()->try_take(cost, available)) {
    task.paid = cost;
    return true;
  }
  if (!fuel_wait_) wanted_ = cost;
  return false;
}

std::shared_ptr<ManagedTask> TaskManagerState::next_to_start() {
  wanted_ = 0;
  ManagedTask* const next = queue_.front();
  if (next == nullptr) {
    if (prepaid_ != 0) config_.fuel.give_back(std::exchange(prepaid_, 0));
    return nullptr;
  }
  if (stats_.running >= config_.max_tasks) return nullptr;
  if (config_.resources.memory_bytes && next->memory_bytes > *config_.resources.memory_bytes - stats_.memory_limit_bytes)
    return nullptr;
  if (!pay(*next)) return nullptr;
  queue_.pop();
  next->phase = ManagedTask::Phase::kRunning;
  next->starting = true;
  ++stats_.running;
  stats_.memory_limit_bytes += next->memory_bytes;
  return next->shared_from_this();
}

void TaskManagerState::advance() {
  std::shared_ptr<ManagedTask> next;
  for (;;) {
    std::shared_ptr<ManagedTask> started;  // let go of outside of the mutex
    std::uint64_t wanted = 0;
    base::Ref<sched::Task> needless;
    {
      base::Lock lock(mutex);
      // From here on its end is looked after by whoever ends it; before, this look is after it.
      if (next) next->starting = false;
      started = std::move(next);
      next = next_to_start();
      wanted = wanted_;
      if (queue_.empty()) needless = fuel_wait_;
    }
    if (needless) static_cast<FuelWait&>(*needless).give_up();
    if (wanted != 0) wait_for_fuel(wanted);
    if (!next) return;
    next->start();
  }
}

void TaskManagerState::wait_for_fuel(std::uint64_t amount) {
  auto wait = base::make_ref<FuelWait>(shared_from_this(), amount);
  {
    base::Lock lock(mutex);
    if (fuel_wait_) return;
    fuel_wait_ = wait;
  }
  if (!environment_->scheduler().spawn(wait)) {
    fuel_lost(true);
    wait->on_done();
  }
}

void TaskManagerState::fuel_arrived(std::uint64_t amount) {
  {
    base::Lock lock(mutex);
    fuel_wait_ = nullptr;
    prepaid_ += amount;
  }
  advance();
}

void TaskManagerState::fuel_lost(bool shutdown) {
  std::vector<std::shared_ptr<ManagedTask>> waiting;
  {
    base::Lock lock(mutex);
    fuel_wait_ = nullptr;
    if (shutdown) {
      for (const auto& [id, task] : alive_) {
        if (task->phase == ManagedTask::Phase::kQueued) waiting.push_back(task);
      }
    }
  }
  for (const std::shared_ptr<ManagedTask>& task : waiting) task->source.cancel("the runtime is shutting down");
  // Somebody may have come since it was given up.
  if (!shutdown) advance();
}

// ---- ending ----

TaskManagerState::AfterCancel TaskManagerState::cancel(ManagedTask& task) {
  using Phase = ManagedTask::Phase;
  base::Lock lock(mutex);
  switch (task.phase) {
    case Phase::kNew:
      task.cancelled_early = true;
      return AfterCancel::kNothing;
    case Phase::kQueued:
      queue_.remove(task);
      task.phase = Phase::kNew;  // nobody else will begin it
      return AfterCancel::kNeverBegan;
    case Phase::kRunning:
      task.phase = Phase::kCancelling;
      ++stats_.cancelling;
      return task.under_way ? AfterCancel::kAsk : AfterCancel::kNothing;
    case Phase::kCancelling:
    case Phase::kDone:
      break;
  }
  return AfterCancel::kNothing;
}

void TaskManagerState::retire(ManagedTask& task, TaskEnd end, bool forced) {
  using Phase = ManagedTask::Phase;
  if (task.phase == Phase::kCancelling) --stats_.cancelling;
  if (task.phase == Phase::kCancelling || task.phase == Phase::kRunning) {
    --stats_.running;
    stats_.memory_limit_bytes -= task.memory_bytes;
  } else if (task.paid != 0) {
    config_.fuel.give_back(task.paid);  // it never began
  }
  task.phase = Phase::kDone;
  stats_.succeeded += end == TaskEnd::kSucceeded ? 1 : 0;
  stats_.failed += end == TaskEnd::kFailed ? 1 : 0;
  stats_.cancelled += end == TaskEnd::kCancelled ? 1 : 0;
  stats_.forced += forced ? 1 : 0;
  alive_.erase(task.id);
  if (history_.size() == kHistoryMax) history_.pop_back();
  history_.push_front(task.info_locked());
  // In the mutex, as the reset is. Whoever waits for it is woken here, which takes no lock of ours.
  if (alive_.empty()) idle_->set();
  places_.give_back(1);
}

// ---- looking ----

std::vector<std::shared_ptr<ManagedTask>> TaskManagerState::all() const {
  base::Lock lock(mutex);
  std::vector<std::shared_ptr<ManagedTask>> tasks;
  tasks.reserve(alive_.size());
  for (const auto& [id, task] : alive_) tasks.push_back(task);
  return tasks;
}

std::shared_ptr<ManagedTask> TaskManagerState::find(TaskId id) const {
  base::Lock lock(mutex);
  const auto found = alive_.find(id);
  return found != alive_.end() ? found->second : nullptr;
}

std::vector<TaskInfo> TaskManagerState::history() const {
  base::Lock lock(mutex);
  return {history_.begin(), history_.end()};
}

TaskManagerStats TaskManagerState::stats() const {
  base::Lock lock(mutex);
  TaskManagerStats stats = stats_;
  stats.queued = queue_.size();
  stats.submitting = places_.stats().waiting;
  return stats;
}

bool TaskManagerState::wait_idle(Duration bound) { return sync::to_waitable(*idle_).wait_for(bound).block().has_value(); }

}  // namespace weft::process
