// weft kill, restart, logs and events.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "cli/up/commands.hpp"
#include "cli/up/control/control_client.hpp"
#include "cli/up/control/explain.hpp"

namespace weft::cli {
namespace {

using Json = nlohmann::json;

std::string text_in(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
}

int do_to_child(const Settings& settings, Console& console, std::string_view command, ControlRequest::What what) {
  const std::string& id = settings.operands.front();
  if (!is_child_path(id)) {
    return report_error(
        console, {ErrorKind::kBadArgument, fmt::format("{}: '{}' is no id of a child; weft ps lists them", command, id), {}});
  }
  Result<ControlClient> client = ControlClient::ask(settings, {.what = what, .id = id});
  if (!client) return explain(console, command, client.error());
  const std::optional<std::string> line = client->next();
  if (client->failure()) return report_error(console, *client->failure(), command);
  if (!line) return explain(console, command, {ErrorKind::kNotFound, "weft up ended before it answered", {}});
  if (settings.json) return console.print(*line + "\n") ? kExitSuccess : kExitOutputClosed;
  const Json json = Json::parse(*line, nullptr, false);
  const std::string message = text_in(json, "message");
  return console.print(what == ControlRequest::What::kRestart ? fmt::format("{}: {}\n", id, message) : message + "\n")
             ? kExitSuccess
             : kExitOutputClosed;
}

int show(const Settings& settings, Console& console, std::string_view command, const ControlRequest& request,
         std::string (*form)(const Json&, const ControlRequest&)) {
  Result<ControlClient> client = ControlClient::ask(settings, request);
  if (!client) return explain(console, command, client.error());
  while (const std::optional<std::string> line = client->next()) {
    const std::string text = settings.json ? *line + "\n" : form(Json::parse(*line, nullptr, false), request);
    if (!console.print(text)) return kExitOutputClosed;
  }
  if (client->failure()) return report_error(console, *client->failure(), command);
  return kExitSuccess;
}

std::string dropped_text(const Json& json) {
  return json.is_object() && json.contains("lines") ? fmt::format("… {} lines were too many\n", json["lines"].dump())
                                                    : std::string();
}

std::string log_text(const Json& json, const ControlRequest& request) {
  if (text_in(json, "event") == "dropped") return dropped_text(json);
  const std::string id = text_in(json, "id");
  return (id == request.id ? std::string() : fmt::format("[{}] ", id)) + text_in(json, "text") + "\n";
}

std::string event_text(const Json& json, const ControlRequest&) {
  if (text_in(json, "event") == "dropped") return dropped_text(json);
  return fmt::format("{}  {}\n", text_in(json, "time"), text_in(json, "text"));
}

}  // namespace

int explain(Console& console, std::string_view command, const Error& error) {
  const int status = report_error(console, error, command);
  return error.kind == ErrorKind::kNotFound ? kExitUnavailable : status;
}

int kill_child(const Settings& settings, Console& console) {
  return do_to_child(settings, console, "kill", ControlRequest::What::kKill);
}

int restart_child(const Settings& settings, Console& console) {
  return do_to_child(settings, console, "restart", ControlRequest::What::kRestart);
}

int show_logs(const Settings& settings, Console& console) {
  constexpr std::uint64_t kLines = 100;
  ControlRequest request{
      .what = ControlRequest::What::kLogs, .lines = settings.up.lines.value_or(kLines), .follow = settings.up.follow};
  if (!settings.operands.empty()) request.id = settings.operands.front();
  if (!request.id.empty() && !is_child_path(request.id)) {
    return report_error(
        console, {ErrorKind::kBadArgument, fmt::format("logs: '{}' is no id of a child; weft ps lists them", request.id), {}});
  }
  return show(settings, console, "logs", request, log_text);
}

int show_events(const Settings& settings, Console& console) {
  constexpr std::uint64_t kAll = 1'000'000;
  return show(settings, console, "events",
              {.what = ControlRequest::What::kEvents, .lines = settings.up.lines.value_or(kAll), .follow = settings.up.follow},
              event_text);
}

}  // namespace weft::cli
