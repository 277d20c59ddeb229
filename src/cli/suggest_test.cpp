// Shows that the edit distance counts what fingers do, and that a suggestion comes only when it is near.
#include "cli/suggest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace weft::cli {
namespace {

constexpr std::array<std::string_view, 5> kWords = {"copies", "timeout", "max-memory", "quiet", "env"};

TEST(Suggest, DistanceCountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("copies", "copies"), 0U);
  EXPECT_EQ(edit_distance("coppies", "copies"), 1U);
  EXPECT_EQ(edit_distance("cpies", "copies"), 1U);
  EXPECT_EQ(edit_distance("copues", "copies"), 1U);
  EXPECT_EQ(edit_distance("ocpies", "copies"), 1U);
  EXPECT_EQ(edit_distance("", "env"), 3U);
  EXPECT_EQ(edit_distance("env", ""), 3U);
  EXPECT_EQ(edit_distance("abc", "xyz"), 3U);
}

TEST(Suggest, NearWordsAreFoundAndFarOnesAreNot) {
  EXPECT_EQ(suggest("coppies", kWords), "copies");
  EXPECT_EQ(suggest("timout", kWords), "timeout");
  EXPECT_EQ(suggest("max-memroy", kWords), "max-memory");
  EXPECT_EQ(suggest("max", kWords), "max-memory");  // by its beginning
  EXPECT_EQ(suggest("frobnicate", kWords), std::nullopt);
  EXPECT_EQ(suggest("", kWords), std::nullopt);
  EXPECT_EQ(suggest(std::string(10'000, 'c'), kWords), std::nullopt);
}

TEST(Suggest, TheSentenceIsReadyToBeAppended) {
  EXPECT_EQ(did_you_mean("quite", kWords, "--"), "; did you mean --quiet?");
  EXPECT_EQ(did_you_mean("frobnicate", kWords, "--"), "");
}

}  // namespace
}  // namespace weft::cli
