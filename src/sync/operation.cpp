#include <chrono>
#include <memory>

#include "base/assert.hpp"
#include "sched/scheduler.hpp"
#include "sync/sleeper.hpp"
#include "sync/task_context.hpp"
#include "sync/waitable.hpp"

namespace weft::detail {

Operation::~Operation() { delete static_cast<sched::TaskTimer*>(timer_); }

bool Operation::poll(TaskContext& context) {
  auto* timer = static_cast<sched::TaskTimer*>(timer_);
  if (!begun_) {
    begun_ = true;
    if (begin(sync::Sleeper(context.task()))) return true;
    if (bound_ <= Duration::zero()) {
      expire();
      return true;
    }
    if (bound_ != kForever) {
      auto armed = std::make_unique<sched::TaskTimer>(base::Ref<sched::Task>(&context.task()));
      deadline_ns_ = sync::deadline_after(context.run.now_ns(), bound_);
      timer_ = timer = armed.release();
      context.run.scheduler().timers().arm(*timer, deadline_ns_);
    }
  } else {
    if (done()) return true;
    if (timer != nullptr && timer->fired()) {
      expire();
      return true;
    }
  }
  context.run.park(reason(), deadline_ns_);
  return false;
}

void Operation::run_blocking() {
  WEFT_ASSERT(sched::RunContext::current() == nullptr,
              "block() blocks its thread, and this is a worker: co_await the operation instead");
  WEFT_ASSERT(!begun_, "an operation is performed once");
  begun_ = true;
  using Clock = sync::ThreadParker::Clock;
  sync::ThreadParker& thread = sync::ThreadParker::mine();
  if (begin(sync::Sleeper(thread))) return;
  if (bound_ <= Duration::zero()) return expire();
  const Clock::time_point now = Clock::now();
  const bool timed = bound_ != kForever && bound_ < Clock::time_point::max() - now;
  const Clock::time_point deadline = timed ? now + bound_ : Clock::time_point::max();
  for (;;) {
    const bool woken = thread.park_until(deadline);
    if (done()) return;
    if (!woken) return expire();
  }
}

}  // namespace weft::detail
