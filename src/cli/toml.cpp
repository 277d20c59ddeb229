#include "cli/toml.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <system_error>

#include "weft/units.hpp"

namespace weft::cli {
namespace {

constexpr std::size_t kFileBytesMax = 1U << 20;

bool breaks_parser(std::string_view text) {
  try {
    static_cast<void>(toml::parse(text));
    return false;
  } catch (const BrokenToml&) {
    return true;
  }
}

// The parser that broke cannot say where: the first line with which it breaks.
std::uint32_t broken_line(std::string_view text) {
  std::uint32_t line = 1;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', end + 1)) {
    if (breaks_parser(text.substr(0, end + 1))) return line;
    ++line;
  }
  return line;
}

}  // namespace

std::variant<toml::table, TomlMistake> parse_toml_at(std::string_view text) try {
  toml::parse_result parsed = toml::parse(text);
  if (parsed) return std::move(parsed).table();
  const toml::source_position& where = parsed.error().source().begin;
  return TomlMistake{where.line, where.column, std::string(parsed.error().description())};
} catch (const BrokenToml&) {
  return TomlMistake{broken_line(text), 1, "not TOML: a malformed key or value"};
}

Result<toml::table> parse_toml(std::string_view text, std::string_view name) {
  std::variant<toml::table, TomlMistake> parsed = parse_toml_at(text);
  if (auto* table = std::get_if<toml::table>(&parsed)) return std::move(*table);
  const auto& mistake = std::get<TomlMistake>(parsed);
  return fail(ErrorKind::kBadArgument, fmt::format("{}:{}:{}: {}", name, mistake.line, mistake.column, mistake.message));
}

std::optional<std::string> text_of(const toml::node& value) {
  if (const auto* text = value.as_string()) return text->get();
  if (const auto* number = value.as_integer()) return std::to_string(number->get());
  if (const auto* number = value.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = value.as_boolean()) return flag->get() ? "true" : "false";
  return std::nullopt;
}

Result<std::string> read_text_file(const std::string& path, std::string_view subject) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return fail(ErrorKind::kNotFound, fmt::format("{}: no such file", subject));
  }
  if (status.type() == std::filesystem::file_type::directory) {
    return fail(ErrorKind::kIo, fmt::format("{}: is a directory, not a file", subject));
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail(ErrorKind::kPermission, fmt::format("{}: cannot be read", subject));
  std::string text(kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kFileBytesMax) {
    return fail(ErrorKind::kBadArgument, fmt::format("{}: larger than {}", subject, format_size(kFileBytesMax)));
  }
  return text;
}

}  // namespace weft::cli
