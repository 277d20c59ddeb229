// What guest threads can do: start and join each other, wait and notify as WebAssembly defines it, in functions and in start functions, grow the memory that
// they share, be as many as they may be, and be looked at.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "support/guests.hpp"
#include "support/thread_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

TEST_F(ThreadsTest, StartAndJoin) {
  start_threads();
  const Process process = spawn(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (call $is (i32.gt_s (call $spawn (local.tee $i (i32.add (local.get $i) (i32.const 1)))) (i32.const 0)) (i32.const 1) (i32.const 1))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 8))))
      (call $await (i32.const 8) (i32.const 8))
      (call $is (i32.atomic.load (i32.const 4)) (i32.const 36) (i32.const 2)))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
      (drop (i32.atomic.rmw.add (i32.const 4) (local.get $argument)))
      (call $tell (i32.const 8)))
  )"));
  const ExitStatus status = process.join();
  expect_good(status);
  EXPECT_EQ(status.usage.threads_started, 9U);
  EXPECT_GE(status.usage.threads_max, 2U);
  EXPECT_LE(status.usage.threads_max, 9U);
  EXPECT_EQ(status.usage.threads, 0U);
  EXPECT_EQ(status.thread, 0U);
  EXPECT_EQ(runtime_->stats().guest_threads, 0U);
}

// A thread is told the id that its maker got. All that live at once have different ones, from 1 to below 2^29.
TEST_F(ThreadsTest, Ids) {
  start_threads();
  expect_good(thread_guest(R"(
    (func $id (param $i i32) (result i32) (i32.load (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 8)))))
    (func $seen (param $i i32) (result i32) (i32.load (i32.add (i32.const 1028) (i32.mul (local.get $i) (i32.const 8)))))
    (func $batch (local $i i32) (local $j i32)
      (i32.atomic.store (i32.const 4) (i32.const 0))
      (i32.atomic.store (i32.const 8) (i32.const 0))
      (i32.atomic.store (i32.const 12) (i32.const 0))
      (local.set $i (i32.const 0))
      (loop $again
        (i32.store (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 8))) (call $spawn (local.get $i)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
      (call $await (i32.const 4) (i32.const 64))
      (local.set $i (i32.const 0))
      (loop $each
        (call $is (i32.ge_s (call $id (local.get $i)) (i32.const 1)) (i32.const 1) (i32.const 1))
        (call $is (i32.lt_s (call $id (local.get $i)) (i32.const 0x20000000)) (i32.const 1) (i32.const 2))
        (call $is (call $id (local.get $i)) (call $seen (local.get $i)) (i32.const 3))
        (local.set $j (i32.const 0))
        (block $done (loop $other
          (br_if $done (i32.ge_u (local.get $j) (local.get $i)))
          (call $is (i32.eq (call $id (local.get $i)) (call $id (local.get $j))) (i32.const 0) (i32.const 4))
          (local.set $j (i32.add (local.get $j) (i32.const 1)))
          (br $other)))
        (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
      (call $tell (i32.const 8))
      (call $await (i32.const 12) (i32.const 64)))
    (func (export "_start") (call $batch) (call $batch) (call $batch))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
      (i32.store (i32.add (i32.const 1028) (i32.mul (local.get $argument) (i32.const 8))) (local.get $id))
      (call $tell (i32.const 4))
      (call $await (i32.const 8) (i32.const 1))
      (call $tell (i32.const 12)))
  )"));
}

// ---- waiting ----

TEST_F(ThreadsTest, WaitsThatAnswerAtOnceOrTimeOut) {
  start_threads();
  expect_good(thread_guest(R"(
    (func (export "_start")
      (i32.store (i32.const 64) (i32.const -5))
      (i64.store (i32.const 72) (i64.const 0x100000007))
      ;; Not equal: 1, whatever the time-out.
      (call $is (memory.atomic.wait32 (i32.const 64) (i32.const 5) (i64.const -1)) (i32.const 1) (i32.const 1))
      (call $is (memory.atomic.wait32 (i32.const 64) (i32.const 5) (i64.const 0)) (i32.const 1) (i32.const 2))
      (call $is (memory.atomic.wait32 (i32.const 64) (i32.const 5) (i64.const 0x7fffffffffffffff)) (i32.const 1) (i32.const 3))
      (call $is (memory.atomic.wait32 (i32.const 64) (i32.const 5) (i64.const 0x8000000000000000)) (i32.const 1) (i32.const 4))
      ;; All 64 bits count, and only they.
      (call $is (memory.atomic.wait64 (i32.const 72) (i64.const 7) (i64.const -1)) (i32.const 1) (i32.const 5))
      (call $is (memory.atomic.wait64 (i32.const 72) (i64.const 0x100000000) (i64.const -1)) (i32.const 1) (i32.const 6))
      (call $is (memory.atomic.wait32 (i32.const 72) (i32.const 7) (i64.const 0)) (i32.const 2) (i32.const 7))
      (call $is (memory.atomic.wait32 (i32.const 76) (i32.const 1) (i64.const 0)) (i32.const 2) (i32.const 8))
      ;; Equal, and nobody notifies: 2.
      (call $is (memory.atomic.wait32 (i32.const 64) (i32.const -5) (i64.const 0)) (i32.const 2) (i32.const 9))
      (call $is (memory.atomic.wait32 (i32.const 64) (i32.const -5) (i64.const 1)) (i32.const 2) (i32.const 10))
      (call $is (memory.atomic.wait32 (i32.const 64) (i32.const -5) (i64.const 3000000)) (i32.const 2) (i32.const 11))
      (call $is (memory.atomic.wait64 (i32.const 72) (i64.const 0x100000007) (i64.const 0)) (i32.const 2) (i32.const 12))
      (call $is (memory.atomic.wait64 (i32.const 72) (i64.const 0x100000007) (i64.const 3000000)) (i32.const 2) (i32.const 13))
      ;; Static offsets are part of the address.
      (call $is (memory.atomic.wait32 offset=60 (i32.const 4) (i32.const -5) (i64.const 0)) (i32.const 2) (i32.const 14))
      (call $is (memory.atomic.wait64 offset=8 (i32.const 64) (i64.const 0x100000007) (i64.const 0)) (i32.const 2) (i32.const 15))
      ;; Nobody to wake.
      (call $is (memory.atomic.notify (i32.const 64) (i32.const 0)) (i32.const 0) (i32.const 16))
      (call $is (memory.atomic.notify (i32.const 64) (i32.const -1)) (i32.const 0) (i32.const 17)))
    (func (export "wasi_thread_start") (param i32 i32)))"));
}

// Five wait; notify counts them, and wakes as many as it is told to, of its own address.
TEST_F(ThreadsTest, NotifyCounts) {
  start_threads();
  expect_good(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (drop (call $spawn (i32.const 0)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5))))
      (call $until_parked (i32.const 5))
      (call $is (memory.atomic.notify (i32.const 64) (i32.const 0)) (i32.const 0) (i32.const 1))
      (call $is (memory.atomic.notify (i32.const 68) (i32.const 5)) (i32.const 0) (i32.const 2))
      (call $is (memory.atomic.notify (i32.const 60) (i32.const 5)) (i32.const 0) (i32.const 3))
      (call $is (memory.atomic.notify (i32.const 64) (i32.const 1)) (i32.const 1) (i32.const 4))
      (call $await (i32.const 8) (i32.const 1))
      (call $is (memory.atomic.notify offset=32 (i32.const 32) (i32.const 2)) (i32.const 2) (i32.const 5))
      (call $await (i32.const 8) (i32.const 3))
      (call $until_parked (i32.const 2))
      (call $is (i32.atomic.load (i32.const 8)) (i32.const 3) (i32.const 6))
      (call $is (memory.atomic.notify (i32.const 64) (i32.const -1)) (i32.const 2) (i32.const 7))
      (call $is (memory.atomic.notify (i32.const 64) (i32.const -1)) (i32.const 0) (i32.const 8))
      (call $await (i32.const 8) (i32.const 5)))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
      (call $is (memory.atomic.wait32 (i32.const 64) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 10))
      (call $tell (i32.const 8))))",
                           "1 64", kUntilParked));
}

// 32 and 64 bits, with and without time-outs, on one address: first come, first served.
TEST_F(ThreadsTest, TheLongestWaitingIsWokenFirst) {
  start_threads();
  expect_good(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (drop (call $spawn (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (call $until_parked (local.get $i))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 12))))
      (local.set $i (i32.const 0))
      (loop $again
        (call $is (memory.atomic.notify (i32.const 64) (i32.const 1)) (i32.const 1) (i32.const 1))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (call $await (i32.const 8) (local.get $i))
        (call $is (i32.load (i32.const 12)) (i32.sub (local.get $i) (i32.const 1)) (i32.const 2))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 12)))))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32) (local $timeout i64)
      (local.set $timeout (select (i64.const -1) (i64.const 0x7fffffffffffffff) (i32.and (local.get $argument) (i32.const 2))))
      (if (i32.and (local.get $argument) (i32.const 1))
        (then (call $is (memory.atomic.wait64 (i32.const 64) (i64.const 0) (local.get $timeout)) (i32.const 0) (i32.const 10)))
        (else (call $is (memory.atomic.wait32 (i32.const 64) (i32.const 0) (local.get $timeout)) (i32.const 0) (i32.const 11))))
      (i32.store (i32.const 12) (local.get $argument))
      (call $tell (i32.const 8))))",
                           "1 64", kUntilParked));
}

// A wait that is notified before its time-out answers 0, one that is not answers 2, and no notify counts one that has timed out.
TEST_F(ThreadsTest, TimeoutsAndNotifiesAddUp) {
  start_threads();
  expect_good(thread_guest(R"(
    (func (export "_start") (local $i i32) (local $woken i32)
      (loop $again
        (drop (call $spawn (i32.const 0)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4))))
      ;; Until all are done, wakes one at a time.
      (loop $again
        (local.set $woken (i32.add (local.get $woken) (memory.atomic.notify (i32.const 64) (i32.const 1))))
        (drop (call $sched_yield))
        (br_if $again (i32.lt_u (i32.atomic.load (i32.const 8)) (i32.const 4))))
      (call $is (i32.atomic.load (i32.const 12)) (local.get $woken) (i32.const 1))
      (call $is (i32.add (i32.atomic.load (i32.const 12)) (i32.atomic.load (i32.const 16))) (i32.const 2000) (i32.const 2)))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32) (local $i i32) (local $outcome i32)
      (loop $again
        (local.set $outcome (memory.atomic.wait32 (i32.const 64) (i32.const 0) (i64.extend_i32_u (i32.mul (local.get $i) (i32.const 100)))))
        ;; How many were woken stands at 12, how many timed out at 16.
        (if (i32.eqz (local.get $outcome))
          (then (drop (i32.atomic.rmw.add (i32.const 12) (i32.const 1))))
          (else
            (call $is (local.get $outcome) (i32.const 2) (i32.const 10))
            (drop (i32.atomic.rmw.add (i32.const 16) (i32.const 1)))))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 500))))
      (call $tell (i32.const 8))))"));
}

struct Access {
  const char* function;
  std::uint32_t address;
  const char* trap;  // null: it answers 0 or 1
};

// One page. Each is `instruction` with an offset; the value in memory is 0, and 1 is expected.
TEST_F(ThreadsTest, AddressesAreChecked) {
  start_threads();
  constexpr std::array<std::string_view, 5> kOffsets{"0", "1", "4", "65536", "4294967295"};
  std::string functions;
  for (const std::string_view offset : kOffsets) {
    const std::string of(offset);
    functions += "(func (export \"w32+" + of + "\") (param i32) (result i32) (memory.atomic.wait32 offset=" + of +
                 " (local.get 0) (i32.const 1) (i64.const -1)))\n";
    functions += "(func (export \"w64+" + of + "\") (param i32) (result i32) (memory.atomic.wait64 offset=" + of +
                 " (local.get 0) (i64.const 1) (i64.const -1)))\n";
    functions += "(func (export \"n+" + of + "\") (param i32) (result i32) (memory.atomic.notify offset=" + of +
                 " (local.get 0) (i32.const 1)))\n";
  }
  const Module module = compile("(module (memory 1 1 shared)" + functions + ")");
  constexpr const char* kUnaligned = "unaligned atomic";
  constexpr const char* kOutside = "out of bounds memory access";
  const std::vector<Access> accesses{
      {"w32+0", 0, nullptr},
      {"w64+0", 0, nullptr},
      {"n+0", 0, nullptr},
      {"w32+0", 65532, nullptr},
      {"w64+0", 65528, nullptr},
      {"n+0", 65532, nullptr},
      {"w32+0", 65536, kOutside},
      {"w64+0", 65536, kOutside},
      {"n+0", 65536, kOutside},
      {"w32+0", 65534, kUnaligned},
      {"w64+0", 65532, kUnaligned},
      {"n+0", 65533, kUnaligned},
      {"w32+0", 2, kUnaligned},
      {"w64+0", 4, kUnaligned},
      {"n+0", 1, kUnaligned},
      {"w32+0", 0xfffffffc, kOutside},
      {"w64+0", 0xfffffff8, kOutside},
      {"n+0", 0xfffffffc, kOutside},
      {"w32+1", 0, kUnaligned},
      {"w64+1", 0, kUnaligned},
      {"n+1", 0, kUnaligned},
      {"w32+1", 3, nullptr},
      {"w64+1", 7, nullptr},
      {"n+1", 3, nullptr},
      // Beyond 4 GiB, not around them.
      {"w32+1", 0xffffffff, kOutside},
      {"w64+1", 0xffffffff, kOutside},
      {"n+1", 0xffffffff, kOutside},
      {"w32+4", 0xfffffffc, kOutside},
      {"w64+4", 0xfffffffc, kOutside},
      {"n+4", 0xfffffffc, kOutside},
      {"w32+4", 65528, nullptr},
      {"w32+4", 65532, kOutside},
      {"n+4", 65532, kOutside},
      {"w32+65536", 0, kOutside},
      {"w64+65536", 0, kOutside},
      {"n+65536", 0, kOutside},
      {"w32+4294967295", 0, kUnaligned},
      {"w64+4294967295", 0, kUnaligned},
      {"n+4294967295", 0, kUnaligned},
      {"w32+4294967295", 1, kOutside},
      {"w64+4294967295", 1, kOutside},
      {"n+4294967295", 1, kOutside},
      {"w32+4294967295", 5, kOutside},
      {"w64+4294967295", 9, kOutside},
      {"n+4294967295", 5, kOutside},
      {"w32+4294967295", 0xfffffffd, kOutside},
      {"w64+4294967295", 0xfffffff9, kOutside},
      {"n+4294967295", 0xfffffffd, kOutside},
  };
  for (const Access& access : accesses) {
    const std::string what = std::string(access.function) + " at " + std::to_string(access.address);
    const ExitStatus status =
        spawn({.module = module, .entry = access.function, .entry_values = {static_cast<std::int32_t>(access.address)}}).join();
    if (access.trap == nullptr) {
      ASSERT_EQ(status.kind, ExitKind::kReturned) << what << ": " << status.message;
      EXPECT_EQ(std::get<std::int32_t>(status.results.at(0)), access.function[0] == 'w' ? 1 : 0) << what;
      continue;
    }
    EXPECT_EQ(status.kind, ExitKind::kTrapped) << what << ": " << status.message;
    EXPECT_EQ(status.message, access.trap) << what;
    EXPECT_FALSE(status.backtrace.empty()) << what;
  }
}

TEST_F(ThreadsTest, AddressesOf64BitsAreChecked) {
  start_threads();
  const Module module = compile(R"((module (memory i64 1 1 shared)
    (func (export "w32") (param i64) (result i32) (memory.atomic.wait32 offset=0x200 (local.get 0) (i32.const 1) (i64.const -1)))
    (func (export "w64") (param i64) (result i32) (memory.atomic.wait64 offset=0x200 (local.get 0) (i64.const 1) (i64.const -1)))
    (func (export "n") (param i64) (result i32) (memory.atomic.notify offset=0x200 (local.get 0) (i32.const 1)))
    (func (export "far") (param i64) (result i32)
      (memory.atomic.notify offset=0xffffffffffffff00 (local.get 0) (i32.const 1)))
    (func (export "g") (param i64) (result i32) (i32.wrap_i64 (memory.grow (local.get 0)))))
  )");
  const auto call = [&](const char* function, std::uint64_t address) {
    const ExitStatus status =
        spawn({.module = module, .entry = function, .entry_values = {static_cast<std::int64_t>(address)}}).join();
    return status.kind == ExitKind::kReturned ? std::to_string(std::get<std::int32_t>(status.results.at(0))) : status.message;
  };
  EXPECT_EQ(call("w32", 0), "1");
  EXPECT_EQ(call("w64", 0), "1");
  EXPECT_EQ(call("n", 0), "0");
  EXPECT_EQ(call("w32", 2), "unaligned atomic");
  EXPECT_EQ(call("w64", 4), "unaligned atomic");
  for (const char* function : {"w32", "w64", "n"}) {
    EXPECT_EQ(call(function, 0x10000), "out of bounds memory access");
    EXPECT_EQ(call(function, 0x1'0000'0000), "out of bounds memory access");
    EXPECT_EQ(call(function, 0xffff'ffff'ffff'ff00), "out of bounds memory access");
  }
  EXPECT_EQ(call("far", 0x100), "out of bounds memory access");
  EXPECT_EQ(call("g", 0), "1");
  EXPECT_EQ(call("g", 1), "-1");
  EXPECT_EQ(call("g", ~0ULL), "-1");
  EXPECT_EQ(call("g", 1ULL << 48), "-1");
}

// Beside a shared memory and without one: on memory that is not shared a wait traps, and there is nobody to notify.
TEST_F(ThreadsTest, MemoryThatIsNotShared) {
  start_threads();
  for (const std::string_view memories : {"(memory $a 1)", "(memory 1 1 shared) (memory $a 1)"}) {
    const Module module = compile("(module " + std::string(memories) + R"(
      (func (export "wait32") (result i32) (memory.atomic.wait32 $a (i32.const 0) (i32.const 0) (i64.const 0)))
      (func (export "wait64") (result i32) (memory.atomic.wait64 $a (i32.const 0) (i64.const 0) (i64.const 0)))
      (func (export "notify") (result i32) (memory.atomic.notify $a (i32.const 0) (i32.const 1)))
      (func (export "unaligned") (result i32) (memory.atomic.notify $a (i32.const 1) (i32.const 1)))
      (func (export "add") (result i32) (i32.atomic.store $a (i32.const 8) (i32.const 3))
        (drop (i32.atomic.rmw.add $a (i32.const 8) (i32.const 4))) (i32.atomic.load $a (i32.const 8)))
      (func (export "grow") (result i32) (drop (memory.grow $a (i32.const 2))) (memory.size $a))))");
    const auto call = [&](const char* function) {
      const ExitStatus status = spawn({.module = module, .entry = function}).join();
      return status.kind == ExitKind::kReturned ? status.result_text : status.message;
    };
    EXPECT_EQ(call("wait32"), "atomic wait on non-shared memory");
    EXPECT_EQ(call("wait64"), "atomic wait on non-shared memory");
    EXPECT_EQ(call("notify"), "0");
    EXPECT_EQ(call("unaligned"), "unaligned atomic");
    EXPECT_EQ(call("add"), "7");
    EXPECT_EQ(call("grow"), "3");
  }
}

// The start function runs in the instance of each thread; the main one's may start threads and wait for them before anything else is called.
TEST_F(ThreadsTest, StartFunctionsMayWait) {
  start_threads();
  expect_good(thread_guest(R"(
    (func $init
      (if (i32.eqz (i32.atomic.rmw.add (i32.const 64) (i32.const 1)))
        (then
          (call $is (memory.atomic.wait32 (i32.const 80) (i32.const 0) (i64.const 1000000)) (i32.const 2) (i32.const 1))
          (drop (call $spawn (i32.const 0)))
          ;; The thread is in its own start function.
          (call $until_parked (i32.const 1))
          (call $is (memory.atomic.notify (i32.const 72) (i32.const -1)) (i32.const 1) (i32.const 2))
          (call $await (i32.const 76) (i32.const 1)))
        (else (call $is (memory.atomic.wait32 (i32.const 72) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 3)))))
    (start $init)
    (func (export "_start")
      (call $is (i32.atomic.load (i32.const 64)) (i32.const 2) (i32.const 4))
      (call $is (i32.atomic.load (i32.const 76)) (i32.const 1) (i32.const 5)))
    (func (export "wasi_thread_start") (param i32 i32) (call $tell (i32.const 76))))",
                           "1 64", kUntilParked));
}

// ---- the memory that they share ----

// Eight threads want more pages than there may be. Each page is given once, what is beyond the maximum is refused, and the limit on memory, which is where the
// maximum is, is never reached by those who lose a race.
TEST_F(ThreadsTest, MemoryGrowsByRaces) {
  start_threads();
  const Module module = compile(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (drop (call $spawn (i32.const 0)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 7))))
      (call $work)
      (call $await (i32.const 8) (i32.const 8))
      (call $is (memory.size) (i32.const 60) (i32.const 1))
      (call $is (i32.atomic.load (i32.const 12)) (i32.const 59) (i32.const 2))
      (call $is (i32.atomic.load (i32.const 16)) (i32.const 101) (i32.const 3))
      (call $is (memory.grow (i32.const 1)) (i32.const -1) (i32.const 4))
      (call $is (memory.grow (i32.const -1)) (i32.const -1) (i32.const 5))
      (call $is (memory.grow (i32.const 0)) (i32.const 60) (i32.const 6)))
    (func $work (local $i i32) (local $before i32)
      (loop $again
        (local.set $before (memory.grow (i32.const 1)))
        (if (i32.eq (local.get $before) (i32.const -1))
          (then (drop (i32.atomic.rmw.add (i32.const 16) (i32.const 1))))
          (else
            (drop (i32.atomic.rmw.add (i32.const 12) (i32.const 1)))
            (call $is (i32.gt_u (memory.size) (local.get $before)) (i32.const 1) (i32.const 10))
            ;; It is there, empty, and ours alone.
            (call $is (i32.atomic.rmw.add (i32.mul (local.get $before) (i32.const 65536)) (i32.const 1)) (i32.const 0) (i32.const 11))
            (i32.store8 (i32.add (i32.mul (local.get $before) (i32.const 65536)) (i32.const 65535)) (i32.const 1))))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20))))
      (call $tell (i32.const 8)))
    (func (export "wasi_thread_start") (param i32 i32) (call $work)))",
                                             "1 60"));
  for (unsigned round = 0; round < std::max(200 / kFewerThreads, 10U); ++round) {
    ProcessSpec spec{.module = module};
    spec.limits.memory_bytes = 60 * 65536;
    const ExitStatus status = spawn(std::move(spec)).join();
    expect_good(status);
    ASSERT_EQ(status.usage.memory_bytes_max, 60U * 65536);
    ASSERT_EQ(status.usage.memory_bytes, 60U * 65536);
    if (HasFailure()) return;
  }
}

TEST_F(ThreadsTest, GrowthBeyondTheLimitEndsAll) {
  start_threads();
  ProcessSpec spec{.module = compile(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (drop (call $spawn (i32.const 0)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8))))
      (call $wait_for_ever (i32.const 64)))
    (func (export "wasi_thread_start") (param i32 i32)
      (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
      (call $exit (i32.const 1))))",
                                                  "1 1000"))};
  spec.limits.memory_bytes = 50 * 65536;
  const ExitStatus status = spawn(std::move(spec)).join();
  ASSERT_EQ(status.kind, ExitKind::kLimitReached) << status.message;
  EXPECT_EQ(status.limit->kind, LimitKind::kMemory);
  EXPECT_EQ(status.limit->value, 50U * 65536);
  EXPECT_EQ(status.limit->asked, 51U * 65536);
  EXPECT_NE(status.thread, 0U) << "another thread asked";
  EXPECT_LE(status.usage.memory_bytes_max, 50U * 65536);
}

// ---- how many ----

// At the limit thread-spawn answers a negative number; once a thread has ended there is room again.
constexpr std::string_view kThreeAtOnce = R"(
  (func (export "_start") (local $round i32)
    (loop $again
      (call $is (i32.gt_s (call $spawn_when_possible) (i32.const 0)) (i32.const 1) (i32.const 1))
      (call $is (i32.gt_s (call $spawn_when_possible) (i32.const 0)) (i32.const 1) (i32.const 2))
      (call $await (i32.const 4) (i32.const 2))
      (call $is (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)) (i32.const 1) (i32.const 3))
      (call $is (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)) (i32.const 1) (i32.const 4))
      (call $tell (i32.const 8))
      (call $await (i32.const 12) (i32.const 2))
      (i32.atomic.store (i32.const 4) (i32.const 0))
      (i32.atomic.store (i32.const 8) (i32.const 0))
      (i32.atomic.store (i32.const 12) (i32.const 0))
      (br_if $again (i32.lt_u (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 20)))))
  ;; A thread that said that it is done may still be there for a moment.
  (func $spawn_when_possible (result i32) (local $id i32)
    (loop $again
      (drop (call $sched_yield))
      (br_if $again (i32.lt_s (local.tee $id (call $spawn (i32.const 0))) (i32.const 0))))
    (local.get $id))
  (func (export "wasi_thread_start") (param i32 i32)
    (call $tell (i32.const 4))
    (call $await (i32.const 8) (i32.const 1))
    (call $tell (i32.const 12))))";

TEST_F(ThreadsTest, AtMostSoManyInAProcess) {
  start_threads();
  ProcessSpec spec{.module = compile(thread_guest(kThreeAtOnce))};
  spec.limits.threads = 3;
  const ExitStatus status = spawn(std::move(spec)).join();
  expect_good(status);
  EXPECT_EQ(status.usage.threads_max, 3U);
  EXPECT_EQ(status.usage.threads_started, 41U);
}

TEST_F(ThreadsTest, AtMostSoManyInTheRuntime) {
  RuntimeOptions options = options_with_host();
  options.threads_max = 3;
  start(std::move(options));
  const ExitStatus status = spawn(thread_guest(kThreeAtOnce)).join();
  expect_good(status);
  EXPECT_EQ(status.usage.threads_started, 41U);
  // A process that may have threads needs room for its first one.
  const Module waits = compile(thread_guest(R"((func (export "_start") (call $until_parked (i32.const 1)))
    (func (export "wasi_thread_start") (param i32 i32)))",
                                            "1 64", kUntilParked));
  std::vector<Process> processes;
  for (int count = 0; count < 3; ++count) processes.push_back(spawn({.module = waits}));
  EXPECT_EQ(runtime_->stats().guest_threads, 3U);
  const Result<Process> refused = runtime_->spawn({.module = waits});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_NE(refused.error().message.find("threads_max"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(spawn(kReturns).join().success()) << "one without threads needs none of that room";
  for (const Process& process : processes) process.kill("the test");
  for (const Process& process : processes) EXPECT_EQ(process.join().kind, ExitKind::kKilled);
  expect_good(spawn(thread_guest(kThreeAtOnce)).join());
}

TEST_F(ThreadsTest, ALimitOfOneIsNone) {
  start_threads();
  ProcessSpec spec{.module = compile(thread_guest(R"(
    (func (export "_start") (call $is (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)) (i32.const 1) (i32.const 1)))
    (func (export "wasi_thread_start") (param i32 i32)))"))};
  spec.limits.threads = 1;
  expect_good(spawn(std::move(spec)).join());
}

// Ten processes with a thousand threads each: all are there at once, and then either go on to their end or are killed.
TEST_F(ThreadsTest, TenThousand) {
  constexpr unsigned kProcesses = 10;
  constexpr unsigned kThreads = 1000 / kFewerThreads;
  RuntimeOptions options = usual_options();
  options.threads_max = kProcesses * kThreads;
  options.stack_bytes = 64 << 10;
  options.processes_max = 20;
  const auto all_here = std::make_shared<std::atomic<bool>>(false);
  options.host.define("env", "until_all_are_here", [this, all_here](Caller&) -> Task<void> {
    while (!all_here->load()) {
      if (runtime_->stats().guest_threads == kProcesses * kThreads) all_here->store(true);
      co_await sleep_for(1ms);
    }
  });
  start(std::move(options));
  const std::string others = "(i32.const " + std::to_string(kThreads - 1) + ")";
  const Module module = compile(thread_guest(R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (call $is (i32.gt_s (call $spawn (i32.const 0)) (i32.const 0)) (i32.const 1) (i32.const 1))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) )" +
                                                 others + R"()))
      (call $await (i32.const 4) )" + others + R"()
      (call $until_all_are_here)
      (call $tell (i32.const 8))
      (call $await (i32.const 12) )" + others + R"())
    ;; As $tell, but only the last one wakes anybody: else each of them wakes the first thread.
    (func $arrive (param $address i32)
      (if (i32.eq (i32.add (i32.atomic.rmw.add (local.get $address) (i32.const 1)) (i32.const 1)) )" +
                                                 others + R"()
        (then (drop (memory.atomic.notify (local.get $address) (i32.const -1))))))
    (func (export "wasi_thread_start") (param i32 i32)
      (call $arrive (i32.const 4))
      (call $await (i32.const 8) (i32.const 1))
      (call $arrive (i32.const 12))))",
                                             "1 64", R"((import "env" "until_all_are_here" (func $until_all_are_here)))"));
  for (const bool killed : {false, true}) {
    *all_here = false;
    std::vector<Process> processes;
    for (unsigned count = 0; count < kProcesses; ++count) processes.push_back(spawn({.module = module}));
    while (killed && !*all_here) std::this_thread::yield();
    if (killed) {
      for (const Process& process : processes) process.kill("the test");
    }
    for (const Process& process : processes) {
      const ExitStatus status = process.join();
      if (!killed) expect_good(status);
      EXPECT_EQ(status.usage.threads_max, kThreads);
      EXPECT_EQ(status.usage.threads_started, kThreads);
    }
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }
}

// ---- being looked at ----

constexpr std::string_view kThreeWait = R"(
  (func $rests (param $address i32) (call $wait_for_ever (local.get $address)))
  (func (export "_start")
    (drop (call $spawn (i32.const 128)))
    (drop (call $spawn (i32.const 192)))
    (call $nap (i32.const 512) (i64.const 3600000000000)))
  (func (export "wasi_thread_start") (param $id i32) (param $address i32) (call $rests (local.get $address))))";

TEST_F(ThreadsTest, UsageAndDump) {
  start_threads();
  const Process process = spawn({.module = compile(thread_guest(kThreeWait, "3 64")), .name = "three"});
  wait_until_threads_park(process, 2);
  wait_until_parked(process, "wasi poll_oneoff");
  const Usage usage = process.usage();
  EXPECT_EQ(usage.threads, 3U);
  EXPECT_EQ(usage.threads_max, 3U);
  EXPECT_EQ(usage.threads_started, 3U);
  EXPECT_EQ(usage.memory_bytes, 3U * 65536);
  EXPECT_EQ(usage.host_calls, 5U) << "two spawns, two waits, one sleep";
  EXPECT_GE(usage.switches, 3U);
  EXPECT_EQ(runtime_->stats().guest_threads, 3U);
  EXPECT_EQ(runtime_->stats().processes, 1U);

  const std::vector<TaskDump> threads = threads_of(process, true);
  ASSERT_EQ(threads.size(), 3U);
  EXPECT_EQ(threads[0].thread_id, 0U);
  EXPECT_EQ(threads[0].reason, "wasi poll_oneoff");
  EXPECT_EQ(threads[0].address, 0U);
  std::set<std::uint64_t> addresses;
  for (const TaskDump& thread : {threads[1], threads[2]}) {
    EXPECT_GT(thread.thread_id, 0U);
    EXPECT_EQ(thread.state, "parked");
    EXPECT_EQ(thread.reason, kWait32);
    EXPECT_EQ(thread.name, "three");
    addresses.insert(thread.address);
    ASSERT_GE(thread.stack.size(), 2U);
    EXPECT_EQ(thread.stack[0].function, "wait_for_ever");
    EXPECT_EQ(thread.stack[1].function, "rests");
  }
  EXPECT_EQ(addresses, (std::set<std::uint64_t>{128, 192}));
  EXPECT_NE(to_text(threads).find("0x80"), std::string::npos) << to_text(threads);
  // They wait on after the look.
  wait_until_threads_park(process, 2);
  process.kill("the test");
  const ExitStatus status = process.join();
  EXPECT_EQ(status.kind, ExitKind::kKilled);
  EXPECT_EQ(status.usage.threads, 0U);
  EXPECT_EQ(status.usage.threads_started, 3U);
  EXPECT_EQ(status.usage.memory_bytes, 3U * 65536);
}

TEST_F(ThreadsTest, PriorityIsOfAllThreads) {
  start_threads();
  ProcessSpec spec{.module = compile(thread_guest(kThreeWait))};
  spec.priority = 2;
  const Process process = spawn(std::move(spec));
  wait_until_threads_park(process, 2);
  for (const TaskDump& thread : threads_of(process)) EXPECT_EQ(thread.priority, 2);
  process.set_priority(6);
  for (const TaskDump& thread : threads_of(process)) EXPECT_EQ(thread.priority, 6);
  process.kill("the test");
  EXPECT_EQ(process.join().kind, ExitKind::kKilled);
}

// Each thread that asks is told.
TEST_F(ThreadsTest, RequestStop) {
  start_threads();
  const Process process = spawn(thread_guest(R"(
    (func (export "_start")
      (drop (call $spawn (i32.const 0)))
      (drop (call $spawn (i32.const 0)))
      (call $work)
      (call $await (i32.const 8) (i32.const 3)))
    (func $work
      (loop $again (drop (call $sched_yield)) (br_if $again (i32.eqz (call $asked))))
      (call $tell (i32.const 8)))
    (func (export "wasi_thread_start") (param i32 i32) (call $work)))",
                                             "1 64", R"((import "weft" "stop_requested" (func $asked (result i32))))"));
  while (process.usage().threads < 3) std::this_thread::yield();
  EXPECT_TRUE(process.running());
  process.request_stop();
  expect_good(process.join());
}

// A host function that waits, called by several threads at once, and the memory it is given.
TEST_F(ThreadsTest, HostFunctions) {
  RuntimeOptions options = options_with_host();
  options.host.define("env", "double_later", [](Caller& caller, std::uint32_t address) -> Task<std::int32_t> {
    co_await sleep_for(1ms);
    const auto word = caller.bytes(address, 4);
    if (!word) co_return -1;
    std::int32_t value = 0;
    std::copy_n(word->begin(), 4, reinterpret_cast<std::byte*>(&value));
    co_return value * 2;
  });
  start(std::move(options));
  expect_good(thread_guest(R"(
    (func (export "_start")
      (drop (call $spawn (i32.const 100)))
      (drop (call $spawn (i32.const 104)))
      (drop (memory.grow (i32.const 1)))
      (call $work (i32.const 108))
      (call $work (i32.const 131068))
      (call $is (call $double_later (i32.const 131072)) (i32.const -1) (i32.const 1))
      (call $await (i32.const 8) (i32.const 4)))
    (func $work (param $address i32)
      (i32.store (local.get $address) (local.get $address))
      (call $is (call $double_later (local.get $address)) (i32.mul (i32.const 2) (local.get $address)) (i32.const 2))
      (call $tell (i32.const 8)))
    (func (export "wasi_thread_start") (param $id i32) (param $address i32) (call $work (local.get $address))))",
                           "1 64", R"((import "env" "double_later" (func $double_later (param i32) (result i32))))"));
}

}  // namespace
}  // namespace weft::testing
