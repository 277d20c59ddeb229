#include "sched/sim.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "sched/core.hpp"

namespace weft::sched {

Result<void> SimBlockingPool::submit(Work work, base::Ref<Task> wake_after) {
  if (stopping_) return fail(ErrorKind::kCancelled, "the blocking pool is stopping");
  if (items_.size() >= config_.queue_max) return fail(ErrorKind::kExhausted, "the blocking pool's queue is full");
  items_.push_back({std::move(work), std::move(wake_after)});
  return {};
}

BlockingPoolStatistics SimBlockingPool::statistics() const {
  const uint32_t busy = in_progress();
  return {busy, 0, static_cast<uint32_t>(items_.size()) - busy, finished_};
}

void SimBlockingPool::stop() {
  stopping_ = true;
  while (!items_.empty()) finish(0);
}

uint32_t SimBlockingPool::in_progress() const { return std::min(config_.threads_max, static_cast<uint32_t>(items_.size())); }

void SimBlockingPool::finish(uint32_t which) {
  Item item = std::move(items_[which]);
  items_.erase(items_.begin() + which);
  item.work();
  item.work = nullptr;
  ++finished_;
  if (item.wake_after) item.wake_after->wake();
}

SimDriver::SimDriver(uint64_t seed, SchedulerConfig config) : platform_(seed), rng_(seed) {
  config.platform = &platform_;
  scheduler_ = std::make_unique<Scheduler>(std::move(config));
  Core& core = scheduler_->core();
  pool_ = dynamic_cast<SimBlockingPool*>(&core.blocking());
  for (uint32_t i = 0; i < core.worker_count(); ++i) {
    machines_.push_back({.parker = dynamic_cast<platform::SimParker*>(&core.parker(i))});
  }
  machines_.push_back({.parker = dynamic_cast<platform::SimParker*>(&core.ticker().parker())});
}

SimDriver::~SimDriver() = default;

bool SimDriver::ready(const Machine& machine) const {
  return !machine.stepping && (machine.until_ns <= platform_.now_ns() || machine.parker->has_token());
}

bool SimDriver::step() {
  choices_.clear();
  for (uint32_t i = 0; i < machines_.size(); ++i) {
    if (ready(machines_[i])) choices_.push_back(i);
  }
  const uint32_t blocking = pool_->in_progress();
  const auto total = static_cast<uint32_t>(choices_.size()) + blocking;
  if (total == 0) return false;
  ++steps_;
  const uint32_t choice = rng_.below(total);
  if (choice >= choices_.size()) {
    pool_->finish(choice - static_cast<uint32_t>(choices_.size()));
    return true;
  }
  const uint32_t index = choices_[choice];
  Machine& machine = machines_[index];
  machine.parker->park_until(0);  // takes the token: it wakes now
  machine.stepping = true;
  Core& core = scheduler_->core();
  const auto step_worker = [](Worker& worker) {
    const Worker::AsCurrent as_current(worker);
    return worker.step();
  };
  const Step result = index + 1 == machines_.size() ? core.ticker().step() : step_worker(core.worker(index));
  machine.stepping = false;
  machine.until_ns = result.kind == Step::Kind::kIdle ? result.until_ns : 0;
  // Everything takes some time, or a task that polls would stop the clock.
  platform_.advance_to(platform_.now_ns() + 1 + rng_.below(200));
  return true;
}

uint64_t SimDriver::next_event_ns() const {
  uint64_t next_ns = kNever;
  for (const Machine& machine : machines_) {
    if (!machine.stepping) next_ns = std::min(next_ns, machine.until_ns);
  }
  return next_ns;
}

bool SimDriver::skip_time() {
  const uint64_t next_ns = next_event_ns();
  if (next_ns == kNever) return false;
  platform_.advance_to(next_ns);
  return true;
}

bool SimDriver::run_until_empty(uint64_t steps_max) {
  const uint64_t end = steps_max > UINT64_MAX - steps_ ? UINT64_MAX : steps_ + steps_max;
  while (scheduler_->task_count() != 0) {
    if (steps_ >= end) return false;
    if (!step() && !skip_time()) return false;
  }
  return true;
}

void SimDriver::run_until_idle(uint64_t steps_max) {
  const uint64_t end = steps_max > UINT64_MAX - steps_ ? UINT64_MAX : steps_ + steps_max;
  while (steps_ < end && (step() || skip_time())) {
  }
}

void SimDriver::pass_time(uint64_t duration_ns) {
  const uint64_t end_ns = platform_.now_ns() + duration_ns;
  while (platform_.now_ns() < end_ns) {
    // The stack is the limit: each nested step is another worker's, so it is at most as deep as there are workers.
    if (!rng_.one_in(3) && step()) continue;
    const uint64_t next_ns = std::max(next_event_ns(), platform_.now_ns() + 1);
    platform_.advance_to(std::min({end_ns, next_ns, platform_.now_ns() + 1 + rng_.below(100'000)}));
  }
}

}  // namespace weft::sched
