// The end of a guest thread as something to wait for, by guests (weft_wait, kind 7) and hosts (Process::when_thread_ended): of threads that live, have ended, or never
// were, of this process and of others; many that end at once; waits that end with their process.
#include <gtest/gtest.h>

#include <string>

#include "support/channel_guest.hpp"
#include "support/guests.hpp"
#include "support/thread_fixture.hpp"
#include "weft/wait_set.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

// Threads whose argument is 0 end at once; the others wait until the word at their argument is 1.
constexpr std::string_view kThread = R"(
  (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
    (if (local.get $argument) (then (call $await (local.get $argument) (i32.const 1)))))
  (func $add_thread (param $set i32) (param $key i64) (param $thread i32) (param $number i32)
    (call $is (call $add (local.get $set) (local.get $key) (i32.const 7) (i64.extend_i32_s (local.get $thread))) (i32.const 0) (local.get $number)))
  (func $let_go (param $address i32) (call $tell (local.get $address))))";
constexpr std::string_view kSelf = R"((import "weft_process" "thread_self" (func $thread_self (result i32))))";

std::string waiting_guest(std::string_view body) {
  return thread_guest(std::string(kThread) + std::string(body), "1 64", std::string(kWaitImports) + std::string(kUntilParked));
}

class ThreadEndsTest : public ThreadsTest {
 protected:
  void good(std::string_view body) { expect_good(waiting_guest(body)); }
};

TEST_F(ThreadEndsTest, IsReadyFromThenOn) {
  start_threads();
  good(R"(
    (func (export "_start") (local $set i32) (local $one i32) (local $other i32)
      (local.set $set (call $set_new))
      (local.set $one (call $spawn (i32.const 64)))
      (local.set $other (call $spawn (i32.const 68)))
      (call $add_thread (local.get $set) (i64.const 10) (local.get $one) (i32.const 1))
      (call $add_thread (local.get $set) (i64.const 11) (local.get $one) (i32.const 2))
      (call $add_thread (local.get $set) (i64.const 20) (local.get $other) (i32.const 3))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 8) (i32.const 1) (i64.const 0)) (i32.const -6) (i32.const 4))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 8) (i32.const 1) (i64.const 1000)) (i32.const -73) (i32.const 5))
      (call $let_go (i32.const 68))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 8) (i32.const 1) (i64.const -1)) (i32.const 1) (i32.const 6))
      (call $is (i32.load (i32.const 1024)) (i32.const 20) (i32.const 7))
      (call $is (i32.load (i32.const 1032)) (i32.const 0) (i32.const 8))   ;; ready, and not gone
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 8) (i32.const 1) (i64.const 0)) (i32.const 1) (i32.const 9))
      (call $is (call $remove (local.get $set) (i64.const 20)) (i32.const 0) (i32.const 10))
      ;; one that has ended, added late: ready at once, under as many keys as one likes
      (call $add_thread (local.get $set) (i64.const 21) (local.get $other) (i32.const 11))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 8) (i32.const 1) (i64.const 0)) (i32.const 1) (i32.const 12))
      (call $is (i32.load (i32.const 1024)) (i32.const 21) (i32.const 13))
      (call $let_go (i32.const 64))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 8) (i32.const -1) (i64.const -1)) (i32.const 3) (i32.const 14)))
  )");
}

TEST_F(ThreadEndsTest, OfThreadsThatThereWereNot) {
  start_threads();
  good(R"(
    (func $refused (param $set i32) (param $thread i64) (param $error i32) (param $number i32)
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 7) (local.get $thread)) (local.get $error) (local.get $number)))
    (func (export "_start") (local $set i32) (local $last i32)
      (local.set $set (call $set_new))
      (call $refused (local.get $set) (i64.const 1) (i32.const 71) (i32.const 1))   ;; there has been none so far
      (local.set $last (call $spawn (i32.const 0)))
      (local.set $last (call $spawn (i32.const 0)))
      (call $refused (local.get $set) (i64.const 0) (i32.const 16) (i32.const 2))
      (call $refused (local.get $set) (i64.extend_i32_s (i32.add (local.get $last) (i32.const 1))) (i32.const 71) (i32.const 3))
      (call $refused (local.get $set) (i64.const -1) (i32.const 71) (i32.const 4))
      (call $refused (local.get $set) (i64.const 0x20000000) (i32.const 71) (i32.const 5))
      (call $refused (local.get $set) (i64.const 0x100000001) (i32.const 71) (i32.const 6))
      (call $refused (local.get $set) (i64.const 0x8000000000000000) (i32.const 71) (i32.const 7))
      (call $refused (i32.const 99) (i64.const 1) (i32.const 8) (i32.const 8))
      (call $add_thread (local.get $set) (i64.const 1) (local.get $last) (i32.const 9))
      (call $refused (local.get $set) (i64.extend_i32_s (local.get $last)) (i32.const 20) (i32.const 10))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const -1)) (i32.const 1) (i32.const 11)))
  )");
}

// Each thread knows its own id.
TEST_F(ThreadEndsTest, AThreadKnowsItsId) {
  start_threads();
  expect_good(thread_guest(R"(
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
      (call $is (call $thread_self) (local.get $id) (i32.const 1))
      (call $tell (i32.const 64)))
    (func (export "_start") (local $i i32)
      (call $is (call $thread_self) (i32.const 0) (i32.const 2))
      (loop $each
        (drop (call $spawn (i32.const 0)))
        (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
      (call $await (i32.const 64) (i32.const 10))))",
                           "1 64", kSelf));
}

// Two processes whose threads have the same ids: each hears of its own.
TEST_F(ThreadEndsTest, IdsAreOfOneProcess) {
  start_threads();
  constexpr std::string_view kWaits = R"(
    (func (export "_start") (local $set i32)
      (local.set $set (call $set_new))
      (call $add_thread (local.get $set) (i64.const 1) (call $spawn (i32.const 64)) (i32.const 1))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const -1)) (i32.const 1) (i32.const 2))))";
  const Process waits = spawn(waiting_guest(kWaits));
  wait_until_parked(waits, "weft_wait.wait");
  good(R"(
    (func (export "_start") (local $set i32) (local $thread i32)
      (local.set $set (call $set_new))
      (local.set $thread (call $spawn (i32.const 64)))
      (call $is (local.get $thread) (i32.const 1) (i32.const 1))
      (call $let_go (i32.const 64))
      (call $add_thread (local.get $set) (i64.const 1) (local.get $thread) (i32.const 2))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const -1)) (i32.const 1) (i32.const 3)))
  )");
  // One without threads cannot wait for another's.
  good(R"(
    (func (export "_start")
      (call $is (call $add (call $set_new) (i64.const 1) (i32.const 7) (i64.const 1)) (i32.const 71) (i32.const 1))))");
  EXPECT_TRUE(waits.running());
  const Waitable end = waits.when_thread_ended(1);
  EXPECT_FALSE(end.ready());
  waits.kill("test");
  EXPECT_TRUE(end.wait().block().has_value());
  EXPECT_EQ(waits.join().kind, ExitKind::kKilled);
}

// All let go by one notify, while two threads wait for all of them, each at a set of its own.
TEST_F(ThreadEndsTest, ManyThatEndAtOnce) {
  start_threads();
  const std::string count = std::to_string(1000 / kFewerThreads);
  good(R"(
    (func $wait_for_all (param $set i32) (param $events i32)
      (call $is (call $wait (local.get $set) (local.get $events) (i32.const 1024) (i32.const -1) (i64.const -1)) (i32.const )" +
       count + R"() (i32.const 1)))
    (func (export "_start") (local $i i32) (local $thread i32)
      (i32.store (i32.const 72) (call $set_new))
      (i32.store (i32.const 76) (call $set_new))
      (loop $each
        (local.set $thread (call $spawn (i32.const 64)))
        (call $add_thread (i32.load (i32.const 72)) (i64.extend_i32_s (local.get $i)) (local.get $thread) (i32.const 2))
        (call $add_thread (i32.load (i32.const 76)) (i64.extend_i32_s (local.get $i)) (local.get $thread) (i32.const 3))
        (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const )" +
       count + R"())))
      (call $until_parked (i32.const )" +
       count + R"())
      (call $tell (i32.const 64))
      (call $wait_for_all (i32.load (i32.const 72)) (i32.const 1024))
      (call $wait_for_all (i32.load (i32.const 76)) (i32.const 1024))
      ;; again and again, with threads that end as soon as they are there
      (local.set $i (i32.const 0))
      (loop $more
        (drop (call $remove (i32.load (i32.const 72)) (i64.extend_i32_s (local.get $i))))
        (call $add_thread (i32.load (i32.const 72)) (i64.extend_i32_s (local.get $i)) (call $spawn (i32.const 0)) (i32.const 4))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const )" +
       count + R"())))
      (call $wait_for_all (i32.load (i32.const 72)) (i32.const 1024)))
  )");
}

// Threads that wait for each other's ends, and one for its own: nobody will tell them, and a kill ends all of it.
TEST_F(ThreadEndsTest, TheProcessEndsWhileItWaits) {
  start_threads();
  constexpr std::string_view kWaits = R"(
    (func $wait_for (param $thread i32) (local $set i32)
      (local.set $set (call $set_new))
      (call $add_thread (local.get $set) (i64.const 1) (local.get $thread) (i32.const 1))
      (drop (call $wait (local.get $set) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const -1)))
      (call $exit (i32.const 9)))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
      (call $await (i32.const 64) (i32.const 1))
      (call $wait_for (local.get $argument)))
    (func (export "_start")
      (call $is (call $spawn (i32.const 2)) (i32.const 1) (i32.const 1))
      (call $is (call $spawn (i32.const 1)) (i32.const 2) (i32.const 2))
      (call $is (call $spawn (i32.const 3)) (i32.const 3) (i32.const 3))
      (call $tell (i32.const 64))
      %)
    (func $add_thread (param $set i32) (param $key i64) (param $thread i32) (param $number i32)
      (call $is (call $add (local.get $set) (local.get $key) (i32.const 7) (i64.extend_i32_s (local.get $thread))) (i32.const 0) (local.get $number))))";
  const auto guest = [&](std::string_view last) {
    std::string body(kWaits);
    body.replace(body.find('%'), 1, last);
    return thread_guest(body, "1 64", std::string(kWaitImports) + std::string(kUntilParked));
  };
  const Process killed = spawn(guest("(call $wait_for (i32.const 1))"));
  while (std::ranges::count(threads_of(killed), "weft_wait.wait", &TaskDump::reason) < 4) std::this_thread::yield();
  const Waitable ends[] = {killed.when_thread_ended(1), killed.when_thread_ended(3), killed.when_thread_ended(0)};
  for (const Waitable& end : ends) EXPECT_FALSE(end.ready());
  killed.kill("test");
  for (const Waitable& end : ends) EXPECT_TRUE(end.wait().block().has_value());
  EXPECT_EQ(killed.join().kind, ExitKind::kKilled);
  EXPECT_EQ(spawn(guest("unreachable")).join().kind, ExitKind::kTrapped);
  EXPECT_EQ(spawn(guest("(call $exit (i32.const 7))")).join().code, 7);
  expect_good(spawn(guest("")).join());
  EXPECT_EQ(runtime_->stats().guest_threads, 0U);
}

TEST_F(ThreadEndsTest, OfTheHost) {
  start_threads();
  const Process process = spawn(waiting_guest(R"(
    (func (export "_start") (local $set i32)
      (local.set $set (call $set_new))
      (call $add_thread (local.get $set) (i64.const 1) (call $spawn (i32.const 64)) (i32.const 1))
      (drop (call $spawn (i32.const 0)))
      (drop (call $wait (local.get $set) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const -1))))
  )"));
  wait_until_parked(process, "weft_wait.wait");
  EXPECT_FALSE(process.when_thread_ended(3));
  EXPECT_FALSE(Process().when_thread_ended(1));
  EXPECT_TRUE(process.when_thread_ended(2).wait().block().has_value());
  EXPECT_TRUE(process.when_thread_ended(2).ready());
  const Waitable one = process.when_thread_ended(1);
  const Waitable first = process.when_thread_ended(0);
  EXPECT_FALSE(one.ready());
  EXPECT_FALSE(first.ready());
  process.kill("test");
  WaitSet set;
  ASSERT_TRUE(set.add(1, one).has_value());
  ASSERT_TRUE(set.add(2, first).has_value());
  EXPECT_EQ(set.wait({.least = WaitFor::kAll}).block().value().size(), 2U);
  (void)process.join();
  // It is over, but is remembered.
  EXPECT_TRUE(process.when_thread_ended(1).ready());
  EXPECT_FALSE(process.when_thread_ended(3));
}

}  // namespace
}  // namespace weft::testing
