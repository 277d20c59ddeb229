// Shows that limits beyond the machine are said, and that sensible ones are not.
#include "cli/machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::cli {
namespace {

constexpr platform::MemoryFacts kMachine{
    .physical_bytes = 8ULL << 30, .limit_bytes = 4ULL << 30, .maps_max = 65530, .maps_now = 100};

TEST(Machine, SensibleSettingsAreNotCommented) {
  Settings settings;
  settings.limits.memory_bytes = 64U << 20;
  settings.workers = 4;
  EXPECT_TRUE(check_against_machine(settings, kMachine, 4).empty());
}

TEST(Machine, MoreMemoryThanThereIsGetsAWarning) {
  Settings settings;
  settings.limits.memory_bytes = 1ULL << 40;
  const std::vector<std::string> warnings = check_against_machine(settings, kMachine, 4);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0], "--max-memory 1 TiB is more than this machine has (4 GiB): the machine's end comes first");
}

TEST(Machine, FarMoreWorkersThanCoresGetAWarning) {
  Settings settings;
  settings.workers = 100;
  EXPECT_THAT(check_against_machine(settings, kMachine, 1), testing::ElementsAre(testing::HasSubstr("weft may use one core here")));
}

TEST(Machine, AtOnceBoundsTheCopiesThatLive) {
  Settings settings;
  settings.copies = 1000;
  EXPECT_EQ(alive_at_once(settings), 1000U);
  settings.at_once = 10;
  EXPECT_EQ(alive_at_once(settings), 10U);
  settings.at_once = 5000;
  EXPECT_EQ(alive_at_once(settings), 1000U);
}

}  // namespace
}  // namespace weft::cli
