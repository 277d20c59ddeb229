// Shows that lines get their prefix and are whole.
#include "cli/console.hpp"

#include <gtest/gtest.h>

namespace weft::cli {
namespace {

TEST(Console, EveryLineGetsThePrefix) {
  EXPECT_EQ(prefixed("[a#1] ", "one\ntwo\n"), "[a#1] one\n[a#1] two\n");
  EXPECT_EQ(prefixed("[a#1] ", "\n\n"), "[a#1] \n[a#1] \n");
}

TEST(Console, TheLastLineGetsItsEnd) {
  EXPECT_EQ(prefixed("> ", "one\ntwo"), "> one\n> two\n");
  EXPECT_EQ(prefixed("> ", ""), "");
}

}  // namespace
}  // namespace weft::cli
