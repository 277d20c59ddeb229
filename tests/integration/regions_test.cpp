// Shared regions, from the host and from guests (import module weft_region): copies at every alignment against a plain model, words counted by several at once, ping-pong by
// wait and notify, kills in the middle of a wait, wake-ups that a dead waiter passes on, every argument that cannot be, guests that call at random, bounds, and what is
// left at the end: nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/guests.hpp"
#include "support/process_guest.hpp"
#include "support/region_guest.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

class RegionsTest : public RegionGuestTest {};

std::vector<std::byte> any_bytes(std::mt19937_64& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::ranges::generate(bytes, [&random] { return static_cast<std::byte>(random()); });
  return bytes;
}

TEST_F(RegionsTest, CopiesAreExactAtEveryAlignment) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr std::size_t kBytes = 1003;
  const SharedRegion region = make_shared_region(kBytes).value();
  std::vector<std::byte> model(kBytes);
  for (int round = 0; round < 20'000; ++round) {
    const std::size_t offset = random() % (kBytes + 1);
    const std::size_t size = random() % (round % 2 == 0 ? std::min<std::size_t>(40, kBytes - offset) + 1 : kBytes - offset + 1);
    // Neither is the other side aligned.
    const std::size_t shift = random() % 9;
    std::vector<std::byte> mine = any_bytes(random, shift + size + 8);
    const auto part = std::span(mine).subspan(shift, size);
    if (random() % 2 == 0) {
      ASSERT_TRUE(region.write(offset, part));
      std::ranges::copy(part, model.begin() + static_cast<std::ptrdiff_t>(offset));
    } else {
      const std::vector<std::byte> before = mine;
      ASSERT_TRUE(region.read(offset, part));
      ASSERT_EQ(std::memcmp(part.data(), model.data() + offset, size), 0) << size << " at " << offset;
      ASSERT_EQ(std::memcmp(mine.data(), before.data(), shift), 0);
      ASSERT_EQ(std::memcmp(mine.data() + shift + size, before.data() + shift + size, 8), 0);
    }
  }
  std::vector<std::byte> all(kBytes);
  ASSERT_TRUE(region.read(0, all));
  EXPECT_EQ(all, model);
}

// What the host grants to two of them, they have in common; and one may grant it to a third.
TEST_F(RegionsTest, IsGrantedToChosenProcesses) {
  const SharedRegion region = make_shared_region(64).value();
  const auto granted = [&](std::string_view body, std::vector<Grant> grants) {
    const Program program = runtime_
                                ->prepare({.module = compile(guest(body, std::string(kRegionImports) + R"(
        (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
        (import "weft_process" "grant" (func $grant (param i64 i32 i32 i32) (result i32))))"))})
                                .value();
    return runtime_->spawn(program, {.grants = std::move(grants)}).value();
  };
  const Process third = granted(R"((data (i32.const 512) "r") (func (export "_start") (local $r i32)
      (call $is (call $granted (i32.const 512) (i32.const 1)) (i32.const -44) (i32.const 1))
      (call $note (i64.const 1))
      (call $is (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 1024) (i32.const 8) (i32.const 2048) (i64.const -1)) (i32.const 0) (i32.const 2))
      (local.set $r (call $granted (i32.const 512) (i32.const 1)))
      (call $is (call $add32 (local.get $r) (i64.const 0) (i32.const 100) (i32.const 0)) (i32.const 0) (i32.const 3))))",
                                {});
  ASSERT_TRUE(runtime_->register_name("third", third));
  wait_for_notes(1);
  constexpr std::string_view kAdds = R"((data (i32.const 512) "rthird") (func (export "_start") (local $r i32)
      (local.set $r (call $granted (i32.const 512) (i32.const 1)))
      (call $is (call $add32 (local.get $r) (i64.const 0) (i32.const 1) (i32.const 0)) (i32.const 0) (i32.const 1))))";
  const Process one = granted(kAdds, {Grant{.name = "r", .what = region}});
  const Process two = granted(R"((data (i32.const 512) "rthird") (func (export "_start") (local $r i32) (local $to i64)
      (local.set $r (call $granted (i32.const 512) (i32.const 1)))
      (call $is (call $add32 (local.get $r) (i64.const 0) (i32.const 10) (i32.const 0)) (i32.const 0) (i32.const 1))
      (local.set $to (call $whereis (i32.const 513) (i32.const 5)))
      (call $is (call $grant (local.get $to) (i32.const 512) (i32.const 1) (local.get $r)) (i32.const 0) (i32.const 2))
      (call $is (call $send (local.get $to) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const -1)) (i32.const 0) (i32.const 3))))",
                              {Grant{.name = "r", .what = region}});
  for (const Process& process : {one, two, third}) ends_well(process);
  EXPECT_EQ(region.load<std::uint32_t>(0).value(), 111U);
  const Program program = runtime_->prepare({.module = compile(kReturns)}).value();
  EXPECT_EQ(runtime_->spawn(program, {.grants = {Grant{.name = "r", .what = SharedRegion()}}}).error().kind,
            ErrorKind::kBadArgument);
}

template <class Word>
void try_words() {
  constexpr std::uint64_t kSize = sizeof(Word);
  const SharedRegion region = make_shared_region(4 * kSize + 3).value();
  constexpr Word kOnes = ~Word{0};
  const std::uint64_t at = 2 * kSize;
  EXPECT_EQ(region.load<Word>(at).value(), Word{0});
  ASSERT_TRUE(region.store<Word>(at, 5));
  EXPECT_EQ(region.add<Word>(at, kOnes).value(), Word{5});
  EXPECT_EQ(region.or_with<Word>(at, kOnes - 7).value(), Word{4});
  EXPECT_EQ(region.and_with<Word>(at, kOnes - 4).value(), kOnes - 3);
  EXPECT_EQ(region.exchange<Word>(at, 9).value(), kOnes - 7);
  EXPECT_EQ(region.compare_exchange<Word>(at, 8, 1).value(), Word{9});
  EXPECT_EQ(region.compare_exchange<Word>(at, 9, 1).value(), Word{9});
  EXPECT_EQ(region.load<Word>(at).value(), Word{1});
  EXPECT_EQ(region.load<Word>(at - kSize).value(), Word{0}) << "its neighbour";
  EXPECT_EQ(region.load<Word>(at + kSize).value(), Word{0}) << "its neighbour";
  for (const std::uint64_t bad : {at + 1, at + kSize / 2, 4 * kSize, 4 * kSize + 3, UINT64_MAX, UINT64_MAX - kSize + 1}) {
    for (const SharedRegion& one : {region, SharedRegion()}) {
      EXPECT_EQ(one.load<Word>(bad).error().kind, ErrorKind::kBadArgument) << bad;
      EXPECT_EQ(one.store<Word>(bad, 1).error().kind, ErrorKind::kBadArgument) << bad;
      EXPECT_EQ(one.add<Word>(bad, 1).error().kind, ErrorKind::kBadArgument) << bad;
      EXPECT_EQ(one.compare_exchange<Word>(bad, 0, 1).error().kind, ErrorKind::kBadArgument) << bad;
      EXPECT_EQ(one.wait<Word>(bad, 0).block().error().kind, ErrorKind::kBadArgument) << bad;
    }
  }
  EXPECT_EQ(region.wait<Word>(at, 2).block().value(), RegionWake::kNotEqual);
  EXPECT_EQ(region.wait<Word>(at, 1, 0ns).block().value(), RegionWake::kTimedOut);
  EXPECT_EQ(region.wait<Word>(at, 1, 1ms).block().value(), RegionWake::kTimedOut);
  EXPECT_EQ(region.notify(at).value(), 0U) << "those that waited are out of the queue";
}

TEST_F(RegionsTest, Words) {
  try_words<std::uint32_t>();
  try_words<std::uint64_t>();
}

TEST_F(RegionsTest, SizesAndPlacesThatCannotBe) {
  EXPECT_EQ(make_shared_region(0).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(make_shared_region(SharedRegion::kBytesMax + 1).error().kind, ErrorKind::kBadArgument);
  const SharedRegion region = make_shared_region(10).value();
  EXPECT_EQ(region.size(), 10U);
  std::vector<std::byte> bytes(11);
  EXPECT_TRUE(region.read(10, std::span<std::byte>()));
  EXPECT_EQ(region.read(0, bytes).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(region.write(UINT64_MAX, std::span(bytes).first(2)).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(region.write(11, std::span<std::byte>()).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(region.notify(2).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(region.notify(8).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(SharedRegion().size(), 0U);
  EXPECT_EQ(SharedRegion().read(0, std::span<std::byte>()).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(SharedRegion().notify(0).error().kind, ErrorKind::kBadArgument);
}

TEST_F(RegionsTest, ByName) {
  std::optional<SharedRegion> one = open_region(*runtime_, "r", 100).value();
  ASSERT_TRUE(one->store<std::uint32_t>(4, 7));
  EXPECT_EQ(open_region(*runtime_, "r", 100).value().load<std::uint32_t>(4).value(), 7U);
  EXPECT_EQ(open_region(*runtime_, "r", 101).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(open_region(*runtime_, "", 100).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(open_region(*runtime_, "none", 0).error().kind, ErrorKind::kBadArgument);
  one.reset();
  EXPECT_EQ(open_region(*runtime_, "r", 101).value().load<std::uint32_t>(4).value(), 0U)
      << "another one: nobody had the first any more";
  EXPECT_EQ(runtime_->stats().region_bytes, 0U);
}

TEST_F(RegionsTest, AllTogetherAreBounded) {
  const SharedRegion most = open_region(*runtime_, "most", kRegionsBytesMax - 3 * 4096).value();
  EXPECT_EQ(runtime_->stats().region_bytes, kRegionsBytesMax - 2 * 4096);
  EXPECT_EQ(open_region(*runtime_, "more", 4097).error().kind, ErrorKind::kExhausted);
  std::optional<SharedRegion> rest = open_region(*runtime_, "more", 4096).value();
  ends_well(run(R"((func (export "_start")
      (call $is (call $make (i64.const 1)) (i32.const -51) (i32.const 1))
      (call $is (call $open (i32.const 512) (i32.const 1) (i64.const 1)) (i32.const -51) (i32.const 2))))"));
  rest.reset();
  EXPECT_TRUE(open_region(*runtime_, "more", 1));
}

TEST_F(RegionsTest, AProcessPaysForWhatItMakes) {
  const std::string body = R"((data (i32.const 512) "ab")
    (func (export "_start") (local $one i32)
      (local.set $one (call $make (i64.const 100000)))
      (call $is (local.get $one) (i32.const 1) (i32.const 1))
      (call $is (call $make (i64.const 200000)) (i32.const -51) (i32.const 2))
      (call $is (call $open (i32.const 512) (i32.const 1) (i64.const 200000)) (i32.const -51) (i32.const 3))
      ;; what another has made costs nothing
      (call $is (call $open (i32.const 513) (i32.const 1) (i64.const 500000)) (i32.const 2) (i32.const 4))
      (call $is (call $close (local.get $one)) (i32.const 0) (i32.const 5))
      (call $is (call $close (local.get $one)) (i32.const 8) (i32.const 6))
      (call $is (call $open (i32.const 512) (i32.const 1) (i64.const 200000)) (i32.const 1) (i32.const 7))
      (call $is (call $open (i32.const 512) (i32.const 1) (i64.const 200000)) (i32.const 1) (i32.const 8))))";
  const SharedRegion hosts = open_region(*runtime_, "b", 500'000).value();
  ends_well(spawn(ProcessSpec{.module = compile(region_guest(body)), .limits = {.region_bytes = 250'000}}));
  EXPECT_EQ(runtime_->stats().region_bytes, 504'096U);
}

TEST_F(RegionsTest, HandlesAreBoundedAndClosedAtTheEnd) {
  ends_well(run(R"((func (export "_start") (local $i i32) (local $got i32)
      (loop $more
        (local.set $got (call $make (i64.const 8)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.gt_s (local.get $got) (i32.const 0))))
      (call $is (local.get $i) (i32.const 257) (i32.const 1))
      (call $is (local.get $got) (i32.const -33) (i32.const 2))))"));
  EXPECT_EQ(runtime_->stats().region_bytes, 0U);
}

TEST_F(RegionsTest, EveryBadArgumentIsToldAndDoesNothing) {
  const SharedRegion region = open_region(*runtime_, "r", 100).value();
  ends_well(run(R"((data (i32.const 512) "r")
    (func (export "_start") (local $r i32)
      (call $is (call $make (i64.const 0)) (i32.const -28) (i32.const 1))
      (call $is (call $make (i64.const -1)) (i32.const -28) (i32.const 2))
      (call $is (call $make (i64.const 1073741825)) (i32.const -28) (i32.const 3))
      (call $is (call $open (i32.const 512) (i32.const 0) (i64.const 100)) (i32.const -28) (i32.const 4))
      (call $is (call $open (i32.const 512) (i32.const 1) (i64.const 99)) (i32.const -28) (i32.const 5))
      (call $is (call $open (i32.const 0) (i32.const 256) (i64.const 99)) (i32.const -28) (i32.const 6))
      (local.set $r (call $open (i32.const 512) (i32.const 1) (i64.const 100)))
      (call $expect (call $size (local.get $r)) (i64.const 100) (i32.const 7))
      (call $expect (call $size (i32.const 9)) (i64.const -8) (i32.const 8))
      ;; handles of its own only
      (call $is (call $close (i32.const 0)) (i32.const 8) (i32.const 10))
      (call $is (call $read (i32.const 2) (i64.const 0) (i32.const 0) (i32.const 1)) (i32.const 8) (i32.const 11))
      (call $is (call $write (i32.const -1) (i64.const 0) (i32.const 0) (i32.const 1)) (i32.const 8) (i32.const 12))
      (call $is (call $load32 (i32.const 2) (i64.const 0) (i32.const 64)) (i32.const 8) (i32.const 13))
      (call $is (call $store64 (i32.const 2) (i64.const 0) (i64.const 0)) (i32.const 8) (i32.const 14))
      (call $is (call $cmpxchg64 (i32.const 2) (i64.const 0) (i64.const 0) (i64.const 1) (i32.const 64)) (i32.const 8) (i32.const 15))
      (call $is (call $wait32 (i32.const 2) (i64.const 0) (i32.const 0) (i64.const -1)) (i32.const 8) (i32.const 16))
      (call $is (call $notify (i32.const 2) (i64.const 0) (i32.const 1)) (i32.const -8) (i32.const 17))
      ;; places: behind the end, across it, so far that offset and size have no sum
      (call $is (call $read (local.get $r) (i64.const 100) (i32.const 0) (i32.const 0)) (i32.const 0) (i32.const 20))
      (call $is (call $read (local.get $r) (i64.const 100) (i32.const 0) (i32.const 1)) (i32.const 28) (i32.const 21))
      (call $is (call $read (local.get $r) (i64.const 101) (i32.const 0) (i32.const 0)) (i32.const 28) (i32.const 22))
      (call $is (call $write (local.get $r) (i64.const 90) (i32.const 0) (i32.const 11)) (i32.const 28) (i32.const 23))
      (call $is (call $write (local.get $r) (i64.const -1) (i32.const 0) (i32.const 2)) (i32.const 28) (i32.const 24))
      (call $is (call $load32 (local.get $r) (i64.const 100) (i32.const 64)) (i32.const 28) (i32.const 25))
      (call $is (call $load64 (local.get $r) (i64.const 96) (i32.const 64)) (i32.const 28) (i32.const 26))
      (call $is (call $load64 (local.get $r) (i64.const -8) (i32.const 64)) (i32.const 28) (i32.const 27))
      ;; not aligned
      (call $is (call $load32 (local.get $r) (i64.const 2) (i32.const 64)) (i32.const 28) (i32.const 30))
      (call $is (call $store32 (local.get $r) (i64.const 1) (i32.const 7)) (i32.const 28) (i32.const 31))
      (call $is (call $add32 (local.get $r) (i64.const 3) (i32.const 7) (i32.const 64)) (i32.const 28) (i32.const 32))
      (call $is (call $add64 (local.get $r) (i64.const 4) (i64.const 7) (i32.const 64)) (i32.const 28) (i32.const 33))
      (call $is (call $cmpxchg64 (local.get $r) (i64.const 12) (i64.const 0) (i64.const 7) (i32.const 64)) (i32.const 28) (i32.const 34))
      (call $is (call $wait32 (local.get $r) (i64.const 2) (i32.const 0) (i64.const -1)) (i32.const 28) (i32.const 35))
      (call $is (call $wait64 (local.get $r) (i64.const 4) (i64.const 0) (i64.const -1)) (i32.const 28) (i32.const 36))
      (call $is (call $notify (local.get $r) (i64.const 2) (i32.const 1)) (i32.const -28) (i32.const 37))
      ;; what is right
      (call $is (call $add32 (local.get $r) (i64.const 96) (i32.const 5) (i32.const 0)) (i32.const 0) (i32.const 40))
      (call $is (call $cmpxchg32 (local.get $r) (i64.const 96) (i32.const 5) (i32.const 6) (i32.const 64)) (i32.const 0) (i32.const 41))
      (call $is (i32.load (i32.const 64)) (i32.const 5) (i32.const 42))
      (call $is (call $load32 (local.get $r) (i64.const 96) (i32.const 64)) (i32.const 0) (i32.const 43))
      (call $is (i32.load (i32.const 64)) (i32.const 6) (i32.const 44))
      (call $is (call $wait32 (local.get $r) (i64.const 96) (i32.const 5) (i64.const -1)) (i32.const 6) (i32.const 45))
      (call $is (call $wait32 (local.get $r) (i64.const 96) (i32.const 6) (i64.const 0)) (i32.const 73) (i32.const 46))
      (call $is (call $wait64 (local.get $r) (i64.const 88) (i64.const 0) (i64.const 1000)) (i32.const 73) (i32.const 47))
      (call $is (call $notify (local.get $r) (i64.const 96) (i32.const -1)) (i32.const 0) (i32.const 48))))"));
  std::vector<std::byte> all(96);
  ASSERT_TRUE(region.read(0, all));
  EXPECT_EQ(all, std::vector<std::byte>(96)) << "nothing was done";
}

// ---- what calls cost ----

// Sixteen calls that are paid for, one unit each, and those that are free. What was refused has done nothing.
constexpr std::string_view kPays = R"((data (i32.const 512) "r")
    (func $count (param $answer i32) (call $note (i64.extend_i32_s (local.get $answer))))
    (func (export "_start") (local $r i32)
      (drop (call $close (call $make (i64.const 8))))
      (local.set $r (call $open (i32.const 512) (i32.const 1) (i64.const 100)))
      (drop (call $size (local.get $r)))
      (call $count (call $write (local.get $r) (i64.const 32) (i32.const 512) (i32.const 1)))
      (call $count (call $read (local.get $r) (i64.const 32) (i32.const 64) (i32.const 1)))
      (call $count (call $store32 (local.get $r) (i64.const 0) (i32.const 7)))
      (call $count (call $add64 (local.get $r) (i64.const 8) (i64.const 7) (i32.const 0)))
      (call $count (call $cmpxchg32 (local.get $r) (i64.const 0) (i32.const 7) (i32.const 8) (i32.const 64)))
      (call $count (call $notify (local.get $r) (i64.const 0) (i32.const 1)))
      (call $count (call $wait32 (local.get $r) (i64.const 0) (i32.const 7) (i64.const -1)))
      (call $count (call $load64 (local.get $r) (i64.const 1) (i32.const 64)))
      (call $count (call $load32 (i32.const 99) (i64.const 0) (i32.const 64)))
      (call $count (call $or32 (local.get $r) (i64.const 16) (i32.const 1) (i32.const 0)))
      (call $count (call $xchg64 (local.get $r) (i64.const 8) (i64.const 0) (i32.const 0)))
      (call $count (call $store64 (local.get $r) (i64.const 8) (i64.const 1)))
      (call $count (call $notify (local.get $r) (i64.const 0) (i32.const 1)))
      (call $count (call $wait64 (local.get $r) (i64.const 8) (i64.const 7) (i64.const -1)))
      (call $count (call $write (local.get $r) (i64.const 33) (i32.const 512) (i32.const 1)))
      (call $count (call $read (local.get $r) (i64.const 0) (i32.const 64) (i32.const 4)))
      (drop (call $close (local.get $r)))))";

TEST_F(RegionsTest, CallsArePaidFromThePool) {
  const SharedRegion region = open_region(*runtime_, "r", 100).value();
  FuelPoolOptions options{.capacity = 10, .on_exhausted = OnExhausted::kFail};
  options.rates.spawn = 0;
  options.rates.spawn_per_stack_page = 0;
  const Program program = runtime_->prepare({.module = compile(region_guest(kPays))}).value();
  const FuelPool fails = FuelPool::create(options).value();
  ends_well(runtime_->spawn(program, {.fuel = fails}).value());
  EXPECT_EQ(notes(), (std::vector<std::int64_t>{0, 0, 0, 0, 0, 0, 6, 28, 8, 0, 19, 19, -19, 19, 19, 19}));
  EXPECT_EQ(fails.stats().taken, 10U);
  EXPECT_EQ(fails.stats().refused, 6U);
  EXPECT_EQ(region.load<std::uint64_t>(8).value(), 7U);
  EXPECT_EQ(region.load<std::uint32_t>(32).value(), std::uint32_t{'r'});

  // A pool that waits lets each of them wait, one after the other; killed meanwhile, nothing is left.
  options.on_exhausted = OnExhausted::kWait;
  const FuelPool waits = FuelPool::create(options).value();
  const Process held = runtime_->spawn(program, {.fuel = waits}).value();
  for (std::size_t more = 0; more < 5; ++more) {
    wait_for_notes(26 + more);
    while (waits.stats().waiting == 0) std::this_thread::yield();
    EXPECT_EQ(notes().size(), 26 + more);
    waits.give_back(1);
  }
  wait_for_notes(31);
  while (waits.stats().waiting == 0) std::this_thread::yield();
  held.kill("test");
  EXPECT_EQ(held.join().kind, ExitKind::kKilled);
  EXPECT_EQ(waits.stats().waiting, 0U);

  // The same program without a pool: nothing is paid for.
  ends_well(runtime_->spawn(program).value());
  EXPECT_EQ(notes().size(), 47U);
  EXPECT_EQ(notes().back(), 0);
  EXPECT_EQ(waits.stats().taken, 15U);
}

// By the rate of each: words and copies, waits, and waking.
TEST_F(RegionsTest, CallsHaveTheirRates) {
  FuelPoolOptions options{.capacity = 1'000'000, .on_exhausted = OnExhausted::kFail};
  options.rates.spawn = 0;
  options.rates.spawn_per_stack_page = 0;
  options.rates.synchronization.fill(0);
  options.rates.synchronization[static_cast<std::size_t>(SyncOperation::kRegion)] = 1;
  options.rates.synchronization[static_cast<std::size_t>(SyncOperation::kWait)] = 100;
  options.rates.synchronization[static_cast<std::size_t>(SyncOperation::kNotify)] = 10'000;
  const FuelPool pool = FuelPool::create(options).value();
  const Program program = runtime_->prepare({.module = compile(region_guest(kPays))}).value();
  ends_well(runtime_->spawn(program, {.fuel = pool}).value());
  EXPECT_EQ(pool.stats().taken, 20'212U);
}

TEST_F(RegionsTest, PointersToNowhereTrap) {
  for (const std::string_view call : {
           "(drop (call $open (i32.const 131072) (i32.const 1) (i64.const 1)))",
           "(drop (call $read (local.get $r) (i64.const 0) (i32.const 131071) (i32.const 2)))",
           "(drop (call $write (local.get $r) (i64.const 0) (i32.const -1) (i32.const 1)))",
           "(drop (call $load32 (local.get $r) (i64.const 0) (i32.const 131070)))",
           "(drop (call $add64 (local.get $r) (i64.const 0) (i64.const 1) (i32.const -4)))",
           "(drop (call $cmpxchg32 (i32.const 99) (i64.const 0) (i32.const 0) (i32.const 1) (i32.const 131072)))",
       }) {
    const std::string body =
        "(func (export \"_start\") (local $r i32) (local.set $r (call $make (i64.const 64))) " + std::string(call) + ")";
    EXPECT_EQ(run(body).join().kind, ExitKind::kTrapped) << call;
  }
}

}  // namespace
}  // namespace weft::testing
