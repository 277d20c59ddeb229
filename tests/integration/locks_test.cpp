// Locks and topics between processes, from the host and from guests (import modules weft_lock, weft_topic): order, time-outs, owners that die, what is not
// one's own, handles of others, slow subscribers; kills at random moments, after which every permit is back.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/guests.hpp"
#include "support/process_guest.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kMore = R"(
  (import "weft_lock" "open" (func $lock_open (param i32 i32 i32) (result i32)))
  (import "weft_lock" "acquire" (func $acquire (param i32 i64) (result i32)))
  (import "weft_lock" "release" (func $release (param i32) (result i32)))
  (import "weft_topic" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (import "weft_topic" "subscribe" (func $subscribe (param i32 i32 i32) (result i32)))
  (import "weft_topic" "next" (func $next (param i32 i32 i32 i32 i64) (result i32)))
  (import "weft_topic" "unsubscribe" (func $unsubscribe (param i32) (result i32)))
  )";

class LocksTest : public ProcessGuestTest {
 protected:
  Process run(std::string_view body) { return spawn(guest(body, kMore)); }
  ProcessLock lock(std::string_view name, std::uint32_t permits = 1) { return open_lock(*runtime_, name, permits).value(); }
};

TEST_F(LocksTest, TheHostSharesThemInOrder) {
  const ProcessLock mutex = lock("m");
  EXPECT_EQ(open_lock(*runtime_, "m", 2).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(open_lock(*runtime_, "", 1).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(open_lock(*runtime_, "none", 0).error().kind, ErrorKind::kBadArgument);
  std::optional<LockHold> first = mutex.acquire().block().value();
  EXPECT_EQ(lock("m").acquire(0ns).block().error(), LockFailure::kWouldWait);
  EXPECT_EQ(lock("m").acquire(1ms).block().error(), LockFailure::kTimedOut);
  std::vector<int> order;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 5; ++i) {
    tasks.push_back(runtime_->start([](ProcessLock of, std::vector<int>& into, int number) -> Task<void> {
      LockResult<LockHold> hold = co_await of.acquire();
      EXPECT_TRUE(hold.has_value() && !hold->owner_died());
      into.push_back(number);
      co_await yield();
    }(mutex, order, i)));
    while (mutex.stats().waiting < static_cast<std::size_t>(i) + 1) std::this_thread::yield();
  }
  tasks[2].cancel();
  (void)tasks[2].join();
  first.reset();
  for (int i : {0, 1, 3, 4}) EXPECT_TRUE(tasks[static_cast<std::size_t>(i)].join().has_value());
  EXPECT_EQ(order, (std::vector<int>{0, 1, 3, 4}));
  EXPECT_EQ(mutex.stats().free, 1U);
}

TEST_F(LocksTest, TheNextIsToldThatTheOwnerDied) {
  const ProcessLock mutex = lock("m");
  const std::string holder = R"(
    (data (i32.const 512) "m")
    (func (export "_start") (local $m i32)
      (local.set $m (call $lock_open (i32.const 512) (i32.const 1) (i32.const 1)))
      (call $is (local.get $m) (i32.const 1) (i32.const 1))
      (call $is (call $lock_open (i32.const 512) (i32.const 1) (i32.const 1)) (i32.const 1) (i32.const 2))
      (call $is (call $release (local.get $m)) (i32.const 63) (i32.const 3))
      (call $is (call $acquire (local.get $m) (i64.const -1)) (i32.const 0) (i32.const 4))
      (call $is (call $acquire (local.get $m) (i64.const -1)) (i32.const 16) (i32.const 5))
      (call $is (call $release (local.get $m)) (i32.const 0) (i32.const 6))
      (call $is (call $acquire (local.get $m) (i64.const 0)) (i32.const 0) (i32.const 7))
      (call $note (i64.const 1))
      (call $gate)))";
  const Process owner = run(holder);
  wait_for_notes(1);
  const Process next = run(R"(
    (data (i32.const 512) "m")
    (func (export "_start") (local $m i32)
      (local.set $m (call $lock_open (i32.const 512) (i32.const 1) (i32.const 1)))
      (call $is (call $release (local.get $m)) (i32.const 63) (i32.const 9))     ;; another's
      (call $is (call $acquire (local.get $m) (i64.const 0)) (i32.const 6) (i32.const 10))
      (call $is (call $acquire (local.get $m) (i64.const 1000)) (i32.const 73) (i32.const 11))
      (call $note (i64.const 2))
      (call $is (call $acquire (local.get $m) (i64.const -1)) (i32.const 62) (i32.const 12))
      (call $is (call $release (local.get $m)) (i32.const 0) (i32.const 13))
      (call $is (call $acquire (local.get $m) (i64.const -1)) (i32.const 0) (i32.const 14))))");
  wait_for_notes(2);
  while (mutex.stats().waiting == 0) std::this_thread::yield();
  owner.kill("test");
  ends_well(next);
  // It ended with the lock in its hands.
  const LockResult<LockHold> hold = mutex.acquire().block();
  ASSERT_TRUE(hold.has_value());
  EXPECT_TRUE(hold->owner_died());
}

TEST_F(LocksTest, SemaphoresAndHandlesAreBounded) {
  const ProcessLock semaphore = lock("s", 3);
  ends_well(run(R"(
    (data (i32.const 512) "s")
    (func (export "_start") (local $s i32) (local $i i32) (local $result i32)
      (call $is (call $lock_open (i32.const 512) (i32.const 1) (i32.const 2)) (i32.const -28) (i32.const 1))
      (call $is (call $lock_open (i32.const 512) (i32.const 0) (i32.const 3)) (i32.const -28) (i32.const 2))
      (call $is (call $lock_open (i32.const 512) (i32.const 1) (i32.const 0)) (i32.const -28) (i32.const 3))
      (local.set $s (call $lock_open (i32.const 512) (i32.const 1) (i32.const 3)))
      (loop $again
        (local.set $result (call $acquire (local.get $s) (i64.const 0)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.eqz (local.get $result))))
      (call $is (local.get $result) (i32.const 6) (i32.const 4))
      (call $is (local.get $i) (i32.const 4) (i32.const 5))
      (call $is (call $release (local.get $s)) (i32.const 0) (i32.const 6))
      ;; no handles of its own
      (call $is (call $acquire (i32.const 0) (i64.const -1)) (i32.const 8) (i32.const 7))
      (call $is (call $acquire (i32.const 77) (i64.const -1)) (i32.const 8) (i32.const 8))
      (call $is (call $release (i32.const -1)) (i32.const 8) (i32.const 9))
      (call $is (call $unsubscribe (local.get $s)) (i32.const 8) (i32.const 10))
      (call $is (call $next (local.get $s) (i32.const 0) (i32.const 0) (i32.const 64) (i64.const -1)) (i32.const 8) (i32.const 11))
      ;; no more than 256 of them
      (local.set $i (i32.const 0))
      (loop $more
        (local.set $result (call $subscribe (i32.const 512) (i32.const 1) (i32.const 8)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.gt_s (local.get $result) (i32.const 0))))
      (call $is (local.get $result) (i32.const -33) (i32.const 12))
      (call $is (local.get $i) (i32.const 256) (i32.const 13))
      (call $is (call $unsubscribe (i32.const 2)) (i32.const 0) (i32.const 14))
      (call $is (call $subscribe (i32.const 512) (i32.const 1) (i32.const 8)) (i32.const 2) (i32.const 15))))"));
  EXPECT_EQ(semaphore.stats().free, 3U) << "what it still had was given back";
  EXPECT_EQ(publish(*runtime_, "s", Bytes()), 0U) << "its subscriptions are gone";
}

TEST_F(LocksTest, PointersToNowhereTrap) {
  for (const std::string_view call : {
           "(drop (call $lock_open (i32.const 131072) (i32.const 1) (i32.const 1)))",
           "(drop (call $publish (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0)))",
           "(drop (call $publish (i32.const 0) (i32.const 1) (i32.const 131071) (i32.const 2)))",
           "(drop (call $subscribe (i32.const -1) (i32.const 1) (i32.const 1)))",
           "(drop (call $next (i32.const 1) (i32.const 131072) (i32.const 1) (i32.const 64) (i64.const 0)))",
           "(drop (call $next (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 131060) (i64.const 0)))",
       }) {
    EXPECT_EQ(run("(func (export \"_start\") " + std::string(call) + ")").join().kind, ExitKind::kTrapped) << call;
  }
}

TEST_F(LocksTest, KilledAtRandomEveryPermitComesBack) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const ProcessLock mutex = lock("m");
  const ProcessLock semaphore = lock("s", 3);
  const Module module = compile(guest(R"(
    (data (i32.const 512) "ms")
    (func (export "_start") (local $m i32) (local $s i32)
      (local.set $m (call $lock_open (i32.const 512) (i32.const 1) (i32.const 1)))
      (local.set $s (call $lock_open (i32.const 513) (i32.const 1) (i32.const 3)))
      (loop $again
        (drop (call $acquire (local.get $s) (i64.const 50000)))
        (drop (call $acquire (local.get $m) (i64.const 50000)))
        (drop (call $publish (i32.const 512) (i32.const 1) (i32.const 0) (i32.const 64)))
        (drop (call $release (local.get $m)))
        (drop (call $release (local.get $s)))
        (br $again))))",
                                      kMore));
  std::vector<Process> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(spawn(ProcessSpec{.module = module}));
    if (i >= 10) all[random() % all.size()].kill("chance");
    if (i % 3 == 0) (void)mutex.acquire(20us).block();
  }
  for (const Process& one : all) one.kill("the end");
  for (const Process& one : all) (void)one.join();
  EXPECT_EQ(mutex.stats().free, 1U);
  EXPECT_EQ(semaphore.stats().free, 3U);
  EXPECT_EQ(mutex.stats().waiting + semaphore.stats().waiting, 0U);
}

TEST_F(LocksTest, EventsGoToAllAndTheSlowLoseTheOldest) {
  Subscription host = subscribe(*runtime_, "prices", {.events = 2}).value();
  const Process other = run(R"(
    (data (i32.const 512) "prices")
    (func (export "_start") (local $p i32)
      (local.set $p (call $subscribe (i32.const 512) (i32.const 6) (i32.const 4)))
      (call $is (call $next (local.get $p) (i32.const 1024) (i32.const 8) (i32.const 64) (i64.const 0)) (i32.const 6) (i32.const 1))
      (call $note (i64.const 1))
      (call $is (call $next (local.get $p) (i32.const 1024) (i32.const 0) (i32.const 64) (i64.const -1)) (i32.const 35) (i32.const 2))
      (call $is (i32.load (i32.const 80)) (i32.const 1) (i32.const 3))
      (call $note (i64.const 2))
      (call $gate)
      (call $is (call $next (local.get $p) (i32.const 1024) (i32.const 8) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 4))
      (call $expect (i64.load (i32.const 64)) (i64.const 0) (i32.const 5))
      (call $expect (i64.load (i32.const 72)) (i64.const 1) (i32.const 6))   ;; one of five was lost
      (call $is (i32.load8_u (i32.const 1024)) (i32.const 50) (i32.const 7))
      (call $is (call $publish (i32.const 512) (i32.const 6) (i32.const 1024) (i32.const 1)) (i32.const 2) (i32.const 8))
      (call $is (call $publish (i32.const 513) (i32.const 5) (i32.const 1024) (i32.const 1)) (i32.const 0) (i32.const 9))))");
  wait_for_notes(1);
  EXPECT_EQ(publish(*runtime_, "prices", Bytes::copy_of("1")), 2U);
  wait_for_notes(2);
  for (const std::string_view text : {"2", "3", "4", "5"}) EXPECT_EQ(publish(*runtime_, "prices", Bytes::copy_of(text)), 2U);
  gate_.set();
  ends_well(other);
  const TopicEvent first = host.next_blocking().value();
  EXPECT_EQ(first.bytes.text(), "5");
  EXPECT_EQ(first.lost, 4U) << "of 1, 2, 3, 4, 5 and the guest's, room is for two";
  const TopicEvent second = host.try_next().value();
  EXPECT_EQ(second.bytes.text(), "2");
  EXPECT_EQ(second.publisher, other.id());
  EXPECT_EQ(second.lost, 0U);
  EXPECT_EQ(host.try_next().error().failure, MailFailure::kWouldWait);
  EXPECT_EQ(publish(*runtime_, "prices", Bytes()), 1U) << "the guest's subscription went with it";
  auto task = runtime_->start([](Subscription of) -> Task<std::size_t> {
    const MailResult<TopicEvent> event = co_await of.next();
    co_return event ? event->bytes.size() : 99;
  }(host));
  EXPECT_EQ(task.join().value(), 0U);
}

}  // namespace
}  // namespace weft::testing
