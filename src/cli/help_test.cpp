// Shows that help, manual page and completions name every flag of the table, and that nothing breaks their syntax.
#include "cli/help.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/exit_codes.hpp"

namespace weft::cli {
namespace {

using testing::HasSubstr;

TEST(Help, NamesEveryFlagAndCommand) {
  const std::string top = help_text(80);
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    EXPECT_THAT(top, HasSubstr(std::string(command.name)));
    const std::string text = help_text(command, 80);
    for (const Flag& flag : command.flags) EXPECT_THAT(text, HasSubstr("--" + std::string(flag.name)));
  }
}

TEST(Help, FitsTheTerminal) {
  std::istringstream lines(help_text(*find_command("run"), 80));
  for (std::string line; std::getline(lines, line);) {
    const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; };
    const auto bytes = static_cast<std::size_t>(std::ranges::count_if(line, continues));
    // A single long word, and the usage line, may stand out.
    if (line.starts_with("Usage") || line.starts_with("Sizes")) continue;
    EXPECT_LE(line.size() - bytes, 80U) << line;
  }
}

TEST(Help, TheManualPageNamesEveryFlagAndExitStatus) {
  const std::string page = manual_page("0.0.0");
  for (const Command& command : commands()) {
    for (const Flag& flag : command.flags) {
      std::string escaped;
      for (const char c : flag.name) escaped += c == '-' ? "\\-" : std::string(1, c);
      EXPECT_THAT(page, HasSubstr("\\fB\\-\\-" + escaped + "\\fR"));
    }
  }
  for (const ExitCode& code : exit_codes()) EXPECT_THAT(page, HasSubstr(".B " + std::string(code.code) + "\n"));
  // No line of text may begin like a request by accident: every dot at a line's start is one of the requests used here.
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('.')) continue;
    EXPECT_THAT(line, testing::MatchesRegex("\\.(TH|SH|PP|TP|B|I|br)( .*)?"));
  }
}

TEST(Help, CompletionsNameEveryFlag) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::optional<std::string> script = completion_script(shell);
    ASSERT_TRUE(script);
    for (const Command& command : commands()) {
      if (command.hidden) continue;
      for (const Flag& flag : command.flags) {
        const std::string name(flag.name);
        EXPECT_THAT(*script, HasSubstr(shell == "fish" ? "-l " + name : "--" + name)) << shell;
      }
    }
  }
  EXPECT_EQ(completion_script("powershell"), std::nullopt);
}

}  // namespace
}  // namespace weft::cli
