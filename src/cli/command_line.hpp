// The command line, from words to what is asked.
//
//   Result<Request> request = parse_command_line({"--copies", "3", "app.wasm", "hello"});
//   // request->command is `run`, request->settings.copies 3, .program "app.wasm", .arguments {"hello"}
//
// Reads the configuration file that --config names, nothing else. Errors are kBadArgument (kNotFound, … for the file) and one line.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "cli/flags.hpp"
#include "cli/settings.hpp"
#include "weft/error.hpp"

namespace weft::cli {

enum class Action : std::uint8_t {
  kExecute,  // the command, with its settings
  kHelp,     // of the command; of weft itself when there is none
  kVersion,
  kGroupHelp,  // -W help, -S help: Request::group
};

struct Request {
  Action action = Action::kExecute;
  const Command* command = nullptr;
  char group = '\0';
  Settings settings;
};

// `words` without the program's own name.
Result<Request> parse_command_line(std::span<const std::string> words);

}  // namespace weft::cli
