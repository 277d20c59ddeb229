#include "cli/config_file.hpp"

#include <fmt/format.h>

#include <vector>

#include "cli/flags.hpp"
#include "cli/suggest.hpp"
#include "cli/toml.hpp"

namespace weft::cli {
namespace {

struct Reader {
  std::string_view file;
  Settings& settings;
  const Command& run;

  std::unexpected<Error> refuse(const toml::source_region& where, std::string_view message) const {
    return fail(ErrorKind::kBadArgument, fmt::format("{}:{}:{}: {}", file, where.begin.line, where.begin.column, message));
  }

  Result<void> apply(const Flag& flag, const toml::node& value) const {
    const std::optional<std::string> text = text_of(value);
    const bool boolean = value.is_boolean();
    if (!text || (flag.takes == Takes::kNothing && !boolean) || (flag.takes == Takes::kValue && boolean)) {
      return refuse(value.source(), fmt::format("{} must be {}", flag.name,
                                                flag.takes == Takes::kNothing ? "true or false" : "a string or a number"));
    }
    Result<void> done = flag.apply(settings, *text);
    if (done) return done;
    return refuse(value.source(), fmt::format("{} = {}: {}", flag.name, *text, done.error().message));
  }

  Result<void> apply_flag(const Flag& flag, const toml::node& value) const {
    if (flag.name == "env" && value.is_table()) return apply_environment(*value.as_table());
    const toml::array* list = value.as_array();
    if (list == nullptr) return apply(flag, value);
    if (!flag.repeats) return refuse(value.source(), fmt::format("{} takes one value, not a list", flag.name));
    for (const toml::node& item : *list) {
      if (Result<void> done = apply(flag, item); !done) return done;
    }
    return {};
  }

  Result<void> apply_environment(const toml::table& table) const {
    for (const auto& [key, value] : table) {
      const std::optional<std::string> text = text_of(value);
      if (!text) return refuse(value.source(), fmt::format("env.{} must be a string or a number", key.str()));
      settings.environment.push_back({std::string(key.str()), *text});
    }
    return {};
  }

  Result<void> apply_group(char group, const toml::node& value) const {
    const toml::table* table = value.as_table();
    if (table == nullptr) {
      return refuse(value.source(), fmt::format("{0} must be a table: [{0}] and below it key = value", group));
    }
    for (const auto& [key, item] : *table) {
      const std::optional<std::string> text = text_of(item);
      if (!text) return refuse(item.source(), fmt::format("{} must be a string, a number, true or false", key.str()));
      if (Result<void> done = apply_group_key(group, settings, key.str(), *text); !done) {
        return refuse(key.source(), done.error().message);
      }
    }
    return {};
  }

  Result<void> apply_program(const toml::node& value) const {
    const auto* text = value.as_string();
    if (text == nullptr || text->get().empty()) return refuse(value.source(), "program must be a path");
    settings.program = text->get();
    return {};
  }

  Result<void> apply_arguments(const toml::node& value) const {
    const toml::array* list = value.as_array();
    if (list == nullptr) return refuse(value.source(), "arguments must be a list of strings");
    for (const toml::node& item : *list) {
      const auto* text = item.as_string();
      if (text == nullptr) return refuse(item.source(), "arguments must be a list of strings");
      settings.arguments.push_back(text->get());
    }
    return {};
  }

  Result<void> apply_key(const toml::key& key, const toml::node& value) const {
    const std::string_view name = key.str();
    if (name == "program") return apply_program(value);
    if (name == "arguments") return apply_arguments(value);
    if (name == "W" || name == "S") return apply_group(name.front(), value);
    const Flag* flag = find_flag(run, name);
    if (flag != nullptr && flag->in_file) return apply_flag(*flag, value);
    std::vector<std::string_view> known = {"program", "arguments", "W", "S"};
    for (const Flag& candidate : run.flags) {
      if (candidate.in_file) known.push_back(candidate.name);
    }
    return refuse(key.source(), fmt::format("unknown key '{}'{}", name, did_you_mean(name, known)));
  }
};

}  // namespace

Result<void> apply_config_text(std::string_view text, std::string_view name, Settings& settings) {
  const Result<toml::table> parsed = parse_toml(text, name);
  if (!parsed) return std::unexpected(parsed.error());
  const Reader reader{name, settings, *find_command("run")};
  for (const auto& [key, value] : *parsed) {
    if (Result<void> done = reader.apply_key(key, value); !done) return done;
  }
  return {};
}

Result<void> apply_config_file(const std::string& path, Settings& settings) {
  const Result<std::string> text = read_text_file(path, fmt::format("--config {}", path));
  if (!text) return std::unexpected(text.error());
  return apply_config_text(*text, path, settings);
}

}  // namespace weft::cli
