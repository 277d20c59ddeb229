#include "cli/values.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "cli/suggest.hpp"

namespace weft::cli {
namespace {

constexpr std::string_view kZeroLimit =
    "a limit of zero would end every guest before it begins; leave it out to have no such limit";

bool is_number(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }

}  // namespace

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t minimum, std::uint64_t maximum) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const bool too_long = error == std::errc::result_out_of_range && is_number(text);
  if (!too_long && (error != std::errc() || rest != end)) {
    return fail(ErrorKind::kBadArgument, fmt::format("not a whole number; give one of at least {}", minimum));
  }
  if (!too_long && value < minimum) return fail(ErrorKind::kBadArgument, fmt::format("must be at least {}", minimum));
  if (too_long || value > maximum) return fail(ErrorKind::kBadArgument, fmt::format("must be at most {}", maximum));
  return value;
}

Result<std::uint64_t> parse_size_limit(std::string_view text) {
  Result<std::uint64_t> bytes = parse_size(text);
  if (bytes && *bytes == 0) return fail(ErrorKind::kBadArgument, std::string(kZeroLimit));
  return bytes;
}

Result<Duration> parse_duration_limit(std::string_view text) {
  Result<Duration> duration = parse_duration(text);
  if (duration && duration->count() == 0) return fail(ErrorKind::kBadArgument, std::string(kZeroLimit));
  return duration;
}

Result<bool> parse_switch(std::string_view text) {
  for (const std::string_view yes : {"y", "yes", "true", "on", "1"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"n", "no", "false", "off", "0"}) {
    if (text == no) return false;
  }
  return fail(ErrorKind::kBadArgument, "must be y or n");
}

Result<Priority> parse_priority(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Priority>, 5> kNames = {
      {{"highest", kPriorityHighest}, {"high", 2}, {"normal", kPriorityNormal}, {"low", 6}, {"lowest", kPriorityLowest}}};
  for (const auto& [name, priority] : kNames) {
    if (text == name) return priority;
  }
  if (is_number(text)) {
    const Result<std::uint64_t> number = parse_count(text, kPriorityHighest, kPriorityLowest);
    if (number) return static_cast<Priority>(*number);
  }
  return fail(ErrorKind::kBadArgument, "must be 0 (most urgent) to 7, or highest, high, normal, low or lowest");
}

Result<Directory> parse_directory(std::string_view text, bool read_only) {
  Directory directory;
  directory.read_only = read_only;
  const std::size_t colons = text.find("::");
  directory.host = std::string(text.substr(0, colons));
  if (colons != std::string_view::npos) {
    directory.guest = std::string(text.substr(colons + 2));
    if (directory.guest.empty()) {
      return fail(ErrorKind::kBadArgument, "the name for the guest is missing after '::'; give HOST or HOST::GUEST");
    }
  }
  if (directory.host.empty()) {
    return fail(ErrorKind::kBadArgument, "the directory on this machine is missing; give HOST or HOST::GUEST");
  }
  return directory;
}

Result<Variable> parse_variable(std::string_view text) {
  const std::size_t equals = text.find('=');
  Variable variable;
  variable.name = std::string(text.substr(0, equals));
  if (variable.name.empty()) return fail(ErrorKind::kBadArgument, "the name is missing; give NAME or NAME=VALUE");
  if (text.find('\0') != std::string_view::npos) {
    return fail(ErrorKind::kBadArgument, "a variable of the environment cannot hold a zero byte");
  }
  if (equals != std::string_view::npos) variable.value = std::string(text.substr(equals + 1));
  return variable;
}

}  // namespace weft::cli
