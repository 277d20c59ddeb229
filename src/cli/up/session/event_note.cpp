#include "cli/up/session/event_note.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "platform/platform.hpp"

namespace weft::cli {

using Json = nlohmann::ordered_json;

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string time_text(std::uint64_t wall_ns) {
  const auto seconds = static_cast<std::time_t>(wall_ns / 1'000'000'000);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), wall_ns / 1'000'000 % 1'000);
}

std::string path_of(const SupervisorEvent& event, std::string_view system) {
  std::string_view groups = event.supervisor;
  if (groups.starts_with(system)) groups.remove_prefix(std::min(groups.size(), system.size() + 1));
  if (event.child.empty()) return std::string(groups);
  return groups.empty() ? event.child : fmt::format("{}/{}", groups, event.child);
}

Json to_json(const ExitStatus& status) {
  Json json = {{"kind", name_of(status.kind)}};
  if (status.kind == ExitKind::kExited) json["code"] = status.code;
  if (!status.message.empty()) json["message"] = status.message;
  if (!status.killed_by.empty()) json["killed_by"] = status.killed_by;
  json["cpu_time_ns"] = status.usage.cpu_time.count();
  json["wall_time_ns"] = status.usage.wall_time.count();
  json["memory_bytes_max"] = status.usage.memory_bytes_max;
  return json;
}

EventNote note_of(const SupervisorEvent& event, std::string_view system) {
  Json json = {{"time", time_text(platform::host().wall_ns())},
               {"event", name_of(event.kind)},
               {"system", system},
               {"id", path_of(event, system)}};
  if (event.process) json["process"] = event.process.id();
  if (event.kind == SupervisorEvent::Kind::kStarted) json["restarts"] = event.restarts;
  if (event.kind == SupervisorEvent::Kind::kRestarting) json["delay_ns"] = event.delay.count();
  if (event.exit) json["exit"] = to_json(*event.exit);
  if (!event.message.empty()) json["message"] = event.message;
  json["text"] = to_string(event);
  return {to_string(event), dumped(json) + "\n"};
}

EventNote note_of(std::string_view event, std::string_view system, std::string_view id, std::string_view message) {
  Json json = {{"time", time_text(platform::host().wall_ns())}, {"event", event}, {"system", system}};
  if (!id.empty()) json["id"] = id;
  json["message"] = message;
  std::string text = id.empty() ? fmt::format("{}: {}", system, message) : fmt::format("{}: {} {}", system, id, message);
  json["text"] = text;
  return {std::move(text), dumped(json) + "\n"};
}

}  // namespace weft::cli
