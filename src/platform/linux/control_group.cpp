// The bounds that a container puts on CPUs and memory. The kernel names our group in /proc/self/cgroup; a bound may sit on any group
// above it, so the tightest on the way up counts.
#include <algorithm>
#include <charconv>
#include <fstream>

#include "platform/linux/host.hpp"

namespace weft::platform {
namespace {

constexpr const char* kRoot = "/sys/fs/cgroup";

bool parse_number(const std::string& text, uint64_t& value) {
  const char* const end = text.data() + text.size();
  return std::from_chars(text.data(), end, value).ptr != text.data() && !text.empty();
}

// The path of our group for a version 1 controller, or for version 2 when `controller` is empty.
std::string group_path(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool match = controller.empty() ? controllers == ",," : controllers.find("," + controller + ",") != std::string::npos;
    if (match) return line.substr(second + 1);
  }
  return "/";
}

// Calls `look` for the directory of our group and of all above it.
template <class Look>
void walk_up(const std::string& mount, std::string path, Look look) {
  for (;;) {
    look(mount + (path == "/" ? "" : path));
    if (path.empty() || path == "/") return;
    path.resize(path.rfind('/'));
  }
}

}  // namespace

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

uint64_t control_group_memory_bytes() {
  uint64_t least = kNever;
  const auto take = [&least](const std::string& file) {
    uint64_t bytes = 0;
    if (parse_number(first_line(file), bytes)) least = std::min(least, bytes);
  };
  walk_up(kRoot, group_path(""), [&](const std::string& directory) { take(directory + "/memory.max"); });
  walk_up(std::string(kRoot) + "/memory", group_path("memory"),
          [&](const std::string& directory) { take(directory + "/memory.limit_in_bytes"); });
  return least;
}

uint64_t control_group_cpu_milli() {
  uint64_t least = 0;
  const auto take = [&least](uint64_t quota, uint64_t period) {
    if (period == 0) return;
    const uint64_t milli = std::max<uint64_t>(1, quota * 1000 / period);
    least = least == 0 ? milli : std::min(least, milli);
  };
  walk_up(kRoot, group_path(""), [&](const std::string& directory) {
    const std::string line = first_line(directory + "/cpu.max");  // "max 100000" or "150000 100000"
    const size_t space = line.find(' ');
    uint64_t quota = 0;
    uint64_t period = 0;
    if (space != std::string::npos && parse_number(line.substr(0, space), quota) && parse_number(line.substr(space + 1), period)) {
      take(quota, period);
    }
  });
  walk_up(std::string(kRoot) + "/cpu", group_path("cpu"), [&](const std::string& directory) {
    uint64_t quota = 0;
    uint64_t period = 0;
    if (parse_number(first_line(directory + "/cpu.cfs_quota_us"), quota) &&  // "-1" is no number here: no bound
        parse_number(first_line(directory + "/cpu.cfs_period_us"), period)) {
      take(quota, period);
    }
  });
  return least;
}

}  // namespace weft::platform
