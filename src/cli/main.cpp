// weft: the command line of the library. Words in, one command executed, its exit status out.
#include <fmt/format.h>

#include <exception>
#include <string>
#include <vector>

#include "cli/command_line.hpp"
#include "cli/console.hpp"
#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "cli/help.hpp"
#include "cli/up/commands.hpp"
#include "platform/signals.hpp"
#include "platform/terminal.hpp"
#include "weft/runtime.hpp"

namespace weft::cli {
namespace {

int print(Console& console, const std::string& text) { return console.print(text) ? kExitSuccess : kExitOutputClosed; }

int complete(const Settings& settings, Console& console) {
  const std::string& shell = settings.operands.front();
  if (const std::optional<std::string> script = completion_script(shell)) return print(console, *script);
  return report_error(console, {ErrorKind::kBadArgument,
                                fmt::format("completions {}: no completions for that shell; there are bash, zsh and fish", shell),
                                {}});
}

int execute(const Request& request, Console& console) {
  const unsigned columns = platform::terminal_columns(1);
  switch (request.action) {
    case Action::kHelp:
      return print(console, request.command == nullptr ? help_text(columns) : help_text(*request.command, columns));
    case Action::kVersion:
      return print(console, fmt::format("weft {} ({})\n", version(), engine_version()));
    case Action::kGroupHelp:
      return print(console, group_help(request.group));
    case Action::kExecute:
      break;
  }
  const std::string_view name = request.command->name;
  if (name == "run") {
    // Before any thread is started, so that all of them leave the signals to this one.
    platform::SignalSource signals;
    return run_program(request.settings, signals);
  }
  if (name == "up") {
    platform::SignalSource signals;
    return run_system(request.settings, signals);
  }
  if (name == "top") {
    platform::SignalSource signals;
    return watch_processes(request.settings, signals, console);
  }
  if (name == "ps") return list_processes(request.settings, console);
  if (name == "kill") return kill_child(request.settings, console);
  if (name == "restart") return restart_child(request.settings, console);
  if (name == "logs") return show_logs(request.settings, console);
  if (name == "events") return show_events(request.settings, console);
  if (name == "compile") return compile_program(request.settings);
  if (name == "inspect") return inspect_program(request.settings, console);
  if (name == "dump") return dump_tasks(request.settings, console);
  if (name == "bench") return run_bench(request.settings);
  if (name == "completions") return complete(request.settings, console);
  if (name == "man") return print(console, manual_page(version()));
  return print(console, help_text(columns));
}

int main_with(const std::vector<std::string>& words) {
  platform::make_failing_writes_errors();
  Console console({});
  try {
    const Result<Request> request = parse_command_line(words);
    if (!request) return report_error(console, request.error());
    return execute(*request, console);
  } catch (const std::exception& exception) {
    return report_error(console, {ErrorKind::kInternal, fmt::format("a bug in Weft: {}", exception.what()), {}});
  }
}

}  // namespace
}  // namespace weft::cli

int main(int count, char** words) {
  return weft::cli::main_with(std::vector<std::string>(words + (count > 0 ? 1 : 0), words + count));
}
