#include "sync/coroutine.hpp"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/cache_line.hpp"
#include "base/ref.hpp"
#include "sched/scheduler.hpp"
#include "sync/task_context.hpp"
#include "sync/waitable.hpp"

namespace weft {
namespace detail {
namespace {

constexpr int kJoinPauses = 200;

}  // namespace

struct JoinState::Inner {
  std::mutex mutex;
  std::condition_variable ended;
  // Writer: finish(), under mutex; reader: wait(), which looks at it before it takes the mutex. Publishes nothing.
  std::atomic<bool> finished{false};
  bool done = false;                            // under mutex
  std::vector<base::Ref<sched::Task>> waiters;  // under mutex
  base::Ref<sched::Task> task;                  // under mutex; until done
  base::Ref<sync::FlagSource> watched;          // under mutex; once somebody has asked for a waitable
};

JoinState::JoinState() : inner(std::make_shared<Inner>()) {}

bool JoinState::done() const noexcept {
  std::lock_guard lock(inner->mutex);
  return inner->done;
}

void JoinState::finish() {
  std::vector<base::Ref<sched::Task>> waiters;
  base::Ref<sched::Task> task;  // released outside the lock
  base::Ref<sync::FlagSource> watched;
  {
    std::lock_guard lock(inner->mutex);
    inner->done = true;
    inner->finished.store(true, std::memory_order_relaxed);
    waiters.swap(inner->waiters);
    std::swap(task, inner->task);
    watched = inner->watched;
  }
  inner->ended.notify_all();
  if (watched) watched->set();
  for (const base::Ref<sched::Task>& waiter : waiters) waiter->wake();
}

void JoinState::wait() {
  WEFT_ASSERT(sched::RunContext::current() == nullptr,
              "join() blocks its thread, and this is a worker: co_await the handle instead");
  // Some microseconds: to be put to sleep and woken costs more, and much of what is waited for takes less.
  for (int i = 0; i < kJoinPauses && !inner->finished.load(std::memory_order_relaxed); ++i) base::spin_pause();
  std::unique_lock lock(inner->mutex);
  inner->ended.wait(lock, [&] { return inner->done; });
}

bool JoinState::wait_for(Duration bound) {
  WEFT_ASSERT(sched::RunContext::current() == nullptr,
              "join_for() blocks its thread, and this is a worker: co_await the handle instead");
  std::unique_lock lock(inner->mutex);
  return inner->ended.wait_for(lock, bound, [&] { return inner->done; });
}

bool JoinState::poll(TaskContext& context) {
  std::lock_guard lock(inner->mutex);
  if (inner->done) return true;
  for (const base::Ref<sched::Task>& waiter : inner->waiters) {
    if (waiter.get() == &context.task()) {
      context.run.park("task end");
      return false;
    }
  }
  inner->waiters.emplace_back(&context.task());
  context.run.park("task end");
  return false;
}

void JoinState::cancel() {
  base::Ref<sched::Task> task;
  {
    std::lock_guard lock(inner->mutex);
    task = inner->task;
  }
  if (task) task->cancel_requested();
}

Waitable when_finished(JoinState& join) {
  JoinState::Inner& inner = *join.inner;
  base::Ref<sync::FlagSource> watched;
  bool done = false;
  {
    std::lock_guard lock(inner.mutex);
    if (!inner.watched) inner.watched = base::make_ref<sync::FlagSource>("task end", inner.task.get());
    watched = inner.watched;
    done = inner.done;
  }
  if (done) watched->set();
  return sync::to_waitable(std::move(watched));
}

Error error_of(std::exception_ptr failure) noexcept {
  Error error;
  try {
    std::rethrow_exception(std::move(failure));
  } catch (const std::exception& exception) {
    error.message = std::string("an exception escaped: ") + exception.what();
  } catch (...) {
    error.message = "an exception escaped that is no std::exception";
  }
  return error;
}

struct BlockingWork::State {
  std::function<void()> work;
  bool submitted = false;  // only the task
  // Writer: the pool's thread, after the work; reader: the task. Release/acquire partners: what the work wrote is seen.
  std::atomic<bool> done{false};
};

BlockingWork::BlockingWork(std::function<void()> work) : state_(std::make_shared<State>()) { state_->work = std::move(work); }
BlockingWork::~BlockingWork() = default;

bool BlockingWork::poll(TaskContext& context) {
  if (!state_->submitted) {
    state_->submitted = true;
    const Result<void> accepted = context.run.scheduler().blocking().submit(
        [state = state_] {
          state->work();
          state->work = nullptr;
          state->done.store(true, std::memory_order_release);
        },
        base::Ref<sched::Task>(&context.task()));
    if (!accepted) {
      throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again), accepted.error().message);
    }
  }
  if (state_->done.load(std::memory_order_acquire)) return true;
  context.run.park("blocking work");
  return false;
}

}  // namespace detail

Sleep::~Sleep() { delete static_cast<sched::TaskTimer*>(timer_); }

bool Sleep::poll(detail::TaskContext& context) {
  auto* timer = static_cast<sched::TaskTimer*>(timer_);
  if (timer == nullptr) {
    if (duration_ <= Duration::zero()) return true;
    timer = new sched::TaskTimer(base::Ref<sched::Task>(&context.task()));
    timer_ = timer;
    const std::uint64_t now_ns = context.run.now_ns();
    const auto span_ns = static_cast<std::uint64_t>(duration_.count());
    deadline_ns_ = span_ns < sched::kNever - now_ns ? now_ns + span_ns : sched::kNever;
    context.run.scheduler().timers().arm(*timer, deadline_ns_);
  }
  if (timer->fired()) return true;
  context.run.park("sleep", deadline_ns_);
  return false;
}

bool Yield::poll(detail::TaskContext& context) {
  if (std::exchange(yielded_, true)) return true;
  // Woken while it runs, it is queued again however its run ends: as a coroutine, or inside a guest's host call.
  context.run.yield();
  context.task().wake();
  return false;
}

namespace sync {

CoroutineTask::CoroutineTask(std::unique_ptr<detail::Started> body, std::shared_ptr<detail::JoinState> join, std::uint8_t priority,
                             std::string name)
    : Task({.kind = "coroutine", .name = std::move(name), .priority = priority}), body_(std::move(body)), join_(std::move(join)) {
  std::lock_guard lock(join_->inner->mutex);
  join_->inner->task = base::Ref<sched::Task>(this);
}

sched::Poll CoroutineTask::run(sched::RunContext& context) {
  if (cancelled_.load(std::memory_order_acquire)) {
    body_->abandon({ErrorKind::kCancelled, "the task was cancelled", {}});
    return sched::Poll::kDone;
  }
  detail::TaskContext now{context};
  return body_->poll(now) ? sched::Poll::kDone : sched::Poll::kPending;
}

void CoroutineTask::on_done() {
  body_.reset();
  join_.reset();
}

void CoroutineTask::cancel_requested() {
  cancelled_.store(true, std::memory_order_release);
  wake();
}

void CoroutineTask::refuse(Error why) {
  body_->abandon(std::move(why));
  on_done();
}

}  // namespace sync
}  // namespace weft
