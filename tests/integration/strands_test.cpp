// Strands beside everything else of a runtime: many of them killed wherever they wait, with nothing left; host functions that many call at once, or that call
// the guest back; and processes of which one strand spins.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

#if defined(WEFT_SANITIZE)
constexpr unsigned kStrands = 500;
#else
constexpr unsigned kStrands = 10'000;
#endif

// Each strand waits in another way, by its number: parked, asleep by the scheduler's clock or by WASI's, in a host function, or for a strand that does. Then main
// does what it is told.
std::string many_waiting(std::string_view then) {
  return R"((module
    (import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
    (import "weft_strand" "park" (func $park))
    (import "weft_strand" "self" (func $self (result i64)))
    (import "weft_strand" "join" (func $join (param i64) (result i64)))
    (import "weft_strand" "sleep" (func $sleep (param i64)))
    (import "weft_strand" "yield" (func $yield))
    (import "env" "wait" (func $wait (param i32) (result i32)))
    (import "env" "all_wait" (func $all_wait))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 32)
    (table funcref (elem $strand))
    (global $hour i64 (i64.const 3600000000000))
    (func $nap (param $place i32)
      (i32.store offset=16 (local.get $place) (i32.const 1))
      (i64.store offset=24 (local.get $place) (global.get $hour))
      (drop (call $poll (local.get $place) (i32.add (local.get $place) (i32.const 64)) (i32.const 1) (local.get $place))))
    (func $strand (param $number i32) (result i32)
      (block $nap (block $join (block $host (block $sleep (block $park
        (br_table $park $sleep $host $join $nap (i32.rem_u (local.get $number) (i32.const 5))))
        (call $park) (unreachable))
        (call $sleep (global.get $hour)) (unreachable))
        (drop (call $wait (local.get $number))) (unreachable))
        (drop (call $join (i64.sub (call $self) (i64.const 1)))) (unreachable))
      (call $nap (i32.mul (local.get $number) (i32.const 128)))
      (unreachable))
    (func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (i32.add (local.get 0) (i32.const 1)))))
    (func (export "_start") (local $i i32)
      (loop $again
        (if (i64.le_s (call $spawn (i32.const 0) (local.get $i) (i32.const 1)) (i64.const 0)) (then (unreachable)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const )" +
         std::to_string(kStrands) + R"())))
      (call $yield)
      (call $all_wait)
      )" +
         std::string(then) + "))";
}

class StrandsTest : public RuntimeTest {
 protected:
  // How many calls of `env.wait` there are, and have been.
  struct Waits {
    std::atomic<unsigned> begun = 0;
    std::atomic<unsigned> under_way = 0;
    std::atomic<bool> all_wait = false;
  };

  struct Guard {
    std::shared_ptr<Waits> waits;
    explicit Guard(std::shared_ptr<Waits> of) : waits(std::move(of)) {
      ++waits->begun;
      ++waits->under_way;
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { --waits->under_way; }
  };

  RuntimeOptions options_with_host() {
    RuntimeOptions options = usual_options();
    options.processes_max = 100;
    options.host.define("env", "wait", [waits = waits_](Caller&, std::int32_t) -> Task<std::int32_t> {
      const Guard guard(waits);
      co_await sleep_for(1h);
      co_return 0;
    });
    options.host.define("env", "all_wait", [waits = waits_](Caller&) { waits->all_wait = true; });
    return options;
  }

  static std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(maps), {}, '\n'));
  }

  // Processes of one such guest end one after the other; each leaves what the first left behind.
  void expect_nothing_left(std::string_view then, Limits limits, const std::function<void(const Process&)>& end, ExitKind kind) {
    start(options_with_host());
    const Module module = compile(many_waiting(then));
    std::size_t left = 0;
    for (int round = 0; round < 3; ++round) {
      waits_->begun = 0;
      waits_->all_wait = false;
      const Process process = spawn({.module = module, .limits = limits});
      while (!waits_->all_wait && !process.try_join()) std::this_thread::yield();
      // A busy machine may not get there in time.
      if (waits_->all_wait || !limits.wall_time) {
        EXPECT_EQ(waits_->begun, kStrands / 5);
      }
      if (kind == ExitKind::kKilled) {
        EXPECT_GT(mappings(), 2 * kStrands) << "the strands have no stacks";
      }
      end(process);
      const ExitStatus status = process.join();
      EXPECT_EQ(status.kind, kind) << name_of(status.kind) << ": " << status.message;
      EXPECT_EQ(waits_->under_way, 0U) << "host functions were not ended";
      EXPECT_EQ(runtime_->stats().timers, 0U);
      if (round == 0) left = mappings();
      EXPECT_LE(mappings(), left + 50) << "stacks were left";
    }
  }

  const std::shared_ptr<Waits> waits_ = std::make_shared<Waits>();
};

TEST_F(StrandsTest, KilledWithThousandsThatWait) {
  expect_nothing_left("(call $park)", {}, [](const Process& process) { process.kill("the test"); }, ExitKind::kKilled);
}

TEST_F(StrandsTest, KilledWhileOneOfThousandsRuns) {
  expect_nothing_left("(loop $again (br $again))", {}, [](const Process& process) { process.kill("the test"); }, ExitKind::kKilled);
}

TEST_F(StrandsTest, TrappedWithThousandsThatWait) {
  expect_nothing_left("(unreachable)", {}, [](const Process&) {}, ExitKind::kTrapped);
}

TEST_F(StrandsTest, ReturnedWithThousandsThatWait) {
  expect_nothing_left("", {}, [](const Process&) {}, ExitKind::kReturned);
}

TEST_F(StrandsTest, OutOfStackWithThousandsThatWait) {
  expect_nothing_left("(drop (call $down (i32.const 0)))", {}, [](const Process&) {}, ExitKind::kLimitReached);
}

TEST_F(StrandsTest, OutOfTimeWithThousandsThatWait) {
  expect_nothing_left("(call $park)", {.wall_time = 2s}, [](const Process&) {}, ExitKind::kLimitReached);
}

// Strands whose numbers are the lower the longer they wait for the host; each gets its own answer.
constexpr std::string_view kAsksTheHost = R"((module
  (import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "weft_strand" "join" (func $join (param i64) (result i64)))
  (import "env" "ask" (func $ask (param i32) (result i32)))
  (memory (export "memory") 1)
  (table funcref (elem $strand))
  (func $strand (param $number i32) (result i32) (call $ask (local.get $number)))
  (func (export "_start") (local $i i32)
    (loop $again
      (i64.store (i32.mul (local.get $i) (i32.const 8)) (call $spawn (i32.const 0) (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))
    (loop $each
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (if (i64.ne (call $join (i64.load (i32.mul (local.get $i) (i32.const 8)))) (i64.extend_i32_u (i32.add (local.get $i) (i32.const 1000))))
        (then (unreachable)))
      (br_if $each (local.get $i))))))";

// Ten strands, which take turns.
constexpr std::string_view kAnotherWithStrands = R"((module
  (import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "weft_strand" "join" (func $join (param i64) (result i64)))
  (import "weft_strand" "yield" (func $yield))
  (memory (export "memory") 1)
  (table funcref (elem $strand))
  (global $turns (mut i32) (i32.const 0))
  (func $strand (param i32) (result i32) (local $i i32)
    (loop $again
      (global.set $turns (i32.add (global.get $turns) (i32.const 1)))
      (call $yield)
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
    (local.get 0))
  (func (export "_start") (local $i i32)
    (loop $again
      (i64.store (i32.mul (local.get $i) (i32.const 8)) (call $spawn (i32.const 0) (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (loop $each
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (if (i64.ne (call $join (i64.load (i32.mul (local.get $i) (i32.const 8)))) (i64.extend_i32_u (local.get $i))) (then (unreachable)))
      (br_if $each (local.get $i)))
    (if (i32.ne (global.get $turns) (i32.const 1000)) (then (unreachable))))))";

TEST_F(StrandsTest, EachIsAnsweredByItself) {
  RuntimeOptions options = usual_options();
  auto asked = std::make_shared<std::atomic<int>>(0);
  auto most = std::make_shared<std::atomic<int>>(0);
  options.host.define("env", "ask", [asked, most](Caller&, std::int32_t number) -> Task<std::int32_t> {
    *most = std::max(most->load(), ++*asked);
    // Until all have asked.
    while (*most < 50) co_await sleep_for(1ms);
    co_await sleep_for(std::chrono::milliseconds(50 - number));
    --*asked;
    co_return number + 1000;
  });
  start(std::move(options));
  const ExitStatus status = spawn(kAsksTheHost).join();
  EXPECT_TRUE(status.success()) << status.message << status.detail;
  EXPECT_EQ(*most, 50);
}

// A host function, called by a strand, calls the guest back: on a strand of its own, as it cannot be on that of its caller. Each level does it again.
TEST_F(StrandsTest, HostFunctionsCallTheGuestBack) {
  constexpr std::string_view kCallsBack = R"((module
    (import "weft_strand" "yield" (func $yield))
    (import "env" "call_back" (func $call_back (param i32) (result i32)))
    (memory (export "memory") 1)
    (func $down (export "down") (param $level i32) (result i32)
      (call $yield)
      (if (result i32) (local.get $level)
        (then (i32.add (i32.const 1) (call $call_back (i32.sub (local.get $level) (i32.const 1)))))
        (else (i32.const 0))))))";
  RuntimeOptions options = usual_options();
  auto self = std::make_shared<Process>();
  options.host.define("env", "call_back", [self](Caller&, std::int32_t level) -> Task<std::int32_t> {
    const std::vector<Value> arguments{level};
    Result<JoinHandle<std::vector<Value>>> handle = self->spawn_strand("down", arguments);
    Result<std::vector<Value>> values = co_await std::move(*handle);
    co_return std::get<std::int32_t>(values.value().front());
  });
  start(std::move(options));
  *self = spawn(ProcessSpec{.module = compile(kCallsBack), .resident = true});
  const std::vector<Value> arguments{std::int32_t{200}};
  EXPECT_EQ(self->spawn_strand("down", arguments).value().join().value(), std::vector<Value>{std::int32_t{200}});
  self->finish_strands();
  EXPECT_TRUE(self->join().success());
  *self = Process();
}

// One that spins keeps the other strands of its process from running, unless they are preempted, but no other process.
class SpinningTest : public StrandsTest {
 protected:
  void expect_others_run(bool preemptive) {
    constexpr std::string_view kSpinsInAStrand = R"((module
      (import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
      (import "weft_strand" "join" (func $join (param i64) (result i64)))
      (memory (export "memory") 1)
      (table funcref (elem $spins))
      (func $spins (param i32) (result i32) (loop $again (br $again)) (unreachable))
      (func (export "_start") (drop (call $join (call $spawn (i32.const 0) (i32.const 0) (i32.const 1)))))))";
    RuntimeOptions options = usual_options();
    options.workers = 1;
    options.strands_preemptive = preemptive;
    start(std::move(options));
    const Process spins = spawn(kSpinsInAStrand);
    wait_until_run(spins);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(spawn(kReturns).join().success());
    EXPECT_TRUE(spawn(kAnotherWithStrands).join().success());
    EXPECT_FALSE(spins.try_join().has_value());
    spins.kill("the test");
    EXPECT_EQ(spins.join().kind, ExitKind::kKilled);
  }
};

TEST_F(SpinningTest, OtherProcessesRun) { expect_others_run(false); }
TEST_F(SpinningTest, OtherProcessesRunWhereStrandsArePreempted) { expect_others_run(true); }

// Processes share nothing of their strands.
TEST_F(StrandsTest, ManyProcesses) {
  start();
  const Module module = compile(kAnotherWithStrands);
  std::vector<Process> processes;
  for (int i = 0; i < 200; ++i) processes.push_back(spawn(ProcessSpec{.module = module}));
  for (const Process& process : processes) {
    const ExitStatus status = process.join();
    EXPECT_TRUE(status.success()) << status.message << status.detail;
  }
}

}  // namespace
}  // namespace weft::testing
