#include "cli/up/session/board.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "cli/tally.hpp"
#include "cli/up/session/event_note.hpp"
#include "platform/platform.hpp"

namespace weft::cli {

bool Row::done() const noexcept {
  if (state != ChildState::kStopped) return false;
  return restart == Restart::kTemporary || (restart == Restart::kTransient && !ended_badly);
}

Duration Row::cpu_time() const { return cpu_time_before + (running() && process ? process.usage().cpu_time : Duration(0)); }

std::uint64_t Row::memory_bytes() const { return running() && process ? process.usage().memory_bytes : 0; }

Duration Row::uptime() const {
  if (!running() || started_ns == 0) return Duration(0);
  const std::uint64_t now_ns = platform::host().wall_ns();
  return Duration(now_ns > started_ns ? static_cast<std::int64_t>(now_ns - started_ns) : 0);
}

std::uint64_t Board::children() const noexcept {
  std::uint64_t all = 0;
  for (const std::uint64_t count : counts_) all += count;
  return all;
}

Row& Board::add_row(std::string path, std::string id, unsigned depth, bool is_group, std::vector<std::unique_ptr<Row>>& rows) {
  std::unique_ptr<Row> row;
  if (const auto known = before_.find(path); known != before_.end() && known->second->is_group == is_group) {
    row = std::move(known->second);
    before_.erase(known);
  } else {
    row = std::make_unique<Row>();
    row->path = std::move(path);
    row->id = std::move(id);
    row->is_group = is_group;
    row->since = Row::Clock::now();
  }
  row->depth = depth;
  return *rows.emplace_back(std::move(row));
}

void Board::add(const ManifestGroup& group, const std::string& above, unsigned depth, std::vector<std::unique_ptr<Row>>& rows) {
  for (const ManifestMember& member : group.members) {
    if (const ManifestChild* child = member.child()) {
      for (const std::string& id : child->ids()) {
        Row& row = add_row(above + id, id, depth, false, rows);
        row.health = child->health;
        row.restart = child->restart;
      }
      continue;
    }
    const ManifestGroup& below = *member.group();
    add_row(above + below.id, below.id, depth, true, rows);
    add(below, above + below.id + "/", depth + 1, rows);
  }
}

std::vector<std::string> Board::set_layout(const Manifest& manifest) {
  before_.clear();
  for (std::unique_ptr<Row>& row : rows_) before_.emplace(row->path, std::move(row));
  rows_.clear();
  std::vector<std::unique_ptr<Row>> rows;
  add(manifest.root, "", 0, rows);
  std::vector<std::string> gone;
  for (const auto& [path, row] : before_) gone.push_back(path);
  before_.clear();
  rows_ = std::move(rows);
  by_path_.clear();
  counts_ = {};
  for (const std::unique_ptr<Row>& row : rows_) {
    by_path_.emplace(row->path, row.get());
    if (!row->is_group) ++counts_[static_cast<std::size_t>(row->state)];
  }
  return gone;
}

Row* Board::find(std::string_view path) {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? nullptr : found->second;
}

void Board::set_state(Row& row, ChildState state) {
  if (row.state == state) return;
  if (!row.is_group) {
    --counts_[static_cast<std::size_t>(row.state)];
    ++counts_[static_cast<std::size_t>(state)];
  }
  row.state = state;
  row.since = Row::Clock::now();
}

Row* Board::take(const SupervisorEvent& event, std::string_view system) {
  if (event.child.empty()) return nullptr;
  Row* found = find(path_of(event, system));
  if (found == nullptr) return nullptr;
  Row& row = *found;
  switch (event.kind) {
    case SupervisorEvent::Kind::kStarted:
      row.process = event.process;
      row.restarts = event.restarts;
      row.started_ns = platform::host().wall_ns();
      set_state(row, ChildState::kRunning);
      break;
    case SupervisorEvent::Kind::kStartFailed:
      row.last_end = "could not be started: " + event.message;
      row.ended_badly = true;
      set_state(row, ChildState::kStopped);
      break;
    case SupervisorEvent::Kind::kExited:
      if (event.exit) {
        ++(event.exit->success() ? row.exits_well : row.exits_badly);
        row.ended_badly = !event.exit->success();
        row.last_end = row.is_group ? event.message : describe(*event.exit);
        row.cpu_time_before += event.exit->usage.cpu_time;
      }
      set_state(row, ChildState::kStopped);
      break;
    case SupervisorEvent::Kind::kRestarting:
      set_state(row, ChildState::kWaiting);
      break;
    case SupervisorEvent::Kind::kStopping:
    case SupervisorEvent::Kind::kKilling:
      if (row.running()) set_state(row, ChildState::kStopping);
      break;
    case SupervisorEvent::Kind::kRemoved:
      set_state(row, ChildState::kStopped);
      break;
    case SupervisorEvent::Kind::kGaveUp:
    case SupervisorEvent::Kind::kEnded:
      break;
  }
  return found;
}

void Board::sample_cpu() {
  const Row::Clock::time_point now = Row::Clock::now();
  const double passed = std::chrono::duration<double>(now - sampled_at_).count();
  for (const std::unique_ptr<Row>& row : rows_) {
    if (row->is_group) continue;
    const Duration used = row->cpu_time();
    const Duration since = used - row->cpu_time_sampled;
    row->cpu_percent = passed > 0 ? 100 * std::chrono::duration<double>(since).count() / passed : 0;
    row->cpu_time_sampled = used;
  }
  sampled_at_ = now;
}

nlohmann::ordered_json to_json(const Row& row) {
  nlohmann::ordered_json json = {{"id", row.path}, {"kind", row.is_group ? "group" : "child"}, {"state", name_of(row.state)}};
  json["restarts"] = row.restarts;
  if (row.started_ns != 0) json["started"] = time_text(row.started_ns);
  json["uptime_ns"] = row.uptime().count();
  if (!row.is_group) {
    if (row.process) json["process"] = row.process.id();
    json["cpu_time_ns"] = row.cpu_time().count();
    json["memory_bytes"] = row.memory_bytes();
    json["exits_well"] = row.exits_well;
    json["exits_badly"] = row.exits_badly;
    json["unhealthy"] = row.unhealthy;
  }
  json["last_end"] = row.last_end;
  return json;
}

}  // namespace weft::cli
