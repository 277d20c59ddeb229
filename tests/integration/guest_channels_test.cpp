// Channels of guests (import module weft_channel) and grants: between host and guests and among guests, full, closed, too small a buffer, wrong handles, what is over
// a limit; who is killed in the middle loses nothing, and closes what only it had.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/channel_guest.hpp"
#include "support/guests.hpp"
#include "support/process_guest.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

class GuestChannelsTest : public ProcessGuestTest {
 protected:
  static std::string with_channels(std::string_view body, std::string_view more = {}) {
    return guest(body, std::string(kChannelImports) + std::string(more));
  }
  Process run(std::string_view body, std::vector<Grant> grants = {}, std::string_view more = {}) {
    return run(compile(with_channels(body, more)), std::move(grants));
  }
  Process run(const Module& module, std::vector<Grant> grants) {
    const Program program = runtime_->prepare({.module = module}).value();
    return runtime_->spawn(program, {.grants = std::move(grants)}).value();
  }
  Process named(const Process& process, std::string_view name) {
    EXPECT_TRUE(runtime_->register_name(name, process).has_value());
    return process;
  }
};

Bytes text(std::string_view words) { return Bytes::copy_of(words); }
Grant grant(std::string_view name, Sender end) { return {.name = std::string(name), .what = std::move(end)}; }
Grant grant(std::string_view name, Receiver end) { return {.name = std::string(name), .what = std::move(end)}; }

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
      (br_if $full (call $make (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)))
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

TEST_F(GuestChannelsTest, Grants) {
  const Channel channel = *make_channel();
  const auto spawned = [&](std::vector<Grant> grants) {
    const Program program = runtime_->prepare({.module = compile(kReturns)}).value();
    return runtime_->spawn(program, {.grants = std::move(grants)});
  };
  for (const std::string& name : {std::string(), std::string(256, 'n')}) {
    EXPECT_EQ(spawned({grant(name, channel.sender)}).error().kind, ErrorKind::kBadArgument);
  }
  EXPECT_EQ(spawned({grant("a", channel.sender), grant("a", channel.receiver)}).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(spawned({grant("a", Sender())}).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(spawned(std::vector<Grant>(257)).error().kind, ErrorKind::kBadArgument);
  EXPECT_TRUE(spawned({grant("a", channel.sender), grant("b", channel.receiver)}).has_value());

  const Process target = named(spawn(kSleeps), "target");
  const Process dead = spawn(kReturns);
  (void)dead.join();
  const Module grants = compile(with_channels(R"(
    (data (i32.const 512) "targetnamesl")
    (func (export "go") (param $dead i64) (local $target i64) (local $i i32) (local $lock i32)
      (local.set $target (call $whereis (i32.const 512) (i32.const 6)))
      (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 1))
      (call $is (call $grant (local.get $target) (i32.const 518) (i32.const 4) (i32.load (i32.const 64))) (i32.const 0) (i32.const 2))
      (call $is (call $grant (local.get $target) (i32.const 518) (i32.const 4) (i32.load (i32.const 68))) (i32.const 20) (i32.const 3))
      (call $is (call $grant (local.get $target) (i32.const 518) (i32.const 4) (i32.const 99)) (i32.const 8) (i32.const 4))
      (call $is (call $grant (local.get $dead) (i32.const 518) (i32.const 4) (i32.load (i32.const 64))) (i32.const 71) (i32.const 5))
      (call $is (call $grant (local.get $target) (i32.const 518) (i32.const 0) (i32.load (i32.const 64))) (i32.const 28) (i32.const 6))
      (call $is (call $grant (local.get $target) (i32.const 518) (i32.const 256) (i32.load (i32.const 64))) (i32.const 28) (i32.const 7))
      ;; so many and no more: one-byte names but for that of the first
      (loop $more
        (i32.store8 (i32.const 1024) (local.get $i))
        (i32.store8 (i32.const 1025) (i32.const 1))
        (br_if $more (i32.and (i32.eqz (call $grant (local.get $target) (i32.const 1024) (i32.const 2) (i32.load (i32.const 64))))
                              (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 300)))))
      (call $is (local.get $i) (i32.const 256) (i32.const 8))
      (call $is (call $grant (local.get $target) (i32.const 512) (i32.const 3) (i32.load (i32.const 64))) (i32.const 51) (i32.const 9))
      ;; to itself: an end of its own; dropped, the name is gone, and the own handle is there
      (call $is (call $grant (call $self) (i32.const 518) (i32.const 4) (i32.load (i32.const 64))) (i32.const 0) (i32.const 10))
      (call $is (i32.eq (call $granted (i32.const 518) (i32.const 4)) (i32.load (i32.const 64))) (i32.const 0) (i32.const 11))
      (call $is (call $drop_handle (call $granted (i32.const 518) (i32.const 4))) (i32.const 0) (i32.const 12))
      (call $is (call $granted (i32.const 518) (i32.const 4)) (i32.const -44) (i32.const 13))
      (call $is (call $put (i32.load (i32.const 64)) (i32.const 0) (i32.const 1) (i64.const 0)) (i32.const 0) (i32.const 14))
      ;; locks are shared, and not closed
      (local.set $lock (call $lock_open (i32.const 523) (i32.const 1) (i32.const 1)))
      (call $is (call $drop_handle (local.get $lock)) (i32.const 63) (i32.const 15))
      (call $is (call $grant (call $self) (i32.const 523) (i32.const 1) (local.get $lock)) (i32.const 0) (i32.const 16))
      (call $is (call $granted (i32.const 523) (i32.const 1)) (local.get $lock) (i32.const 17))
      (call $is (call $drop_handle (i32.const 0)) (i32.const 8) (i32.const 18))))",
                                              R"((import "weft_lock" "open" (func $lock_open (param i32 i32 i32) (result i32))))"));
  ends_well(spawn(ProcessSpec{.module = grants, .entry = "go", .entry_values = {static_cast<std::int64_t>(dead.id())}}));
  target.kill("test");
}

// A killed guest's ends go with it, whatever it was doing; what it was about to receive stays, what it was about to send was not sent.
TEST_F(GuestChannelsTest, TheEndOfAProcessClosesWhatOnlyItHad) {
  const Module waits = compile(with_channels(R"(
    (data (i32.const 512) "inout")
    (func (export "_start") (local $in i32) (local $out i32)
      (local.set $in (call $granted (i32.const 512) (i32.const 2)))
      (local.set $out (call $granted (i32.const 514) (i32.const 3)))
      (if (i32.gt_s (local.get $in) (i32.const 0)) (then (drop (call $get (local.get $in) (i32.const 4096) (i32.const 100) (i32.const 64) (i64.const -1)))))
      (if (i32.gt_s (local.get $out) (i32.const 0)) (then
        (loop $fill (br_if $fill (i32.eqz (call $put (local.get $out) (i32.const 512) (i32.const 5) (i64.const -1)))))))
      (call $gate)))"));
  for (const ChannelKind kind : {ChannelKind::kBounded, ChannelKind::kRendezvous, ChannelKind::kBroadcast}) {
    Channel channel = *make_channel({.kind = kind, .capacity = 2});
    const Process receives = run(waits, {grant("in", std::exchange(channel.receiver, {}))});
    while (channel.sender.stats().receivers_waiting == 0) std::this_thread::yield();
    receives.kill("test");
    (void)receives.join();
    EXPECT_EQ(channel.sender.closed(), kind != ChannelKind::kBroadcast);
    EXPECT_EQ(channel.sender.stats().receivers, 0U);
    EXPECT_EQ(channel.sender.stats().receivers_waiting, 0U);

    channel = *make_channel({.kind = kind, .capacity = 2});
    const Process sends = run(waits, {grant("out", std::exchange(channel.sender, {}))});
    while (channel.receiver.stats().senders_waiting == 0) std::this_thread::yield();
    sends.kill("test");
    (void)sends.join();
    EXPECT_TRUE(channel.receiver.closed());
    int left = 0;
    while (channel.receiver.try_receive()) ++left;
    EXPECT_EQ(left, kind == ChannelKind::kRendezvous ? 0 : 2);
  }
}

// Receivers are killed at random while the host sends; each message is received by one of them, or by the host in the end. A guest counts what it got before anything
// can stop it, by a host function that does not wait.
TEST_F(GuestChannelsTest, NothingIsLostWithThoseThatAreKilled) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const ChannelKind kind : {ChannelKind::kBounded, ChannelKind::kRendezvous}) {
    Channel channel = *make_channel({.kind = kind, .capacity = 3});
    const Module module = compile(with_channels(R"(
      (data (i32.const 512) "in")
      (func (export "_start") (local $in i32)
        (local.set $in (call $granted (i32.const 512) (i32.const 2)))
        (loop $again
          (if (i32.eqz (call $get (local.get $in) (i32.const 4096) (i32.const 8) (i32.const 64) (i64.const -1)))
            (then (call $note (i64.load (i32.const 4096)))))
          (br $again))))"));
    std::vector<Process> all;
    for (int i = 0; i < 8; ++i) all.push_back(run(module, {grant("in", channel.receiver)}));
    constexpr std::int64_t kCount = 3000;
    std::size_t kills = 8;
    for (std::int64_t i = 0; i < kCount; ++i) {
      const Bytes message = Bytes::copy_of({reinterpret_cast<const char*>(&i), sizeof i});
      ASSERT_TRUE(channel.sender.send(message).block().has_value());
      if (random() % 20 != 0) continue;
      Process& victim = all[random() % all.size()];
      victim.kill("chance");
      ++kills;
      victim = run(module, {grant("in", channel.receiver)});
    }
    channel.sender = {};
    for (const Process& one : all) one.kill("the end");
    for (const Process& one : all) (void)one.join();
    std::vector<std::int64_t> got = notes();
    while (const ChannelResult<Bytes> message = channel.receiver.receive().block()) {
      std::int64_t value = 0;
      std::memcpy(&value, message->view().data(), sizeof value);
      got.push_back(value);
    }
    EXPECT_EQ(channel.receiver.stats().received, static_cast<std::uint64_t>(kCount));
    std::ranges::sort(got);
    EXPECT_EQ(std::ranges::adjacent_find(got), got.end()) << "received twice";
    // A guest can be stopped between the answer of its receive and its note: so many, and no more.
    EXPECT_GE(got.size() + kills, static_cast<std::size_t>(kCount));
    const std::lock_guard lock(mutex_);
    notes_.clear();
  }
}

}  // namespace
}  // namespace weft::testing
