#include "cli/tally.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::cli {
namespace {

constexpr std::size_t kFramesShownMax = 30;

std::string describe(const Frame& frame) {
  std::string text = frame.function.empty() ? fmt::format("function {}", frame.function_index) : frame.function;
  if (!frame.file.empty()) {
    text += fmt::format(" at {}:{}", frame.file, frame.line);
    if (frame.column != 0) text += fmt::format(":{}", frame.column);
  }
  text += fmt::format(" ({}+0x{:x})", frame.module.empty() ? "module" : frame.module, frame.offset);
  return text;
}

}  // namespace

std::string describe(const ExitStatus& status) {
  if (!status.message.empty()) return status.message;
  if (status.kind == ExitKind::kExited) return fmt::format("exit status {}", status.code);
  return std::string(name_of(status.kind));
}

std::string describe_detail(const ExitStatus& status) {
  std::string text;
  std::size_t number = 0;
  for (const Frame& frame : status.backtrace) {
    if (number == kFramesShownMax) {
      text += fmt::format("  … and {} more frames\n", status.backtrace.size() - number);
      break;
    }
    text += fmt::format("  {:>2}: {}\n", number++, describe(frame));
  }
  // The engine's own words repeat the stack; they are worth having only when there is none.
  if (text.empty() && !status.detail.empty()) {
    text = status.detail;
    if (!text.ends_with('\n')) text += '\n';
  }
  return text;
}

void Tally::add(std::uint64_t index, const ExitStatus& status) {
  Totals& t = totals_;
  ++t.ended;
  t.cpu_time += status.usage.cpu_time;
  t.memory_bytes_max = std::max(t.memory_bytes_max, status.usage.memory_bytes_max);
  t.switches += status.usage.switches;
  t.preemptions += status.usage.preemptions;
  t.host_calls += status.usage.host_calls;
  t.fuel += status.usage.fuel;
  if (status.success()) {
    ++t.succeeded;
    return;
  }
  const std::string message = describe(status);
  auto group =
      std::ranges::find_if(t.failures, [&](const FailureGroup& g) { return g.kind == status.kind && g.message == message; });
  if (group == t.failures.end()) {
    if (t.failures.size() == kGroupsMax) {
      ++t.failures_unlisted;
      return;
    }
    t.failures.push_back({status.kind, message, 0, {}, describe_detail(status)});
    group = t.failures.end() - 1;
  }
  ++group->count;
  if (group->copies.size() < kCopiesShownMax) group->copies.push_back(index + 1);
}

}  // namespace weft::cli
