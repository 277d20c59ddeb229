// Completion scripts, generated from the table of flags.
#include <fmt/format.h>

#include <string>

#include "cli/help.hpp"

namespace weft::cli {
namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  while (true) {
    const std::size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

// Inside single quotes, for sh and its kin.
std::string shell_quoted(std::string_view text) { return "'" + replace_all(text, "'", "'\\''") + "'"; }

std::string joined(const std::vector<std::string_view>& words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

std::string command_names() {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) {
    if (!command.hidden) names.push_back(command.name);
  }
  return joined(names);
}

// ---- bash ----

std::string bash_value(Completes completes, const std::vector<std::string_view>& words) {
  switch (completes) {
    case Completes::kFile:
      return "COMPREPLY=($(compgen -f -- \"$word\"))";
    case Completes::kDirectory:
      return "COMPREPLY=($(compgen -d -- \"$word\"))";
    case Completes::kWords:
      return fmt::format("COMPREPLY=($(compgen -W {} -- \"$word\"))", shell_quoted(joined(words)));
    case Completes::kNothing:
      break;
  }
  return "COMPREPLY=()";
}

std::string bash() {
  std::string script = "# bash completion for weft; made by: weft completions bash\n_weft() {\n";
  script += "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=run\n";
  script += fmt::format("  case \" {} \" in *\" ${{COMP_WORDS[1]}} \"*) command=${{COMP_WORDS[1]}} ;; esac\n", command_names());
  script += "  # Words after '=' are words of their own here.\n";
  script += "  [[ $word == '=' ]] && word=''\n  [[ $previous == '=' ]] && previous=${COMP_WORDS[COMP_CWORD-2]}\n";
  script += "  case $command in\n";
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    script += fmt::format("    {})\n      case $previous in\n", command.name);
    std::string flags = "--help";
    for (const Flag& flag : command.flags) {
      flags += fmt::format(" --{}", flag.name);
      if (flag.letter != '\0') flags += fmt::format(" -{}", flag.letter);
      if (flag.takes == Takes::kNothing) continue;
      const std::string letter = flag.letter == '\0' ? "" : fmt::format("|-{}", flag.letter);
      if (flag.takes == Takes::kOptionalValue) continue;
      script += fmt::format("        --{}{}) {}; return ;;\n", flag.name, letter, bash_value(flag.completes, flag.words));
    }
    script += "      esac\n";
    script += fmt::format("      if [[ $word == -* ]]; then COMPREPLY=($(compgen -W {} -- \"$word\")); return; fi\n",
                          shell_quoted(flags));
    script += fmt::format("      {} ;;\n", bash_value(command.completes, command.words));
  }
  script += "  esac\n";
  script += fmt::format("  if (( COMP_CWORD == 1 )); then COMPREPLY+=($(compgen -W {} -- \"$word\")); fi\n}}\n",
                        shell_quoted(command_names()));
  script += "complete -o filenames -F _weft weft\n";
  return script;
}

// ---- zsh ----

// A description inside an _arguments spec: brackets and colons have a meaning there.
std::string zsh_text(std::string_view text) {
  std::string out = replace_all(text, "\\", "\\\\");
  for (const std::string_view special : {"[", "]", ":"}) out = replace_all(out, special, "\\" + std::string(special));
  return out;
}

std::string zsh_value(std::string_view name, Completes completes, const std::vector<std::string_view>& words) {
  switch (completes) {
    case Completes::kFile:
      return fmt::format(":{}:_files", zsh_text(name));
    case Completes::kDirectory:
      return fmt::format(":{}:_files -/", zsh_text(name));
    case Completes::kWords:
      return fmt::format(":{}:({})", zsh_text(name), joined(words));
    case Completes::kNothing:
      break;
  }
  return fmt::format(":{}: ", zsh_text(name));
}

std::string zsh() {
  std::string script = "#compdef weft\n# zsh completion for weft; made by: weft completions zsh\n_weft() {\n";
  script += "  local command=run\n";
  script += fmt::format("  if (( CURRENT > 2 )) && [[ \" {} \" == *\" $words[2] \"* ]]; then\n", command_names());
  script += "    command=$words[2]; shift words; (( CURRENT-- ))\n";
  script += "  elif (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n    local -a commands=(\n";
  for (const Command& command : commands()) {
    if (!command.hidden)
      script += fmt::format("      {}\n", shell_quoted(fmt::format("{}:{}", command.name, zsh_text(command.summary))));
  }
  script += "    )\n    _describe command commands\n  fi\n  case $command in\n";
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    script += fmt::format("    {})\n      _arguments -S \\\n", command.name);
    for (const Flag& flag : command.flags) {
      std::string value;
      std::string_view equals;
      if (flag.takes == Takes::kValue) {
        equals = "=";
        value = zsh_value(flag.value_name, flag.completes, flag.words);
      } else if (flag.takes == Takes::kOptionalValue) {
        equals = "=-";
        value = ":" + zsh_value(flag.value_name, flag.completes, flag.words);
      }
      const std::string repeat = flag.repeats ? "*" : "";
      script += fmt::format("        {} \\\n",
                            shell_quoted(fmt::format("{}--{}{}[{}]{}", repeat, flag.name, equals, zsh_text(flag.help), value)));
      if (flag.letter != '\0') {
        const std::string_view plus = flag.takes == Takes::kValue ? "+" : "";
        script += fmt::format("        {} \\\n",
                              shell_quoted(fmt::format("{}-{}{}[{}]{}", repeat, flag.letter, plus, zsh_text(flag.help), value)));
      }
    }
    const std::string operand = zsh_value(command.name == "run" ? "program" : "operand", command.completes, command.words);
    script += fmt::format("        '--help[explain]' \\\n        {}", shell_quoted("1" + operand));
    if (command.name == "run") script += " \\\n        '*::arguments:_files'";
    script += " ;;\n";
  }
  script += "  esac\n}\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then _weft \"$@\"; else compdef _weft weft; fi\n";
  return script;
}

// ---- fish ----

std::string fish() {
  std::string script = "# fish completion for weft; made by: weft completions fish\n";
  script += fmt::format("set -l commands {}\n", command_names());
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    script += fmt::format("complete -c weft -n __fish_use_subcommand -a {} -d {}\n", command.name, shell_quoted(command.summary));
  }
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    // `run` is what weft does when no command is named.
    const std::string condition =
        command.name == "run" ? std::string("\"not __fish_seen_subcommand_from $commands; or __fish_seen_subcommand_from run\"")
                              : fmt::format("\"__fish_seen_subcommand_from {}\"", command.name);
    if (command.completes == Completes::kWords) {
      script += fmt::format("complete -c weft -f -n {} -a {}\n", condition, shell_quoted(joined(command.words)));
    }
    for (const Flag& flag : command.flags) {
      script += fmt::format("complete -c weft -n {} -l {}", condition, flag.name);
      if (flag.letter != '\0') script += fmt::format(" -s {}", flag.letter);
      if (flag.takes == Takes::kValue) {
        if (flag.completes == Completes::kFile)
          script += " -r -F";
        else if (flag.completes == Completes::kDirectory)
          script += " -x -a '(__fish_complete_directories)'";
        else if (flag.completes == Completes::kWords)
          script += fmt::format(" -x -a {}", shell_quoted(joined(flag.words)));
        else
          script += " -x";
      }
      script += fmt::format(" -d {}\n", shell_quoted(flag.help));
    }
  }
  return script;
}

}  // namespace

std::optional<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") return bash();
  if (shell == "zsh") return zsh();
  if (shell == "fish") return fish();
  return std::nullopt;
}

}  // namespace weft::cli
