#include "process/exit_status.hpp"

namespace weft {

std::string_view name_of(LimitKind kind) noexcept {
  switch (kind) {
    case LimitKind::kMemory:
      return "memory";
    case LimitKind::kTableElements:
      return "table elements";
    case LimitKind::kInstances:
      return "instances";
    case LimitKind::kCpuTime:
      return "cpu time";
    case LimitKind::kWallTime:
      return "wall time";
    case LimitKind::kFuel:
      return "fuel";
    case LimitKind::kStack:
      return "stack";
    case LimitKind::kOutput:
      return "output";
    case LimitKind::kThreads:
      return "threads";
  }
  return "unknown";
}

std::string_view flag_of(LimitKind kind) noexcept {
  switch (kind) {
    case LimitKind::kMemory:
      return "--max-memory";
    case LimitKind::kTableElements:
      return "--max-table-elements";
    case LimitKind::kInstances:
      return "--max-instances";
    case LimitKind::kCpuTime:
      return "--cpu-time";
    case LimitKind::kWallTime:
      return "--timeout";
    case LimitKind::kFuel:
      return "--fuel";
    case LimitKind::kStack:
      return "--max-stack";
    case LimitKind::kOutput:
      return "--max-output";
    case LimitKind::kThreads:
      return "--max-threads";
  }
  return "";
}

std::string_view name_of(ExitKind kind) noexcept {
  switch (kind) {
    case ExitKind::kReturned:
      return "returned";
    case ExitKind::kExited:
      return "exited";
    case ExitKind::kTrapped:
      return "trapped";
    case ExitKind::kKilled:
      return "killed";
    case ExitKind::kLimitReached:
      return "limit-reached";
    case ExitKind::kFailed:
      return "failed";
    case ExitKind::kDeadlocked:
      return "deadlocked";
  }
  return "unknown";
}

namespace process {
namespace {

std::string amount(LimitKind kind, std::uint64_t value) {
  switch (kind) {
    case LimitKind::kMemory:
    case LimitKind::kStack:
    case LimitKind::kOutput:
      return format_size(value);
    case LimitKind::kCpuTime:
    case LimitKind::kWallTime:
      return format_duration(Duration(static_cast<std::int64_t>(value)));
    case LimitKind::kTableElements:
    case LimitKind::kInstances:
    case LimitKind::kFuel:
    case LimitKind::kThreads:
      return std::to_string(value);
  }
  return std::to_string(value);
}

}  // namespace

std::string describe(const LimitReached& limit) {
  std::string text = std::string(name_of(limit.kind)) + " limit " + amount(limit.kind, limit.value) + " reached";
  if (limit.asked > limit.value) {
    const bool used = limit.kind == LimitKind::kCpuTime || limit.kind == LimitKind::kWallTime;
    text += (used ? " (used " : " (asked for ") + amount(limit.kind, limit.asked) + ")";
  }
  return text + "; raise it with " + std::string(flag_of(limit.kind));
}

}  // namespace process
}  // namespace weft
