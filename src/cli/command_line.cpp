#include "cli/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "cli/config_file.hpp"
#include "cli/suggest.hpp"

namespace weft::cli {
namespace {

struct Given {
  const Flag* flag;
  std::string value;
};

// What one command was given: flags in the order of the table, each with its values in order, and the words that are no flags.
struct Parsed {
  std::vector<Given> given;
  std::vector<std::string> rest;
  bool help = false;
  bool version = false;
};

std::vector<std::string_view> flag_names(const Command& command) {
  std::vector<std::string_view> names = {"help"};
  for (const Flag& flag : command.flags) names.push_back(flag.name);
  return names;
}

std::string invocation_of(const Command& command) { return command.name == "run" ? "weft" : fmt::format("weft {}", command.name); }

std::unexpected<Error> unknown_flag(const Command& command, std::string_view word) {
  std::string_view name = word;
  name.remove_prefix(std::min(name.find_first_not_of('-'), name.size()));
  name = name.substr(0, name.find('='));
  std::string hint = did_you_mean(name, flag_names(command), "--");
  // A flag of another command, before its name or without it: say where it belongs.
  if (hint.empty()) {
    for (const Command& other : commands()) {
      if (!other.hidden && find_flag(other, name) != nullptr) hint = fmt::format("; it belongs to weft {}", other.name);
    }
  }
  if (hint.empty()) hint = fmt::format("; {} --help lists what there is", invocation_of(command));
  return fail(ErrorKind::kBadArgument, fmt::format("unknown flag {}{}", word.substr(0, word.find('=')), hint));
}

std::string shown(const Given& given) {
  switch (given.flag->takes) {
    case Takes::kNothing:
      return fmt::format("--{}", given.flag->name);
    case Takes::kOptionalValue:
      return fmt::format("--{}={}", given.flag->name, given.value);
    case Takes::kValue:
      break;
  }
  const bool short_only = given.flag->letter == 'W' || given.flag->letter == 'S';
  if (short_only) return fmt::format("-{} {}", given.flag->letter, given.value);
  return fmt::format("--{} {}", given.flag->name, given.value);
}

// CLI11 does the splitting: long and short forms, values attached or not, flags up to the first other word.
Result<Parsed> split(const Command& command, std::vector<std::string> words) {
  CLI::App app;
  app.set_help_flag();
  app.prefix_command(command.name == "run");
  app.allow_extras(true);

  Parsed parsed;
  std::vector<std::vector<std::string>> values(command.flags.size());
  app.add_flag("-h,--help", parsed.help);
  if (command.name == "run") app.add_flag("-V,--version", parsed.version);
  for (std::size_t i = 0; i < command.flags.size(); ++i) {
    const Flag& flag = command.flags[i];
    const std::string names =
        flag.letter == '\0' ? fmt::format("--{}", flag.name) : fmt::format("-{},--{}", flag.letter, flag.name);
    if (flag.takes == Takes::kValue) {
      app.add_option(names, values[i])->allow_extra_args(false);
    } else {
      // A flag without "=value" gets this one.
      const std::string_view implied = flag.takes == Takes::kNothing ? "true" : flag.words.front();
      app.add_flag(fmt::format("{}{{{}}}", names, implied), values[i])->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
  }
  try {
    std::ranges::reverse(words);  // CLI11 takes them from the back
    app.parse(words);
  } catch (const CLI::ArgumentMismatch& mismatch) {
    // The only mismatch there can be: the line ends where a value should stand.
    std::string_view named = mismatch.what();
    named = named.substr(0, named.find(':'));
    return fail(ErrorKind::kBadArgument, fmt::format("{} needs a value; {} --help says which", named, invocation_of(command)));
  } catch (const CLI::ParseError& error) {
    return fail(ErrorKind::kBadArgument, error.what());
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::string& value : values[i]) parsed.given.push_back({&command.flags[i], std::move(value)});
  }
  parsed.rest = app.remaining();
  return parsed;
}

Result<void> apply(const Parsed& parsed, Settings& settings) {
  for (const Given& given : parsed.given) {
    if (given.flag->name != "config") continue;
    if (Result<void> done = apply_config_file(given.value, settings); !done) return done;
  }
  for (const Given& given : parsed.given) {
    if (Result<void> done = given.flag->apply(settings, given.value); !done) {
      done.error().message = fmt::format("{}: {}", shown(given), done.error().message);
      return done;
    }
  }
  return {};
}

std::optional<char> group_help_asked(const Parsed& parsed) {
  for (const Given& given : parsed.given) {
    if ((given.flag->letter == 'W' || given.flag->letter == 'S') && given.value == "help") return given.flag->letter;
  }
  return std::nullopt;
}

Result<void> take_program(Parsed& parsed, const Command& run, Settings& settings) {
  std::vector<std::string>& rest = parsed.rest;
  if (!rest.empty() && rest.front() == "--") {
    rest.erase(rest.begin());
  } else if (!rest.empty() && rest.front().size() > 1 && rest.front().front() == '-') {
    return unknown_flag(run, rest.front());
  }
  if (!rest.empty()) {
    // What the file gives as program goes with its arguments; another program gets none of them.
    settings.program = rest.front();
    settings.arguments.assign(rest.begin() + 1, rest.end());
  }
  if (settings.program.empty()) {
    return fail(ErrorKind::kBadArgument, "no program was given; say which: weft run [flags] app.wasm [arguments…]");
  }
  return {};
}

Result<void> take_operands(Parsed& parsed, const Command& command, Settings& settings) {
  for (std::string& word : parsed.rest) {
    if (word == "--") continue;
    if (word.size() > 1 && word.front() == '-') return unknown_flag(command, word);
    settings.operands.push_back(std::move(word));
  }
  const bool optional = command.operands.empty() || command.operands.front() == '[';
  if (settings.operands.empty() && !optional) {
    return fail(ErrorKind::kBadArgument, fmt::format("{0}: {1} is missing; say: weft {0} {1}", command.name, command.operands));
  }
  const std::size_t most = command.operands.empty() ? 0 : 1;
  if (settings.operands.size() > most) {
    return fail(ErrorKind::kBadArgument, fmt::format("{}: '{}' is one word too many; weft {} --help says what it takes",
                                                     command.name, settings.operands[most], command.name));
  }
  return {};
}

// `weft app.wasm`, `weft --copies 3 app.wasm`: everything that is not the name of a command belongs to `run`. A word that is
// neither a file nor a command is more likely a mistyped command.
Result<const Command*> choose_command(std::span<const std::string> words) {
  const std::string& first = words.front();
  if (const Command* named = find_command(first)) return named;
  if (!first.starts_with('-') && first.find_first_of("./\\") == std::string::npos) {
    std::error_code ignored;
    std::vector<std::string_view> names;
    for (const Command& command : commands()) names.push_back(command.name);
    if (!std::filesystem::exists(first, ignored)) {
      return fail(ErrorKind::kBadArgument,
                  fmt::format("'{}' is neither a command nor a file{}{}", first, did_you_mean(first, names, "weft "),
                              suggest(first, names) ? "" : "; weft --help lists the commands"));
    }
  }
  return find_command("run");
}

}  // namespace

Result<Request> parse_command_line(std::span<const std::string> words) {
  Request request;
  if (words.empty()) {
    request.action = Action::kHelp;
    return request;
  }
  const bool asks_for_all = words.front() == "--help" || words.front() == "-h" || words.front() == "help";
  if (asks_for_all && words.size() == 1) {
    request.action = Action::kHelp;
    return request;
  }
  const Result<const Command*> command = choose_command(words);
  if (!command) return std::unexpected(command.error());
  const std::size_t skipped = (*command)->name == words.front() ? 1 : 0;
  Result<Parsed> parsed = split(**command, {words.begin() + static_cast<std::ptrdiff_t>(skipped), words.end()});
  if (!parsed) return std::unexpected(parsed.error());

  request.command = *command;
  if (parsed->help) {
    request.action = Action::kHelp;
    return request;
  }
  if (parsed->version) {
    request.action = Action::kVersion;
    return request;
  }
  if (const std::optional<char> group = group_help_asked(*parsed)) {
    request.action = Action::kGroupHelp;
    request.group = *group;
    return request;
  }
  if (request.command->name == "help" && !parsed->rest.empty()) {
    const Command* about = find_command(parsed->rest.front());
    if (about == nullptr) {
      std::vector<std::string_view> names;
      for (const Command& known : commands()) names.push_back(known.name);
      return fail(ErrorKind::kBadArgument, fmt::format("help: no command '{}'{}", parsed->rest.front(),
                                                       did_you_mean(parsed->rest.front(), names, "weft help ")));
    }
    request.command = about;
    request.action = Action::kHelp;
    return request;
  }
  if (Result<void> done = apply(*parsed, request.settings); !done) return std::unexpected(done.error());
  const Result<void> done = request.command->name == "run" ? take_program(*parsed, *request.command, request.settings)
                                                           : take_operands(*parsed, *request.command, request.settings);
  if (!done) return std::unexpected(done.error());
  return request;
}

}  // namespace weft::cli
