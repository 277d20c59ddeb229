// What the channels that a guest makes may hold together (Limits::channel_bytes): the limit is told and harms nobody, closing gives nothing back, the last end does, wherever it
// is and however its process ends; what waits for a channel keeps it; and guests that are killed at random leave nothing.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/channel_guest.hpp"
#include "support/guests.hpp"

namespace weft::testing {
namespace {

constexpr std::uint64_t kMebibyte = 1U << 20;
constexpr std::uint64_t kOverhead = 4096;

class GuestChannelBytesTest : public ChannelGuestTest {
 protected:
  Process limited(std::string_view body, std::uint64_t bytes) {
    return spawn(ProcessSpec{.module = compile(with_channels(body, kWaitImports)), .limits = {.channel_bytes = bytes}});
  }
  std::uint64_t channel_bytes() { return runtime_->stats().channel_bytes; }
};

TEST_F(GuestChannelBytesTest, TheLimitIsToldAndGivenBackWithTheLastEnd) {
  ends_well(limited(R"((func (export "_start") (local $to i32) (local $from i32)
      (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 1))
      (local.set $to (i32.load (i32.const 64)))
      (local.set $from (i32.load (i32.const 68)))
      (call $is (call $make (i32.const 2) (i32.const 0) (i32.const 1048576) (i32.const 0) (i32.const 72)) (i32.const 0) (i32.const 2))
      (i64.store (i32.const 80) (i64.const 77))
      (call $is (call $make (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 0) (i32.const 80)) (i32.const 51) (i32.const 3))
      (call $expect (i64.load (i32.const 80)) (i64.const 77) (i32.const 4))
      ;; what makes no sense is said first
      (call $is (call $make (i32.const 1) (i32.const 0) (i32.const 63) (i32.const 0) (i32.const 80)) (i32.const 28) (i32.const 5))
      ;; those that are there work
      (call $is (call $put (local.get $to) (i32.const 0) (i32.const 8) (i64.const 0)) (i32.const 0) (i32.const 6))
      ;; it is there after it was closed, and with one of its ends
      (call $is (call $close (local.get $to)) (i32.const 0) (i32.const 7))
      (call $is (call $make (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 0) (i32.const 80)) (i32.const 51) (i32.const 8))
      (call $is (call $drop_handle (local.get $to)) (i32.const 0) (i32.const 9))
      (call $is (call $make (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 0) (i32.const 80)) (i32.const 51) (i32.const 10))
      (call $is (call $get (local.get $from) (i32.const 256) (i32.const 8) (i32.const 128) (i64.const 0)) (i32.const 0) (i32.const 11))
      (call $is (call $drop_handle (local.get $from)) (i32.const 0) (i32.const 12))
      (call $is (call $make (i32.const 4) (i32.const 1) (i32.const 1048577) (i32.const 0) (i32.const 80)) (i32.const 28) (i32.const 13))
      (call $is (call $make (i32.const 4) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 80)) (i32.const 0) (i32.const 14))
      (call $is (call $make (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 0) (i32.const 64)) (i32.const 51) (i32.const 15))))",
                    2 * (kMebibyte + kOverhead)));
  EXPECT_EQ(channel_bytes(), 0U) << "gone with the process";
  ends_well(limited(R"((func (export "_start")
      (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 0) (i32.const 64)) (i32.const 51) (i32.const 1))))",
                    0));
}

// As many as there may be by default; the handles are not what bounds them. A channel that is refused for want of handles costs nothing.
TEST_F(GuestChannelBytesTest, BoundsByDefault) {
  ends_well(run(R"((func (export "_start") (local $i i32) (local $error i32)
      (loop $more
        (local.set $error (call $make (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.eqz (local.get $error))))
      (call $is (local.get $error) (i32.const 51) (i32.const 1))
      (call $is (local.get $i) (i32.const 64) (i32.const 2))))"));
  EXPECT_EQ(channel_bytes(), 0U);
  const Process full = run(R"((func (export "_start") (local $error i32)
      (loop $more
        (local.set $error (call $make (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 0) (i32.const 64)))
        (br_if $more (i32.eqz (local.get $error))))
      (call $is (local.get $error) (i32.const 33) (i32.const 1))
      (call $note (i64.const 1))
      (call $gate)))");
  wait_for_notes(1);
  EXPECT_EQ(channel_bytes(), 128 * (64 + kOverhead));
  full.kill("test");
  EXPECT_EQ(full.join().kind, ExitKind::kKilled);
  EXPECT_EQ(channel_bytes(), 0U);
}

TEST_F(GuestChannelBytesTest, WhatWaitsForAChannelKeepsIt) {
  ends_well(limited(R"((func (export "_start") (local $set i32)
      (local.set $set (call $set_new))
      (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 1))
      (call $is (call $add (local.get $set) (i64.const 1) (i32.const 1) (i64.extend_i32_s (i32.load (i32.const 68)))) (i32.const 0) (i32.const 2))
      (call $is (call $drop_handle (i32.load (i32.const 64))) (i32.const 0) (i32.const 3))
      (call $is (call $drop_handle (i32.load (i32.const 68))) (i32.const 0) (i32.const 4))
      (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 0) (i32.const 64)) (i32.const 51) (i32.const 5))
      (call $is (call $remove (local.get $set) (i64.const 1)) (i32.const 0) (i32.const 6))
      (call $is (call $make (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 7))))",
                    64 + kOverhead));
  EXPECT_EQ(channel_bytes(), 0U);
}

// The maker pays until the last end is gone, also when others have it; after the maker's end nobody does.
TEST_F(GuestChannelBytesTest, EndsThatWereGrantedAway) {
  constexpr std::string_view kKeeps = R"((data (i32.const 512) "sr")
    (func $hear (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 128) (i64.const -1)) (i32.const 0) (i32.const 50)))
    (func $take (result i32)
      (i32.and (i32.gt_s (call $granted (i32.const 512) (i32.const 1)) (i32.const 0)) (i32.gt_s (call $granted (i32.const 513) (i32.const 1)) (i32.const 0))))
    (func (export "_start")
      (call $hear)
      (call $is (call $take) (i32.const 1) (i32.const 51))
      (call $is (call $drop_handle (call $granted (i32.const 512) (i32.const 1))) (i32.const 0) (i32.const 52))
      (call $is (call $drop_handle (call $granted (i32.const 513) (i32.const 1))) (i32.const 0) (i32.const 53))
      (call $is (call $send (i64.load (i32.const 128)) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 54))
      (call $hear)
      (call $is (call $take) (i32.const 1) (i32.const 55))
      (call $note (i64.const 1))
      (call $gate)))";
  const Process keeper = named(run(kKeeps), "keeper");
  ends_well(limited(R"((data (i32.const 512) "srkeeper")
    (global $keeper (mut i64) (i64.const 0))
    (func $give
      (call $is (call $make (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0) (i32.const 1))
      (call $is (call $put (i32.load (i32.const 64)) (i32.const 0) (i32.const 8) (i64.const 0)) (i32.const 0) (i32.const 2))
      (call $is (call $grant (global.get $keeper) (i32.const 512) (i32.const 1) (i32.load (i32.const 64))) (i32.const 0) (i32.const 3))
      (call $is (call $grant (global.get $keeper) (i32.const 513) (i32.const 1) (i32.load (i32.const 68))) (i32.const 0) (i32.const 4))
      (call $is (call $drop_handle (i32.load (i32.const 64))) (i32.const 0) (i32.const 5))
      (call $is (call $drop_handle (i32.load (i32.const 68))) (i32.const 0) (i32.const 6))
      (call $is (call $make (i32.const 0) (i32.const 4) (i32.const 64) (i32.const 0) (i32.const 64)) (i32.const 51) (i32.const 7))
      (call $is (call $send (global.get $keeper) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 8)))
    (func (export "_start")
      (global.set $keeper (call $whereis (i32.const 514) (i32.const 6)))
      (call $give)
      (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 128) (i64.const -1)) (i32.const 0) (i32.const 9))
      (call $give)))",
                    kMebibyte + kOverhead));
  wait_for_notes(1);
  EXPECT_EQ(channel_bytes(), kMebibyte + kOverhead) << "the maker is gone, the channel is not";
  keeper.kill("test");
  EXPECT_EQ(keeper.join().kind, ExitKind::kKilled);
  EXPECT_EQ(channel_bytes(), 0U);
}

// Each makes channels, fills them, gives ends to its neighbours and drops others, until it is killed: in the middle of anything.
TEST_F(GuestChannelBytesTest, KilledAtRandomTheyLeaveNothing) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const Module module = compile(with_channels(R"(
    (func (export "_start") (param $state i64) (local $i i32)
      (loop $again
        (local.set $state (i64.add (i64.mul (local.get $state) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
        (i64.store (i32.const 0) (local.get $state))
        (drop (call $make (i32.and (i32.load8_u (i32.const 4)) (i32.const 3)) (i32.const 4) (i32.load16_u (i32.const 6)) (i32.const 0) (i32.const 64)))
        (drop (call $put (i32.load (i32.const 64)) (i32.const 512) (i32.load16_u (i32.const 6)) (i64.const 0)))
        ;; under one of 256 names, to one of those that there are, or were
        (drop (call $grant (i64.sub (call $self) (i64.extend_i32_u (i32.and (i32.load8_u (i32.const 5)) (i32.const 15)))) (i32.const 3) (i32.const 1)
                           (i32.load (i32.add (i32.const 64) (i32.and (i32.load8_u (i32.const 2)) (i32.const 4))))))
        (drop (call $drop_handle (i32.load8_u (i32.const 6))))
        (drop (call $drop_handle (call $granted (i32.const 7) (i32.const 1))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 2000)))))
    )"));
  std::vector<Process> all;
  for (int i = 0; i < 60; ++i) {
    const auto start = static_cast<std::int64_t>(random());
    all.push_back(spawn(ProcessSpec{
        .module = module, .entry = "_start", .entry_values = {start}, .limits = {.channel_bytes = random() % (1U << 22)}}));
    if (i % 3 == 2) all[random() % all.size()].kill("chance");
  }
  for (const Process& one : all) {
    const ExitStatus status = one.join();
    EXPECT_TRUE(status.kind == ExitKind::kReturned || status.kind == ExitKind::kKilled) << status.message;
  }
  EXPECT_EQ(channel_bytes(), 0U);
  ends_well(spawn(kReturns));
}

}  // namespace
}  // namespace weft::testing
