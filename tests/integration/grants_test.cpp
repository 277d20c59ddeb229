// Grants: what a process is given by name, by the host and by others; and what becomes of it at the end of the process: who is killed in the middle of a call loses nothing,
// and closes what only it had.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/channel_guest.hpp"
#include "support/guests.hpp"

namespace weft::testing {
namespace {

class GrantsTest : public ChannelGuestTest {};

TEST_F(GrantsTest, Grants) {
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
TEST_F(GrantsTest, TheEndOfAProcessClosesWhatOnlyItHad) {
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
TEST_F(GrantsTest, NothingIsLostWithThoseThatAreKilled) {
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
    std::vector<Process> killed;
    for (std::int64_t i = 0; i < kCount; ++i) {
      const Bytes message = Bytes::copy_of({reinterpret_cast<const char*>(&i), sizeof i});
      ASSERT_TRUE(channel.sender.send(message).block().has_value());
      if (random() % 20 != 0) continue;
      Process& victim = all[random() % all.size()];
      victim.kill("chance");
      killed.push_back(std::exchange(victim, run(module, {grant("in", channel.receiver)})));
    }
    channel.sender = {};
    for (const Process& one : all) one.kill("the end");
    killed.insert(killed.end(), all.begin(), all.end());
    // All of them: until its end a killed one may write down what it has received.
    for (const Process& one : killed) (void)one.join();
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
    EXPECT_GE(got.size() + killed.size(), static_cast<std::size_t>(kCount));
    const std::lock_guard lock(mutex_);
    notes_.clear();
  }
}

}  // namespace
}  // namespace weft::testing
