// Shared regions between several at once: guests that count together, ping-pong by wait and notify on one worker and on four, kills in the middle of a wait, a wake-up that a
// dead waiter passes on, guests that call at random while others are killed; and nothing is left.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/guests.hpp"
#include "support/region_guest.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

class RegionsWaitTest : public RegionGuestTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  void adapt(RuntimeOptions& options) override {
    RegionGuestTest::adapt(options);
    options.workers = GetParam();
  }
  SharedRegion region() { return open_region(*runtime_, "r", 4096).value(); }
  std::size_t parked() {
    const std::vector<TaskDump> all = runtime_->dump();
    return static_cast<std::size_t>(
        std::ranges::count_if(all, [](const TaskDump& one) { return one.state == "parked" && one.reason == "shared region"; }));
  }
  void wait_until_waiting(const Process& process) { wait_until_parked(process, "weft_region.wait32"); }
};

INSTANTIATE_TEST_SUITE_P(Workers, RegionsWaitTest, ::testing::Values(1U, 4U));

TEST_P(RegionsWaitTest, GuestsCountTogether) {
  const SharedRegion shared = region();
  const Module module = compile(region_guest(R"((data (i32.const 512) "r")
    (func (export "_start") (local $r i32) (local $i i32)
      (local.set $r (call $open (i32.const 512) (i32.const 1) (i64.const 4096)))
      (loop $again
        (drop (call $add32 (local.get $r) (i64.const 4) (i32.const 1) (i32.const 0)))
        (drop (call $add64 (local.get $r) (i64.const 8) (i64.const 3) (i32.const 0)))
        (loop $retry   ;; the same by hand
          (drop (call $load32 (local.get $r) (i64.const 16) (i32.const 64)))
          (drop (call $cmpxchg32 (local.get $r) (i64.const 16) (i32.load (i32.const 64))
                                 (i32.add (i32.load (i32.const 64)) (i32.const 1)) (i32.const 68)))
          (br_if $retry (i32.ne (i32.load (i32.const 64)) (i32.load (i32.const 68)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 5000))))))"));
  std::vector<Process> all;
  for (int i = 0; i < 4; ++i) all.push_back(spawn(ProcessSpec{.module = module}));
  for (const Process& one : all) ends_well(one);
  EXPECT_EQ(shared.load<std::uint32_t>(4).value(), 20'000U);
  EXPECT_EQ(shared.load<std::uint64_t>(8).value(), 60'000U);
  EXPECT_EQ(shared.load<std::uint32_t>(16).value(), 20'000U);
}

// Player 0 waits for 0, player 1 for 1; each hands the word to the other. A wake-up that is lost hangs.
constexpr std::string_view kPlays = R"((data (i32.const 512) "r")
    (func (export "_start") (param $me i32) (local $r i32) (local $i i32)
      (local.set $r (call $open (i32.const 512) (i32.const 1) (i64.const 4096)))
      (loop $again
        (loop $wait
          (drop (call $load32 (local.get $r) (i64.const 0) (i32.const 64)))
          (if (i32.ne (i32.load (i32.const 64)) (local.get $me)) (then
            (drop (call $wait32 (local.get $r) (i64.const 0) (i32.load (i32.const 64)) (i64.const -1)))
            (br $wait))))
        (drop (call $store32 (local.get $r) (i64.const 0) (i32.sub (i32.const 1) (local.get $me))))
        (drop (call $notify (local.get $r) (i64.const 0) (i32.const 1)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 5000))))))";

TEST_P(RegionsWaitTest, PingPong) {
  const SharedRegion shared = region();
  const Module module = compile(region_guest(kPlays));
  std::vector<Process> all;
  for (const std::int32_t me : {0, 1}) all.push_back(spawn(ProcessSpec{.module = module, .entry = "_start", .entry_values = {me}}));
  for (const Process& one : all) ends_well(one);
  EXPECT_EQ(shared.load<std::uint32_t>(0).value(), 0U);
}

TEST_P(RegionsWaitTest, PingPongWithATaskAndAThreadOfTheHost) {
  const SharedRegion shared = region();
  constexpr std::uint32_t kRounds = 2000;
  // 0, 1, 2 in turn: a guest would be one more of the same.
  const auto turn = [](std::uint32_t value, std::uint32_t me) { return value % 3 == me; };
  JoinHandle<void> task = runtime_->start([](SharedRegion of, auto mine) -> Task<void> {
    for (;;) {
      const std::uint32_t value = of.load<std::uint32_t>(0).value();
      if (value >= kRounds) co_return;
      if (mine(value, 1)) {
        (void)of.add<std::uint32_t>(0, 1);
        (void)of.notify(0);
      } else {
        SharedRegion::Wait changed = of.wait<std::uint32_t>(0, value);
        (void)co_await changed;
      }
    }
  }(shared, turn));
  const auto plays = [&](std::uint32_t me) {
    for (;;) {
      const std::uint32_t value = shared.load<std::uint32_t>(0).value();
      if (value >= kRounds) return;
      if (turn(value, me)) {
        (void)shared.add<std::uint32_t>(0, 1);
        (void)shared.notify(0);
      } else {
        (void)shared.wait<std::uint32_t>(0, value).block();
      }
    }
  };
  std::thread other([&] { plays(0); });
  plays(2);
  other.join();
  EXPECT_TRUE(task.join());
  EXPECT_GE(shared.load<std::uint32_t>(0).value(), kRounds);
}

constexpr std::string_view kWaits = R"((data (i32.const 512) "r")
    (func (export "_start") (local $r i32)
      (local.set $r (call $open (i32.const 512) (i32.const 1) (i64.const 4096)))
      (call $is (call $wait32 (local.get $r) (i64.const 8) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 1))))";

TEST_P(RegionsWaitTest, WhoIsKilledInAWaitWaitsNoMore) {
  const SharedRegion shared = region();
  const Module module = compile(region_guest(kWaits));
  const Process first = spawn(ProcessSpec{.module = module});
  wait_until_waiting(first);
  const Process second = spawn(ProcessSpec{.module = module});
  wait_until_waiting(second);
  first.kill("test");
  EXPECT_EQ(first.join().kind, ExitKind::kKilled);
  EXPECT_EQ(shared.notify(8).value(), 1U);
  ends_well(second);
  EXPECT_EQ(shared.notify(8).value(), 0U);
}

TEST_P(RegionsWaitTest, ADroppedWaiterPassesItsWakeUpOn) {
  const SharedRegion shared = region();
  const auto waits = [](SharedRegion of) -> Task<bool> {
    SharedRegion::Wait changed = of.wait<std::uint32_t>(0, 0);
    const Result<RegionWake> why = co_await changed;
    co_return why && *why == RegionWake::kWoken;
  };
  for (int round = 0; round < 200; ++round) {
    auto first = runtime_->start(waits(shared));
    while (parked() < 1) std::this_thread::yield();
    auto second = runtime_->start(waits(shared));
    while (parked() < 2) std::this_thread::yield();
    // One wake-up, for the first; whether it is cancelled before or after it has run, the second gets what the first does not.
    auto both = runtime_->start([](SharedRegion of, JoinHandle<bool>& who) -> Task<void> {
      EXPECT_EQ(of.notify(0, 1).value(), 1U);
      who.cancel();
      co_return;
    }(shared, first));
    ASSERT_TRUE(both.join());
    if (first.join()) (void)shared.notify(0, 1);
    EXPECT_TRUE(second.join().value());
  }
}

TEST_P(RegionsWaitTest, ARegionLivesAsLongAsSomebodyHasIt) {
  std::optional<SharedRegion> shared = region();
  const Process first = spawn(region_guest(kWaits));
  wait_until_waiting(first);
  EXPECT_EQ(runtime_->stats().region_bytes, 2 * 4096U);
  shared.reset();
  shared = region();
  EXPECT_EQ(shared->notify(8).value(), 1U) << "the guest had it: it is still the same";
  ends_well(first);
  shared.reset();
  EXPECT_EQ(runtime_->stats().region_bytes, 0U);
  // A maker that has ended.
  const Process maker = run(R"((data (i32.const 512) "s")
    (func (export "_start") (local $r i32)
      (local.set $r (call $open (i32.const 512) (i32.const 1) (i64.const 64)))
      (drop (call $store32 (local.get $r) (i64.const 0) (i32.const 5)))
      (call $note (i64.const 1))
      (call $gate)))");
  wait_for_notes(1);
  shared = open_region(*runtime_, "s", 64).value();
  gate_.set();
  ends_well(maker);
  EXPECT_EQ(shared->load<std::uint32_t>(0).value(), 5U);
  EXPECT_EQ(runtime_->stats().region_bytes, 64 + 4096U);
}

// Calls everything with arguments from the places where mistakes live, at random. It may trap; it may not harm.
constexpr std::string_view kCallsAtRandom = R"((data (i32.const 512) "rst")
    (global $seed (mut i64) (i64.const 0))
    (func $any (result i64)
      (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const 13))))
      (global.set $seed (i64.xor (global.get $seed) (i64.shr_u (global.get $seed) (i64.const 7))))
      (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const 17))))
      (global.get $seed))
    (func $below (param $n i64) (result i64) (i64.rem_u (call $any) (local.get $n)))
    (func $handle (result i32) (i32.sub (i32.wrap_i64 (call $below (i64.const 7))) (i32.const 1)))
    (func $offset (result i64) (local $kind i64)
      (local.set $kind (call $below (i64.const 8)))
      (if (i64.eqz (local.get $kind)) (then (return (call $any))))
      (if (i64.eq (local.get $kind) (i64.const 1)) (then (return (i64.add (i64.const 4090) (call $below (i64.const 12))))))
      (i64.shl (call $below (i64.const 64)) (i64.const 2)))
    (func $at (result i32)
      (if (i64.eqz (call $below (i64.const 200))) (then (return (i32.wrap_i64 (call $any)))))
      (i32.add (i32.const 1024) (i32.wrap_i64 (call $below (i64.const 1000)))))
    (func $value (result i64) (if (result i64) (i64.eqz (call $below (i64.const 4))) (then (call $any)) (else (i64.const 0))))
    (func $value32 (result i32) (i32.wrap_i64 (call $value)))
    (func (export "_start") (param $start i64) (local $i i32) (local $kind i64)
      (global.set $seed (local.get $start))
      (loop $again
        (local.set $kind (call $below (i64.const 14)))
        (if (i64.eq (local.get $kind) (i64.const 0)) (then (drop (call $make (call $offset)))))
        (if (i64.eq (local.get $kind) (i64.const 1)) (then (drop (call $open
          (i32.add (i32.const 512) (i32.wrap_i64 (call $below (i64.const 3)))) (i32.const 1) (i64.const 4096)))))
        (if (i64.eq (local.get $kind) (i64.const 2)) (then (drop (call $close (call $handle)))))
        (if (i64.eq (local.get $kind) (i64.const 3)) (then (drop (call $size (call $handle)))))
        (if (i64.eq (local.get $kind) (i64.const 4)) (then (drop (call $read (call $handle) (call $offset) (call $at)
          (i32.wrap_i64 (call $below (i64.const 5000)))))))
        (if (i64.eq (local.get $kind) (i64.const 5)) (then (drop (call $write (call $handle) (call $offset) (call $at)
          (i32.wrap_i64 (call $below (i64.const 5000)))))))
        (if (i64.eq (local.get $kind) (i64.const 6)) (then (drop (call $load64 (call $handle) (call $offset) (call $at)))))
        (if (i64.eq (local.get $kind) (i64.const 7)) (then (drop (call $store32 (call $handle) (call $offset) (call $value32)))))
        (if (i64.eq (local.get $kind) (i64.const 8)) (then (drop (call $add64 (call $handle) (call $offset) (call $value) (call $at)))))
        (if (i64.eq (local.get $kind) (i64.const 9)) (then
          (drop (call $and64 (call $handle) (call $offset) (i64.const 0) (call $at)))
          (drop (call $or32 (call $handle) (call $offset) (call $value32) (call $at)))))
        (if (i64.eq (local.get $kind) (i64.const 10)) (then
          (drop (call $cmpxchg64 (call $handle) (call $offset) (call $value) (call $value) (call $at)))
          (drop (call $xchg32 (call $handle) (call $offset) (call $value32) (call $at)))))
        (if (i64.eq (local.get $kind) (i64.const 11)) (then
          (drop (call $wait32 (call $handle) (call $offset) (call $value32) (call $below (i64.const 20000))))))
        (if (i64.eq (local.get $kind) (i64.const 12)) (then
          (drop (call $wait64 (call $handle) (call $offset) (call $value) (call $below (i64.const 20000))))))
        (if (i64.eq (local.get $kind) (i64.const 13)) (then
          (drop (call $notify (call $handle) (call $offset) (i32.wrap_i64 (call $any))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 3000))))))";

TEST_P(RegionsWaitTest, GuestsThatCallAtRandomDoNoHarm) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const Module module = compile(region_guest(kCallsAtRandom));
  std::vector<Process> all;
  for (int i = 0; i < 60; ++i) {
    const auto start = static_cast<std::int64_t>(random() | 1U);
    all.push_back(spawn(ProcessSpec{
        .module = module, .entry = "_start", .entry_values = {start}, .limits = {.region_bytes = random() % (1U << 20)}}));
    if (i % 4 == 3) all[random() % all.size()].kill("chance");
  }
  for (const Process& one : all) {
    const ExitStatus status = one.join();
    EXPECT_TRUE(status.kind == ExitKind::kReturned || status.kind == ExitKind::kTrapped || status.kind == ExitKind::kKilled)
        << status.message;
  }
  EXPECT_EQ(runtime_->stats().region_bytes, 0U);
  ends_well(spawn(kReturns));
}

}  // namespace
}  // namespace weft::testing
