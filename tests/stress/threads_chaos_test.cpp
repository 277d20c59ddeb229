// Chaos with threads: guests whose threads start others, wait, notify, grow memory, sleep, read, write, exit, trap and return at random, while host threads kill
// them, ask them to stop, look at them and drop their handles, until the runtime is shut down at a random moment. Every process ends in a way that it may end
// in, and nothing is left: no guest thread, task, process or timer, no thread, descriptor or mapping of the host.
//
// WEFT_CHAOS_SEED and WEFT_CHAOS_ROUNDS as in chaos_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iostream>
#include <random>
#include <thread>
#include <vector>

#include "support/thread_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kHostThreads = 3;
constexpr unsigned kActions = 60;  // of each host thread, a round
constexpr int kWarmUpRounds = 2;
constexpr std::uint64_t kPageBytes = 64U << 10;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

[[maybe_unused]] std::size_t lines_in(const char* path) {
  std::ifstream file(path);
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
}

// What each thread does a hundred times is drawn from a generator of its own (xorshift), which its maker has given a seed. The words at 64 … 92 are waited on.
constexpr std::string_view kChaos = R"(
  (global $random (mut i64) (i64.const 1))
  (global $id (mut i32) (i32.const 0))
  (func $draw (param $below i32) (result i32)
    (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 13))))
    (global.set $random (i64.xor (global.get $random) (i64.shr_u (global.get $random) (i64.const 7))))
    (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 17))))
    (i32.rem_u (i32.wrap_i64 (i64.shr_u (global.get $random) (i64.const 20))) (local.get $below)))
  (func $word (result i32) (i32.add (i32.const 64) (i32.mul (i32.const 4) (call $draw (i32.const 8)))))
  ;; 160 bytes for calls; threads that share one get in each other's way, as hostile ones may.
  (func $scratch (result i32) (i32.add (i32.const 1024) (i32.mul (i32.const 160) (i32.rem_u (global.get $id) (i32.const 64)))))
  (func $timeout (result i64)
    (if (i32.eqz (call $draw (i32.const 12))) (then (return (i64.const -1))))
    (i64.extend_i32_u (call $draw (i32.const 200000))))
  (func $act (local $address i32)
    (block $spawn (block $wait32 (block $wait64 (block $notify (block $grow (block $yield (block $nap (block $write (block $read (block $work
      (block $trap (block $exit
        (br_table $spawn $spawn $wait32 $wait32 $wait32 $wait64 $notify $notify $notify $grow $yield $nap $write $read $work $trap $exit
          (select (call $draw (i32.const 15)) (i32.add (i32.const 15) (call $draw (i32.const 2))) (call $draw (i32.const 1500)))))
      (call $exit (i32.const 5)))
      (unreachable))
      (local.set $address (i32.const 5000))
      (loop $again (br_if $again (local.tee $address (i32.sub (local.get $address) (i32.const 1)))))
      (return))
      (i32.store (call $scratch) (i32.add (call $scratch) (i32.const 100)))
      (i32.store offset=4 (call $scratch) (i32.const 40))
      (drop (call $fd_read (i32.const 0) (call $scratch) (i32.const 1) (i32.add (call $scratch) (i32.const 8))))
      (return))
      (i32.store (call $scratch) (i32.const 64))
      (i32.store offset=4 (call $scratch) (i32.const 32))
      (drop (call $fd_write (i32.const 1) (call $scratch) (i32.const 1) (i32.add (call $scratch) (i32.const 8))))
      (return))
      (call $nap (call $scratch) (i64.extend_i32_u (call $draw (i32.const 100000))))
      (return))
      (drop (call $sched_yield))
      (return))
      (drop (memory.grow (i32.const 1)))
      (return))
      (local.set $address (call $word))
      (drop (i32.atomic.rmw.add (local.get $address) (i32.const 1)))
      (drop (memory.atomic.notify (local.get $address) (i32.sub (call $draw (i32.const 4)) (i32.const 1))))
      (return))
      (local.set $address (i32.and (call $word) (i32.const -8)))
      (drop (memory.atomic.wait64 (local.get $address) (i64.atomic.load (local.get $address)) (call $timeout)))
      (return))
      (local.set $address (call $word))
      (drop (memory.atomic.wait32 (local.get $address) (i32.atomic.load (local.get $address)) (call $timeout)))
      (return))
    (drop (call $spawn (call $draw (i32.const 1000000)))))
  (func $acts (local $times i32)
    (local.set $times (i32.add (i32.const 1) (call $draw (i32.const 100))))
    (loop $again
      (call $act)
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))
  (func (export "run") (param $seed i64)
    (global.set $random (local.get $seed))
    (call $acts)
    ;; What the threads wait for, it waits for, too.
    (if (call $draw (i32.const 2)) (then (call $wait_for_ever (i32.const 128)))))
  (func (export "wasi_thread_start") (param $id i32) (param $seed i32)
    (global.set $id (local.get $id))
    (global.set $random (i64.add (i64.const 0x9e3779b97f4a7c15) (i64.extend_i32_u (local.get $seed))))
    (call $acts)))";

class Round {
 public:
  explicit Round(std::uint64_t seed) : random_(seed), seed_(seed) {
    RuntimeOptions options;
    options.fibers = testing::chosen_fibers();
    options.workers = static_cast<unsigned>(1 + below(4));
    options.quantum = std::chrono::microseconds(10 + below(1000));
    options.processes_max = 100;
    options.threads_max = std::min(static_cast<unsigned>(20 + below(500)), kThreadsMax);
    options.stack_bytes = 64U << 10;
    options.fuel = one_in(3);
    options.trace = one_in(3);
    options.cache = false;
    Result<Runtime> made = Runtime::create(std::move(options));
    if (!made) ADD_FAILURE() << made.error().message;
    runtime_ = made.value();
    const std::string text = thread_guest(kChaos, "1 40");
    module_ = runtime_.compile({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, "chaos").value();
  }

  void run() {
    const Watchdog watchdog(runtime_);
    const bool in_the_middle = one_in(2);
    const std::uint64_t enough = 1 + below(80);
    acting_ = kHostThreads;
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < kHostThreads; ++thread) threads.emplace_back([this, thread] { act(thread); });
    if (in_the_middle) {
      while (runtime_.stats().processes_spawned < enough && acting_.load() > 0) std::this_thread::yield();
      shut_down();
    }
    for (std::thread& thread : threads) thread.join();
    if (!in_the_middle) {
      for (const Known& known : known_) known.process.kill("chaos, at the end");
      for (const Known& known : known_) (void)known.process.join();
      EXPECT_EQ(runtime_.stats().processes, 0U);
      EXPECT_EQ(runtime_.stats().guest_threads, 0U);
      shut_down();
    }
    for (const Known& known : known_) check(known);
    const RuntimeStats stats = runtime_.stats();
    EXPECT_EQ(stats.tasks, 0U);
    EXPECT_EQ(stats.processes, 0U);
    EXPECT_EQ(stats.guest_threads, 0U);
    EXPECT_EQ(stats.timers, 0U);
    EXPECT_EQ(runtime_.dump().size(), 0U);
  }

  std::array<std::uint64_t, 7> ended{};
  std::uint64_t threads_started = 0;
  std::uint64_t threads_most = 0;

 private:
  struct Known {
    Process process;
    Limits limits;
    OnDeadlock on_deadlock;
  };

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t chances) { return below(chances) == 0; }

  void shut_down() {
    const ShutdownReport report = runtime_.shutdown(0ns, kHang);
    EXPECT_TRUE(report.surviving.empty()) << to_text(report.surviving);
  }

  void act(unsigned thread) {
    std::mt19937_64 random(seed_ * kHostThreads + thread);
    const auto dice = [&random](std::uint64_t bound) { return random() % bound; };
    for (unsigned action = 0; action < kActions; ++action) {
      const std::uint64_t what = dice(10);
      if (what < 4) {
        spawn(random());
        continue;
      }
      Known known;
      {
        std::lock_guard lock(mutex_);
        if (known_.empty()) continue;
        known = known_[known_.size() - 1 - dice(std::min<std::size_t>(known_.size(), 10))];
      }
      switch (what) {
        case 4:
        case 5:
          known.process.kill("chaos");
          break;
        case 6:
          known.process.request_stop();
          known.process.set_priority(static_cast<Priority>(dice(8)));
          break;
        case 7:
          (void)known.process.join_for(std::chrono::microseconds(dice(2000)));
          break;
        case 8: {
          const Usage usage = known.process.usage();
          EXPECT_LE(usage.threads, usage.threads_max);
          EXPECT_LE(usage.threads_max, usage.threads_started);
          break;
        }
        default:
          (void)to_text(runtime_.dump(dice(2) == 0, 1ms));
          break;
      }
    }
    --acting_;
  }

  void spawn(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto dice = [&random](std::uint64_t bound) { return random() % bound; };
    ProcessSpec spec{.module = module_, .entry = "run", .entry_values = {static_cast<std::int64_t>(seed | 1)}};
    spec.on_deadlock = static_cast<OnDeadlock>(dice(3));
    spec.input = dice(2) == 0 ? Input::of(std::string(1000, 'x')) : Input::empty();
    if (dice(2) == 0) spec.output = dice(2) == 0 ? Output::capture() : Output::to([](ProcessId, Stream, std::string_view) {});
    spec.limits.output_bytes = 1 + dice(20'000);
    spec.limits.threads = 1 + dice(64);
    if (dice(4) == 0) spec.limits.wall_time = std::chrono::microseconds(1 + dice(5000));
    if (dice(4) == 0) spec.limits.cpu_time = std::chrono::microseconds(1 + dice(5000));
    if (dice(4) == 0) spec.limits.memory_bytes = kPageBytes * (1 + dice(40));
    const Limits limits = spec.limits;
    const OnDeadlock on_deadlock = spec.on_deadlock;
    const Result<Process> process = runtime_.spawn(std::move(spec));
    if (!process) {
      const bool bound = process.error().kind == ErrorKind::kExhausted || process.error().kind == ErrorKind::kCancelled;
      EXPECT_TRUE(bound) << process.error().message;
      return;
    }
    std::lock_guard lock(mutex_);
    known_.push_back({*process, limits, on_deadlock});
  }

  void check(const Known& known) {
    ASSERT_FALSE(known.process.running());
    const ExitStatus status = known.process.join();
    ++ended[static_cast<std::size_t>(status.kind)];
    threads_started += status.usage.threads_started;
    threads_most = std::max(threads_most, status.usage.threads_max);
    const std::string what = std::string(name_of(status.kind)) + ": " + status.message + "\n" + status.detail;
    EXPECT_EQ(status.usage.threads, 0U) << what;
    EXPECT_LE(status.usage.threads_max, *known.limits.threads) << what;
    EXPECT_LE(status.usage.threads_max, status.usage.threads_started) << what;
    EXPECT_LE(status.usage.memory_bytes, status.usage.memory_bytes_max) << what;
    EXPECT_LE(status.usage.memory_bytes_max, std::min(known.limits.memory_bytes.value_or(~0ULL), 40 * kPageBytes)) << what;
    EXPECT_EQ(status.usage.memory_bytes % kPageBytes, 0U) << what;
    EXPECT_EQ(status.kind == ExitKind::kLimitReached, status.limit.has_value()) << what;
    switch (status.kind) {
      case ExitKind::kReturned:
        EXPECT_EQ(status.thread, 0U) << what;
        break;
      case ExitKind::kExited:
        EXPECT_EQ(status.code, 5) << what;
        break;
      case ExitKind::kTrapped:
        EXPECT_NE(status.message.find("unreachable"), std::string::npos) << what;
        ASSERT_FALSE(status.backtrace.empty()) << what;
        EXPECT_EQ(status.backtrace[0].function, "act") << what;
        break;
      case ExitKind::kKilled:
        EXPECT_FALSE(status.killed_by.empty()) << what;
        break;
      case ExitKind::kLimitReached: {
        const Limits& limits = known.limits;
        const LimitKind limit = status.limit->kind;
        EXPECT_TRUE((limit == LimitKind::kMemory && limits.memory_bytes) || (limit == LimitKind::kCpuTime && limits.cpu_time) ||
                    (limit == LimitKind::kWallTime && limits.wall_time) || limit == LimitKind::kOutput)
            << what;
        break;
      }
      case ExitKind::kFailed:
        ADD_FAILURE() << what;
        break;
      case ExitKind::kDeadlocked:
        EXPECT_NE(known.on_deadlock, OnDeadlock::kIgnore) << what;
        EXPECT_EQ(known.on_deadlock == OnDeadlock::kReport, !status.waiting.empty()) << what;
        for (std::size_t index = 0; index < status.waiting.size(); ++index) {
          const WaitingThread& waiting = status.waiting[index];
          EXPECT_TRUE(waiting.address == 128 || (waiting.address >= 64 && waiting.address < 96)) << waiting.address;
          EXPECT_FALSE(waiting.stack.empty()) << what;
          EXPECT_TRUE(index == 0 || status.waiting[index - 1].thread < waiting.thread) << what;
        }
        break;
    }
  }

  std::mt19937_64 random_;
  const std::uint64_t seed_;
  Runtime runtime_{nullptr};
  Module module_;
  std::mutex mutex_;
  std::vector<Known> known_;  // under mutex_
  std::atomic<unsigned> acting_{0};
};

TEST(ThreadsChaosTest, NothingIsLeft) {
  const std::uint64_t seed = number_from("WEFT_CHAOS_SEED", 1);
  const int rounds = static_cast<int>(number_from("WEFT_CHAOS_ROUNDS", 30));
  std::cout << "chaos: WEFT_CHAOS_SEED=" << seed << " WEFT_CHAOS_ROUNDS=" << rounds << std::endl;
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  [[maybe_unused]] std::size_t mappings = 0;
  std::uint64_t threads_started = 0;
  std::uint64_t threads_most = 0;
  std::array<std::uint64_t, 7> ended{};
  for (int number = 0; number < rounds + kWarmUpRounds; ++number) {
    const std::uint64_t now = seed + static_cast<std::uint64_t>(number);
    SCOPED_TRACE("round with WEFT_CHAOS_SEED=" + std::to_string(now) + " WEFT_CHAOS_ROUNDS=1");
    {
      Round round(now);
      round.run();
      for (std::size_t kind = 0; kind < ended.size(); ++kind) ended[kind] += round.ended[kind];
      threads_started += round.threads_started;
      threads_most = std::max(threads_most, round.threads_most);
    }
    if (::testing::Test::HasFailure()) return;
    if (number < kWarmUpRounds) {
      descriptors = entries_in("/proc/self/fd");
      threads = entries_in("/proc/self/task");
      mappings = lines_in("/proc/self/maps");
      continue;
    }
    ASSERT_EQ(entries_in("/proc/self/fd"), descriptors) << "descriptors were left open";
    ASSERT_EQ(entries_in("/proc/self/task"), threads) << "threads were left running";
#ifndef WEFT_SANITIZE
    ASSERT_LE(lines_in("/proc/self/maps"), mappings + 100) << "mappings were left";
#endif
  }
  std::cout << "chaos: " << threads_started << " threads, at most " << threads_most << " in one process; processes:";
  for (std::size_t kind = 0; kind < ended.size(); ++kind)
    std::cout << " " << name_of(static_cast<ExitKind>(kind)) << " " << ended[kind];
  std::cout << std::endl;
  // Otherwise the test shows nothing.
  if (rounds < 30 || kThreadsMax < 1000) return;
  EXPECT_GT(threads_started, 2000U);
  EXPECT_GT(threads_most, 10U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kReturned)], 20U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kExited)], 5U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kTrapped)], 5U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kKilled)], 50U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kLimitReached)], 20U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kDeadlocked)], 5U);
}

}  // namespace
}  // namespace weft::testing
