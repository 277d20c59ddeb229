#include "sched/task.hpp"

#include "sched/core.hpp"

namespace weft::sched {

Task::Task(TaskConfig config) : priority_(config.priority), kind_(config.kind), name_(std::move(config.name)) {
  WEFT_ASSERT(config.priority < kPriorities, "a priority is 0 to 7");
}

Task::~Task() {
  if (core_ != nullptr) core_->memory_gone(registry_shard_);
}

void Task::release() const noexcept {
  // Release: what this owner did to the task; acquire: by the last one, of what all the others did.
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void Task::wake() {
  if (state_.wake()) core_->queue_woken(*this);
}

void Task::set_priority(uint8_t priority) {
  WEFT_ASSERT(priority < kPriorities, "a priority is 0 to 7");
  priority_.store(priority, std::memory_order_relaxed);
}

TaskInfo Task::info() const {
  TaskInfo info;
  info.id = id();
  info.kind = kind_;
  info.name = name_;
  // A task that switches millions of times a second is never caught: a few attempts, then as good as it gets.
  for (int attempt = 0; attempt < 8; ++attempt) {
    const uint64_t before = state_.word();
    info.state = TaskState::unpack(before);
    info.switches = TaskState::runs_of(before);
    info.park.reason = park_reason_.load(std::memory_order_acquire);
    info.park.deadline_ns = park_deadline_ns_.load(std::memory_order_acquire);
    info.park.address = park_address_.load(std::memory_order_acquire);
    info.since_ns = since_ns_.load(std::memory_order_acquire);
    info.cpu_ns = cpu_ns_.load(std::memory_order_acquire);
    if (state_.word() == before) break;
  }
  if (info.state != State::kParked) info.park = {};
  info.priority = priority();
  info.preemptions = preemptions();
  info.wakes = wakes();
  return info;
}

}  // namespace weft::sched
