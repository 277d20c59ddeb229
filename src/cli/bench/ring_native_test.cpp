// Shows that no item is lost, comes twice or is torn on the way through the native ring, whatever its shape; and that its waiting threads
// are woken. ThreadSanitizer sees it here.
#include "cli/bench/ring_native.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "cli/bench/ring_layout.hpp"

namespace weft::cli {
namespace {

TEST(NativeRing, EveryItemArrivesOnce) {
  for (const bool wait : {false, true}) {
    for (const Start start : {Start::kCold, Start::kWarm}) {
      for (const std::uint64_t slots : {2U, 16U, 1024U}) {
        for (const std::uint64_t batch : {1U, 3U, 64U}) {
          for (const std::uint64_t items : {1U, 2U, 17U, 5000U}) {
            SCOPED_TRACE(testing::Message() << "wait " << wait << ", slots " << slots << ", batch " << batch << ", items "
                                            << items);
            const Result<RingFigures> figures =
                run_native_ring({.items = items, .slots = slots, .batch = batch, .wait = wait, .patience = 5}, start);
            ASSERT_TRUE(figures) << figures.error().message;
            EXPECT_EQ(figures->sum, RingLayout::sum_of(items));
            EXPECT_GT(figures->elapsed_ns, 0U);
          }
        }
      }
    }
  }
}

TEST(NativeRing, WhoWaitsHasLookedBefore) {
  const Result<RingFigures> figures =
      run_native_ring({.items = 20'000, .slots = 2, .batch = 1, .wait = true, .patience = 0}, Start::kWarm);
  ASSERT_TRUE(figures) << figures.error().message;
  EXPECT_LE(figures->prod_parks, figures->prod_spins);
  EXPECT_LE(figures->cons_parks, figures->cons_spins);
}

}  // namespace
}  // namespace weft::cli
