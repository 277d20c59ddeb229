// Messages, links, monitors and names as guests see them (import module weft_process), and what malicious guests try: pointers to nowhere, huge lengths,
// numbers of others, floods, every name there is. Kills at random moments leave nothing behind.
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

class MessagesTest : public ProcessGuestTest {};

// Sends back what it gets, with the tag one higher, until it gets an empty message.
constexpr std::string_view kEcho = R"(
  (func (export "_start")
    (loop $again
      (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 1024) (i32.const 4096) (i32.const 64) (i64.const -1))
                (i32.const 0) (i32.const 1))
      (if (i32.eqz (i32.load (i32.const 88))) (then (return)))
      (call $is (call $send (i64.load (i32.const 64)) (i64.add (i64.load (i32.const 72)) (i64.const 1))
                            (i32.const 1024) (i32.load (i32.const 88)) (i64.const -1)) (i32.const 0) (i32.const 2))
      (br $again))))";

TEST_F(MessagesTest, GuestsSendAndReceive) {
  const Process echo = spawn(guest(kEcho));
  ASSERT_TRUE(runtime_->register_name("echo", echo).has_value());
  const Process asks = spawn(guest(R"(
    (data (i32.const 512) "echonobody")
    (data (i32.const 256) "\08\00\00\00\00\00\00\00\09\00\00\00\00\00\00\00")
    (func (export "_start") (local $echo i64)
      (local.set $echo (call $whereis (i32.const 512) (i32.const 4)))
      (call $expect (call $whereis (i32.const 516) (i32.const 6)) (i64.const -71) (i32.const 10))
      (call $is (call $send_named (i32.const 516) (i32.const 6) (i64.const 1) (i32.const 512) (i32.const 1) (i64.const -1)) (i32.const 71) (i32.const 11))
      (call $is (call $send (i64.const 999999) (i64.const 1) (i32.const 512) (i32.const 1) (i64.const -1)) (i32.const 71) (i32.const 12))
      (call $is (call $send (local.get $echo) (i64.const 5) (i32.const 512) (i32.const 4) (i64.const -1)) (i32.const 0) (i32.const 13))
      (call $is (call $send_named (i32.const 512) (i32.const 4) (i64.const 7) (i32.const 516) (i32.const 6) (i64.const 0)) (i32.const 0) (i32.const 14))
      ;; the second first: of tags 8 and 9
      (call $is (call $receive (i32.const 256) (i32.const 2) (i64.const -1) (i32.const 1024) (i32.const 100) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 15))
      (call $expect (i64.load (i32.const 72)) (i64.const 8) (i32.const 16))
      (call $expect (i64.load (i32.const 64)) (local.get $echo) (i32.const 17))
      (call $is (i32.load (i32.const 88)) (i32.const 6) (i32.const 18))
      (call $expect (i64.load (i32.const 1024)) (i64.load (i32.const 516)) (i32.const 19))
      ;; there is none of these any more
      (call $is (call $receive (i32.const 256) (i32.const 2) (i64.const -1) (i32.const 1024) (i32.const 100) (i32.const 64) (i64.const 0)) (i32.const 6) (i32.const 20))
      (call $is (call $receive (i32.const 256) (i32.const 2) (i64.const -1) (i32.const 1024) (i32.const 100) (i32.const 64) (i64.const 1000)) (i32.const 73) (i32.const 21))
      ;; the first; too small a buffer leaves it there and says how large it is
      (call $is (call $receive (i32.const 0) (i32.const 0) (local.get $echo) (i32.const 1024) (i32.const 3) (i32.const 64) (i64.const -1)) (i32.const 35) (i32.const 22))
      (call $is (i32.load (i32.const 88)) (i32.const 4) (i32.const 23))
      (call $is (call $pending) (i32.const 1) (i32.const 24))
      (call $is (call $receive (i32.const 0) (i32.const 0) (local.get $echo) (i32.const 1024) (i32.const 4) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 25))
      (call $is (call $pending) (i32.const 0) (i32.const 26))
      (call $is (call $send (local.get $echo) (i64.const 0) (i32.const 0) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 27))))"));
  ends_well(asks);
  ends_well(echo);
  EXPECT_GE(expectations_, 18);
}

TEST_F(MessagesTest, TheHostTakesPart) {
  const Process echo = spawn(guest(kEcho));
  const Process helper = spawn(kSleeps);
  // On behalf of the helper, from a task.
  auto task = runtime_->start([](Process to, Process as) -> Task<std::string> {
    Message ping{.sender = as.id(), .tag = 41, .bytes = Bytes::copy_of("ping")};
    (void)co_await to.mailbox().send(std::move(ping));
    MessageFilter filter;
    filter.tags.push_back(42);
    MailResult<Message> reply = co_await as.mailbox().receive(std::move(filter));
    (void)co_await to.mailbox().send(Message());
    co_return reply ? std::string(reply->bytes.text()) : "none";
  }(echo, helper));
  EXPECT_EQ(task.join().value(), "ping");
  ends_well(echo);
  helper.kill("test");
}

TEST_F(MessagesTest, LinksMonitorsAndNames) {
  const Process target = spawn(ProcessSpec{.module = compile(kSleeps), .name = "target"});
  const Process other = spawn(kSleeps);
  const Process dead = spawn(kReturns);
  (void)dead.join();
  ASSERT_TRUE(runtime_->register_name("target", target).has_value());
  ASSERT_TRUE(runtime_->register_name("other", other).has_value());
  const Process watcher = spawn(guest(R"(
    (data (i32.const 512) "targetotherme")
    (func (export "_start") (local $target i64) (local $down i64) (local $gone i64)
      (local.set $target (call $whereis (i32.const 512) (i32.const 6)))
      (call $is (call $register (i32.const 512) (i32.const 6)) (i32.const 20) (i32.const 10))
      (call $is (call $register (i32.const 523) (i32.const 2)) (i32.const 0) (i32.const 11))
      (call $expect (call $whereis (i32.const 523) (i32.const 2)) (call $self) (i32.const 12))
      (call $is (call $unregister (i32.const 512) (i32.const 6)) (i32.const 44) (i32.const 13))
      (call $is (call $unregister (i32.const 523) (i32.const 2)) (i32.const 0) (i32.const 14))
      (call $is (call $register (i32.const 523) (i32.const 0)) (i32.const 28) (i32.const 15))
      (call $trap_exits (i32.const 1))
      (call $is (call $link (local.get $target)) (i32.const 0) (i32.const 16))
      (call $is (call $link (i64.const 123456)) (i32.const 71) (i32.const 17))
      (call $is (call $link (call $whereis (i32.const 518) (i32.const 5))) (i32.const 0) (i32.const 18))
      (call $is (call $unlink (call $whereis (i32.const 518) (i32.const 5))) (i32.const 0) (i32.const 19))
      (call $is (call $unlink (i64.const 123456)) (i32.const 44) (i32.const 20))
      (local.set $down (call $monitor (local.get $target)))
      (local.set $gone (call $monitor (i64.const 123456)))
      (call $is (call $demonitor (i64.const 123456) (i32.const 1)) (i32.const 44) (i32.const 21))
      ;; of what never was, at once
      (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const 123456) (i32.const 1024) (i32.const 1000) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 22))
      (call $expect (i64.load (i32.const 80)) (local.get $gone) (i32.const 23))
      (call $is (i32.load (i32.const 92)) (i32.const 2) (i32.const 24))
      (call $is (i32.load (i32.const 96)) (i32.const -1) (i32.const 25))
      (call $note (i64.const 1))
      ;; two messages about the target, in either order: kinds 1 and 2
      (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 1024) (i32.const 1000) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 26))
      (call $expect (i64.load (i32.const 64)) (local.get $target) (i32.const 27))
      (call $is (i32.load (i32.const 96)) (i32.const 3) (i32.const 28))
      (call $note (i64.extend_i32_s (i32.load (i32.const 92))))
      (call $is (i32.load8_u (i32.const 1024)) (i32.const 107) (i32.const 29))  ;; "killed by …"
      (call $is (call $receive (i32.const 0) (i32.const 0) (local.get $target) (i32.const 1024) (i32.const 1000) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 30))
      (call $note (i64.extend_i32_s (i32.load (i32.const 92))))
      (call $gate)))"));
  wait_for_notes(1);
  target.kill("the test");
  wait_for_notes(3);
  EXPECT_EQ(notes()[1] + notes()[2], 3);
  EXPECT_TRUE(other.running());
  other.kill("test");
  gate_.set();
  ends_well(watcher);
}

TEST_F(MessagesTest, AGuestThatTrapsTakesTheLinkedAlong) {
  const Process victim = spawn(kSleeps);
  ASSERT_TRUE(runtime_->register_name("victim", victim).has_value());
  const Process bad = spawn(ProcessSpec{.module = compile(guest(R"(
    (data (i32.const 512) "victim")
    (func (export "_start")
      (call $is (call $link (call $whereis (i32.const 512) (i32.const 6))) (i32.const 0) (i32.const 10))
      (unreachable)))")),
                                        .name = "bad"});
  const std::string begins = "linked process " + std::to_string(bad.id()) + " (bad) trapped: ";
  EXPECT_EQ(victim.join().killed_by.substr(0, begins.size()), begins);
}

// Only pointers to nowhere trap, whichever function gets them.
TEST_F(MessagesTest, PointersToNowhereTrap) {
  for (const std::string_view call : {
           "(drop (call $send (call $self) (i64.const 1) (i32.const 131072) (i32.const 1) (i64.const 0)))",
           "(drop (call $send (call $self) (i64.const 1) (i32.const 131071) (i32.const 2) (i64.const 0)))",
           "(drop (call $send (i64.const 777) (i64.const 1) (i32.const -1) (i32.const -1) (i64.const 0)))",
           "(drop (call $send_named (i32.const -8) (i32.const 16) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const 0)))",
           "(drop (call $receive (i32.const 131068) (i32.const 1) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 64) "
           "(i64.const 0)))",
           "(drop (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 64) (i32.const -1) (i32.const 64) "
           "(i64.const -1)))",
           "(drop (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 131040) "
           "(i64.const -1)))",
           "(drop (call $register (i32.const 131072) (i32.const -1)))",
           "(drop (call $unregister (i32.const 131072) (i32.const 1)))",
           "(drop (call $whereis (i32.const -1) (i32.const 1)))",
       }) {
    const Process bad = spawn(guest("(func (export \"_start\") " + std::string(call) + ")"));
    const ExitStatus status = bad.join();
    EXPECT_EQ(status.kind, ExitKind::kTrapped) << call;
    EXPECT_NE((status.message + status.detail).find("not all in the guest's memory"), std::string::npos)
        << status.message << status.detail;
  }
}

TEST_F(MessagesTest, WhatMakesNoSenseIsAnError) {
  ends_well(spawn(guest(R"((func (export "_start")
    ;; more tags than there may be; a message larger than the mailbox; a name longer than names are
    (call $is (call $receive (i32.const 0) (i32.const -1) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 64) (i64.const 0)) (i32.const 28) (i32.const 1))
    (drop (memory.grow (i32.const 30)))
    (call $is (call $send (call $self) (i64.const 1) (i32.const 0) (i32.const 1900000) (i64.const -1)) (i32.const 35) (i32.const 2))
    (call $is (call $register (i32.const 0) (i32.const 1900000)) (i32.const 28) (i32.const 3))
    (call $expect (call $whereis (i32.const 0) (i32.const 1900000)) (i64.const -71) (i32.const 4))
    (call $is (call $send (i64.const -1) (i64.const 1) (i32.const 0) (i32.const 1) (i64.const -1)) (i32.const 71) (i32.const 5))
    (call $is (call $link (i64.const 0)) (i32.const 71) (i32.const 6))
    (call $is (call $link (call $self)) (i32.const 0) (i32.const 7))
    (call $is (call $unlink (call $self)) (i32.const 44) (i32.const 8))
    (call $is (call $demonitor (i64.const -1) (i32.const 1)) (i32.const 44) (i32.const 9)))
  )")));
}

// A flood fills the mailbox and no more; who floods waits, or is told; the victim goes on, and its end tells those that wait.
TEST_F(MessagesTest, AFloodIsHeldBack) {
  const Process victim = spawn(kSleeps);
  ASSERT_TRUE(runtime_->register_name("victim", victim).has_value());
  const std::string flood = guest(R"(
    (data (i32.const 512) "victim")
    (func (export "_start") (local $victim i64) (local $result i32)
      (local.set $victim (call $whereis (i32.const 512) (i32.const 6)))
      (loop $again
        (local.set $result (call $send (local.get $victim) (i64.const 1) (i32.const 0) (i32.const 4096) (i64.const 0)))
        (br_if $again (i32.eqz (local.get $result))))
      (call $is (local.get $result) (i32.const 6) (i32.const 10))
      (call $is (call $send (local.get $victim) (i64.const 1) (i32.const 0) (i32.const 4096) (i64.const 1000)) (i32.const 73) (i32.const 11))
      (call $note (i64.const 1))
      (call $is (call $send (local.get $victim) (i64.const 1) (i32.const 0) (i32.const 4096) (i64.const -1)) (i32.const 71) (i32.const 12))))");
  std::vector<Process> all;
  for (int i = 0; i < 3; ++i) all.push_back(spawn(flood));
  wait_for_notes(3);
  while (victim.mailbox().stats().senders_waiting < 3) std::this_thread::yield();
  const MailboxStats stats = victim.mailbox().stats();
  EXPECT_EQ(stats.messages, 256U);
  EXPECT_EQ(stats.bytes, 1U << 20);
  victim.kill("test");
  for (const Process& one : all) ends_well(one);
}

TEST_F(MessagesTest, NoticesAndNamesAreBoundedForGuests) {
  ends_well(spawn(guest(R"(
    (data (i32.const 512) "name00")
    (func (export "_start") (local $i i32) (local $result i64)
      ;; each of these is told at once, and stays unread
      (loop $again
        (local.set $result (call $monitor (i64.const 123456)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i64.gt_s (local.get $result) (i64.const 0))))
      (call $expect (local.get $result) (i64.const -51) (i32.const 1))
      (call $is (local.get $i) (i32.const 1025) (i32.const 2))
      (local.set $i (i32.const 0))
      (loop $more
        (i32.store8 (i32.const 517) (i32.add (i32.const 48) (local.get $i)))
        (local.set $result (i64.extend_i32_s (call $register (i32.const 512) (i32.const 6))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i64.eqz (local.get $result))))
      (call $expect (local.get $result) (i64.const 51) (i32.const 3))
      (call $is (local.get $i) (i32.const 17) (i32.const 4)))
  )")));
  EXPECT_EQ(runtime_->stats().names, 0U);
}

// Guests that send to and receive from each other, link and watch, killed at random while they do.
TEST_F(MessagesTest, KilledAtRandom) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const Module module = compile(guest(R"(
    (func (export "_start") (local $other i64) (local $random i64)
      (call $trap_exits (i32.wrap_i64 (i64.and (call $self) (i64.const 1))))
      (local.set $random (call $self))
      (loop $again
        (local.set $random (i64.add (i64.mul (local.get $random) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
        (local.set $other (i64.add (i64.const 1) (i64.rem_u (i64.shr_u (local.get $random) (i64.const 33)) (i64.add (call $self) (i64.const 8)))))
        (drop (call $send (local.get $other) (i64.const 1) (i32.const 0) (i32.const 100) (i64.const 100000)))
        (if (i64.eqz (i64.rem_u (local.get $random) (i64.const 16))) (then (drop (call $link (local.get $other)))))
        (if (i64.eqz (i64.rem_u (local.get $random) (i64.const 7))) (then (drop (call $monitor (local.get $other)))))
        (if (i64.eqz (i64.rem_u (local.get $random) (i64.const 11))) (then (drop (call $unlink (local.get $other)))))
        (drop (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 1024) (i32.const 4096) (i32.const 64) (i64.const 100000)))
        (br $again))))"));
  Limits limits;
  limits.mailbox.messages = 4;
  std::vector<Process> all;
  for (int i = 0; i < 400; ++i) {
    all.push_back(spawn(ProcessSpec{.module = module, .limits = limits}));
    if (i >= 10) all[random() % all.size()].kill("chance");
    if (random() % 4 == 0) std::this_thread::yield();
  }
  for (const Process& one : all) one.kill("the end");
  for (const Process& one : all) {
    EXPECT_EQ(one.join().kind, ExitKind::kKilled);
    EXPECT_TRUE(one.mailbox().stats().closed);
  }
}

}  // namespace
}  // namespace weft::testing
