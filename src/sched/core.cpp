#include "sched/core.hpp"

#include <chrono>

#include "sched/trace.hpp"

namespace weft::sched {

Core::Core(Scheduler& scheduler, SchedulerConfig config, std::unique_ptr<BlockingPool> blocking)
    : scheduler_(scheduler),
      config_(std::move(config)),
      idle_(config_.workers),
      ticker_(*this),
      timers_(config_.platform->now_ns(), this),
      registry_(config_.workers + 2),
      blocking_(std::move(blocking)),
      references_(1 + registry_.shards()) {
  const uint64_t seed = config_.platform->random_seed();
  for (uint32_t i = 0; i < config_.workers; ++i) {
    parkers_.push_back(config_.platform->make_parker());
    workers_.push_back(std::make_unique<Worker>(*this, i, seed));
  }
}

Core::~Core() = default;

void Core::let_go() noexcept {
  for (uint32_t shard = 0; shard < registry_.shards(); ++shard) memory_gone(shard);
  release();
}

uint64_t Core::now_ns() {
  Worker* const worker = Worker::current();
  return worker != nullptr && &worker->core() == this ? worker->clock_ns() : config_.platform->now_ns();
}

void Core::queue_woken(Task& task) {
  const uint64_t now = now_ns();
  task.since_ns_.store(now, std::memory_order_relaxed);
  task.wakes_.store(task.wakes_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  Worker* const worker = Worker::current();
  if (worker != nullptr && &worker->core() == this) {
    if (config_.recorder != nullptr) config_.recorder->record(worker->index(), TraceKind::kWake, now, task.id());
    worker->push_woken(task);
    return;
  }
  if (config_.recorder != nullptr) config_.recorder->record_outside(TraceKind::kWake, now, task.id());
  injection_.push(task, Lane::kWoken);
  notify();
}

void Core::queue_spawned(Task& task, SpawnPlace place) {
  const uint64_t now = now_ns();
  task.since_ns_.store(now, std::memory_order_relaxed);
  Worker* const worker = Worker::current();
  if (worker != nullptr && &worker->core() == this) {
    if (config_.recorder != nullptr) config_.recorder->record(worker->index(), TraceKind::kSpawn, now, task.id());
    if (place == SpawnPlace::kNext) {
      worker->push_woken(task);
      return;
    }
    worker->push_back(task);
  } else {
    if (config_.recorder != nullptr) config_.recorder->record_outside(TraceKind::kSpawn, now, task.id());
    injection_.push(task, place == SpawnPlace::kNext ? Lane::kWoken : Lane::kOrdinary);
  }
  notify();
}

void Core::wake_sleeper() {
  const int32_t worker = idle_.claim();
  if (worker >= 0) {
    parkers_[static_cast<uint32_t>(worker)]->unpark();
  } else if (idle_.standing() == IdleSet::Standing::kAllBusy) {
    ticker_.need();  // it has found something else to do meanwhile
  }
}

bool Core::any_work(uint64_t now_ns) {
  if (injection_.mask() != 0) return true;
  for (const auto& worker : workers_) {
    if (worker->has_stealable(now_ns)) return true;
  }
  return false;
}

void Core::earlier_deadline(uint64_t deadline_ns) {
  const int32_t keeper = timekeeper_.load(std::memory_order_seq_cst);
  if (keeper >= 0) parkers_[static_cast<uint32_t>(keeper)]->unpark();
  ticker_.watch(deadline_ns);
}

bool Core::spawn(base::Ref<Task> task, SpawnPlace place) {
  Task& spawned = *task;
  Worker* const worker = Worker::current();
  const bool ours = worker != nullptr && &worker->core() == this;
  const uint32_t outside = place == SpawnPlace::kNext ? worker_count() + 1 : worker_count();
  const uint32_t shard = ours ? worker->index() : outside;
  registry_.begin_spawn(shard);
  if (refusing_.load(std::memory_order_seq_cst)) {
    registry_.end_spawn(shard);
    return false;
  }
  WEFT_ASSERT(spawned.core_ == nullptr, "a task can be spawned only once");
  spawned.core_ = this;
  registry_.add(spawned, shard);
  const bool cancel = cancelling_.load(std::memory_order_seq_cst);
  const base::Ref<Task> kept = cancel ? task : base::Ref<Task>();
  static_cast<void>(task.leak());  // the scheduler's from here on, until forget or abandon_all
  spawned.state_.spawn();
  queue_spawned(spawned, place);
  registry_.end_spawn(shard);
  if (cancel) kept->cancel_requested();
  return true;
}

void Core::forget(Task& task) {
  const uint32_t shard = registry_.remove(task);
  task.release();
  if (registry_.forgotten(shard) && draining_.load(std::memory_order_seq_cst) != 0) {
    base::Lock lock(drain_mutex_);
    drained_.notify_all();
  }
}

bool Core::wait_until_empty(uint64_t deadline_ns) {
  base::Lock lock(drain_mutex_);
  draining_.fetch_add(1, std::memory_order_seq_cst);
  bool empty = registry_.empty();
  while (!empty) {
    if (deadline_ns == kNever) {
      drained_.wait(drain_mutex_);
    } else {
      const uint64_t now = config_.platform->now_ns();
      if (now >= deadline_ns) break;
      drained_.wait_for(drain_mutex_, std::chrono::nanoseconds(std::min<uint64_t>(deadline_ns - now, 3'600'000'000'000)));
    }
    empty = registry_.empty();
  }
  draining_.fetch_sub(1, std::memory_order_seq_cst);
  return empty;
}

void Core::run_worker(uint32_t index) {
  if (config_.worker_start) config_.worker_start(index);
  Worker& worker = *workers_[index];
  platform::Parker& parker = *parkers_[index];
  {
    const Worker::AsCurrent as_current(worker);
    while (!stopping()) {
      const Step step = worker.step();
      if (step.kind == Step::Kind::kIdle) parker.park_until(step.until_ns);
    }
  }
  if (config_.worker_stop) config_.worker_stop(index);
  base::Lock lock(drain_mutex_);
  ++workers_left_;
  drained_.notify_all();
}

bool Core::wait_until_workers_left(uint32_t started) {
  base::Lock lock(drain_mutex_);
  for (;;) {
    if (workers_left_ == started) return true;
    uint32_t running = 0;
    for (const auto& worker : workers_) running += worker->running_since_ns() != 0 ? 1U : 0U;
    if (workers_left_ + running >= started) return false;
    // Between two tasks, or on its way out: microseconds. There is no signal for "went into a run", hence the look again.
    drained_.wait_for(drain_mutex_, std::chrono::milliseconds(1));
  }
}

void Core::run_ticker() {
  while (!stopping()) {
    const Step step = ticker_.step();
    if (step.kind == Step::Kind::kIdle) ticker_.parker().park_until(step.until_ns);
  }
}

void Core::cancel_all() {
  cancelling_.store(true, std::memory_order_seq_cst);
  for (const base::Ref<Task>& task : registry_.snapshot()) task->cancel_requested();
  if (config_.preempt_tick) config_.preempt_tick();
}

void Core::refuse_spawns() {
  refusing_.store(true, std::memory_order_seq_cst);
  // A spawn is a few instructions long.
  while (!registry_.settled()) base::spin_pause();
}

void Core::stop_threads() {
  stopping_.store(true, std::memory_order_seq_cst);
  for (const auto& parker : parkers_) parker->unpark();
  ticker_.unpark();
}

void Core::abandon_all() {
  injection_.close();
  for (const base::Ref<Task>& task : registry_.snapshot()) {
    if (!task->state_.abandon()) continue;
    const uint32_t shard = registry_.remove(*task);
    task->release();
    (void)registry_.forgotten(shard);
  }
}

}  // namespace weft::sched
