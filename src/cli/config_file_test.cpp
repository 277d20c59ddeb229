// Shows that the configuration file sets what flags set, and that a mistake in it is named with line and column.
#include "cli/config_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/flags.hpp"

namespace weft::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string message_of(std::string_view text) {
  Settings settings;
  const Result<void> done = apply_config_text(text, "c.toml", settings);
  return done ? "(accepted)" : done.error().message;
}

TEST(ConfigFile, EveryKindOfValueFindsItsPlace) {
  Settings s;
  const Result<void> done = apply_config_text(R"(
program = "app.wasm"
arguments = ["-x", "input.txt"]
copies = 100
at-once = "10"
timeout = "2m30s"
max-memory = "64MiB"
quiet = true
progress = false
stats = "json"
dir = ["data::/data", "/tmp"]
dir-ro = "/etc::/config"
priority = "low"

[env]
NAME = "value"
NUMBER = 7

[W]
fuel = 1000
[S]
inherit-env = true
)",
                                              "c.toml", s);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(s.program, "app.wasm");
  EXPECT_THAT(s.arguments, ElementsAre("-x", "input.txt"));
  EXPECT_EQ(s.copies, 100U);
  EXPECT_EQ(s.at_once, 10U);
  EXPECT_EQ(s.limits.wall_time, std::chrono::seconds(150));
  EXPECT_EQ(s.limits.memory_bytes, 64U << 20);
  EXPECT_EQ(s.limits.fuel, 1000U);
  EXPECT_TRUE(s.quiet);
  EXPECT_EQ(s.progress, false);
  EXPECT_EQ(s.stats, Format::kJson);
  EXPECT_EQ(s.priority, 6);
  EXPECT_TRUE(s.inherit_environment);
  EXPECT_EQ(s.directories.size(), 3U);
  ASSERT_EQ(s.environment.size(), 2U);
  EXPECT_EQ(s.environment[0].name + "=" + *s.environment[0].value, "NAME=value");
  EXPECT_EQ(s.environment[1].name + "=" + *s.environment[1].value, "NUMBER=7");
}

TEST(ConfigFile, UnknownKeysAreRefusedWithPlaceAndSuggestion) {
  EXPECT_EQ(message_of("copies = 1\n\n  tiemout = '3s'\n"), "c.toml:3:3: unknown key 'tiemout'; did you mean timeout?");
  EXPECT_EQ(message_of("[frobnicate]\nx = 1\n"), "c.toml:1:2: unknown key 'frobnicate'");
  EXPECT_EQ(message_of("[W]\nfeul = 3\n"), "c.toml:2:1: no such key 'feul'; did you mean fuel?; -W help lists them");
  // A file that reads a file would be a puzzle.
  EXPECT_THAT(message_of("config = 'other.toml'\n"), HasSubstr("unknown key 'config'"));
}

TEST(ConfigFile, WrongTypesAndValuesAreRefusedWithPlace) {
  EXPECT_EQ(message_of("copies = 0\n"), "c.toml:1:10: copies = 0: must be at least 1");
  EXPECT_EQ(message_of("quiet = 'yes'\n"), "c.toml:1:9: quiet must be true or false");
  EXPECT_EQ(message_of("copies = true\n"), "c.toml:1:10: copies must be a string or a number");
  EXPECT_EQ(message_of("copies = [1, 2]\n"), "c.toml:1:10: copies takes one value, not a list");
  EXPECT_EQ(message_of("dir = [['a']]\n"), "c.toml:1:8: dir must be a string or a number");
  EXPECT_EQ(message_of("copies = 1979-05-27\n"), "c.toml:1:10: copies must be a string or a number");
  EXPECT_THAT(message_of("timeout = 10\n"), HasSubstr("c.toml:1:11: timeout = 10: "));
  EXPECT_EQ(message_of("arguments = 'x'\n"), "c.toml:1:13: arguments must be a list of strings");
  EXPECT_EQ(message_of("program = 3\n"), "c.toml:1:11: program must be a path");
  EXPECT_THAT(message_of("W = 3\n"), HasSubstr("W must be a table"));
}

TEST(ConfigFile, WhatIsNoTomlIsRefusedWithPlace) {
  EXPECT_THAT(message_of("copies = \n"), testing::MatchesRegex("c\\.toml:1:[0-9]+: .*"));
  EXPECT_THAT(message_of("copies = 1\ncopies = 2\n"), testing::StartsWith("c.toml:2:"));
  EXPECT_THAT(message_of(std::string_view("\xff\xfe\x00", 3)), testing::StartsWith("c.toml:"));
}

TEST(ConfigFile, WhatBreaksTheTomlLibraryIsRefusedWithItsLine) {
  EXPECT_EQ(message_of("copies = 1\n[%env]\nx = 1\n"), "c.toml:2:1: not TOML: a malformed key or value");
  EXPECT_THAT(message_of("\xCD\x8A"), HasSubstr("c.toml:1:1: Error while parsing"));
}

TEST(ConfigFile, AnEmptyFileAsksForNothing) {
  Settings s;
  EXPECT_TRUE(apply_config_text("", "c.toml", s));
  EXPECT_EQ(s.copies, 1U);
}

}  // namespace
}  // namespace weft::cli
