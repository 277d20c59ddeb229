#include "cli/up/control/control_protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/up/session/event_note.hpp"

namespace weft::cli {
namespace {

using Json = nlohmann::ordered_json;
using What = ControlRequest::What;

constexpr std::size_t kWordsMax = 4;

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (words.size() <= kWordsMax) {
    const std::size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == std::string_view::npos) return words;
    line.remove_prefix(space + 1);
  }
  return {};
}

bool take_lines(std::string_view count, std::string_view mode, ControlRequest& request) {
  const char* end = count.data() + count.size();
  const auto [rest, error] = std::from_chars(count.data(), end, request.lines);
  request.follow = mode == "follow";
  return error == std::errc() && rest == end && (mode == "follow" || mode == "end");
}

// The kinds by name, for the way back.
constexpr ErrorKind kKinds[] = {
    ErrorKind::kBadArgument,   ErrorKind::kNotFound,      ErrorKind::kPermission,         ErrorKind::kIo,
    ErrorKind::kInvalidModule, ErrorKind::kMissingImport, ErrorKind::kUnsupportedFeature, ErrorKind::kNoEntryPoint,
    ErrorKind::kIncompatible,  ErrorKind::kExhausted,     ErrorKind::kTimedOut,           ErrorKind::kCancelled,
    ErrorKind::kInternal};

}  // namespace

bool is_child_path(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kControlRequestBytesMax / 2 &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f' && c != '"' && c != '\\'; });
}

std::string to_line(const ControlRequest& request) {
  switch (request.what) {
    case What::kPs:
      return "ps\n";
    case What::kKill:
      return fmt::format("kill {}\n", request.id);
    case What::kRestart:
      return fmt::format("restart {}\n", request.id);
    case What::kLogs:
    case What::kEvents:
      break;
  }
  return fmt::format("{} {} {}{}{}\n", request.what == What::kLogs ? "logs" : "events", request.lines,
                     request.follow ? "follow" : "end", request.id.empty() ? "" : " ", request.id);
}

std::optional<ControlRequest> parse_control_request(std::string_view line) {
  const std::vector<std::string_view> words = words_of(line);
  if (words.empty()) return std::nullopt;
  ControlRequest request;
  if (words.front() == "ps" && words.size() == 1) return request;
  if ((words.front() == "kill" || words.front() == "restart") && words.size() == 2 && is_child_path(words[1])) {
    request.what = words.front() == "kill" ? What::kKill : What::kRestart;
    request.id = std::string(words[1]);
    return request;
  }
  if (words.front() == "logs" && (words.size() == 3 || (words.size() == 4 && is_child_path(words[3])))) {
    request.what = What::kLogs;
    if (words.size() == 4) request.id = std::string(words[3]);
    if (take_lines(words[1], words[2], request)) return request;
  }
  if (words.front() == "events" && words.size() == 3) {
    request.what = What::kEvents;
    if (take_lines(words[1], words[2], request)) return request;
  }
  return std::nullopt;
}

std::string error_line(const Error& error) {
  return dumped(Json{{"error", {{"kind", name_of(error.kind)}, {"message", error.message}}}}) + "\n";
}

std::string ok_line(std::string_view id, std::string_view message) {
  return dumped(Json{{"ok", true}, {"id", id}, {"message", message}}) + "\n";
}

std::optional<Error> error_in(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("error") || !json["error"].is_object()) return std::nullopt;
  Error error{ErrorKind::kInternal, json["error"].value("message", std::string()), {}};
  const std::string kind = json["error"].value("kind", std::string());
  for (const ErrorKind known : kKinds) {
    if (name_of(known) == kind) error.kind = known;
  }
  return error;
}

}  // namespace weft::cli
