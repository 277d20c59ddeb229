#include "sched/scheduler.hpp"

#include <algorithm>

#include "platform/platform.hpp"
#include "sched/core.hpp"
#include "sched/sim.hpp"

namespace weft::sched {
namespace {

SchedulerConfig checked(SchedulerConfig config) {
  WEFT_ASSERT(config.platform != nullptr, "a scheduler needs a platform");
  if (config.workers == 0) config.workers = config.platform->cpus();
  config.workers = std::min(config.workers, kWorkersMax);
  WEFT_ASSERT(config.quantum_ns > 0, "a quantum of zero");
  return config;
}

std::unique_ptr<BlockingPool> make_pool(const SchedulerConfig& config) {
  if (!config.platform->threaded()) return std::make_unique<SimBlockingPool>(config.blocking);
  return make_blocking_pool(*config.platform, config.blocking);
}

// Set by a thread for itself, before its first task.
thread_local bool of_a_scheduler = false;

}  // namespace

bool on_scheduler_thread() noexcept { return of_a_scheduler; }

Scheduler::Scheduler(SchedulerConfig config) {
  config = checked(std::move(config));
  auto pool = make_pool(config);
  core_ = new Core(*this, std::move(config), std::move(pool));
}

Scheduler::~Scheduler() {
  if (!shut_down_) shutdown(0, 0);
  join_threads();
  // Tasks that were inside run() when shutdown let the others go: their workers have left them now.
  core_->abandon_all();
  core_->let_go();
}

void Scheduler::join_threads() {
  for (const auto& thread : threads_) thread->join();
  threads_.clear();
}

Result<void> Scheduler::start() {
  WEFT_ASSERT(threads_.empty() && !shut_down_, "a scheduler can be started only once");
  platform::Platform& platform = core_->platform();
  const auto start_one = [&](std::string name, std::function<void()> body) -> Result<void> {
    auto thread = platform.start_thread(std::move(name), std::move(body));
    if (!thread) return std::unexpected(thread.error());
    threads_.push_back(std::move(*thread));
    return {};
  };
  Core& core = *core_;
  Result<void> started = start_one("weft-ticker", [&core] {
    of_a_scheduler = true;
    core.run_ticker();
  });
  for (uint32_t i = 0; started && i < core.worker_count(); ++i) {
    started = start_one("weft-worker-" + std::to_string(i), [&core, i] {
      of_a_scheduler = true;
      core.run_worker(i);
    });
  }
  if (!started) {
    core_->stop_threads();
    join_threads();
  }
  return started;
}

bool Scheduler::spawn(base::Ref<Task> task, SpawnPlace place) { return core_->spawn(std::move(task), place); }
Timers& Scheduler::timers() { return core_->timers(); }
BlockingPool& Scheduler::blocking() { return core_->blocking(); }
uint64_t Scheduler::now_ns() const { return core_->now_ns(); }
uint32_t Scheduler::workers() const { return core_->worker_count(); }
uint64_t Scheduler::quantum_ns() const { return core_->config().quantum_ns; }

void Scheduler::request_tick() {
  if (core_->config().preempt_tick) core_->config().preempt_tick();
}

void Scheduler::for_each_task(const std::function<void(Task&)>& each) const {
  for (const base::Ref<Task>& task : core_->registry().snapshot()) {
    if (task->state() != State::kDone) each(*task);
  }
}

std::vector<TaskInfo> Scheduler::tasks() const {
  std::vector<TaskInfo> infos;
  for_each_task([&infos](Task& task) { infos.push_back(task.info()); });
  return infos;
}

uint64_t Scheduler::task_count() const { return core_->live(); }

SchedulerStatistics Scheduler::statistics() const {
  SchedulerStatistics sum;
  sum.workers = core_->worker_count();
  sum.tasks = core_->live();
  sum.tasks_spawned = core_->registry().spawned();
  for (uint32_t i = 0; i < sum.workers; ++i) {
    const Worker::Counts& counts = core_->worker(i).counts();
    sum.switches += counts.switches.load(std::memory_order_relaxed);
    sum.preemptions += counts.preemptions.load(std::memory_order_relaxed);
    sum.steals += counts.steals.load(std::memory_order_relaxed);
    sum.stolen += counts.stolen.load(std::memory_order_relaxed);
    sum.worker_parks += counts.parks.load(std::memory_order_relaxed);
  }
  sum.timers = core_->timers().armed();
  sum.timers_fired = core_->timers().fired();
  sum.ticks = core_->ticker().ticks();
  sum.blocking = core_->blocking().statistics();
  return sum;
}

bool Scheduler::drain(uint64_t deadline_ns) {
  WEFT_ASSERT(Worker::current() == nullptr, "drain() from a task would wait for itself");
  return core_->wait_until_empty(deadline_ns);
}

ShutdownReport Scheduler::shutdown(uint64_t drain_deadline_ns, uint64_t cancel_deadline_ns) {
  WEFT_ASSERT(Worker::current() == nullptr, "shutdown() from a task would wait for itself");
  ShutdownReport report;
  if (shut_down_) return report;
  shut_down_ = true;
  const bool running = !threads_.empty();
  if (!(running && core_->wait_until_empty(drain_deadline_ns))) {
    report.cancelled = tasks();
    core_->cancel_all();
    if (running) core_->wait_until_empty(cancel_deadline_ns);
  }
  // The pool's work may still wake tasks and, through them, submit: it ends first, while workers run.
  core_->refuse_spawns();
  core_->blocking().stop();
  core_->stop_threads();
  report.surviving = tasks();
  if (!running || core_->wait_until_workers_left(static_cast<uint32_t>(threads_.size() - 1))) {
    join_threads();
    core_->abandon_all();
  }
  return report;
}

}  // namespace weft::sched
