#include "cli/flags.hpp"

#include "cli/bench/flags.hpp"
#include "cli/run_flags.hpp"
#include "cli/up/flags.hpp"
#include "cli/values.hpp"

namespace weft::cli {
namespace {

Result<void> set_json(Settings& s, std::string_view v) {
  const Result<bool> on = parse_switch(v);
  if (!on) return std::unexpected(on.error());
  s.json = *on;
  return {};
}

const std::vector<Flag>& compile_flags() {
  static const std::vector<Flag> flags = [] {
    std::vector<Flag> list = {
        {.name = "output",
         .letter = 'o',
         .takes = Takes::kValue,
         .value_name = "FILE",
         .help = "where to (default: the file's name with .cwasm, in this directory)",
         .completes = Completes::kFile,
         .apply = [](Settings& s, std::string_view v) -> Result<void> {
           if (v.empty()) return fail(ErrorKind::kBadArgument, "must not be empty");
           s.output = std::string(v);
           return {};
         }},
        {.name = "count-fuel",
         .help = "make code for weft run --fuel",
         .apply = [](Settings& s, std::string_view v) -> Result<void> {
           const Result<bool> on = parse_switch(v);
           if (!on) return std::unexpected(on.error());
           s.count_fuel = *on;
           return {};
         }},
    };
    // What changes the machine code must be said at compile time, in the same words as at run time.
    for (const Flag& flag : run_flags()) {
      if (flag.name == "no-preemption" || flag.name == "fibers" || flag.name == "preempt-strands" || flag.name == "max-stack" ||
          flag.name == "quiet") {
        list.push_back(flag);
        list.back().group = {};
      }
    }
    return list;
  }();
  return flags;
}

const std::vector<Flag>& inspect_flags() {
  static const std::vector<Flag> flags = {
      {.name = "json", .help = "as JSON", .apply = set_json},
  };
  return flags;
}

const std::vector<Flag>& dump_flags() {
  static const std::vector<Flag> flags = {
      {.name = "json", .help = "as JSON, durations in nanoseconds", .apply = set_json},
      {.name = "no-stacks",
       .help = "leave the guests' stacks out (a dump with them wakes every parked guest once)",
       .apply = [](Settings& s, std::string_view v) -> Result<void> {
         const Result<bool> off = parse_switch(v);
         if (!off) return std::unexpected(off.error());
         s.stacks = !*off;
         return {};
       }},
  };
  return flags;
}

const std::vector<Command>& table() {
  static const std::vector<Command> list = {
      {.name = "run",
       .operands = "app.wasm [arguments…]",
       .summary = "run a program, or many copies of it",
       .description = "Runs a WebAssembly program: a WASI command (preview 1) or a component, as binary (.wasm) or text (.wat), or "
                      "precompiled by weft compile. Flags for weft come before the file; everything after it goes to the guest. "
                      "'weft app.wasm' is short for 'weft run app.wasm'. Ctrl-C asks the guests to end, a second one kills them; "
                      "Ctrl-\\ prints what each task is doing and goes on.",
       .flags = run_flags(),
       .completes = Completes::kFile},
      {.name = "up",
       .operands = "[weft.toml]",
       .summary = "run a system of programs, and restart what falls",
       .description =
           "Runs the children that a manifest lists, each with its limits, in groups with rules of their own for restarts. On a "
           "terminal it "
           "shows them in a table, elsewhere a line for each thing that happens. Ctrl-C or SIGTERM stops them in order, a second "
           "one kills "
           "them; SIGHUP reads the manifest again and changes what has changed in it. weft ps, top, kill, restart, logs and events "
           "talk to it. The guide up.md says what can stand in a manifest.",
       .flags = up_flags(),
       .completes = Completes::kFile},
      {.name = "ps",
       .operands = "",
       .summary = "list the children of a running weft up",
       .description =
           "Shows each child: its state, process, restarts, time since its start, CPU time, memory, and how it last ended.",
       .flags = ps_flags()},
      {.name = "top",
       .operands = "",
       .summary = "show what the children of a running weft up use, again and again",
       .description =
           "Shows the children in the order of what they use, until Ctrl-C. CPU is in percent of one core, since the look before.",
       .flags = top_flags()},
      {.name = "kill",
       .operands = "ID",
       .summary = "kill a child of a running weft up",
       .description =
           "Ends the process of a child at once, wherever it is. What happens then is its supervisor's decision: a permanent child "
           "is started "
           "again. The id of a child in a group goes below the group's: payment/ledger. That of a group means all in it, that of a "
           "child with copies all of them.",
       .flags = kill_flags()},
      {.name = "restart",
       .operands = "ID",
       .summary = "stop a child of a running weft up, and start it again",
       .description = "Asks the child to end, kills it after its grace, and starts it again; returns when that is done. Its "
                      "siblings stay as they are, "
                      "and it does not count as a restart.",
       .flags = kill_flags()},
      {.name = "logs",
       .operands = "[ID]",
       .summary = "show what the children of a running weft up have written",
       .description = "Shows the last lines of standard output and error of a child, of all in a group, or of all children.",
       .flags = logs_flags()},
      {.name = "events",
       .operands = "",
       .summary = "show what has happened to the children of a running weft up",
       .description = "Shows starts, ends, restarts, health checks, reloads.",
       .flags = events_flags()},
      {.name = "compile",
       .operands = "app.wasm",
       .summary = "compile a program to machine code, to start faster later",
       .description = "Writes the machine code of a program to a file that weft run --allow-precompiled starts without "
                      "compiling. It fits this version of weft, this kind of processor, and the flags given here.",
       .flags = compile_flags(),
       .completes = Completes::kFile},
      {.name = "inspect",
       .operands = "app.wasm",
       .summary = "say what a program needs, and whether it can run here",
       .description = "Shows imports and who provides them, exports, memories, the WebAssembly features needed, and "
                      "whether Weft can run it, or why not. Nothing is compiled or run.",
       .flags = inspect_flags(),
       .completes = Completes::kFile},
      {.name = "dump",
       .operands = "[PID|SOCKET]",
       .summary = "show what the tasks of a running weft are doing",
       .description = "Prints every task of a running weft run: its state, what it waits for and since when, its times, "
                      "and its guest's stack. Without an argument: of the only one that runs, or a list of those that do.",
       .flags = dump_flags()},
      {.name = "bench",
       .operands = "ring",
       .summary = "measure how fast threads of a guest pass items to each other",
       .description =
           "Sends items through a ring in memory, from one thread to another: two threads of a guest, and two of the "
           "operating system that do the same. Cold: with starting the threads; warm: only the transfer; wait: who finds "
           "nothing to do waits instead of looking again and again. The cases with files write and read 4 KiB blocks in "
           "a temporary directory.",
       .flags = bench_flags(),
       .completes = Completes::kWords,
       .words = {"ring"}},
      {.name = "completions",
       .operands = "bash|zsh|fish",
       .summary = "print a completion script for a shell",
       .description = "For bash: weft completions bash > ~/.local/share/bash-completion/completions/weft. For zsh: weft "
                      "completions zsh > a directory of $fpath/_weft. For fish: weft completions fish > "
                      "~/.config/fish/completions/weft.fish.",
       .flags = {},
       .completes = Completes::kWords,
       .words = {"bash", "zsh", "fish"}},
      {.name = "man",
       .operands = "",
       .summary = "print the manual page",
       .description = "The source of weft(1).",
       .flags = {},
       .hidden = true},
      {.name = "help",
       .operands = "[command]",
       .summary = "explain a command",
       .description = "The same as weft COMMAND --help.",
       .flags = {},
       .completes = Completes::kWords,
       .words = {"run", "up", "ps", "top", "kill", "restart", "logs", "events", "compile", "inspect", "dump", "bench",
                 "completions"}},
  };
  return list;
}

}  // namespace

std::span<const Command> commands() { return table(); }

const Command* find_command(std::string_view name) {
  for (const Command& command : table()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

const Flag* find_flag(const Command& command, std::string_view name) {
  for (const Flag& flag : command.flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

}  // namespace weft::cli
