// How processes with threads end: with their first thread, by an exit, a trap or a limit in any of them, by a kill, and by a deadlock, which is found when it is
// there and only then.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "support/guests.hpp"
#include "support/thread_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

class ThreadsEndTest : public ThreadsTest {
 protected:
  // Starts a guest whose first thread runs `first` and that has three others which run `other`.
  Process spawn_four(std::string_view first, std::string_view other, Limits limits = {}) {
    return spawn({.module = compile(four(first, other)), .limits = few_threads(limits)});
  }

  // Enough for a storm. A storm of twelve thousand takes its time, and shows nothing more.
  static Limits few_threads(Limits limits = {}) {
    limits.threads = 100;
    return limits;
  }

  static std::string four(std::string_view first, std::string_view other) {
    // Those that are there already may have taken all places for a while.
    return thread_guest(
        R"((func $surely (param i32) (loop $again (br_if $again (i32.lt_s (call $spawn (local.get 0)) (i32.const 0)))))
      (func (export "_start")
      (call $surely (i32.const 0)) (call $surely (i32.const 1)) (call $surely (i32.const 2)))" +
            std::string(first) + R"()
      (func (export "wasi_thread_start") (param $id i32) (param $argument i32) (call $tell (i32.const 8)))" +
            std::string(other) + ")",
        "1 64", kUntilParked);
  }

  void expect_killed(const Process& process) {
    process.kill("the test");
    const ExitStatus status = process.join();
    EXPECT_EQ(status.kind, ExitKind::kKilled) << name_of(status.kind) << ": " << status.message;
    EXPECT_EQ(status.killed_by, "the test");
    EXPECT_EQ(status.thread, 0U) << "nobody's doing";
    EXPECT_EQ(status.usage.threads, 0U);
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }

  void expect_limit(const ExitStatus& status, LimitKind kind) {
    ASSERT_EQ(status.kind, ExitKind::kLimitReached) << name_of(status.kind) << ": " << status.message;
    ASSERT_TRUE(status.limit.has_value());
    EXPECT_EQ(status.limit->kind, kind) << status.message;
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }
};

// What the others do does not matter.
constexpr std::string_view kParks = "(call $wait_for_ever (i32.const 64))";
constexpr std::string_view kSpinning = "(call $spin)";
constexpr std::string_view kSleeping =
    "(call $nap (i32.add (i32.const 1024) (i32.mul (local.get $argument) (i32.const 256))) (i64.const 3600000000000))";
constexpr std::string_view kYielding = "(loop $again (drop (call $sched_yield)) (br $again))";
constexpr std::string_view kSpawning = "(loop $again (drop (call $spawn (i32.const 7))) (br $again))";
// Each thread that is started ends at once, but for the first three.
constexpr std::string_view kStorm =
    "(if (i32.eq (local.get $argument) (i32.const 7)) (then (return))) (loop $again (drop (call $spawn (i32.const 7))) (br "
    "$again))";
constexpr std::string_view kGrowing =
    "(loop $again (drop (memory.grow (i32.const 1))) (drop (memory.atomic.notify (i32.const 64) (i32.const -1))) (br $again))";
constexpr std::array kAllThatGoesOn{kParks, kSpinning, kSleeping, kYielding, kSpawning, kStorm, kGrowing};

TEST_F(ThreadsEndTest, TheFirstThreadsReturnEndsAll) {
  start_threads();
  for (const std::string_view other : kAllThatGoesOn) {
    const ExitStatus status = spawn_four("(call $await (i32.const 8) (i32.const 3))", other).join();
    expect_good(status);
    EXPECT_EQ(status.thread, 0U);
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }
}

TEST_F(ThreadsEndTest, AnExitInAThreadEndsAll) {
  start_threads();
  for (const std::string_view other : kAllThatGoesOn) {
    // The second thread exits when all are there.
    const std::string body =
        "(if (i32.eq (local.get $argument) (i32.const 1)) (then (call $await (i32.const 8) (i32.const 3)) "
        "(call $exit (i32.const 77))))" +
        std::string(other);
    const ExitStatus status = spawn_four(kParks, body).join();
    ASSERT_EQ(status.kind, ExitKind::kExited) << status.message;
    EXPECT_EQ(status.code, 77);
    EXPECT_GT(status.thread, 0U);
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }
  const ExitStatus good = spawn_four(kSpinning, "(call $exit (i32.const 0))").join();
  EXPECT_EQ(good.kind, ExitKind::kExited);
  EXPECT_TRUE(good.success());
}

// With the thread's id, and with the function's own name and index, although imports were added before it.
TEST_F(ThreadsEndTest, ATrapInAThreadEndsAll) {
  start_threads();
  for (const std::string_view first : {kParks, kSpinning}) {
    const Process process = spawn(R"((module
      (import "env" "memory" (memory 1 4 shared))
      (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
      (func $wait_for_ever (param i32) (drop (memory.atomic.wait32 (local.get 0) (i32.const 0) (i64.const -1))))
      (func $spin (loop $again (br $again)))
      (func $crash_here (unreachable))
      (func $on_the_way (call $crash_here))
      (func (export "_start") (i32.store (i32.const 4) (call $spawn (i32.const 0))))" +
                                  std::string(first) + R"()
      (func (export "wasi_thread_start") (param i32 i32)
        (i32.atomic.store (i32.const 8) (local.get 0))
        (drop (memory.atomic.notify (i32.const 8) (i32.const 1)))
        (call $on_the_way))))");
    const ExitStatus status = process.join();
    ASSERT_EQ(status.kind, ExitKind::kTrapped) << status.message;
    EXPECT_NE(status.message.find("unreachable"), std::string::npos) << status.message;
    EXPECT_GT(status.thread, 0U);
    ASSERT_EQ(status.backtrace.size(), 3U);
    EXPECT_EQ(status.backtrace[0].function, "crash_here");
    EXPECT_EQ(status.backtrace[0].function_index, 3U);
    EXPECT_EQ(status.backtrace[1].function, "on_the_way");
    EXPECT_EQ(status.backtrace[1].function_index, 4U);
    EXPECT_EQ(status.backtrace[2].function_index, 6U);
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }
}

// One that traps in the start function of its instance, too, and one whose instance cannot be made.
TEST_F(ThreadsEndTest, ATrapInAThreadsStartFunction) {
  start_threads();
  const ExitStatus status = spawn(thread_guest(R"(
    (func $init (if (i32.eq (i32.atomic.rmw.add (i32.const 64) (i32.const 1)) (i32.const 1)) (then (unreachable))))
    (start $init)
    (func (export "_start") (drop (call $spawn (i32.const 0))) (call $wait_for_ever (i32.const 128)))
    (func (export "wasi_thread_start") (param i32 i32)))"))
                                .join();
  ASSERT_EQ(status.kind, ExitKind::kTrapped) << status.message;
  EXPECT_GT(status.thread, 0U);
  ASSERT_FALSE(status.backtrace.empty());
  EXPECT_EQ(status.backtrace[0].function, "init");
}

TEST_F(ThreadsEndTest, AThreadThatExitsInItsStartFunction) {
  start_threads();
  const ExitStatus status = spawn(thread_guest(R"(
    (func $init (if (i32.eq (i32.atomic.rmw.add (i32.const 64) (i32.const 1)) (i32.const 1)) (then (call $exit (i32.const 9)))))
    (start $init)
    (func (export "_start") (drop (call $spawn (i32.const 0))) (call $wait_for_ever (i32.const 128)))
    (func (export "wasi_thread_start") (param i32 i32)))"))
                                .join();
  ASSERT_EQ(status.kind, ExitKind::kExited) << status.message;
  EXPECT_EQ(status.code, 9);
}

// A stack overflow in a thread is that limit's.
TEST_F(ThreadsEndTest, AThreadsStackIsLimited) {
  start_threads();
  const ExitStatus status = spawn(thread_guest(R"(
    (func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (i32.add (local.get 0) (i32.const 1)))))
    (func (export "_start") (drop (call $spawn (i32.const 0))) (call $wait_for_ever (i32.const 128)))
    (func (export "wasi_thread_start") (param i32 i32) (drop (call $down (i32.const 0)))))"))
                                .join();
  expect_limit(status, LimitKind::kStack);
  EXPECT_GT(status.thread, 0U);
}

TEST_F(ThreadsEndTest, Killed) {
  start_threads();
  for (const std::string_view other : kAllThatGoesOn) {
    for (const std::string_view first : {kParks, kSpinning}) {
      if (first == kParks && other == kParks) continue;  // a deadlock
      const Process process = spawn_four(first, other);
      while (process.usage().threads_started < 4) std::this_thread::yield();
      expect_killed(process);
    }
  }
}

// No moment of a thread's start and end is safe from a kill.
TEST_F(ThreadsEndTest, KilledAtAnyMoment) {
  start_threads();
  for (const std::string_view other : {kSpawning, kStorm, kGrowing}) {
    const Result<Program> program = runtime_->prepare({.module = compile(four(kStorm.substr(kStorm.find("(loop")), other))});
    ASSERT_TRUE(program.has_value());
    for (unsigned round = 0; round < std::max(150 / kFewerThreads, 8U); ++round) {
      const Process process = runtime_->spawn(*program).value();
      for (unsigned spin = 0; spin < round * 200; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
      expect_killed(process);
    }
  }
}

// ---- limits ----

TEST_F(ThreadsEndTest, WallTimeEndsAll) {
  start_threads();
  for (const std::string_view other : kAllThatGoesOn) {
    Limits limits;
    limits.wall_time = 20ms;
    for (const std::string_view first : {kSpinning, std::string_view("(call $nap (i32.const 2048) (i64.const 3600000000000))")}) {
      const ExitStatus status = spawn_four(first, other, limits).join();
      expect_limit(status, LimitKind::kWallTime);
      EXPECT_EQ(status.thread, 0U) << "nobody's doing";
    }
  }
}

// The CPU time of all threads counts together: if it were counted for each, eight of them would get eight times as much.
TEST_F(ThreadsEndTest, CpuTimeIsOfAllThreads) {
  start_threads();
  ProcessSpec spec{.module = compile(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (drop (call $spawn (i32.const 0)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 7))))
      (call $spin))
    (func (export "wasi_thread_start") (param i32 i32) (call $spin)))"))};
  spec.limits.cpu_time = 200ms;
  const ExitStatus status = spawn(std::move(spec)).join();
  expect_limit(status, LimitKind::kCpuTime);
  EXPECT_GE(status.usage.cpu_time, 200ms);
  EXPECT_LT(status.usage.cpu_time, 800ms);
  EXPECT_EQ(status.thread, 0U) << "nobody's doing";
}

// That of threads that have ended, too.
TEST_F(ThreadsEndTest, CpuTimeOfThreadsThatEnded) {
  start_threads();
  ProcessSpec spec{.module = compile(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (i32.atomic.store (i32.const 8) (i32.const 0))
        (drop (call $spawn (i32.const 0)))
        (call $await (i32.const 8) (i32.const 1))
        (br $again)))
    (func (export "wasi_thread_start") (param i32 i32) (local $i i32)
      (loop $again (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
      (call $tell (i32.const 8))))"))};
  spec.limits.cpu_time = 50ms;
  const ExitStatus status = spawn(std::move(spec)).join();
  expect_limit(status, LimitKind::kCpuTime);
  EXPECT_GE(status.usage.cpu_time, 50ms);
  EXPECT_GT(status.usage.threads_started, 2U);
}

// Fuel is what keeps an untrusted guest from working without end, and each thread would get its own: so it is refused, before anything runs.
TEST_F(ThreadsEndTest, FuelOfThreads) {
  RuntimeOptions options = options_with_host();
  options.fuel = true;
  Runtime& runtime = start(std::move(options));
  ProcessSpec spec{.module =
                       compile(thread_guest(R"((func (export "_start")) (func (export "wasi_thread_start") (param i32 i32)))"))};
  EXPECT_TRUE(runtime.prepare(spec).has_value());
  spec.limits.fuel = 100'000;
  const Result<Program> refused = runtime.prepare(spec);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kBadArgument);
  EXPECT_NE(refused.error().message.find("--cpu-time"), std::string::npos) << refused.error().message;
}

// The elements of all threads' tables are counted together, of which each thread's instance has its own.
TEST_F(ThreadsEndTest, TableElementsOfThreads) {
  start_threads();
  ProcessSpec spec{.module = compile(thread_guest(R"(
    (table 900 funcref)
    (func (export "_start") (drop (call $spawn (i32.const 0))) (drop (call $spawn (i32.const 0))) (call $await (i32.const 8) (i32.const 2)))
    (func (export "wasi_thread_start") (param i32 i32) (call $tell (i32.const 8)) (call $wait_for_ever (i32.const 128))))"))};
  spec.limits.table_elements = 1000;
  expect_limit(spawn(std::move(spec)).join(), LimitKind::kTableElements);
}

TEST_F(ThreadsEndTest, CapturedOutputOfAllThreads) {
  start_threads();
  ProcessSpec spec{.module = compile(four(kParks, R"(
    (i32.store (i32.const 256) (i32.const 4096))
    (i32.store (i32.const 260) (i32.const 4096))
    (loop $again
      (drop (call $fd_write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 264)))
      (br $again)))")),
                   .output = Output::capture()};
  spec.limits.output_bytes = 100'000;
  const Process process = spawn(std::move(spec));
  expect_limit(process.join(), LimitKind::kOutput);
  EXPECT_EQ(process.captured(Stream::kOut).size(), 100'000U);
}

// ---- deadlocks ----

class DeadlockTest : public ThreadsEndTest {
 protected:
  Process spawn_with(std::string_view guest, OnDeadlock policy) { return spawn({.module = compile(guest), .on_deadlock = policy}); }
};

// The first waits for what the second would have to say, and the other way round.
constexpr std::string_view kCrosswise = R"(
  (func $waits_for_second (drop (memory.atomic.wait32 (i32.const 128) (i32.const 7) (i64.const -1))))
  (func $waits_for_first (drop (memory.atomic.wait64 (i32.const 192) (i64.const 0x123456789) (i64.const -1))))
  (func $first (call $waits_for_second))
  (func (export "_start")
    (i32.store (i32.const 128) (i32.const 7))
    (i64.store (i32.const 192) (i64.const 0x123456789))
    (drop (call $spawn (i32.const 0)))
    (call $first)
    (drop (memory.atomic.notify (i32.const 192) (i32.const 1))))
  (func (export "wasi_thread_start") (param i32 i32)
    (call $waits_for_first)
    (drop (memory.atomic.notify (i32.const 128) (i32.const 1)))))";

TEST_F(DeadlockTest, TwoThreadsCrosswise) {
  start_threads();
  for (unsigned round = 0; round < std::max(100 / kFewerThreads, 5U); ++round) {
    const ExitStatus status = spawn_with(thread_guest(kCrosswise), OnDeadlock::kReport).join();
    ASSERT_EQ(status.kind, ExitKind::kDeadlocked) << status.message;
    EXPECT_FALSE(status.success());
    EXPECT_EQ(status.thread, 0U);
    ASSERT_EQ(status.waiting.size(), 2U);
    EXPECT_EQ(status.waiting[0].thread, 0U);
    EXPECT_EQ(status.waiting[0].address, 128U);
    EXPECT_EQ(status.waiting[0].value, 7U);
    ASSERT_EQ(status.waiting[0].stack.size(), 3U);
    EXPECT_EQ(status.waiting[0].stack[0].function, "waits_for_second");
    EXPECT_EQ(status.waiting[0].stack[1].function, "first");
    EXPECT_EQ(status.waiting[1].thread, 1U);
    EXPECT_EQ(status.waiting[1].address, 192U);
    EXPECT_EQ(status.waiting[1].value, 0x23456789U);
    ASSERT_EQ(status.waiting[1].stack.size(), 2U);
    EXPECT_EQ(status.waiting[1].stack[0].function, "waits_for_first");
    EXPECT_NE(status.message.find("all its 2 threads"), std::string::npos) << status.message;
    for (const std::string_view part :
         {"the first thread waits", "thread 1 waits", "0x80", "0x7", "0xc0", "waits_for_second", "waits_for_first"})
      EXPECT_NE(status.detail.find(part), std::string::npos) << part << " in\n" << status.detail;
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }
}

TEST_F(DeadlockTest, OneThreadAlone) {
  start_threads();
  // Also one whose program can have no threads at all.
  for (const std::string_view guest :
       {R"((module (memory 1 1 shared) (func $hangs (drop (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1))))
         (func (export "_start") (call $hangs))))",
        R"((module (import "env" "memory" (memory 1 1 shared))
         (func $hangs (drop (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1))))
         (start $hangs) (func (export "_start"))))"}) {
    const ExitStatus status = spawn_with(guest, OnDeadlock::kReport).join();
    ASSERT_EQ(status.kind, ExitKind::kDeadlocked) << status.message;
    EXPECT_NE(status.message.find("its only thread"), std::string::npos) << status.message;
    ASSERT_EQ(status.waiting.size(), 1U);
    EXPECT_EQ(status.waiting[0].address, 8U);
    ASSERT_FALSE(status.waiting[0].stack.empty());
    EXPECT_EQ(status.waiting[0].stack[0].function, "hangs");
  }
}

// Nobody waits that has not waited before: it is the end of the last one that could have helped.
TEST_F(DeadlockTest, TheLastThatCouldHelpReturns) {
  start_threads();
  for (unsigned round = 0; round < std::max(100 / kFewerThreads, 5U); ++round) {
    const ExitStatus status = spawn_with(thread_guest(R"(
      (func (export "_start")
        (drop (call $spawn (i32.const 0)))
        (drop (call $spawn (i32.const 1)))
        (call $wait_for_ever (i32.const 128)))
      (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
        (if (local.get $argument) (then (call $until_parked (i32.const 2)) (return)))
        (call $wait_for_ever (i32.const 192))))",
                                                      "1 1", kUntilParked),
                                         OnDeadlock::kReport)
                                  .join();
    ASSERT_EQ(status.kind, ExitKind::kDeadlocked) << status.message;
    ASSERT_EQ(status.waiting.size(), 2U);
    EXPECT_EQ(status.waiting[0].thread, 0U);
    EXPECT_EQ(status.waiting[0].address, 128U);
    EXPECT_EQ(status.waiting[1].address, 192U);
    EXPECT_EQ(status.usage.threads_started, 3U);
  }
}

// Many threads: all are counted, those at the front are shown.
TEST_F(DeadlockTest, OfManyThreads) {
  start_threads();
  const unsigned threads = kFewerThreads > 1 ? 80 : 1500;
  const ExitStatus status = spawn_with(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (drop (call $spawn (i32.const 0)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const )" +
                                                    std::to_string(threads - 1) + R"())))
      (call $wait_for_ever (i32.const 128)))
    (func (export "wasi_thread_start") (param i32 i32) (call $wait_for_ever (i32.const 192))))"),
                                       OnDeadlock::kReport)
                                .join();
  ASSERT_EQ(status.kind, ExitKind::kDeadlocked) << status.message;
  EXPECT_EQ(status.waiting.size(), std::min(threads, 1000U));
  EXPECT_EQ(status.waiting[0].thread, 0U) << "the first thread is among those that are shown";
  EXPECT_EQ(std::ranges::count_if(status.waiting, [](const WaitingThread& waiting) { return !waiting.stack.empty(); }), 64);
  EXPECT_NE(status.message.find("all its " + std::to_string(threads) + " threads"), std::string::npos) << status.message;
}

TEST_F(DeadlockTest, KillAndIgnore) {
  start_threads();
  const ExitStatus killed = spawn_with(thread_guest(kCrosswise), OnDeadlock::kKill).join();
  EXPECT_EQ(killed.kind, ExitKind::kDeadlocked) << killed.message;
  EXPECT_TRUE(killed.waiting.empty());
  EXPECT_NE(killed.message.find("all its 2 threads"), std::string::npos) << killed.message;
  const Process ignored = spawn_with(thread_guest(kCrosswise), OnDeadlock::kIgnore);
  wait_until_threads_park(ignored, 2);
  EXPECT_TRUE(ignored.running());
  EXPECT_EQ(parked(ignored.id()), 2U);
  expect_killed(ignored);
}

// The two threads wait, but one of them not for ever, or not for the other: no deadlock. That they end well shows it, as a deadlock ends them.
TEST_F(DeadlockTest, NotWhereSomebodyWillGoOn) {
  start_threads();
  for (const std::string_view pause :
       {"(drop (memory.atomic.wait32 (i32.const 256) (i32.const 0) (i64.const 3000000)))",
        "(call $nap (i32.const 512) (i64.const 3000000))", "(call $until_parked (i32.const 1))", "(drop (call $sched_yield))"}) {
    const ExitStatus status =
        spawn_with(thread_guest("(func (export \"_start\") (drop (call $spawn (i32.const 0)))" + std::string(pause) + R"(
        (call $until_parked (i32.const 1))
        (call $tell (i32.const 128))
        (call $await (i32.const 192) (i32.const 1)))
      (func (export "wasi_thread_start") (param i32 i32)
        (call $await (i32.const 128) (i32.const 1))
        (call $tell (i32.const 192))))",
                                "1 1", kUntilParked),
                   OnDeadlock::kReport)
            .join();
    expect_good(status);
  }
}

// Threads that hand a token around are all blocked but one, at any moment.
TEST_F(DeadlockTest, NotWhereThereIsAlwaysOneLeft) {
  start_threads();
  for (unsigned round = 0; round < 20 / std::min(kFewerThreads, 10U); ++round) {
    expect_good(spawn_with(thread_guest(R"(
      (func (export "_start")
        (drop (call $spawn (i32.const 1))) (drop (call $spawn (i32.const 2))) (drop (call $spawn (i32.const 3)))
        (call $pass (i32.const 0))
        (call $await (i32.const 8) (i32.const 4)))
      (func $pass (param $mine i32) (local $turn i32)
        (loop $again
          (local.set $turn (i32.atomic.load (i32.const 64)))
          (if (i32.ge_u (local.get $turn) (i32.const 4000)) (then (call $tell (i32.const 8)) (return)))
          (if (i32.eq (i32.and (local.get $turn) (i32.const 3)) (local.get $mine))
            (then (call $tell (i32.const 64)))
            (else (drop (memory.atomic.wait32 (i32.const 64) (local.get $turn) (i64.const -1)))))
          (br $again)))
      (func (export "wasi_thread_start") (param $id i32) (param $argument i32) (call $pass (local.get $argument))))"),
                           OnDeadlock::kReport)
                    .join());
  }
}

// A kill, a limit or a trap that comes together with a deadlock: one of the two, and nothing is left.
TEST_F(DeadlockTest, TogetherWithAKill) {
  start_threads();
  const Result<Program> program = runtime_->prepare({.module = compile(thread_guest(kCrosswise))});
  ASSERT_TRUE(program.has_value());
  std::map<ExitKind, int> ends;
  for (unsigned round = 0; round < std::max(500 / kFewerThreads, 50U); ++round) {
    const Process process = runtime_->spawn(*program).value();
    for (unsigned spin = 0; spin < (round % 100) * 1000; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
    process.kill("the test");
    const ExitStatus status = process.join();
    ++ends[status.kind];
    ASSERT_TRUE(status.kind == ExitKind::kKilled || status.kind == ExitKind::kDeadlocked) << name_of(status.kind);
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }
}

}  // namespace
}  // namespace weft::testing
