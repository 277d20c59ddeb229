#include "cli/up/session/log_book.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/up/session/event_note.hpp"
#include "platform/platform.hpp"

namespace weft::cli {

bool is_below(std::string_view path, std::string_view id) {
  if (id.empty() || path == id) return true;
  return path.size() > id.size() && path.starts_with(id) && (path[id.size()] == '/' || path[id.size()] == '#');
}

std::string to_json(const LogLine& line) {
  const nlohmann::ordered_json json = {{"time", time_text(line.time_ns)},
                                       {"event", "output"},
                                       {"id", line.child},
                                       {"stream", line.stream == Stream::kOut ? "out" : "err"},
                                       {"text", line.text}};
  return dumped(json) + "\n";
}

void LogBook::add(const std::string& child, Stream stream, std::string_view text) {
  const std::uint64_t now_ns = platform::host().wall_ns();
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    Ring& ring = rings_[child];
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      ring.lines.push_back({++number_, now_ns, child, stream, std::string(line)});
      ring.bytes += line.size();
      if (!followed_) continue;
      tell = tell || (fresh_.lines.empty() && fresh_.dropped == 0);
      if (fresh_.lines.size() < kFreshMax) {
        fresh_.lines.push_back(ring.lines.back());
      } else {
        ++fresh_.dropped;
      }
    }
    trim(ring);
  }
  if (tell) on_fresh_();
}

void LogBook::trim(Ring& ring) const {
  while (ring.lines.size() > lines_max_ || (ring.bytes > kBytesMax && !ring.lines.empty())) {
    ring.bytes -= ring.lines.front().text.size();
    ring.lines.pop_front();
  }
}

std::vector<LogLine> LogBook::last(std::string_view id, std::size_t count) const {
  std::vector<LogLine> lines;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [child, ring] : rings_) {
      if (!is_below(child, id)) continue;
      const std::size_t taken = std::min(count, ring.lines.size());
      lines.insert(lines.end(), ring.lines.end() - static_cast<std::ptrdiff_t>(taken), ring.lines.end());
    }
  }
  std::ranges::sort(lines, {}, &LogLine::number);
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return lines;
}

void LogBook::set_followed(bool followed) {
  const std::lock_guard lock(mutex_);
  followed_ = followed;
  if (!followed) fresh_ = {};
}

LogBook::Fresh LogBook::take_fresh() {
  const std::lock_guard lock(mutex_);
  return std::exchange(fresh_, {});
}

void LogBook::set_lines_max(std::size_t lines_max) {
  const std::lock_guard lock(mutex_);
  lines_max_ = lines_max;
  for (auto& [child, ring] : rings_) trim(ring);
}

void LogBook::forget(const std::string& child) {
  const std::lock_guard lock(mutex_);
  rings_.erase(child);
}

}  // namespace weft::cli
