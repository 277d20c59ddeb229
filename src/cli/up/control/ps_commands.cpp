// weft ps and weft top.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "cli/up/commands.hpp"
#include "cli/up/control/control_client.hpp"
#include "cli/up/control/explain.hpp"
#include "cli/up/control/process_table.hpp"
#include "platform/readiness.hpp"
#include "platform/terminal.hpp"

namespace weft::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kOut = 1;
constexpr std::string_view kEnterScreen = "\x1b[?1049h\x1b[?25l";  // another page, without a cursor
constexpr std::string_view kLeaveScreen = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kFromTop = "\x1b[H";
constexpr std::string_view kEraseBelow = "\x1b[J";

template <class T>
T value_of(const Json& json, const char* key, T otherwise) {
  const auto found = json.find(key);
  if (found == json.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? found->get<std::string>() : otherwise;
  } else {
    return found->is_number() ? found->get<T>() : otherwise;
  }
}

// An answer of weft up, taken apart.
struct Snapshot {
  Json json;
  std::vector<TableRow> rows;
  std::uint64_t time_ns = 0;
};

std::optional<Snapshot> snapshot_of(const std::string& line) {
  Snapshot snapshot{.json = Json::parse(line, nullptr, false), .rows = {}};
  if (!snapshot.json.is_object() || !snapshot.json.contains("children") || !snapshot.json["children"].is_array())
    return std::nullopt;
  snapshot.time_ns = value_of<std::uint64_t>(snapshot.json, "time_ns", 0);
  for (const Json& child : snapshot.json["children"]) {
    if (!child.is_object()) return std::nullopt;
    TableRow row;
    row.path = value_of<std::string>(child, "id", "");
    const std::size_t slash = row.path.rfind('/');
    row.id = slash == std::string::npos ? row.path : row.path.substr(slash + 1);
    row.depth = static_cast<unsigned>(std::ranges::count(row.path, '/'));
    row.is_group = value_of<std::string>(child, "kind", "") == "group";
    row.state = value_of<std::string>(child, "state", "");
    row.process = value_of<std::uint64_t>(child, "process", 0);
    row.restarts = value_of<std::uint64_t>(child, "restarts", 0);
    row.uptime = Duration(value_of<std::int64_t>(child, "uptime_ns", 0));
    row.cpu_time = Duration(value_of<std::int64_t>(child, "cpu_time_ns", 0));
    row.memory_bytes = value_of<std::uint64_t>(child, "memory_bytes", 0);
    row.last_end = value_of<std::string>(child, "last_end", "");
    snapshot.rows.push_back(std::move(row));
  }
  return snapshot;
}

// Asks once. The exit status when that fails, having said why: on the usual page, where somebody sees it.
std::expected<Snapshot, int> look(const Settings& settings, Console& console, std::string_view command,
                                  bool on_other_page = false) {
  std::optional<Snapshot> snapshot;
  Result<ControlClient> client = ControlClient::ask(settings, {.what = ControlRequest::What::kPs});
  Error error{ErrorKind::kNotFound, "weft up ended before it answered", {}};
  if (!client) {
    error = client.error();
  } else {
    const std::optional<std::string> line = client->next();
    if (client->failure()) error = *client->failure();
    snapshot = line ? snapshot_of(*line) : std::nullopt;
  }
  if (snapshot) return std::move(*snapshot);
  if (on_other_page) static_cast<void>(console.print(kLeaveScreen));
  return std::unexpected(explain(console, command, error));
}

std::string head_of(const Snapshot& snapshot) {
  const auto running =
      std::ranges::count_if(snapshot.rows, [](const TableRow& row) { return !row.is_group && row.state == "running"; });
  const auto all = std::ranges::count_if(snapshot.rows, [](const TableRow& row) { return !row.is_group; });
  return fmt::format("{} ({}), process {}, since {}: {} of {} run\n", value_of<std::string>(snapshot.json, "system", ""),
                     value_of<std::string>(snapshot.json, "state", ""), value_of<std::uint64_t>(snapshot.json, "process", 0),
                     value_of<std::string>(snapshot.json, "started", ""), running, all);
}

// The share of a core that each had between two looks.
void set_percent(const Snapshot& before, Snapshot& now) {
  std::map<std::string_view, const TableRow*> rows;
  for (const TableRow& row : before.rows) rows.emplace(row.path, &row);
  const auto passed = static_cast<double>(now.time_ns - before.time_ns);
  for (std::size_t at = 0; at < now.rows.size(); ++at) {
    TableRow& row = now.rows[at];
    const auto known = rows.find(row.path);
    const Duration used = row.cpu_time - (known == rows.end() ? Duration(0) : known->second->cpu_time);
    row.cpu_percent = passed > 0 ? std::max(0.0, 100 * static_cast<double>(used.count()) / passed) : 0;
    if (!row.is_group) now.json["children"][at]["cpu_percent"] = row.cpu_percent;
  }
}

void sort_rows(std::vector<TableRow>& rows, TopOrder order) {
  if (order == TopOrder::kTree) return;
  std::erase_if(rows, [](const TableRow& row) { return row.is_group; });
  std::ranges::stable_sort(rows, [order](const TableRow& a, const TableRow& b) {
    if (order == TopOrder::kCpu) return a.cpu_percent > b.cpu_percent;
    return order == TopOrder::kMemory ? a.memory_bytes > b.memory_bytes : a.restarts > b.restarts;
  });
}

std::string screen_of(const std::string& text) {
  // Each line is erased to its end, so that nothing of the last page stays.
  std::string out(kFromTop);
  for (const char c : text) out += c == '\n' ? std::string("\x1b[K\n") : std::string(1, c);
  return out + std::string(kEraseBelow);
}

// False: a signal came.
bool rest(platform::SignalSource& signals, Duration duration) {
  const auto until = std::chrono::steady_clock::now() + duration;
  while (true) {
    const Duration left = until - std::chrono::steady_clock::now();
    if (left <= Duration(0)) return true;
    std::array watches{platform::Watch{.fd = signals.fd()}};
    platform::wait_ready(watches, left);
    if (signals.take()) return false;
  }
}

}  // namespace

int list_processes(const Settings& settings, Console& console) {
  const std::expected<Snapshot, int> snapshot = look(settings, console, "ps");
  if (!snapshot) return snapshot.error();
  if (settings.json) return console.print(snapshot->json.dump() + "\n") ? kExitSuccess : kExitOutputClosed;
  const unsigned columns = platform::is_terminal(kOut) ? platform::terminal_columns(kOut) : 0;
  return console.print(head_of(*snapshot) + process_table(snapshot->rows, {.columns = columns})) ? kExitSuccess : kExitOutputClosed;
}

int watch_processes(const Settings& settings, platform::SignalSource& signals, Console& console) {
  const bool terminal = platform::is_terminal(kOut) && !settings.json;
  std::optional<std::uint64_t> left = settings.up.times;
  if (!left && !terminal && !settings.json) left = 1;
  std::expected<Snapshot, int> before = look(settings, console, "top");
  if (!before) return before.error();
  if (terminal) static_cast<void>(console.print(kEnterScreen));
  int status = kExitSuccess;
  // The first look is quick, so that there is something to see.
  Duration pause = std::min<Duration>(settings.up.every, std::chrono::milliseconds(250));
  while (rest(signals, pause)) {
    pause = settings.up.every;
    std::expected<Snapshot, int> now = look(settings, console, "top", terminal);
    if (!now) return now.error();
    set_percent(*before, *now);
    before = now;
    if (settings.json) {
      if (!console.print(now->json.dump() + "\n")) return kExitOutputClosed;
    } else {
      sort_rows(now->rows, settings.up.order);
      TableForm form{.cpu_percent = true, .tree = settings.up.order == TopOrder::kTree};
      if (terminal) {
        form.columns = platform::terminal_columns(kOut);
        form.rows_max = std::max(platform::terminal_rows(kOut), 6U) - 3;
      }
      const std::string text = head_of(*now) + process_table(now->rows, form);
      if (!console.print(terminal ? screen_of(text) : text)) {
        status = kExitOutputClosed;
        break;
      }
    }
    if (left && --*left == 0) break;
  }
  if (terminal) static_cast<void>(console.print(kLeaveScreen));
  return status;
}

}  // namespace weft::cli
