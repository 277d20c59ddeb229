#include "sync/futex.hpp"

#include <atomic>

#include "base/assert.hpp"

namespace weft::sync {
namespace {

// The guest's own threads write it meanwhile, atomically or not: one load, and never another look.
template <class Word>
bool has_value(const void* address, uint64_t expected) {
  // An atomic_ref to const comes with C++26.
  Word& word = *static_cast<Word*>(const_cast<void*>(address));
  // seq_cst, as memory.atomic.wait is for the guest: partner of its atomic stores.
  return std::atomic_ref<Word>(word).load(std::memory_order_seq_cst) == static_cast<Word>(expected);
}

bool equal(const FutexWait& wait) {
  return wait.width == FutexWidth::k64 ? has_value<uint64_t>(wait.address, wait.expected)
                                       : has_value<uint32_t>(wait.address, wait.expected);
}

}  // namespace

FutexWaiter::Begun FutexWaiter::begin(FutexTable& table, const FutexWait& wait, sched::Task& task, FutexGroup* group) {
  WEFT_ASSERT(entry_.state() != FutexState::kQueued && !armed_, "one wait at a time: end the one before by poll() or cancel()");
  const auto address = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(wait.address));
  WEFT_DEBUG_ASSERT(address % static_cast<uint64_t>(wait.width) == 0, "the caller has let a misaligned address pass");
  const bool timed = wait.deadline_ns != sched::kNever;
  if (timed && wait.deadline_ns <= wait.now_ns) return {equal(wait) ? FutexOutcome::kTimedOut : FutexOutcome::kNotEqual};

  address_.store(address, std::memory_order_relaxed);
  deadline_ns_.store(wait.deadline_ns, std::memory_order_relaxed);
  since_ns_.store(wait.now_ns, std::memory_order_relaxed);
  table_ = &table;
  task_ = &task;
  const auto [queued, all_blocked] =
      table.queues_.enqueue(entry_, wait.address, task, timed ? nullptr : group, [&wait] { return equal(wait); });
  if (!queued) return {FutexOutcome::kNotEqual};
  if (timed) {
    // Not under the bucket's lock, which fire() takes. A notify may have come in between: then the timer is for nothing, and poll()
    // takes it away.
    armed_ = true;
    table.timers_.arm(*this, wait.deadline_ns);
  }
  return {FutexOutcome::kPending, all_blocked};
}

FutexOutcome FutexWaiter::poll() {
  const FutexState state = entry_.state();
  WEFT_ASSERT(state != FutexState::kIdle, "no wait was begun, or it was cancelled");
  if (state == FutexState::kQueued) return FutexOutcome::kPending;
  disarm();
  return state == FutexState::kWoken ? FutexOutcome::kWoken : FutexOutcome::kTimedOut;
}

bool FutexWaiter::cancel() {
  const bool withdrawn = table_ != nullptr && table_->queues_.withdraw(entry_);
  disarm();
  return withdrawn;
}

// Waits for a fire() in progress, which takes the bucket's lock: so never under that lock. And always before the next wait begins, or
// a fire() that was late for this one would end that.
void FutexWaiter::disarm() {
  if (!armed_) return;
  TimerEntry::cancel();
  armed_ = false;
}

void FutexWaiter::fire() noexcept {
  // However the wait ends, the task disarms the timer before it goes on, and that waits for this to return: so the waiter, and the
  // task it is a part of, outlive it without a reference. (With one, the last could be let go here, and the timer die inside its own
  // fire().)
  if (table_->queues_.expire(entry_)) task_->wake();
}

FutexWaiter::Info FutexWaiter::info() const {
  return {.waiting = entry_.state() == FutexState::kQueued,
          .address = address_.load(std::memory_order_relaxed),
          .deadline_ns = deadline_ns_.load(std::memory_order_relaxed),
          .since_ns = since_ns_.load(std::memory_order_relaxed)};
}

}  // namespace weft::sync
