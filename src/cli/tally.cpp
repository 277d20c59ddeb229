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
  // All ones: the engine knows the function, but not where in it.
  if (frame.offset != Frame::kNoOffset) {
    text += fmt::format(" ({}+0x{:x})", frame.module.empty() ? "module" : frame.module, frame.offset);
  }
  return text;
}

}  // namespace

std::string describe(const ExitStatus& status) {
  if (status.kind == ExitKind::kTrapped && status.thread != 0)
    return fmt::format("trapped in thread {}: {}", status.thread, status.message);
  if (status.kind == ExitKind::kTrapped) {
    return status.message.starts_with("trap") ? status.message : fmt::format("trapped: {}", status.message);
  }
  if (!status.message.empty()) return status.message;
  if (status.kind == ExitKind::kExited) return fmt::format("exit status {}", status.code);
  return std::string(name_of(status.kind));
}

std::string describe_detail(const ExitStatus& status) {
  std::string text;
  const std::vector<Frame>& frames = status.backtrace;
  std::size_t shown = 0;
  for (std::size_t at = 0; at < frames.size();) {
    if (shown == kFramesShownMax) {
      text += fmt::format("  … and {} more\n", frames.size() - at);
      break;
    }
    const std::string line = describe(frames[at]);
    text += fmt::format("  {:>3}: {}\n", at, line);
    ++shown;
    // Recursion without end is one fact, not a page.
    std::size_t same = at + 1;
    while (same < frames.size() && describe(frames[same]) == line) ++same;
    if (same - at > 3) {
      text += fmt::format("       … {} times\n", same - at);
      at = same;
    } else {
      ++at;
    }
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
  const std::optional<LimitKind> limit = status.limit ? std::optional(status.limit->kind) : std::nullopt;
  auto group = std::ranges::find_if(t.failures, [&](const FailureGroup& g) {
    return g.kind == status.kind && g.limit == limit && (limit || g.message == message);
  });
  if (group == t.failures.end()) {
    if (t.failures.size() == kGroupsMax) {
      ++t.failures_unlisted;
      return;
    }
    t.failures.push_back({status.kind, message, limit, 0, {}, describe_detail(status)});
    group = t.failures.end() - 1;
  }
  ++group->count;
  if (group->copies.size() < kCopiesShownMax) group->copies.push_back(index + 1);
}

}  // namespace weft::cli
