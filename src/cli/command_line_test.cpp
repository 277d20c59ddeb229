// Shows what the words of a command line become, and that every mistake gets one line that names it.
#include "cli/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace weft::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Result<Request> parse(std::vector<std::string> words) { return parse_command_line(words); }

Settings settings_of(std::vector<std::string> words) {
  Result<Request> request = parse(std::move(words));
  EXPECT_TRUE(request) << (request ? "" : request.error().message);
  return request ? request->settings : Settings{};
}

std::string message_of(std::vector<std::string> words) {
  const Result<Request> request = parse(std::move(words));
  if (request) return "(accepted)";
  EXPECT_THAT(request.error().message, Not(HasSubstr("\n")));
  return request.error().message;
}

TEST(CommandLine, RunIsWhatHappensWhenNoCommandIsNamed) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"app.wasm", "a", "b"}, std::vector<std::string>{"run", "app.wasm", "a", "b"}}) {
    const Result<Request> request = parse(words);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->command->name, "run");
    EXPECT_EQ(request->settings.program, "app.wasm");
    EXPECT_THAT(request->settings.arguments, ElementsAre("a", "b"));
  }
  EXPECT_EQ(settings_of({"--copies", "3", "app.wasm"}).copies, 3U);
}

TEST(CommandLine, WhatFollowsTheFileBelongsToTheGuest) {
  const Settings s = settings_of({"--copies=2", "app.wasm", "--copies", "9", "-x", "--", "--help"});
  EXPECT_EQ(s.copies, 2U);
  EXPECT_THAT(s.arguments, ElementsAre("--copies", "9", "-x", "--", "--help"));
}

TEST(CommandLine, TwoDashesEndTheFlags) {
  const Settings s = settings_of({"run", "--quiet", "--", "-odd.wasm", "-x"});
  EXPECT_TRUE(s.quiet);
  EXPECT_EQ(s.program, "-odd.wasm");
  EXPECT_THAT(s.arguments, ElementsAre("-x"));
}

TEST(CommandLine, EveryFormOfAFlagIsUnderstood) {
  const Settings s = settings_of({"-n5",
                                  "-j",
                                  "2",
                                  "-q",
                                  "--timeout=2m30s",
                                  "--max-memory",
                                  "64MiB",
                                  "--env",
                                  "A=1=2",
                                  "--env=B",
                                  "--dir",
                                  "data::/d",
                                  "--dir-ro=/etc",
                                  "--stats=json",
                                  "-Wfuel=9",
                                  "-W",
                                  "timeout=1s,max-memory-size=1MiB",
                                  "-S",
                                  "inherit-env",
                                  "app.wasm"});
  EXPECT_EQ(s.copies, 5U);
  EXPECT_EQ(s.workers, 2U);
  EXPECT_TRUE(s.quiet);
  EXPECT_EQ(s.limits.fuel, 9U);
  EXPECT_EQ(s.limits.wall_time, std::chrono::seconds(1));  // -W stands later in the table than --timeout
  EXPECT_EQ(s.limits.memory_bytes, 1U << 20);
  EXPECT_EQ(s.stats, Format::kJson);
  EXPECT_TRUE(s.inherit_environment);
  ASSERT_EQ(s.environment.size(), 2U);
  EXPECT_EQ(s.environment[0].name, "A");
  EXPECT_EQ(s.environment[0].value, "1=2");
  EXPECT_EQ(s.environment[1].value, std::nullopt);
  ASSERT_EQ(s.directories.size(), 2U);
  EXPECT_EQ(s.directories[0].host, "data");
  EXPECT_EQ(s.directories[0].guest, "/d");
  EXPECT_FALSE(s.directories[0].read_only);
  EXPECT_TRUE(s.directories[1].read_only);
}

TEST(CommandLine, AFlagWithAnOptionalValueDoesNotTakeTheFile) {
  const Settings s = settings_of({"--stats", "app.wasm"});
  EXPECT_EQ(s.stats, Format::kText);
  EXPECT_EQ(s.program, "app.wasm");
}

TEST(CommandLine, TheLastOfTwoValuesCounts) { EXPECT_EQ(settings_of({"--copies", "2", "--copies", "3", "app.wasm"}).copies, 3U); }

TEST(CommandLine, UnknownFlagsGetTheNearestOne) {
  EXPECT_EQ(message_of({"--coppies", "3", "app.wasm"}), "unknown flag --coppies; did you mean --copies?");
  EXPECT_EQ(message_of({"--timout=3s", "app.wasm"}), "unknown flag --timout; did you mean --timeout?");
  EXPECT_THAT(message_of({"run", "--frobnicate", "app.wasm"}), HasSubstr("unknown flag --frobnicate; weft --help lists"));
  EXPECT_EQ(message_of({"--no-stacks", "app.wasm"}), "unknown flag --no-stacks; it belongs to weft dump");
  EXPECT_EQ(message_of({"inspect", "--jsn", "app.wasm"}), "unknown flag --jsn; did you mean --json?");
}

TEST(CommandLine, MistypedCommandsGetTheNearestOne) {
  EXPECT_EQ(message_of({"inspct", "app.wasm"}), "'inspct' is neither a command nor a file; did you mean weft inspect?");
  EXPECT_THAT(message_of({"frobnicate"}), HasSubstr("weft --help lists the commands"));
}

TEST(CommandLine, LimitsOfZeroAreRefused) {
  for (const std::string flag : {"--timeout", "--cpu-time", "--max-memory", "--max-output", "--max-stack"}) {
    EXPECT_THAT(message_of({flag, "0", "app.wasm"}), testing::StartsWith(flag + " 0: a limit of zero")) << flag;
  }
  for (const std::string flag : {"--fuel", "--copies", "--workers", "--at-once", "--max-instances", "--max-table-elements"}) {
    EXPECT_EQ(message_of({flag, "0", "app.wasm"}), flag + " 0: must be at least 1");
  }
}

TEST(CommandLine, ValuesThatMakeNoSenseAreNamed) {
  EXPECT_THAT(message_of({"--copies", "many", "app.wasm"}), HasSubstr("--copies many: not a whole number"));
  EXPECT_THAT(message_of({"--copies", "-1", "app.wasm"}), HasSubstr("--copies -1: not a whole number"));
  EXPECT_THAT(message_of({"--copies", "99999999999999999999", "app.wasm"}), HasSubstr("must be at most"));
  EXPECT_THAT(message_of({"--timeout", "10", "app.wasm"}), HasSubstr("--timeout 10: "));
  EXPECT_THAT(message_of({"--max-memory", "lots", "app.wasm"}), HasSubstr("--max-memory lots: "));
  EXPECT_THAT(message_of({"--max-stack", "2GiB", "app.wasm"}), HasSubstr("must be between 32 KiB and 1 GiB"));
  EXPECT_THAT(message_of({"--priority", "8", "app.wasm"}), HasSubstr("--priority 8: must be 0 (most urgent) to 7"));
  EXPECT_THAT(message_of({"--quantum", "1ns", "app.wasm"}), HasSubstr("must be between 10us and 10s"));
  EXPECT_THAT(message_of({"--env", "=x", "app.wasm"}), HasSubstr("the name is missing"));
  EXPECT_THAT(message_of({"--dir", "::/x", "app.wasm"}), HasSubstr("the directory on this machine is missing"));
  EXPECT_THAT(message_of({"--stats=yaml", "app.wasm"}), HasSubstr("--stats=yaml: must be text or json"));
  EXPECT_THAT(message_of({"--stdin", "tty", "app.wasm"}), HasSubstr("must be inherit, empty or copy"));
}

TEST(CommandLine, AMissingValueOrFileIsSaid) {
  EXPECT_THAT(message_of({"run", "--copies"}), HasSubstr("--copies needs a value"));
  EXPECT_THAT(message_of({"run"}), HasSubstr("no program was given"));
  EXPECT_THAT(message_of({"--quiet"}), HasSubstr("no program was given"));
  EXPECT_THAT(message_of({"inspect"}), HasSubstr("app.wasm is missing"));
  EXPECT_THAT(message_of({"inspect", "a", "b"}), HasSubstr("'b' is one word too many"));
}

TEST(CommandLine, GroupKeysAreCheckedLikeFlags) {
  EXPECT_EQ(message_of({"-W", "feul=3", "app.wasm"}), "-W feul=3: no such key 'feul'; did you mean fuel?; -W help lists them");
  EXPECT_EQ(message_of({"-W", "fuel", "app.wasm"}), "-W fuel: fuel needs a value: fuel=N");
  EXPECT_THAT(message_of({"-W", "timeout=0s", "app.wasm"}), HasSubstr("a limit of zero"));
  EXPECT_THAT(message_of({"-S", "cli=n", "app.wasm"}), HasSubstr("cannot be switched off"));
  EXPECT_THAT(message_of({"-S", "inherit-env=maybe", "app.wasm"}), HasSubstr("must be y or n"));
  EXPECT_TRUE(settings_of({"-S", "cli,inherit-network=y", "app.wasm"}).network);
  EXPECT_FALSE(settings_of({"-W", "epoch-interruption=n", "app.wasm"}).preemption);
}

TEST(CommandLine, HelpAndVersionNeedNothingElse) {
  EXPECT_EQ(parse({})->action, Action::kHelp);
  EXPECT_EQ(parse({"--help"})->action, Action::kHelp);
  EXPECT_EQ(parse({"help"})->command, nullptr);
  EXPECT_EQ(parse({"help", "dump"})->command->name, "dump");
  EXPECT_EQ(parse({"dump", "--help"})->command->name, "dump");
  EXPECT_EQ(parse({"run", "--help"})->command->name, "run");
  EXPECT_EQ(parse({"--version"})->action, Action::kVersion);
  EXPECT_EQ(parse({"-W", "help"})->action, Action::kGroupHelp);
  EXPECT_EQ(parse({"-S", "help"})->group, 'S');
  EXPECT_EQ(message_of({"help", "dmp"}), "help: no command 'dmp'; did you mean weft help dump?");
}

TEST(CommandLine, TheFileGivesWhatTheCommandLineLeavesOutAndLosesAgainstIt) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "weft_command_line_test.toml";
  std::ofstream(path) << "program = 'from-file.wasm'\narguments = ['x']\ncopies = 7\ntimeout = '9s'\nenv = ['A=file']\n";
  const Settings alone = settings_of({"--config", path.string()});
  EXPECT_EQ(alone.program, "from-file.wasm");
  EXPECT_THAT(alone.arguments, ElementsAre("x"));
  EXPECT_EQ(alone.copies, 7U);
  // Also when the flag stands before --config.
  const Settings both = settings_of({"--copies", "3", "--env", "A=line", "--config=" + path.string(), "other.wasm"});
  EXPECT_EQ(both.program, "other.wasm");
  EXPECT_TRUE(both.arguments.empty());
  EXPECT_EQ(both.copies, 3U);
  EXPECT_EQ(both.limits.wall_time, std::chrono::seconds(9));
  ASSERT_EQ(both.environment.size(), 2U);
  EXPECT_EQ(both.environment[1].value, "line");  // the later one wins when the guest's environment is made
  std::filesystem::remove(path);
  EXPECT_THAT(message_of({"--config", path.string(), "app.wasm"}), HasSubstr("no such file"));
}

TEST(CommandLine, EveryLimitOfTheLibraryHasItsFlag) {
  for (int kind = 0; kind <= static_cast<int>(LimitKind::kOutput); ++kind) {
    const std::string_view flag = flag_of(static_cast<LimitKind>(kind));
    ASSERT_TRUE(flag.starts_with("--")) << kind;
    EXPECT_NE(find_flag(*find_command("run"), flag.substr(2)), nullptr) << flag;
  }
}

TEST(CommandLine, NamesAndLettersOfFlagsAreUnique) {
  for (const Command& command : commands()) {
    std::vector<std::string> seen = {"help", "h"};
    for (const Flag& flag : command.flags) {
      std::vector<std::string> names = {std::string(flag.name)};
      if (flag.letter != '\0') names.emplace_back(1, flag.letter);
      for (const std::string& name : names) {
        EXPECT_THAT(seen, Not(testing::Contains(name))) << command.name;
        seen.push_back(name);
      }
      EXPECT_NE(flag.apply, nullptr) << flag.name;
      EXPECT_EQ(flag.takes == Takes::kNothing, flag.value_name.empty()) << flag.name;
      EXPECT_FALSE(flag.takes == Takes::kOptionalValue && flag.words.empty()) << flag.name;
    }
  }
}

}  // namespace
}  // namespace weft::cli
