// Links, monitors and names of processes, for hosts.
#include <utility>

#include "process/state.hpp"
#include "process/together/society.hpp"

namespace weft::process {

void Processes::kill(Process::State& process, std::string_view by) { process.stop(StopCause::kKill, by); }
Process Processes::handle_of(StateRef process) { return Process(std::move(process)); }

template class Kinship<Processes>;

std::shared_ptr<Society> make_society(Table& table) { return std::make_shared<Society>(table); }

}  // namespace weft::process

namespace weft {
namespace {

std::unexpected<Error> not_together() {
  return fail(ErrorKind::kBadArgument, "links and monitors need two processes of one runtime");
}

bool together(const Process& one, const Process& other) { return one && other && one.state()->kept == other.state()->kept; }

}  // namespace

Result<void> link(const Process& one, const Process& other) {
  if (!together(one, other)) return not_together();
  return one.state()->environment.society.link(*one.state(), *other.state());
}

bool unlink(const Process& one, const Process& other) {
  return together(one, other) && one.state()->environment.society.unlink(*one.state(), other.id());
}

void trap_exits(const Process& process, bool traps) {
  if (process) process.state()->environment.society.trap_exits(*process.state(), traps);
}

Result<MonitorId> monitor(const Process& watcher, const Process& target) {
  if (!together(watcher, target)) return not_together();
  return watcher.state()->environment.society.monitor(*watcher.state(), target.id());
}

bool demonitor(const Process& watcher, MonitorId id, bool flush) {
  return watcher && watcher.state()->environment.society.demonitor(*watcher.state(), id, flush);
}

MonitorId monitor(const Process& target, std::function<void(const Process&, const ExitReason&)> told) {
  if (!target || !told) return 0;
  return target.state()->environment.society.monitor(target.state(), {.process = 0, .told = std::move(told)});
}

bool demonitor_host(const Process& target, MonitorId id) { return target && process::Society::demonitor_host(*target.state(), id); }

Mailbox Process::mailbox() const {
  process::Peer* const peer = state_ ? state_->peer() : nullptr;
  if (peer == nullptr) return {};
  peer->mailbox->retain();
  return Mailbox(peer->mailbox.get());
}

}  // namespace weft
