// Children in short, and the names of things.
#include <utility>

#include "weft/supervisor.hpp"

namespace weft {

ChildSpec child_process(std::string id, ProcessSpec process, Restart restart) {
  return {.id = std::move(id), .body = std::move(process), .restart = restart};
}

ChildSpec child_program(std::string id, Program program, Restart restart) {
  return {.id = std::move(id), .body = std::move(program), .restart = restart};
}

ChildSpec child_file(std::string id, std::filesystem::path path, ProcessSpec process, Restart restart) {
  return {.id = std::move(id), .body = ModuleFile{std::move(path), std::move(process)}, .restart = restart};
}

ChildSpec child_wasm(std::string id, std::span<const std::uint8_t> bytes, ProcessSpec process, Restart restart) {
  ModuleBytes module{{bytes.begin(), bytes.end()}, id, std::move(process)};
  return {.id = std::move(id), .body = std::move(module), .restart = restart};
}

ChildSpec child_wat(std::string id, std::string_view text, ProcessSpec process, Restart restart) {
  return child_wasm(std::move(id), {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, std::move(process), restart);
}

ChildSpec child_function(std::string id, StartProcess start, Restart restart) {
  return {.id = std::move(id), .body = std::move(start), .restart = restart};
}

ChildSpec child_task(std::string id, StartTask start, Restart restart) {
  return {.id = std::move(id), .body = std::move(start), .restart = restart};
}

ChildSpec child_supervisor(std::string id, SupervisorSpec spec, Restart restart) {
  return {.id = std::move(id), .body = std::make_shared<const SupervisorSpec>(std::move(spec)), .restart = restart};
}

ChildSpec child_supervisor_function(std::string id, StartSupervisor start, Restart restart) {
  return {.id = std::move(id), .body = std::move(start), .restart = restart};
}

std::string_view name_of(SupervisorEvent::Kind kind) noexcept {
  switch (kind) {
    case SupervisorEvent::Kind::kStarted:
      return "started";
    case SupervisorEvent::Kind::kStartFailed:
      return "start failed";
    case SupervisorEvent::Kind::kExited:
      return "exited";
    case SupervisorEvent::Kind::kRestarting:
      return "restarting";
    case SupervisorEvent::Kind::kStopping:
      return "stopping";
    case SupervisorEvent::Kind::kKilling:
      return "killing";
    case SupervisorEvent::Kind::kRemoved:
      return "removed";
    case SupervisorEvent::Kind::kGaveUp:
      return "gave up";
    case SupervisorEvent::Kind::kEnded:
      return "ended";
  }
  return "unknown";
}

std::string_view name_of(ChildState state) noexcept {
  switch (state) {
    case ChildState::kStopped:
      return "stopped";
    case ChildState::kStarting:
      return "starting";
    case ChildState::kRunning:
      return "running";
    case ChildState::kStopping:
      return "stopping";
    case ChildState::kWaiting:
      return "waiting";
  }
  return "unknown";
}

std::string_view name_of(SupervisorEndReason reason) noexcept {
  switch (reason) {
    case SupervisorEndReason::kStopped:
      return "stopped";
    case SupervisorEndReason::kKilled:
      return "killed";
    case SupervisorEndReason::kGaveUp:
      return "gave up";
    case SupervisorEndReason::kStartFailed:
      return "start failed";
    case SupervisorEndReason::kAutoShutdown:
      return "auto shutdown";
    case SupervisorEndReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string to_string(const SupervisorEvent& event) {
  std::string text = event.supervisor + ": ";
  if (!event.child.empty()) text += event.child + " ";
  if (event.kind == SupervisorEvent::Kind::kExited && event.exit) {
    if (event.exit->kind == ExitKind::kKilled) return text + event.message;  // which says so, and by whom
    text += name_of(event.exit->kind);
    if (event.exit->kind == ExitKind::kExited) text += " with " + std::to_string(event.exit->code);
  } else {
    text += name_of(event.kind);
  }
  if (event.kind == SupervisorEvent::Kind::kRestarting) {
    text += event.delay == Duration::zero() ? " now" : " in " + format_duration(event.delay);
  }
  if (!event.message.empty()) text += ": " + event.message;
  return text;
}

}  // namespace weft
