#include "cli/help.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cli/exit_codes.hpp"

namespace weft::cli {
namespace {

constexpr std::size_t kIndent = 2;
constexpr std::size_t kFlagColumn = 30;

// Columns that a text takes on the screen: bytes that continue a UTF-8 character take none.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// Words of `text` in lines that start at `indent`; the first line continues one that is `used` columns long already.
std::string wrap(std::string_view text, std::size_t used, std::size_t indent, std::size_t columns) {
  std::string out;
  bool first_of_line = true;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!first_of_line && used + 1 + width_of(word) > columns) {
      out += '\n';
      out.append(indent, ' ');
      used = indent;
      first_of_line = true;
    }
    if (!first_of_line) {
      out += ' ';
      ++used;
    }
    out += word;
    used += width_of(word);
    first_of_line = false;
  }
  return out + '\n';
}

std::string form_of(const Flag& flag) {
  std::string form = flag.letter == '\0' ? "    " : fmt::format("-{}, ", flag.letter);
  form += fmt::format("--{}", flag.name);
  if (flag.takes == Takes::kValue) form += fmt::format(" {}", flag.value_name);
  if (flag.takes == Takes::kOptionalValue) form += fmt::format("[={}]", flag.value_name);
  return form;
}

std::string entry(std::string_view form, std::string_view help, std::size_t column, std::size_t columns) {
  std::string line(kIndent, ' ');
  line += form;
  std::size_t used = kIndent + width_of(form);
  if (used + 2 > column) {
    line += '\n';
    line.append(column, ' ');
  } else {
    line.append(column - used, ' ');
  }
  used = column;
  return line + wrap(help, used, column, columns);
}

std::string usage_of(const Command& command) {
  std::string usage = fmt::format("weft {}", command.name);
  if (!command.flags.empty()) usage += " [flags]";
  if (!command.operands.empty()) usage += fmt::format(" {}", command.operands);
  return usage;
}

std::size_t sane(unsigned columns) { return std::clamp<std::size_t>(columns, 60, 110); }

// ---- the manual page ----

// Text for man(7): backslashes, dashes that are meant to be typed, and a dot or quote at the start of a line.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  if (!out.empty() && (out.front() == '.' || out.front() == '\'')) out.insert(0, "\\&");
  return out;
}

std::string roff_flags(const Command& command) {
  std::string out;
  std::string_view group;
  for (const Flag& flag : command.flags) {
    if (flag.group != group) {
      group = flag.group;
      out += fmt::format(".PP\n.I {}\n", roff(group));
    }
    out += ".TP\n";
    std::string form;
    if (flag.letter != '\0') form += fmt::format("\\fB\\-{}\\fR, ", flag.letter);
    form += fmt::format("\\fB\\-\\-{}\\fR", roff(flag.name));
    if (flag.takes == Takes::kValue) form += fmt::format(" \\fI{}\\fR", roff(flag.value_name));
    if (flag.takes == Takes::kOptionalValue) form += fmt::format("[=\\fI{}\\fR]", roff(flag.value_name));
    out += fmt::format("{}\n{}\n", form, roff(flag.help));
  }
  return out;
}

}  // namespace

std::string help_text(unsigned columns) {
  const std::size_t width = sane(columns);
  std::string text = "Weft runs WebAssembly programs: thousands at once, on all cores, each with limits.\n\n";
  text += "  weft [flags] app.wasm [arguments…]    run a program\n";
  text += "  weft COMMAND …                        one of these:\n\n";
  for (const Command& command : commands()) {
    if (!command.hidden) text += entry(command.name, command.summary, 16, width);
  }
  text += "\n  weft --version    say which version this is\n";
  text += "\nFlags of run: weft run --help. Of the others: weft help COMMAND.\n";
  return text;
}

std::string help_text(const Command& command, unsigned columns) {
  const std::size_t width = sane(columns);
  std::string text = fmt::format("Usage: {}\n\n", usage_of(command));
  text += wrap(command.description, 0, 0, width);
  std::string_view group = "Flags";
  bool first = true;
  for (const Flag& flag : command.flags) {
    const std::string_view heading = flag.group.empty() ? "Flags" : flag.group;
    if (first || heading != group) text += fmt::format("\n{}:\n", heading);
    group = heading;
    first = false;
    text += entry(form_of(flag), flag.help, kFlagColumn + kIndent, width);
  }
  if (command.name == "run") {
    text += "\nSizes: 512, 64KiB, 1.5GB (KiB, MiB, GiB are powers of 1024; K, M, G are the same). Durations: 250ms, 2m30s.\n";
  }
  return text;
}

std::string manual_page(std::string_view version) {
  std::string page = fmt::format(".TH WEFT 1 \"\" \"weft {}\" \"User commands\"\n", version);
  page += ".SH NAME\nweft \\- run WebAssembly programs, thousands at once, preemptively and with limits\n";
  page += ".SH SYNOPSIS\n.B weft\n[\\fIflags\\fR] \\fIapp.wasm\\fR [\\fIarguments\\fR...]\n";
  for (const Command& command : commands()) {
    if (!command.hidden) page += fmt::format(".br\n.B weft {}\n{}\n", roff(command.name), roff(command.operands));
  }
  page +=
      ".SH DESCRIPTION\nWeft runs WebAssembly programs as processes: thousands at once, on all cores, each preempted, "
      "limited and killed by itself. Its engine is Wasmtime.\n";
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    page += fmt::format(".SH WEFT {}\n", [&] {
      std::string upper(command.name);
      std::ranges::transform(upper, upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
      return upper;
    }());
    page += fmt::format(".B weft {}\n{}{}\n.PP\n{}\n", roff(command.name), command.flags.empty() ? "" : "[\\fIflags\\fR] ",
                        roff(command.operands), roff(command.description));
    page += roff_flags(command);
    if (command.name == "run") {
      for (const char group : {'W', 'S'}) {
        page += fmt::format(".PP\n.I Keys of \\-{}\n", group);
        for (const GroupKey& key : group_keys()) {
          if (key.group != group) continue;
          page += fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", roff(key.name),
                              key.value_name.empty() ? "[=y|n]" : fmt::format("=\\fI{}\\fR", roff(key.value_name)), roff(key.help));
        }
      }
      page +=
          ".PP\nSizes: 512, 64KiB, 1.5GB (KiB, MiB, GiB are powers of 1024; K, M, G are the same). Durations: 250ms, "
          "2m30s.\n";
    }
  }
  page +=
      ".SH CONFIGURATION FILE\nThe file that \\fB\\-\\-config\\fR names is TOML. Its keys are the names of the flags of weft "
      "run, without the dashes; flags without a value take true or false, flags that may be repeated take a list, "
      "\\fBenv\\fR also a table. \\fBprogram\\fR and \\fBarguments\\fR stand for the words after the flags, the tables "
      "\\fB[W]\\fR and \\fB[S]\\fR for the keys of those flags. What the command line says wins over the file; "
      "lists of both are joined. An unknown key is an error.\n";
  page += ".SH EXIT STATUS\n";
  for (const ExitCode& code : exit_codes()) page += fmt::format(".TP\n.B {}\n{}\n", code.code, roff(code.meaning));
  page +=
      ".SH SIGNALS\n.TP\n.B SIGINT, SIGTERM, SIGHUP\nAsk the guests to end; the second one, or the end of "
      "\\fB\\-\\-grace\\fR, kills them. Of weft up: SIGHUP reads the manifest again.\n.TP\n.B SIGQUIT\nPrints what every task is "
      "doing, and goes on.\n";
  page +=
      ".SH FILES\n.TP\n.I $XDG_CACHE_HOME/weft\nCompiled code (default ~/.cache/weft).\n.TP\n"
      ".I $XDG_RUNTIME_DIR/weft/PID.sock\nWhere a running weft answers weft dump (without XDG_RUNTIME_DIR: "
      "/tmp/weft\\-UID/PID.sock).\n"
      ".TP\n.I $XDG_RUNTIME_DIR/weft/up\\-NAME.sock, up\\-NAME.state\nWhere weft up answers the commands that talk to it, and who "
      "runs it.\n";
  return page;
}

}  // namespace weft::cli
