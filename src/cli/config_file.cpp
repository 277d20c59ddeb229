#include "cli/config_file.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

// Failure comes as a value, as everywhere in Weft. Except for this: some malformed keys ("[%]", found by our fuzzer in toml++ 3.3.0) break
// an assertion of the library, and with NDEBUG even an assumption of the compiler. So its assertions stay on here, in every build, and throw.
namespace weft::cli {
struct BrokenToml {};
namespace {
[[noreturn]] void toml_assertion_failed() { throw BrokenToml(); }
}  // namespace
}  // namespace weft::cli
#undef NDEBUG
#define TOML_ASSERT(expression) ((expression) ? static_cast<void>(0) : ::weft::cli::toml_assertion_failed())
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "cli/flags.hpp"
#include "cli/suggest.hpp"

namespace weft::cli {
namespace {

constexpr std::size_t kFileBytesMax = 1U << 20;

struct Reader {
  std::string_view file;
  Settings& settings;
  const Command& run;

  std::unexpected<Error> refuse(const toml::source_region& where, std::string_view message) const {
    return fail(ErrorKind::kBadArgument, fmt::format("{}:{}:{}: {}", file, where.begin.line, where.begin.column, message));
  }

  // The value as the command line would have it, and as it is shown in messages.
  static std::optional<std::string> text_of(const toml::node& value) {
    if (const auto* text = value.as_string()) return text->get();
    if (const auto* number = value.as_integer()) return std::to_string(number->get());
    if (const auto* number = value.as_floating_point()) return fmt::format("{}", number->get());
    if (const auto* flag = value.as_boolean()) return flag->get() ? "true" : "false";
    return std::nullopt;
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

namespace {

bool breaks_parser(std::string_view text) {
  try {
    static_cast<void>(toml::parse(text));
    return false;
  } catch (const BrokenToml&) {
    return true;
  }
}

// The parser that broke cannot say where: the first line with which it breaks.
std::size_t broken_line(std::string_view text) {
  std::size_t line = 1;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', end + 1)) {
    if (breaks_parser(text.substr(0, end + 1))) return line;
    ++line;
  }
  return line;
}

}  // namespace

Result<void> apply_config_text(std::string_view text, std::string_view name, Settings& settings) try {
  const toml::parse_result parsed = toml::parse(text, name);
  const Reader reader{name, settings, *find_command("run")};
  if (!parsed) return reader.refuse(parsed.error().source(), parsed.error().description());
  for (const auto& [key, value] : parsed.table()) {
    if (Result<void> done = reader.apply_key(key, value); !done) return done;
  }
  return {};
} catch (const BrokenToml&) {
  return fail(ErrorKind::kBadArgument, fmt::format("{}:{}:1: not TOML: a malformed key or value", name, broken_line(text)));
}

Result<void> apply_config_file(const std::string& path, Settings& settings) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return fail(ErrorKind::kNotFound, fmt::format("--config {}: no such file", path));
  }
  if (status.type() == std::filesystem::file_type::directory) {
    return fail(ErrorKind::kIo, fmt::format("--config {}: is a directory, not a file", path));
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail(ErrorKind::kPermission, fmt::format("--config {}: cannot be read", path));
  std::string text(kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kFileBytesMax) {
    return fail(ErrorKind::kBadArgument, fmt::format("--config {}: larger than {}", path, format_size(kFileBytesMax)));
  }
  return apply_config_text(text, path, settings);
}

}  // namespace weft::cli
