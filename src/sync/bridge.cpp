#include "sync/bridge.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "base/atomic.hpp"
#include "base/cache_line.hpp"
#include "sched/run_context.hpp"
#include "sched/scheduler.hpp"
#include "sync/task_context.hpp"

namespace weft {
namespace detail {

// The run in progress says most; a simulated scheduler has no threads of its own, and the ticker and callbacks between two runs have no run.
Result<void> may_block(std::string_view what) {
  if (sched::RunContext::current() == nullptr && !sched::on_scheduler_thread()) return {};
  return fail(ErrorKind::kWouldDeadlock, std::string(what) +
                                             " blocks its thread, and this one runs tasks for a runtime: co_await the task "
                                             "instead, or come from a thread of the host");
}

}  // namespace detail

namespace sync {
namespace {

// Some microseconds: to be put to sleep and woken costs more, and much of what is waited for takes less. A thread that has slept, and for so short a time that it
// need not have, looks longer the next time: then a worker that has to be woken first is no reason to sleep as well.
constexpr int kPauses = 200;
constexpr int kPausesMax = 2'000;
constexpr std::chrono::microseconds kShort{50};
thread_local int pauses = kPauses;

// Memory for the tasks of one thread's crossings. The worker that ends a task frees it when the thread has gone on already; the allocator would then carry the
// memory from core to core under its locks. So each thread keeps what it has used, two pieces by turns, and a piece says itself when it is free again.
class Pieces {
 public:
  static constexpr std::size_t kBytes = 256 - 16;

  static void* take() {
    thread_local Pieces mine;
    Piece*& piece = mine.kept_[++mine.turn_ % kKept];
    if (piece != nullptr) {
      // Acquire: partner of give_back(); whoever had it is done with it.
      if (piece->state.load(std::memory_order_acquire) == kFree) {
        piece->state.store(kTaken, std::memory_order_relaxed);
        return piece->room;
      }
      let_go(piece);
    }
    piece = new Piece;
    return piece->room;
  }
  // Any thread.
  static void give_back(void* room) {
    auto* const piece = reinterpret_cast<Piece*>(static_cast<std::byte*>(room) - offsetof(Piece, room));
    // Release: partner of take(). Acquire: of let_go(), whose thread is done with it, too.
    if (piece->state.exchange(kFree, std::memory_order_acq_rel) == kLetGo) delete piece;
  }

 private:
  static constexpr std::size_t kKept = 2;
  static constexpr std::uint32_t kTaken = 0;
  static constexpr std::uint32_t kFree = 1;
  static constexpr std::uint32_t kLetGo = 2;  // taken, and its thread has forgotten it

  struct alignas(base::kCacheLinePair) Piece {
    // Writers: its thread, and whoever gives it back. Whoever comes last deletes it.
    base::atomic<std::uint32_t> state{kTaken};
    alignas(16) std::byte room[kBytes];
  };

  Pieces() = default;
  ~Pieces() {
    for (Piece* const piece : kept_) {
      if (piece != nullptr) let_go(piece);
    }
  }
  // Release: this thread is done with it; acquire: so is whoever gave it back.
  static void let_go(Piece* piece) {
    if (piece->state.exchange(kLetGo, std::memory_order_acq_rel) == kFree) delete piece;
  }

  Piece* kept_[kKept] = {};
  std::size_t turn_ = 0;
};

}  // namespace

// Counted, as all tasks are: a dump or a late waker may hold it when the caller has long gone on. What it runs is the caller's, until that is told.
class CrossingTask final : public sched::Task {
 public:
  CrossingTask(Caller& caller, std::uint8_t priority, std::string_view name)
      : Task({.kind = "coroutine", .name = std::string(name), .priority = priority}), caller_(&caller) {}

  sched::Poll run(sched::RunContext& context) override {
    if (cancelled_.load(std::memory_order_acquire)) {
      abandon("the task was cancelled");
      return sched::Poll::kDone;
    }
    detail::TaskContext now{context};
    if (!caller_->crossing_.poll(now)) return sched::Poll::kPending;
    std::exchange(caller_, nullptr)->ending_.end();
    return sched::Poll::kDone;
  }

  static void* operator new(std::size_t size) {
    static_assert(sizeof(CrossingTask) <= Pieces::kBytes);
    WEFT_DEBUG_ASSERT(size == sizeof(CrossingTask), "it is final");
    return Pieces::take();
  }
  static void operator delete(void* task) { Pieces::give_back(task); }

  void cancel_requested() override {
    cancelled_.store(true, std::memory_order_release);
    wake();
  }

 private:
  // Refused by the scheduler, or let go of at its end.
  ~CrossingTask() override {
    if (caller_ != nullptr) abandon("the runtime is shutting down");
  }

  void abandon(const char* why) {
    caller_->crossing_.abandon({ErrorKind::kCancelled, why, {}});
    std::exchange(caller_, nullptr)->ending_.end();
  }

  Caller* caller_;  // only run(), and the destructor; until it has been told
  // Writer: cancel_requested, any thread; reader: run(). The wake that follows the store publishes it.
  base::atomic<bool> cancelled_{false};
};

base::Ref<sched::Task> Caller::make_task(std::uint8_t priority, std::string_view name) {
  return base::make_ref<CrossingTask>(*this, priority, name);
}

void Caller::wait() {
  for (int i = 0; i < pauses; ++i) {
    if (ending_.ended()) return;
    base::spin_pause();
  }
  using Clock = ThreadParker::Clock;
  ThreadParker& parker = ThreadParker::mine();
  const Clock::time_point from = Clock::now();
  ending_.sleep(parker, [&parker] { (void)parker.park_until(Clock::time_point::max()); });
  pauses = Clock::now() - from < kShort ? kPausesMax : kPauses;
}

}  // namespace sync
}  // namespace weft
