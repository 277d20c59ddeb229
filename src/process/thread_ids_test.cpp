// Numbers of guest threads: in order, none twice at a time, used again when all have been, and known ever after.
#include "process/thread_ids.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/rng.hpp"

namespace weft::process {
namespace {

TEST(ThreadIds, AreGivenInOrderAndUsedAgainLate) {
  ThreadIds ids(5);
  std::set<std::uint32_t> alive{2};
  const auto taken = [&alive](std::uint32_t id) { return alive.contains(id); };
  std::vector<std::uint32_t> got;
  for (int i = 0; i < 5; ++i) got.push_back(ids.next(taken));
  EXPECT_EQ(got, (std::vector<std::uint32_t>{1, 3, 4, 1, 3}));
  EXPECT_EQ(ThreadIds().next([](std::uint32_t id) { return id < 3; }), 3U);
}

TEST(ThreadIds, WhichWereGivenIsKnown) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    const std::uint32_t end = 2 + rng.below(20);
    ThreadIds ids(end);
    std::set<std::uint32_t> alive;
    std::set<std::uint32_t> given;
    for (int step = 0; step < 100; ++step) {
      if (alive.size() + 1 < end && rng.one_in(2)) {
        const std::uint32_t id = ids.next([&alive](std::uint32_t one) { return alive.contains(one); });
        ASSERT_TRUE(alive.insert(id).second) << "two have the same";
        given.insert(id);
      } else if (!alive.empty()) {
        alive.erase(rng.one_in(2) ? alive.begin() : std::prev(alive.end()));
      }
      for (std::uint32_t id = 1; id < end; ++id) ASSERT_EQ(ids.given(id), given.contains(id)) << id;
      ASSERT_FALSE(ids.given(0));
      ASSERT_FALSE(ids.given(end));
      ASSERT_FALSE(ids.given((std::uint64_t{1} << 32U) + 1));
    }
  }
}

}  // namespace
}  // namespace weft::process
