// Channels of guests (import module weft_channel) and grants: between host and guests and among guests, full, closed, too small a buffer, wrong handles, what is over
// a limit.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "support/channel_guest.hpp"

namespace weft::testing {
namespace {

class GuestChannelsTest : public ChannelGuestTest {};

// Receives from "in" until it is closed, and sends each on to "out". Messages of 8192 bytes at most.
constexpr std::string_view kPipe = R"(
  (data (i32.const 512) "inout")
  (func (export "_start") (local $in i32) (local $out i32) (local $error i32)
    (local.set $in (call $granted (i32.const 512) (i32.const 2)))
    (local.set $out (call $granted (i32.const 514) (i32.const 3)))
    (loop $again
      (local.set $error (call $get (local.get $in) (i32.const 4096) (i32.const 8192) (i32.const 64) (i64.const -1)))
      (if (i32.eq (local.get $error) (i32.const 64)) (then (return)))
      (call $is (local.get $error) (i32.const 0) (i32.const 1))
      (call $is (call $put (local.get $out) (i32.const 4096) (i32.load (i32.const 72)) (i64.const -1)) (i32.const 0) (i32.const 2))
      (br $again))))";

TEST_F(GuestChannelsTest, TheHostTalksToAGuest) {
  Channel jobs = *make_channel({.capacity = 4});
  Channel results = *make_channel({.capacity = 4});
  const Process pipe = run(kPipe, {grant("in", jobs.receiver), grant("out", results.sender)});
  jobs.receiver = {};
  results.sender = {};
  std::thread feeds([to = std::move(jobs.sender)] {
    for (int i = 0; i < 200; ++i)
      EXPECT_TRUE(to.send(text(std::string(static_cast<std::size_t>(i) * 40, 'x') + std::to_string(i))).block());
  });
  jobs.sender = {};
  for (int i = 0; i < 200; ++i) {
    const ChannelResult<Bytes> result = results.receiver.receive().block();
    ASSERT_TRUE(result.has_value()) << i;
    EXPECT_EQ(result->text(), std::string(static_cast<std::size_t>(i) * 40, 'x') + std::to_string(i));
  }
  feeds.join();
  ends_well(pipe);
  EXPECT_EQ(results.receiver.receive().block().error().failure, ChannelFailure::kClosed) << "its sender went with the process";
}

// A makes the channel, grants the receiver, sends numbers in batches; B adds them up.
TEST_F(GuestChannelsTest, GuestsTalkToEachOther) {
  const Module adds = compile(with_channels(R"(
    (data (i32.const 512) "numbers")
    (func (export "_start") (local $in i32) (local $got i32) (local $i i32) (local $sum i64)
      (loop $ask
        (local.set $in (call $granted (i32.const 512) (i32.const 7)))
        (if (i32.lt_s (local.get $in) (i32.const 0)) (then
          (call $is (local.get $in) (i32.const -44) (i32.const 1))
          (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 2))
          (br $ask))))
      (call $is (call $granted (i32.const 512) (i32.const 7)) (local.get $in) (i32.const 3))
      (block $end (loop $again
        (local.set $got (call $get_many (local.get $in) (i32.const 4096) (i32.const 800) (i32.const 1024) (i32.const 64) (i32.const 64) (i64.const -1)))
        (br_if $end (i32.eq (local.get $got) (i32.const -64)))
        (call $is (i32.gt_s (local.get $got) (i32.const 0)) (i32.const 1) (i32.const 4))
        (call $is (i32.load (i32.const 72)) (i32.mul (local.get $got) (i32.const 8)) (i32.const 5))
        (call $is (i32.load (i32.const 76)) (local.get $got) (i32.const 6))
        (local.set $i (i32.const 0))
        (loop $each
          (call $is (i32.load (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 4)))) (i32.const 8) (i32.const 7))
          (local.set $sum (i64.add (local.get $sum) (i64.load (i32.add (i32.const 4096) (i32.mul (local.get $i) (i32.const 8))))))
          (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $got))))
        (br $again)))
      (call $note (local.get $sum))))"));
  const Module sends = compile(with_channels(R"(
    (data (i32.const 512) "numbers")
    (func (export "go") (param $to i64) (local $i i32) (local $next i64) (local $left i32)
      (call $is (call $make (i32.const 0) (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 10))
      (call $is (call $grant (local.get $to) (i32.const 512) (i32.const 7) (i32.load (i32.const 68))) (i32.const 0) (i32.const 11))
      (call $is (call $send (local.get $to) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 12))
      (call $is (call $drop_handle (i32.load (i32.const 68))) (i32.const 0) (i32.const 13))
      (loop $fill   ;; 50 sizes of 8
        (i32.store (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 4))) (i32.const 8))
        (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))
      (local.set $left (i32.const 40))
      (loop $batch
        (local.set $i (i32.const 0))
        (loop $number
          (i64.store (i32.add (i32.const 4096) (i32.mul (local.get $i) (i32.const 8))) (local.tee $next (i64.add (local.get $next) (i64.const 1))))
          (br_if $number (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))
        (call $is (call $put_many (i32.load (i32.const 64)) (i32.const 4096) (i32.const 1024) (i32.const 50) (i64.const -1)) (i32.const 50) (i32.const 14))
        (br_if $batch (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"));
  std::vector<Process> all;
  constexpr std::size_t kPairs = 6;
  for (std::size_t i = 0; i < kPairs; ++i) {
    all.push_back(run(adds, {}));
    all.push_back(spawn(ProcessSpec{.module = sends, .entry = "go", .entry_values = {static_cast<std::int64_t>(all.back().id())}}));
  }
  for (const Process& one : all) ends_well(one);
  EXPECT_EQ(notes(), std::vector<std::int64_t>(kPairs, 2000 * 2001 / 2));
}

TEST_F(GuestChannelsTest, FullClosedAndTooLarge) {
  ends_well(run(R"((func (export "_start") (local $to i32) (local $from i32)
    (call $is (call $make (i32.const 0) (i32.const 2) (i32.const 1000) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 1))
    (local.set $to (i32.load (i32.const 64)))
    (local.set $from (i32.load (i32.const 68)))
    (call $is (call $get (local.get $from) (i32.const 0) (i32.const 10) (i32.const 128) (i64.const 0)) (i32.const 6) (i32.const 2))
    (call $is (call $get (local.get $from) (i32.const 0) (i32.const 10) (i32.const 128) (i64.const 1000)) (i32.const 73) (i32.const 3))
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 1001) (i64.const -1)) (i32.const 35) (i32.const 4))
    (i64.store (i32.const 512) (i64.const 0x1122334455667788))
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 8) (i64.const 0)) (i32.const 0) (i32.const 5))
    (call $is (call $put (local.get $to) (i32.const 0) (i32.const 0) (i64.const 0)) (i32.const 0) (i32.const 6))
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 8) (i64.const 0)) (i32.const 6) (i32.const 7))
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 8) (i64.const 1000)) (i32.const 73) (i32.const 8))
    ;; a buffer that is too small leaves the message, and is told how large it is
    (call $is (call $get (local.get $from) (i32.const 256) (i32.const 7) (i32.const 128) (i64.const -1)) (i32.const 35) (i32.const 9))
    (call $is (i32.load (i32.const 136)) (i32.const 8) (i32.const 10))
    (call $is (i32.load (i32.const 140)) (i32.const 0) (i32.const 11))
    (call $is (call $get_many (local.get $from) (i32.const 256) (i32.const 7) (i32.const 1024) (i32.const 5) (i32.const 128) (i64.const 0)) (i32.const -35) (i32.const 12))
    (call $is (call $channel_stats (local.get $to) (i32.const 160)) (i32.const 0) (i32.const 13))
    (call $expect (i64.load (i32.const 160)) (i64.const 2) (i32.const 14))
    (call $expect (i64.load (i32.const 168)) (i64.const 128) (i32.const 15))
    (call $is (i32.load (i32.const 216)) (i32.const 0) (i32.const 16))
    (call $is (call $get_many (local.get $from) (i32.const 256) (i32.const 8) (i32.const 1024) (i32.const 5) (i32.const 128) (i64.const 0)) (i32.const 2) (i32.const 17))
    (call $expect (i64.load (i32.const 256)) (i64.const 0x1122334455667788) (i32.const 18))
    (call $is (i32.load (i32.const 1024)) (i32.const 8) (i32.const 19))
    (call $is (i32.load (i32.const 1028)) (i32.const 0) (i32.const 20))
    ;; closed: what is in it comes out
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 8) (i64.const 0)) (i32.const 0) (i32.const 21))
    (call $is (call $close (local.get $from)) (i32.const 0) (i32.const 22))
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 8) (i64.const -1)) (i32.const 64) (i32.const 23))
    (call $is (call $put_many (local.get $to) (i32.const 512) (i32.const 1024) (i32.const 2) (i64.const -1)) (i32.const -64) (i32.const 24))
    (call $is (call $get (local.get $from) (i32.const 256) (i32.const 8) (i32.const 128) (i64.const -1)) (i32.const 0) (i32.const 25))
    (call $is (call $get (local.get $from) (i32.const 256) (i32.const 8) (i32.const 128) (i64.const -1)) (i32.const 64) (i32.const 26))
    (call $is (call $drop_handle (local.get $from)) (i32.const 0) (i32.const 27))
    (call $is (call $get (local.get $from) (i32.const 256) (i32.const 8) (i32.const 128) (i64.const -1)) (i32.const 8) (i32.const 28))))"));
}

// A message comes that the waiting guest has no room for: it hears the size, and gets it when it asks with more.
TEST_F(GuestChannelsTest, AMessageThatDoesNotFitStaysWhileItWaits) {
  for (const ChannelKind kind : {ChannelKind::kBounded, ChannelKind::kRendezvous, ChannelKind::kOneshot, ChannelKind::kBroadcast}) {
    Channel channel = *make_channel({.kind = kind});
    const Process asks = run(R"(
      (data (i32.const 512) "in")
      (func (export "_start") (local $in i32)
        (local.set $in (call $granted (i32.const 512) (i32.const 2)))
        (call $note (i64.const 1))
        (call $is (call $get (local.get $in) (i32.const 1024) (i32.const 4) (i32.const 64) (i64.const -1)) (i32.const 35) (i32.const 1))
        (call $is (i32.load (i32.const 72)) (i32.const 5) (i32.const 2))
        (call $is (call $get (local.get $in) (i32.const 1024) (i32.const 5) (i32.const 64) (i64.const -1)) (i32.const 0) (i32.const 3))
        (call $is (i32.load8_u (i32.const 1024)) (i32.const 104) (i32.const 4))))",
                             {grant("in", channel.receiver)});
    channel.receiver = {};
    while (channel.sender.stats().receivers_waiting == 0) std::this_thread::yield();
    EXPECT_TRUE(channel.sender.send(text("hello")).block().has_value());
    ends_well(asks);
  }
}

TEST_F(GuestChannelsTest, KindsAndLimits) {
  ends_well(run(R"((func (export "_start") (local $to i32) (local $from i32) (local $i i32)
    ;; a kind that is none, no capacity, too much of it, too many or too few bytes
    (call $is (call $make (i32.const 5) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 28) (i32.const 1))
    (call $is (call $make (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 28) (i32.const 2))
    (call $is (call $make (i32.const 0) (i32.const 65537) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 28) (i32.const 3))
    (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 1048577) (i32.const 0) (i32.const 64)) (i32.const 28) (i32.const 4))
    (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 63) (i32.const 0) (i32.const 64)) (i32.const 28) (i32.const 5))
    (call $is (call $make (i32.const 4) (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 64)) (i32.const 28) (i32.const 6))
    ;; unbounded: over its bytes it fails
    (call $is (call $make (i32.const 1) (i32.const 0) (i32.const 128) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 7))
    (local.set $to (i32.load (i32.const 64)))
    (local.set $from (i32.load (i32.const 68)))
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 8) (i64.const -1)) (i32.const 0) (i32.const 8))
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 8) (i64.const -1)) (i32.const 0) (i32.const 9))
    (call $is (call $put (local.get $to) (i32.const 512) (i32.const 8) (i64.const -1)) (i32.const 51) (i32.const 10))
    ;; the wrong end
    (call $is (call $put (local.get $from) (i32.const 512) (i32.const 8) (i64.const -1)) (i32.const 8) (i32.const 11))
    (call $is (call $get (local.get $to) (i32.const 512) (i32.const 8) (i32.const 128) (i64.const -1)) (i32.const 8) (i32.const 12))
    (call $is (call $close (i32.const 77)) (i32.const 8) (i32.const 13))
    (call $is (call $subscribe_to (i32.const 77)) (i32.const -8) (i32.const 14))
    (call $is (call $channel_stats (i32.const 0) (i32.const 160)) (i32.const 8) (i32.const 15))
    (call $is (call $put_many (local.get $to) (i32.const 512) (i32.const 1024) (i32.const 0) (i64.const 0)) (i32.const -28) (i32.const 16))
    (call $is (call $put_many (local.get $to) (i32.const 512) (i32.const 1024) (i32.const 1025) (i64.const 0)) (i32.const -28) (i32.const 17))
    (call $is (call $get_many (local.get $from) (i32.const 512) (i32.const 64) (i32.const 1024) (i32.const 1025) (i32.const 128) (i64.const 0)) (i32.const -28) (i32.const 18))
    ;; a rendezvous with nobody there; a oneshot is closed after its message
    (call $is (call $make (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 19))
    (call $is (call $put (i32.load (i32.const 64)) (i32.const 512) (i32.const 8) (i64.const 0)) (i32.const 6) (i32.const 20))
    (call $is (call $make (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 21))
    (call $is (call $put (i32.load (i32.const 64)) (i32.const 512) (i32.const 8) (i64.const 0)) (i32.const 0) (i32.const 22))
    (call $is (call $put (i32.load (i32.const 64)) (i32.const 512) (i32.const 8) (i64.const 0)) (i32.const 64) (i32.const 23))
    ;; as many handles as there may be
    (block $full (loop $more
      (br_if $full (call $make (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 0) (i32.const 64)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $more)))
    (call $is (local.get $i) (i32.const 125) (i32.const 24))
    (call $is (call $subscribe_to (local.get $to)) (i32.const -33) (i32.const 25))
    (call $is (call $drop_handle (local.get $to)) (i32.const 0) (i32.const 26))
    (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 33) (i32.const 27))
    (call $is (call $subscribe_to (local.get $from)) (local.get $to) (i32.const 28))))"));
}

TEST_F(GuestChannelsTest, BroadcastsReachAllAndTellWhatIsLost) {
  ends_well(run(R"((func (export "_start") (local $to i32) (local $one i32) (local $two i32) (local $i i32)
    (call $is (call $make (i32.const 4) (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 64)) (i32.const 0) (i32.const 1))
    (local.set $to (i32.load (i32.const 64)))
    (local.set $one (i32.load (i32.const 68)))
    (loop $each
      (i32.store (i32.const 512) (local.get $i))
      (call $is (call $put (local.get $to) (i32.const 512) (i32.const 4) (i64.const 0)) (i32.const 0) (i32.const 2))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5))))
    (call $is (call $get (local.get $one) (i32.const 256) (i32.const 4) (i32.const 128) (i64.const -1)) (i32.const 61) (i32.const 3))
    (call $expect (i64.load (i32.const 128)) (i64.const 3) (i32.const 4))
    (call $is (call $get (local.get $one) (i32.const 256) (i32.const 4) (i32.const 128) (i64.const -1)) (i32.const 0) (i32.const 5))
    (call $is (i32.load (i32.const 256)) (i32.const 3) (i32.const 6))
    ;; of a receiver: where that one stands; of the sender: from now on
    (local.set $two (call $subscribe_to (local.get $one)))
    (call $is (call $get (local.get $two) (i32.const 256) (i32.const 4) (i32.const 128) (i64.const -1)) (i32.const 0) (i32.const 7))
    (call $is (i32.load (i32.const 256)) (i32.const 4) (i32.const 8))
    (local.set $two (call $subscribe_to (local.get $to)))
    (call $is (call $get (local.get $two) (i32.const 256) (i32.const 4) (i32.const 128) (i64.const 0)) (i32.const 6) (i32.const 9))
    (call $is (call $get (local.get $one) (i32.const 256) (i32.const 4) (i32.const 128) (i64.const 0)) (i32.const 0) (i32.const 10))))"));
  // A sender that was granted makes no receivers.
  const Channel channel = *make_channel({.kind = ChannelKind::kBroadcast});
  ends_well(run(R"((data (i32.const 512) "out")
    (func (export "_start")
      (call $is (call $subscribe_to (call $granted (i32.const 512) (i32.const 3))) (i32.const -8) (i32.const 1))))",
                {grant("out", channel.sender)}));
}

TEST_F(GuestChannelsTest, PointersToNowhereTrap) {
  for (const std::string_view call : {
           "(drop (call $granted (i32.const -1) (i32.const 2)))",
           "(drop (call $grant (i64.const 1) (i32.const 131072) (i32.const 1) (i32.const 1)))",
           "(drop (call $make (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 131065)))",
           "(drop (call $put (i32.const 1) (i32.const 131071) (i32.const 2) (i64.const 0)))",
           "(drop (call $put (i32.const 1) (i32.const 0) (i32.const -1) (i64.const -1)))",
           "(drop (call $put_many (i32.const 1) (i32.const 0) (i32.const 131070) (i32.const 1) (i64.const 0)))",
           "(i32.store (i32.const 64) (i32.const -1)) (i32.store (i32.const 68) (i32.const 1))"
           "(drop (call $put_many (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 2) (i64.const 0)))",
           "(drop (call $get (i32.const 1) (i32.const 131072) (i32.const 1) (i32.const 64) (i64.const 0)))",
           "(drop (call $get (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 131057) (i64.const -1)))",
           "(drop (call $get_many (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 131069) (i32.const 1) (i32.const 64) "
           "(i64.const 0)))",
           "(drop (call $channel_stats (i32.const 1) (i32.const 131009)))",
       }) {
    const ExitStatus status = run("(func (export \"_start\") " + std::string(call) + ")").join();
    EXPECT_EQ(status.kind, ExitKind::kTrapped) << call;
    EXPECT_NE((status.message + status.detail).find("not all in the guest's memory"), std::string::npos) << call;
  }
}

}  // namespace
}  // namespace weft::testing
