// Wait sets and events of guests (import module weft_wait): each kind of member, any, all and so many, what is gone, what makes no sense, all limits; killed in a wait.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/channel_guest.hpp"
#include "support/guests.hpp"
#include "support/process_guest.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kTopics = R"(
  (import "weft_topic" "subscribe" (func $subscribe (param i32 i32 i32) (result i32)))
  (import "weft_topic" "next" (func $next (param i32 i32 i32 i32 i64) (result i32))))";

class GuestWaitTest : public ProcessGuestTest {
 protected:
  Module compiled(std::string_view body) {
    return compile(guest(body, std::string(kChannelImports) + std::string(kWaitImports) + std::string(kTopics)));
  }
  Process run(std::string_view body, SpawnOptions options = {}) {
    const Program program = runtime_->prepare({.module = compiled(body)}).value();
    return runtime_->spawn(program, std::move(options)).value();
  }
};

// Everything that can be waited for, under keys 1 to 7; the host makes one after the other ready, and is told by notes.
TEST_F(GuestWaitTest, EachKindOfMember) {
  Channel in = *make_channel({.capacity = 1});
  Channel out = *make_channel({.capacity = 1});
  ASSERT_TRUE(out.sender.try_send(Bytes::copy_of("full")).has_value());
  const Process other = spawn(kSleeps);
  ASSERT_TRUE(runtime_->register_name("other", other).has_value());
  std::vector<Grant> grants;
  grants.push_back({.name = "in", .what = in.receiver});
  grants.push_back({.name = "out", .what = out.sender});
  const Process waits = run(R"(
    (data (i32.const 512) "inoutothertopic")
    (global $set (mut i32) (i32.const 0))
    (func $only (param $key i64)
      (call $is (call $wait (global.get $set) (i32.const 1024) (i32.const 16) (i32.const 1) (i64.const -1)) (i32.const 1) (i32.const 90))
      (call $expect (i64.load (i32.const 1024)) (local.get $key) (i32.const 91))
      (call $is (i32.load (i32.const 1032)) (i32.const 0) (i32.const 92)))
    (func (export "_start") (local $in i32) (local $out i32) (local $topic i32) (local $event i32)
      (global.set $set (call $set_new))
      (local.set $in (call $granted (i32.const 512) (i32.const 2)))
      (local.set $out (call $granted (i32.const 514) (i32.const 3)))
      (local.set $topic (call $subscribe (i32.const 522) (i32.const 5) (i32.const 4)))
      (local.set $event (call $event_new))
      (call $is (call $add (global.get $set) (i64.const 1) (i32.const 0) (call $whereis (i32.const 517) (i32.const 5))) (i32.const 0) (i32.const 1))
      (call $is (call $add (global.get $set) (i64.const 2) (i32.const 1) (i64.extend_i32_s (local.get $in))) (i32.const 0) (i32.const 2))
      (call $is (call $add (global.get $set) (i64.const 3) (i32.const 2) (i64.extend_i32_s (local.get $out))) (i32.const 0) (i32.const 3))
      (call $is (call $add (global.get $set) (i64.const 4) (i32.const 3) (i64.const 0)) (i32.const 0) (i32.const 4))
      (call $is (call $add (global.get $set) (i64.const 5) (i32.const 4) (i64.extend_i32_s (local.get $topic))) (i32.const 0) (i32.const 5))
      (call $is (call $add (global.get $set) (i64.const 6) (i32.const 6) (i64.extend_i32_s (local.get $event))) (i32.const 0) (i32.const 6))
      (call $is (call $wait (global.get $set) (i32.const 1024) (i32.const 16) (i32.const 1) (i64.const 0)) (i32.const -6) (i32.const 7))
      (call $is (call $wait (global.get $set) (i32.const 1024) (i32.const 16) (i32.const 1) (i64.const 1000)) (i32.const -73) (i32.const 8))
      ;; a timer, which stays ready until it is removed
      (call $is (call $add (global.get $set) (i64.const 7) (i32.const 5) (i64.const 1000000)) (i32.const 0) (i32.const 9))
      (call $only (i64.const 7))
      (call $only (i64.const 7))
      (call $is (call $remove (global.get $set) (i64.const 7)) (i32.const 0) (i32.const 10))
      (call $is (call $event_set (local.get $event)) (i32.const 0) (i32.const 11))
      (call $only (i64.const 6))
      (call $is (call $event_reset (local.get $event)) (i32.const 0) (i32.const 12))
      (call $note (i64.const 1))
      (call $only (i64.const 2))
      (call $is (call $get (local.get $in) (i32.const 2048) (i32.const 16) (i32.const 64) (i64.const 0)) (i32.const 0) (i32.const 13))
      (call $note (i64.const 2))
      (call $only (i64.const 3))
      (call $is (call $put (local.get $out) (i32.const 2048) (i32.const 1) (i64.const 0)) (i32.const 0) (i32.const 14))
      (call $note (i64.const 3))
      (call $only (i64.const 4))
      (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 2048) (i32.const 16) (i32.const 64) (i64.const 0)) (i32.const 0) (i32.const 15))
      (call $note (i64.const 4))
      (call $only (i64.const 5))
      (call $is (call $next (local.get $topic) (i32.const 2048) (i32.const 16) (i32.const 64) (i64.const 0)) (i32.const 0) (i32.const 16))
      (call $note (i64.const 5))
      (call $only (i64.const 1))
      (call $is (call $remove (global.get $set) (i64.const 1)) (i32.const 0) (i32.const 17))
      ;; closed channels are ready on either side
      (call $is (call $close (local.get $in)) (i32.const 0) (i32.const 18))
      (call $only (i64.const 2))
      (call $is (call $remove (global.get $set) (i64.const 2)) (i32.const 0) (i32.const 19))
      ;; an event that nobody has any more is gone, and told of once
      (call $is (call $drop_handle (local.get $event)) (i32.const 0) (i32.const 20))
      (call $is (call $wait (global.get $set) (i32.const 1024) (i32.const 16) (i32.const 1) (i64.const -1)) (i32.const 1) (i32.const 21))
      (call $expect (i64.load (i32.const 1024)) (i64.const 6) (i32.const 22))
      (call $is (i32.load (i32.const 1032)) (i32.const 1) (i32.const 23))
      (call $is (call $remove (global.get $set) (i64.const 6)) (i32.const 44) (i32.const 24))))",
                            {.grants = std::move(grants)});
  wait_for_notes(1);
  ASSERT_TRUE(in.sender.send(Bytes::copy_of("hello")).block().has_value());
  wait_for_notes(2);
  ASSERT_TRUE(out.receiver.receive().block().has_value());
  wait_for_notes(3);
  ASSERT_TRUE(waits.mailbox().send({}).block().has_value());
  wait_for_notes(4);
  ASSERT_EQ(publish(*runtime_, "topic", Bytes::copy_of("news")), 1U);
  wait_for_notes(5);
  other.kill("test");
  ends_well(waits);
}

TEST_F(GuestWaitTest, AllOfThemOrSoMany) {
  ends_well(run(R"(
    (func (export "_start") (local $set i32) (local $a i32) (local $b i32)
      (local.set $set (call $set_new))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 4) (i32.const -1) (i64.const -1)) (i32.const 0) (i32.const 1))
      (local.set $a (call $event_new))
      (local.set $b (call $event_new))
      (call $is (call $add (local.get $set) (i64.const -1) (i32.const 6) (i64.extend_i32_s (local.get $a))) (i32.const 0) (i32.const 2))
      (call $is (call $add (local.get $set) (i64.const 0) (i32.const 6) (i64.extend_i32_s (local.get $b))) (i32.const 0) (i32.const 3))
      (call $is (call $add (local.get $set) (i64.const 5) (i32.const 5) (i64.const 2000000)) (i32.const 0) (i32.const 4))
      (call $is (call $event_set (local.get $a)) (i32.const 0) (i32.const 5))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 4) (i32.const 3) (i64.const 100000)) (i32.const -73) (i32.const 6))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 4) (i32.const 2) (i64.const -1)) (i32.const 2) (i32.const 7))
      (call $is (call $event_set (local.get $b)) (i32.const 0) (i32.const 8))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 3) (i32.const -1) (i64.const -1)) (i32.const 3) (i32.const 9))
      ;; two at a time, in turn
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 2) (i32.const 1) (i64.const -1)) (i32.const 2) (i32.const 10))
      (call $is (call $wait (local.get $set) (i32.const 1056) (i32.const 1) (i32.const 1) (i64.const -1)) (i32.const 1) (i32.const 11))
      (call $is (i32.or (i64.eq (i64.load (i32.const 1056)) (i64.load (i32.const 1024)))
                        (i64.eq (i64.load (i32.const 1056)) (i64.load (i32.const 1040)))) (i32.const 0) (i32.const 12))
      ;; what makes no sense
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 2) (i32.const -1) (i64.const 0)) (i32.const -28) (i32.const 13))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 2) (i32.const 3) (i64.const 0)) (i32.const -28) (i32.const 14))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 2) (i32.const 0) (i64.const 0)) (i32.const -28) (i32.const 15))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 0) (i32.const 1) (i64.const 0)) (i32.const -28) (i32.const 16))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 1025) (i32.const 1) (i64.const 0)) (i32.const -28) (i32.const 17))
      (call $is (call $wait (local.get $a) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const 0)) (i32.const -8) (i32.const 18))))"));
}

TEST_F(GuestWaitTest, WrongHandlesAndLimits) {
  const Process target = spawn(kSleeps);
  ASSERT_TRUE(runtime_->register_name("target", target).has_value());
  ends_well(run(R"(
    (data (i32.const 512) "targetset")
    (func (export "_start") (local $set i32) (local $i i64) (local $sets i32)
      (local.set $set (call $set_new))
      (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 1))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 1) (i64.load32_s (i32.const 64))) (i32.const 8) (i32.const 2))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 2) (i64.load32_s (i32.const 68))) (i32.const 8) (i32.const 3))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 4) (i64.load32_s (i32.const 68))) (i32.const 8) (i32.const 4))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 6) (i64.const 0x100000001)) (i32.const 8) (i32.const 5))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 6) (i64.const -1)) (i32.const 8) (i32.const 6))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 8) (i64.const 0)) (i32.const 28) (i32.const 7))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 0) (i64.const 999999)) (i32.const 71) (i32.const 8))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 0) (call $self)) (i32.const 16) (i32.const 9))
      (call $is (call $add (i32.const 99) (i64.const 1) (i32.const 3) (i64.const 0)) (i32.const 8) (i32.const 10))
      (call $is (call $remove (local.get $set) (i64.const 1)) (i32.const 44) (i32.const 11))
      (call $is (call $remove (i32.load (i32.const 64)) (i64.const 1)) (i32.const 8) (i32.const 12))
      (call $is (call $event_set (local.get $set)) (i32.const 8) (i32.const 13))
      (call $is (call $event_reset (local.get $set)) (i32.const 8) (i32.const 14))
      ;; a set is nobody else's
      (call $is (call $grant (call $whereis (i32.const 512) (i32.const 6)) (i32.const 518) (i32.const 3) (local.get $set)) (i32.const 28) (i32.const 15))
      (call $is (call $add (local.get $set) (i64.const 0) (i32.const 3) (i64.const 0)) (i32.const 0) (i32.const 16))
      (call $is (call $add (local.get $set) (i64.const 0) (i32.const 3) (i64.const 0)) (i32.const 20) (i32.const 17))
      (local.set $i (i64.const 1))
      (loop $more   ;; timers that never come, and some that have come
        (br_if $more (i32.eqz (call $add (local.get $set) (local.tee $i (i64.add (local.get $i) (i64.const 1))) (i32.const 5)
          (select (i64.const -1) (i64.const 0x7fffffffffffffff) (i64.eqz (i64.and (local.get $i) (i64.const 7))))))))
      (call $is (call $add (local.get $set) (i64.const -9) (i32.const 3) (i64.const 0)) (i32.const 51) (i32.const 18))
      (call $expect (local.get $i) (i64.const 1025) (i32.const 19))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 1024) (i32.const 1) (i64.const -1)) (i32.const 128) (i32.const 20))
      (loop $sets
        (local.set $sets (i32.add (local.get $sets) (i32.const 1)))
        (br_if $sets (i32.gt_s (call $set_new) (i32.const 0))))
      (call $is (local.get $sets) (i32.const 16) (i32.const 21))
      (call $is (call $drop_handle (local.get $set)) (i32.const 0) (i32.const 22))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const -1)) (i32.const -8) (i32.const 23))))"));
  target.kill("test");
  for (const std::string_view events : {"131072", "-1", "131057"}) {
    const std::string call =
        "(drop (call $wait (i32.const 1) (i32.const " + std::string(events) + ") (i32.const 1) (i32.const 1) (i64.const 0)))";
    EXPECT_EQ(run("(func (export \"_start\") " + call + ")").join().kind, ExitKind::kTrapped) << events;
  }
}

// An event that one process has and another waits for; the waiting one is killed, or its set dropped: nothing is left.
TEST_F(GuestWaitTest, EventsAreSharedAndAWaitCanBeKilled) {
  const Module waits = compiled(R"(
    (data (i32.const 512) "event")
    (func (export "_start") (local $set i32) (local $event i32)
      (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 1))
      (local.set $set (call $set_new))
      (local.set $event (call $granted (i32.const 512) (i32.const 5)))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 6) (i64.extend_i32_s (local.get $event))) (i32.const 0) (i32.const 2))
      (call $is (call $add (local.get $set) (i64.const 2) (i32.const 5) (i64.const 3600000000000)) (i32.const 0) (i32.const 3))
      (call $is (call $wait (local.get $set) (i32.const 1024) (i32.const 2) (i32.const 1) (i64.const -1)) (i32.const 1) (i32.const 4))
      (call $expect (i64.load (i32.const 1024)) (i64.const 1) (i32.const 5))
      (call $note (i64.const 2))))");
  std::vector<Process> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(spawn(ProcessSpec{.module = waits}));
    ASSERT_TRUE(runtime_->register_name("waits" + std::to_string(i), all.back()).has_value());
  }
  const Process sets = run(R"(
    (data (i32.const 512) "eventwaits0")
    (func (export "_start") (local $event i32) (local $i i32) (local $to i64)
      (local.set $event (call $event_new))
      (loop $each
        (i32.store8 (i32.const 522) (i32.add (i32.const 48) (local.get $i)))
        (local.set $to (call $whereis (i32.const 517) (i32.const 6)))
        (call $is (call $grant (local.get $to) (i32.const 512) (i32.const 5) (local.get $event)) (i32.const 0) (i32.const 10))
        (call $is (call $send (local.get $to) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 11))
        (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3))))
      (call $note (i64.const 1))
      (call $gate)
      (call $is (call $event_set (local.get $event)) (i32.const 0) (i32.const 12))))");
  wait_for_notes(1);
  for (const Process& one : all) wait_until_parked(one, "weft_wait.wait");
  all[1].kill("test");
  EXPECT_EQ(all[1].join().kind, ExitKind::kKilled);
  gate_.set();
  ends_well(all[0]);
  ends_well(all[2]);
  ends_well(sets);
  EXPECT_EQ(notes().size(), 3U);
}

// ---- what calls cost ----

TEST_F(GuestWaitTest, CallsArePaidFromThePool) {
  // Thirteen calls, one unit each, from a pool that holds ten and does not wait; then the same with one that waits for more.
  constexpr std::string_view kBody = R"(
    (data (i32.const 512) "topic")
    (func $count (param $answer i32) (call $note (i64.extend_i32_s (local.get $answer))))
    (func (export "_start") (local $set i32) (local $topic i32)
      (drop (call $make (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 64)))
      (local.set $set (call $set_new))
      (drop (call $add (local.get $set) (i64.const 1) (i32.const 5) (i64.const 0)))
      (local.set $topic (call $subscribe (i32.const 512) (i32.const 5) (i32.const 1)))
      (call $count (call $put (i32.load (i32.const 64)) (i32.const 0) (i32.const 1) (i64.const -1)))
      (i64.store (i32.const 1024) (i64.const 0x100000001))
      (call $count (i32.sub (call $put_many (i32.load (i32.const 64)) (i32.const 0) (i32.const 1024) (i32.const 2) (i64.const -1)) (i32.const 2)))
      (call $count (call $get (i32.load (i32.const 68)) (i32.const 0) (i32.const 1) (i32.const 128) (i64.const -1)))
      (call $count (i32.sub (call $get_many (i32.load (i32.const 68)) (i32.const 0) (i32.const 2) (i32.const 1024) (i32.const 2) (i32.const 128) (i64.const -1)) (i32.const 2)))
      (call $count (i32.sub (call $wait (local.get $set) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const -1)) (i32.const 1)))
      (call $count (call $event_set (call $event_new)))
      (call $count (call $send (call $self) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const -1)))
      (call $count (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 128) (i64.const -1)))
      (call $count (i32.sub (call $next (local.get $topic) (i32.const 0) (i32.const 1) (i32.const 128) (i64.const 0)) (i32.const 6)))
      (call $count (call $event_set (call $event_new)))
      (call $count (call $event_set (call $event_new)))
      (call $count (i32.add (call $wait (local.get $set) (i32.const 1024) (i32.const 1) (i32.const 1) (i64.const -1)) (i32.const 19)))
      (call $count (i32.add (call $put_many (i32.load (i32.const 64)) (i32.const 0) (i32.const 1024) (i32.const 2) (i64.const -1)) (i32.const 19)))))";
  FuelPoolOptions options{.capacity = 10, .on_exhausted = OnExhausted::kFail};
  options.rates.spawn = 0;
  options.rates.spawn_per_stack_page = 0;
  const FuelPool fails = FuelPool::create(options).value();
  ends_well(run(kBody, {.fuel = fails}));
  EXPECT_EQ(notes(), (std::vector<std::int64_t>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0}));
  EXPECT_EQ(fails.stats().taken, 10U);
  EXPECT_EQ(fails.stats().refused, 3U);

  options.on_exhausted = OnExhausted::kWait;
  const FuelPool waits = FuelPool::create(options).value();
  const Process held = run(kBody, {.fuel = waits});
  wait_for_notes(23);
  while (waits.stats().waiting == 0) std::this_thread::yield();
  EXPECT_EQ(notes().size(), 23U);
  waits.give_back(1);
  wait_for_notes(24);
  while (waits.stats().waiting == 0) std::this_thread::yield();
  held.kill("test");
  EXPECT_EQ(held.join().kind, ExitKind::kKilled);
  EXPECT_EQ(waits.stats().waiting, 0U);
}

}  // namespace
}  // namespace weft::testing
