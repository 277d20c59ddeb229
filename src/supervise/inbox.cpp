#include "supervise/inbox.hpp"

#include <utility>

#include "sched/scheduler.hpp"
#include "supervise/child.hpp"
#include "sync/task_context.hpp"

namespace weft::supervise {

Inbox::Inbox() = default;
Inbox::~Inbox() = default;

Inbox::Posted Inbox::post(InboxMessage&& message) {
  base::Ref<sched::Task> sleeper;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return Posted::kClosed;
    if (message.command && commands_ == kCommandsMax) return Posted::kFull;
    if (message.command) ++commands_;
    if (messages_.empty()) sleeper = task_;  // with others before it, the task has been woken
    messages_.push_back(std::move(message));
  }
  if (sleeper) sleeper->wake();
  return Posted::kTaken;
}

bool Inbox::Next::poll(detail::TaskContext& context) {
  now_ns_ = context.run.now_ns();
  {
    std::lock_guard lock(inbox_.mutex_);
    if (!inbox_.task_) inbox_.task_ = base::Ref<sched::Task>(&context.task());
    if (!inbox_.messages_.empty()) {
      into_.swap(inbox_.messages_);
      inbox_.commands_ = 0;
      return true;
    }
  }
  if (now_ns_ >= deadline_ns_) return true;
  // Moved only when it has to be: most waits are for the same moment as the one before.
  if (deadline_ns_ != inbox_.armed_ns_ || (inbox_.timer_ && inbox_.timer_->fired())) {
    if (!inbox_.timer_) inbox_.timer_ = std::make_unique<sched::TaskTimer>(base::Ref<sched::Task>(&context.task()));
    inbox_.timer_->cancel();
    inbox_.timer_->clear();
    inbox_.armed_ns_ = deadline_ns_;
    if (deadline_ns_ != sched::kNever) context.run.scheduler().timers().arm(*inbox_.timer_, deadline_ns_);
  }
  context.run.park("supervision", deadline_ns_ == sched::kNever ? 0 : deadline_ns_);
  return false;
}

std::vector<InboxMessage> Inbox::close() {
  std::vector<InboxMessage> left;
  base::Ref<sched::Task> task;  // released outside the lock
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    left.swap(messages_);
    std::swap(task, task_);
  }
  timer_.reset();
  return left;
}

}  // namespace weft::supervise
