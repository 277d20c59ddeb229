// What a futex costs. Beside the host's own, for the ratio: a wake that finds nobody, and two that wake each other in turn. Then what
// crowds do: a notify beside ten thousand waiters of the same bucket should cost what it costs alone.
#include <benchmark/benchmark.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "platform/platform.hpp"
#include "sched/scheduler.hpp"
#include "sync/futex.hpp"

namespace weft::sync {
namespace {

using sched::Poll;
using sched::RunContext;

long host_futex(uint32_t& word, int operation, uint32_t value) {
  return syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

// Never runs: what is measured is the table.
class StillTask final : public sched::Task {
 public:
  StillTask() : Task({.kind = "still"}) {}
  Poll run(RunContext&) override { return Poll::kDone; }
  FutexWaiter waiter;
};

struct Table {
  explicit Table(uint32_t buckets = FutexTable::kBuckets) : table(timers, 1, buckets) {}
  void wait(StillTask& task, const uint32_t& word, uint64_t deadline_ns = sched::kNever) {
    benchmark::DoNotOptimize(task.waiter.begin(table, {.address = &word, .deadline_ns = deadline_ns, .now_ns = 1}, task, nullptr));
  }
  sched::Timers timers{0, nullptr};
  FutexTable table;
};

void BM_notify_nobody(benchmark::State& state) {
  static Table table;
  uint32_t word = 0;
  for (auto _ : state) benchmark::DoNotOptimize(table.table.notify(&word, 1));
}
BENCHMARK(BM_notify_nobody)->Threads(1)->Threads(4)->UseRealTime();

void BM_notify_nobody_host(benchmark::State& state) {
  uint32_t word = 0;
  for (auto _ : state) benchmark::DoNotOptimize(host_futex(word, FUTEX_WAKE_PRIVATE, 1));
}
BENCHMARK(BM_notify_nobody_host);

void BM_wait_not_equal(benchmark::State& state) {
  Table table;
  const auto task = base::make_ref<StillTask>();
  uint32_t word = 1;
  for (auto _ : state) table.wait(*task, word);
}
BENCHMARK(BM_wait_not_equal);

// Into the queue and out of it; Arg(1): with a deadline that does not come.
void BM_wait_and_notify(benchmark::State& state) {
  Table table;
  const auto task = base::make_ref<StillTask>();
  uint32_t word = 0;
  for (auto _ : state) {
    table.wait(*task, word, state.range(0) != 0 ? 1'000'000'000 : sched::kNever);
    benchmark::DoNotOptimize(table.table.notify(&word, 1));
    benchmark::DoNotOptimize(task->waiter.poll());
  }
}
BENCHMARK(BM_wait_and_notify)->Arg(0)->Arg(1);

// The same, while others wait in the same bucket: all on one other address, or each on its own.
void BM_wait_and_notify_beside(benchmark::State& state) {
  Table table(1);
  const auto waiters = static_cast<size_t>(state.range(0));
  std::vector<uint32_t> words(waiters + 1);
  std::vector<base::Ref<StillTask>> tasks;
  for (size_t i = 0; i < waiters; ++i) {
    tasks.push_back(base::make_ref<StillTask>());
    table.wait(*tasks[i], words[state.range(1) != 0 ? i : 0]);
  }
  const auto task = base::make_ref<StillTask>();
  for (auto _ : state) {
    table.wait(*task, words[waiters]);
    benchmark::DoNotOptimize(table.table.notify(&words[waiters], 1));
  }
}
BENCHMARK(BM_wait_and_notify_beside)->ArgNames({"waiters", "spread"})->Args({0, 0})->Args({10'000, 0})->Args({100, 1});

// Per waiter of a notify that wakes them all, and of its coming.
void BM_wait_and_notify_all(benchmark::State& state) {
  Table table;
  std::vector<base::Ref<StillTask>> tasks;
  for (int64_t i = 0; i < state.range(0); ++i) tasks.push_back(base::make_ref<StillTask>());
  uint32_t word = 0;
  for (auto _ : state) {
    for (const auto& task : tasks) table.wait(*task, word);
    benchmark::DoNotOptimize(table.table.notify(&word, UINT32_MAX));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_wait_and_notify_all)->Arg(10)->Arg(10'000);

// Two that take turns: each sets the word for the other, notifies, and waits for its own turn.
class Player final : public sched::Task {
 public:
  Player(FutexTable& table, uint32_t& word, uint32_t self, uint64_t turns)
      : Task({.kind = "player"}), table_(table), word_(word), self_(self), left_(turns) {}
  Poll run(RunContext& context) override {
    for (;;) {
      if (std::exchange(waiting_, false) && waiter_.poll() == FutexOutcome::kPending) {
        waiting_ = true;
        break;
      }
      if (std::atomic_ref(word_).load() == self_) {
        std::atomic_ref(word_).store(1 - self_);
        table_.notify(&word_, 1);
        if (--left_ == 0) return Poll::kDone;
      }
      const FutexWait wait{.address = &word_, .expected = 1 - self_, .now_ns = context.started_ns()};
      waiting_ = waiter_.begin(table_, wait, *this, nullptr).outcome == FutexOutcome::kPending;
      if (waiting_) break;
    }
    context.park("futex");
    return Poll::kPending;
  }

 private:
  FutexTable& table_;
  uint32_t& word_;
  const uint32_t self_;
  uint64_t left_;
  FutexWaiter waiter_;
  bool waiting_ = false;
};

constexpr uint64_t kTurns = 20'000;

void BM_take_turns(benchmark::State& state) {
  sched::Scheduler scheduler({.workers = static_cast<uint32_t>(state.range(0)), .platform = &platform::host()});
  if (!scheduler.start()) state.SkipWithError("no threads");
  FutexTable table(scheduler.timers(), 1);
  uint32_t word = 0;
  for (auto _ : state) {
    for (uint32_t self = 0; self < 2; ++self) scheduler.spawn(base::make_ref<Player>(table, word, self, kTurns));
    scheduler.drain(sched::kNever);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(2 * kTurns));
}
BENCHMARK(BM_take_turns)->Arg(1)->Arg(2)->UseRealTime();

void BM_take_turns_host(benchmark::State& state) {
  uint32_t word = 0;
  const auto play = [&word](uint32_t self) {
    const std::atomic_ref turn(word);
    for (uint64_t i = 0; i < kTurns; ++i) {
      while (turn.load() != self) host_futex(word, FUTEX_WAIT_PRIVATE, 1 - self);
      turn.store(1 - self);
      host_futex(word, FUTEX_WAKE_PRIVATE, 1);
    }
  };
  for (auto _ : state) {
    std::thread other(play, 1);
    play(0);
    other.join();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(2 * kTurns));
}
BENCHMARK(BM_take_turns_host)->UseRealTime();

}  // namespace
}  // namespace weft::sync
