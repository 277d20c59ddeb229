// What others ask of a running `weft up`: over the control socket, and for metrics.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/up/session/metrics.hpp"
#include "cli/up/session/up_session.hpp"
#include "platform/platform.hpp"

namespace weft::cli {

using Reply = RequestServer::Reply;

std::optional<Reply> UpSession::answer(ClientId client, std::string_view line) {
  const std::optional<ControlRequest> request = parse_control_request(line);
  if (!request) return std::nullopt;
  switch (request->what) {
    case ControlRequest::What::kPs:
      return Reply{processes_json()};
    case ControlRequest::What::kKill:
      return kill(request->id);
    case ControlRequest::What::kRestart:
      return restart(client, request->id);
    case ControlRequest::What::kLogs:
    case ControlRequest::What::kEvents:
      return follow(client, *request);
  }
  return std::nullopt;
}

std::string UpSession::processes_json() {
  nlohmann::ordered_json json = {{"system", name()},
                                 {"manifest", manifest_.path.string()},
                                 {"process", platform::process_id()},
                                 {"started", time_text(begun_ns_)},
                                 {"time_ns", platform::host().wall_ns()}};
  json["state"] = stopping_ != Stopping::kNo ? "stopping" : starting_ ? "starting" : next_manifest_ ? "reloading" : "running";
  if (metrics_listener_) json["metrics"] = metrics_listener_->address();
  json["children"] = nlohmann::ordered_json::array();
  for (const std::unique_ptr<Row>& row : board_.rows()) json["children"].push_back(to_json(*row));
  return dumped(json) + "\n";
}

// The child or group of that name, or all copies of the child.
std::vector<Row*> UpSession::rows_of(const std::string& id) {
  if (Row* exact = board_.find(id)) return {exact};
  std::vector<Row*> rows;
  for (const std::unique_ptr<Row>& row : board_.rows()) {
    if (!row->is_group && row->path.starts_with(id + "#")) rows.push_back(row.get());
  }
  return rows;
}

Reply UpSession::kill(const std::string& id) {
  const std::vector<Row*> rows = rows_of(id);
  if (rows.empty()) return {error_line({ErrorKind::kNotFound, fmt::format("{}: no such child; weft ps lists them", id), {}})};
  std::uint64_t killed = 0;
  for (Row* row : rows) {
    if (!row->running()) continue;
    if (row->is_group) {
      const std::optional<Supervisor> group = starting_ ? std::nullopt : supervisor_of(row->path);
      if (!group) continue;
      group->kill("weft kill");
    } else {
      row->process.kill("weft kill");
    }
    ++killed;
  }
  if (killed == 0) {
    return {
        error_line({ErrorKind::kBadArgument, fmt::format("{}: does not run ({})", id, weft::name_of(rows.front()->state)), {}})};
  }
  return {ok_line(id, rows.size() == 1 ? fmt::format("{}: killed", id) : fmt::format("{}: {} killed", id, killed))};
}

Reply UpSession::restart(ClientId client, const std::string& id) {
  const std::vector<Row*> rows = rows_of(id);
  if (rows.empty()) return {error_line({ErrorKind::kNotFound, fmt::format("{}: no such child; weft ps lists them", id), {}})};
  if (starting_ || stopping_ != Stopping::kNo) {
    return {error_line({ErrorKind::kCancelled, fmt::format("{} is {}", name(), starting_ ? "starting" : "stopping"), {}})};
  }
  std::vector<JoinHandle<void>> handles;
  for (const Row* row : rows) {
    const std::size_t slash = row->path.rfind('/');
    const std::string group = slash == std::string::npos ? std::string() : row->path.substr(0, slash);
    const std::optional<Supervisor> supervisor = supervisor_of(group);
    if (!supervisor) return {error_line({ErrorKind::kNotFound, fmt::format("{}: its group does not run", row->path), {}})};
    handles.push_back(supervisor->restart_child(row->id));
  }
  const auto wait = [](ClientId asker, std::vector<JoinHandle<void>> waited, std::shared_ptr<Inbox> inbox) -> Task<void> {
    Result<void> all;
    for (JoinHandle<void>& handle : waited) {
      Result<void> done = co_await std::move(handle);
      if (!done && all) all = std::move(done);
    }
    inbox->put([&](Inbox& box) { box.restarted.emplace_back(asker, std::move(all)); });
  };
  runtime_->start(wait(client, std::move(handles), inbox_), kPriorityHighest, "restart");
  return {.text = {}, .more = true};
}

Reply UpSession::follow(ClientId client, const ControlRequest& request) {
  const bool logs = request.what == ControlRequest::What::kLogs;
  if (logs && !request.id.empty() &&
      std::ranges::none_of(board_.rows(), [&](const auto& row) { return is_below(row->path, request.id); })) {
    return {error_line({ErrorKind::kNotFound, fmt::format("{}: no such child; weft ps lists them", request.id), {}})};
  }
  push_fresh_lines();
  Reply reply{.text = {}, .more = request.follow};
  std::uint64_t after = 0;
  if (logs) {
    // A line that comes in between is in both: hence its number.
    if (request.follow) logs_.set_followed(true);
    for (const LogLine& line : logs_.last(request.id, request.lines)) {
      reply.text += to_json(line);
      after = line.number;
    }
  } else {
    const std::size_t taken = std::min<std::size_t>(request.lines, events_.size());
    for (std::size_t at = events_.size() - taken; at < events_.size(); ++at) reply.text += events_[at].json;
  }
  if (request.follow) followers_.push_back({client, logs, request.id, after});
  // Nothing to say and nothing to wait for would look like hanging up.
  if (reply.text.empty() && !request.follow) reply.text = "\n";
  return reply;
}

void UpSession::push_fresh_lines() {
  const LogBook::Fresh fresh = logs_.take_fresh();
  for (Follower& follower : followers_) {
    if (!follower.logs) continue;
    follower.dropped += fresh.dropped;
    for (const LogLine& line : fresh.lines) {
      if (line.number > follower.after && is_below(line.child, follower.id)) push(follower, to_json(line));
    }
  }
}

void UpSession::push_event(const std::string& line) {
  for (Follower& follower : followers_) {
    if (!follower.logs) push(follower, line);
  }
}

// One that does not keep up misses lines, and is told how many.
void UpSession::push(Follower& follower, std::string_view text) {
  if (follower.dropped != 0) {
    const std::string gap = fmt::format("{{\"event\":\"dropped\",\"lines\":{}}}\n", follower.dropped);
    if (control_.push(follower.client, gap) == RequestServer::Pushed::kTaken) follower.dropped = 0;
  }
  if (follower.dropped != 0 || control_.push(follower.client, text) == RequestServer::Pushed::kFull) ++follower.dropped;
}

void UpSession::drop_followers() {
  if (std::erase_if(followers_, [this](const Follower& follower) { return !control_.connected(follower.client); }) == 0) return;
  logs_.set_followed(std::ranges::any_of(followers_, [](const Follower& follower) { return follower.logs; }));
}

std::optional<Reply> UpSession::answer_metrics(std::string_view request) {
  std::string reply = http_reply(request, [this] {
    std::map<std::string, ChannelStats> channels;
    std::map<std::string, std::uint64_t> regions;
    if (plan_) {
      for (const auto& [name, planned] : plan_->channels) channels.emplace(name, planned->channel.sender.stats());
      for (const auto& [name, region] : plan_->regions) regions.emplace(name, region.size());
    }
    return metrics_text(name(), board_, channels, regions, runtime_ ? runtime_->stats() : RuntimeStats{});
  });
  if (reply.empty()) return std::nullopt;
  return Reply{std::move(reply)};
}

}  // namespace weft::cli
