// SIGHUP: the manifest is read again, and what has changed in it changes.
#include <fmt/format.h>

#include <utility>

#include "cli/up/session/up_session.hpp"

namespace weft::cli {
namespace {

// A step as the task that carries it out needs it.
struct Move {
  std::string group;
  std::string id;
  std::optional<ChildSpec> added;
};

// By its path, with or without a '/' at its end.
std::optional<Supervisor> find_supervisor(Supervisor from, std::string_view path) {
  while (!path.empty()) {
    const std::string_view id = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), id.size() + 1));
    std::optional<ChildInfo> child = from.child(id);
    if (!child || !child->supervisor) return std::nullopt;
    from = child->supervisor;
  }
  return from;
}

}  // namespace

std::optional<Supervisor> UpSession::supervisor_of(std::string_view group) const { return find_supervisor(supervisor_, group); }

void UpSession::begin_reload() {
  if (stopping_ != Stopping::kNo) return;
  if (starting_ || next_manifest_) {
    reload_again_ = true;
    return;
  }
  std::expected<Manifest, Mistakes> manifest = read_manifest(manifest_.path);
  if (!manifest) {
    const Error error = manifest.error().error();
    tell(note_of("reload refused", name(), "", fmt::format("reload: {}; nothing was changed", error.message)), true);
    if (!json() && !error.detail.empty()) printer_.say(error.detail);
    return;
  }
  next_manifest_ = std::move(*manifest);
  planning_ = std::jthread([this, inbox = inbox_] {
    auto planned = planner_->make(*next_manifest_, &*plan_);
    inbox->put([&](Inbox& box) { box.planned = std::move(planned); });
  });
}

void UpSession::take_plan(std::expected<Plan, Mistakes> planned) {
  planning_.join();
  if (!planned) {
    const Error error = planned.error().error();
    tell(note_of("reload refused", name(), "", fmt::format("reload: {}; nothing was changed", error.message)), true);
    if (!json() && !error.detail.empty()) printer_.say(error.detail);
    next_manifest_.reset();
    return;
  }
  Reload reload = plan_reload(manifest_, *plan_, *next_manifest_, *planned);
  if (!reload.refused.empty()) {
    tell(note_of("reload refused", name(), "", fmt::format("reload: {}; nothing was changed", reload.refused)), true);
    next_manifest_.reset();
    return;
  }
  if (stopping_ != Stopping::kNo) return;
  next_plan_ = std::move(*planned);
  carry_out(std::move(reload));
}

void UpSession::carry_out(Reload reload) {
  reload_summary_ = summary_of(reload);
  for (const std::string& change : reload.regions) tell(note_of("region", name(), "", "reload: " + change), true);
  std::vector<Move> moves;
  for (const ReloadStep& step : reload.steps) {
    Move move{step.group, step.id, std::nullopt};
    if (step.add && step.child != nullptr) move.added = planner_->spec_of(*step.child, step.group, step.id, *next_plan_);
    if (step.add && step.members != nullptr) move.added = planner_->group_spec_of(*step.members, step.group);
    moves.push_back(std::move(move));
  }
  // From here on the new one holds: its rows are there before the first of its children reports.
  manifest_ = std::move(*next_manifest_);
  next_manifest_.emplace(manifest_);
  plan_ = std::move(*next_plan_);
  next_plan_.reset();
  planner_->hold(manifest_, *plan_);
  logs_.set_lines_max(manifest_.log_lines);
  for (const std::string& path : board_.set_layout(manifest_)) logs_.forget(path);

  const auto work = [](Supervisor root, std::vector<Move> todo, std::shared_ptr<Inbox> inbox) -> Task<void> {
    std::vector<std::string> failures;
    for (Move& move : todo) {
      const std::optional<Supervisor> supervisor = find_supervisor(root, move.group);
      if (!supervisor) {
        failures.push_back(fmt::format("{}{}: its group does not run", move.group, move.id));
        continue;
      }
      JoinHandle<void> handle = move.added ? supervisor->add_child(std::move(*move.added)) : supervisor->remove_child(move.id);
      const Result<void> done = co_await std::move(handle);
      // A temporary child that has ended is forgotten by itself.
      const bool was_gone = !move.added && !done && done.error().kind == ErrorKind::kNotFound;
      if (!done && !was_gone) failures.push_back(fmt::format("{}{}: {}", move.group, move.id, done.error().message));
    }
    inbox->put([&](Inbox& box) {
      box.reload_failures = std::move(failures);
      box.reload_done = true;
    });
  };
  runtime_->start(work(supervisor_, std::move(moves), inbox_), kPriorityHighest, "reload");
}

void UpSession::finish_reload(const std::vector<std::string>& failures) {
  next_manifest_.reset();
  for (const std::string& failure : failures) tell(note_of("reload failed", name(), "", "reload: " + failure), true);
  tell(note_of("reloaded", name(), "", "reloaded: " + reload_summary_), true);
  if (std::exchange(reload_again_, false)) begin_reload();
}

}  // namespace weft::cli
