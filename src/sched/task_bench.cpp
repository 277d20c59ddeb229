// What the scheduler itself costs: a switch (yield to another task that does nothing), a switch by wake, spawn + run + exit, and timers.
// Times are per operation of one worker. The task's own run() here is one virtual call that counts down.
#include <benchmark/benchmark.h>

#include <memory>

#include "platform/platform.hpp"
#include "sched/scheduler.hpp"
#include "sched/trace.hpp"

namespace weft::sched {
namespace {

// Yields until told not to.
class Yielder final : public Task {
 public:
  explicit Yielder(uint64_t times) : Task({.kind = "yielder"}), left_(times) {}
  Poll run(RunContext& context) override {
    if (left_-- == 0) return Poll::kDone;
    context.yield();
    return Poll::kPending;
  }

 private:
  uint64_t left_;
};

void run_yielders(benchmark::State& state, Recorder* recorder) {
  const auto tasks = static_cast<uint64_t>(state.range(0));
  const auto workers = static_cast<uint32_t>(state.range(1));
  const uint64_t each = 2'000'000 / tasks + 1;
  Scheduler scheduler({.workers = workers, .platform = &platform::host(), .recorder = recorder});
  if (!scheduler.start()) state.SkipWithError("no threads");
  for (auto _ : state) {
    for (uint64_t i = 0; i < tasks; ++i) scheduler.spawn(base::make_ref<Yielder>(each));
    scheduler.drain(kNever);
  }
  // Per switch of one worker: with more workers the same wall time does more switches.
  state.counters["switch"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(tasks * (each + 1)) / workers,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void BM_switch(benchmark::State& state) { run_yielders(state, nullptr); }
BENCHMARK(BM_switch)->Args({1, 1})->Args({2, 1})->Args({1000, 1})->Args({10'000, 1})->Args({1, 4})->Args({1000, 4})->UseRealTime();

void BM_switch_traced(benchmark::State& state) {
  Recorder recorder(static_cast<uint32_t>(state.range(1)), 1U << 14U);
  run_yielders(state, &recorder);
}
BENCHMARK(BM_switch_traced)->Args({1000, 1})->UseRealTime();

// Two that wake each other and park.
class Partner final : public Task {
 public:
  explicit Partner(uint64_t times) : Task({.kind = "partner"}), left_(times) {}
  void meet(Partner& other) { other_ = &other; }
  Poll run(RunContext& context) override {
    if (left_ == 0) {
      other_->wake();
      return Poll::kDone;
    }
    --left_;
    other_->wake();
    context.park("partner");
    return Poll::kPending;
  }

 private:
  uint64_t left_;
  Partner* other_ = nullptr;
};

void BM_wake_and_park(benchmark::State& state) {
  constexpr uint64_t kTimes = 500'000;
  const auto workers = static_cast<uint32_t>(state.range(0));
  Scheduler scheduler({.workers = workers, .platform = &platform::host()});
  if (!scheduler.start()) state.SkipWithError("no threads");
  for (auto _ : state) {
    const auto one = base::make_ref<Partner>(kTimes);
    const auto two = base::make_ref<Partner>(kTimes);
    one->meet(*two);
    two->meet(*one);
    scheduler.spawn(one);
    scheduler.spawn(two);
    scheduler.drain(kNever);
  }
  state.counters["switch"] = benchmark::Counter(static_cast<double>(state.iterations()) * 2.0 * kTimes,
                                                benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_wake_and_park)->Arg(1)->Arg(4)->UseRealTime();

// One task spawns the others, so that all stays on the workers.
class Parent final : public Task {
 public:
  explicit Parent(uint64_t children) : Task({.kind = "parent"}), left_(children) {}
  Poll run(RunContext& context) override {
    for (int i = 0; i < 100 && left_ != 0; ++i, --left_) context.scheduler().spawn(base::make_ref<Yielder>(uint64_t{0}));
    if (left_ == 0) return Poll::kDone;
    context.yield();
    return Poll::kPending;
  }

 private:
  uint64_t left_;
};

void BM_spawn_run_exit(benchmark::State& state) {
  constexpr uint64_t kChildren = 200'000;
  Scheduler scheduler({.workers = static_cast<uint32_t>(state.range(0)), .platform = &platform::host()});
  if (!scheduler.start()) state.SkipWithError("no threads");
  for (auto _ : state) {
    scheduler.spawn(base::make_ref<Parent>(kChildren));
    scheduler.drain(kNever);
  }
  state.counters["task"] = benchmark::Counter(static_cast<double>(state.iterations()) * kChildren,
                                              benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_spawn_run_exit)->Arg(1)->Arg(4)->UseRealTime();

class Nothing final : public TimerEntry {
 public:
  ~Nothing() override { cancel(); }
  void fire() noexcept override {}
};

// Arm and cancel, as time-outs that are rarely needed do: by several threads on one wheel.
void BM_timer_arm_cancel(benchmark::State& state) {
  static std::unique_ptr<Timers> timers;
  if (state.thread_index() == 0) timers = std::make_unique<Timers>(0, nullptr);
  Nothing entry;
  uint64_t deadline_ns = 1'000'000 + static_cast<uint64_t>(state.thread_index());
  for (auto _ : state) {
    deadline_ns += 7919;
    timers->arm(entry, deadline_ns);
    benchmark::DoNotOptimize(entry.cancel());
  }
}
BENCHMARK(BM_timer_arm_cancel)->Threads(1)->Threads(4)->UseRealTime();

}  // namespace
}  // namespace weft::sched
