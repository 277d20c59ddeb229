// Links and monitors of Society.
#include <algorithm>
#include <utility>

#include "process/exit_status.hpp"
#include "process/state.hpp"
#include "process/together/society.hpp"

namespace weft::process {
namespace {

// In the order of ids, so that no two threads wait for each other.
class BothLocked {
 public:
  BothLocked(ProcessId one_id, Peer& one, ProcessId other_id, Peer& other) WEFT_NO_THREAD_SAFETY
      : first_(one_id < other_id ? one.mutex : other.mutex),
        second_(one_id < other_id ? other.mutex : one.mutex) {
    first_.lock();
    second_.lock();
  }
  ~BothLocked() WEFT_NO_THREAD_SAFETY {
    second_.unlock();
    first_.unlock();
  }
  BothLocked(const BothLocked&) = delete;
  BothLocked& operator=(const BothLocked&) = delete;

 private:
  base::Mutex& first_;
  base::Mutex& second_;
};

std::string called(const Process::State& process) { return "process " + std::to_string(process.id) + " (" + process.name + ")"; }

std::unexpected<Error> has_ended(const Process::State& process) {
  return fail(ErrorKind::kNotFound, called(process) + " has ended");
}

std::unexpected<Error> no_room(const Process::State& process) {
  return fail(ErrorKind::kExhausted, called(process) + " has " + std::to_string(process.limits().mailbox.notices) +
                                         " links, monitors and messages about ends already; raise MailboxLimits::notices");
}

// "linked process 12 (worker) trapped: …", to stand behind "killed by".
std::string cause(const Process::State& ended, const ExitReason& reason) {
  const std::string who = "linked " + called(ended) + " ";
  switch (reason.kind) {
    case ExitKind::kReturned:
      break;
    case ExitKind::kExited:
      return who + "exited with " + std::to_string(reason.code);
    case ExitKind::kKilled:
      return who + reason.message;
    case ExitKind::kTrapped:
    case ExitKind::kLimitReached:
    case ExitKind::kFailed:
    case ExitKind::kDeadlocked:
      return who + std::string(name_of(reason.kind)) + ": " + reason.message;
  }
  return who + "returned";
}

}  // namespace

Result<void> Society::link(Process::State& one, Process::State& other) WEFT_NO_THREAD_SAFETY {
  if (&one == &other) return {};
  Peer* const a = one.peer();
  if (a == nullptr) return has_ended(one);
  Peer* const b = other.peer();
  if (b == nullptr) return has_ended(other);
  const BothLocked lock(one.id, *a, other.id, *b);
  if (a->ended) return has_ended(one);
  if (b->ended) return has_ended(other);
  if (a->links.contains(other.id)) return {};
  if (!a->mailbox->reserve_notice()) return no_room(one);
  if (!b->mailbox->reserve_notice()) {
    a->mailbox->release_notice();
    return no_room(other);
  }
  a->links.insert(other.id);
  b->links.insert(one.id);
  return {};
}

bool Society::unlink(Process::State& one, ProcessId other_id) WEFT_NO_THREAD_SAFETY {
  Peer* const a = one.peer();
  if (a == nullptr || one.id == other_id) return false;
  const StateRef other = table_.find(other_id);
  Peer* const b = other ? other->peer() : nullptr;
  if (b == nullptr) {
    // It is ending; what it would have told is not wanted any more.
    base::Lock lock(a->mutex);
    if (a->ended || a->links.erase(other_id) == 0) return false;
    a->mailbox->release_notice();
    return true;
  }
  const BothLocked lock(one.id, *a, other_id, *b);
  if (a->ended || a->links.erase(other_id) == 0) return false;
  a->mailbox->release_notice();
  if (!b->ended && b->links.erase(one.id) != 0) b->mailbox->release_notice();
  return true;
}

void Society::trap_exits(Process::State& process, bool traps) {
  Peer* const peer = process.peer();
  if (peer == nullptr) return;
  base::Lock lock(peer->mutex);
  peer->traps_exits = traps;
}

Result<MonitorId> Society::monitor(Process::State& watcher, ProcessId target_id) WEFT_NO_THREAD_SAFETY {
  Peer* const a = watcher.peer();
  if (a == nullptr) return has_ended(watcher);
  if (!a->mailbox->reserve_notice()) {
    if (a->mailbox->closed()) return has_ended(watcher);
    return no_room(watcher);
  }
  const MonitorId id = next_monitor_.fetch_add(1, std::memory_order_relaxed);
  const StateRef target = table_.find(target_id);
  Peer* const b = target ? target->peer() : nullptr;
  if (b != nullptr && b != a) {
    const BothLocked lock(watcher.id, *a, target_id, *b);
    if (a->ended) return has_ended(watcher);
    if (!b->ended) {
      a->monitors.emplace(id, target_id);
      b->watchers.emplace(id, Watcher{.process = watcher.id});
      return id;
    }
  } else if (b != nullptr) {
    // Its own end: nobody will be there to hear of it.
    a->mailbox->release_notice();
    return id;
  }
  Message message{.kind = MessageKind::kDown, .sender = target_id, .monitor = id};
  message.reason = std::make_shared<const ExitReason>(ExitReason{.no_process = true, .message = "no such process"});
  message.bytes = Bytes::copy_of(message.reason->message);
  detail::MailboxState::Wakes wakes;
  const bool tell = a->mailbox->post_notice(std::move(message), wakes);
  wakes.wake_all();
  if (tell) a->mailbox->told();
  return id;
}

bool Society::demonitor(Process::State& watcher, MonitorId id, bool flush) {
  Peer* const a = watcher.peer();
  if (a == nullptr) return false;
  ProcessId target_id = 0;
  {
    base::Lock lock(a->mutex);
    const auto found = a->monitors.find(id);
    if (found != a->monitors.end()) {
      target_id = found->second;
      a->monitors.erase(found);
      a->mailbox->release_notice();
    }
  }
  if (target_id == 0) {
    if (flush) (void)a->mailbox->flush(id);
    return false;
  }
  const StateRef target = table_.find(target_id);
  if (Peer* const b = target ? target->peer() : nullptr) {
    base::Lock lock(b->mutex);
    b->watchers.erase(id);
  }
  return true;
}

MonitorId Society::monitor(const StateRef& target, Watcher watcher) {
  const MonitorId id = next_monitor_.fetch_add(1, std::memory_order_relaxed);
  if (Peer* const peer = target->peer()) {
    base::Lock lock(peer->mutex);
    if (!peer->ended) {
      peer->watchers.emplace(id, std::move(watcher));
      return id;
    }
  }
  // Its status may be a moment away.
  target->on_end([target, told = std::move(watcher.told)](const ExitStatus& status) { told(Process(target), reason_of(status)); });
  return id;
}

bool Society::demonitor_host(Process::State& target, MonitorId id) {
  Peer* const peer = target.peer();
  if (peer == nullptr) return false;
  Watcher gone;  // its function is destroyed outside of the lock
  base::Lock lock(peer->mutex);
  const auto found = peer->watchers.find(id);
  if (found == peer->watchers.end() || found->second.process != 0) return false;
  gone = std::move(found->second);
  peer->watchers.erase(found);
  return true;
}

// ---- ends ----

Bereaved Society::leave(Process::State& process) {
  Peer* const peer = process.peer();
  if (peer == nullptr) return {};
  Bereaved bereaved;
  std::vector<std::string> names;
  std::unordered_map<std::int32_t, std::shared_ptr<Shareable>> handles;
  std::map<std::string, std::shared_ptr<Shareable>, std::less<>> grants;
  {
    base::Lock lock(peer->mutex);
    peer->ended = true;
    handles.swap(peer->handles);
    grants.swap(peer->grants);
    bereaved.killed_by = std::move(peer->killed_by);
    bereaved.links.swap(peer->links);
    bereaved.monitors.swap(peer->monitors);
    bereaved.watchers.swap(peer->watchers);
    names.swap(peer->names);
  }
  peer->mailbox->close();
  for (const auto& [handle, what] : handles) what->process_gone(process.id);
  // Before the end is published: who joins it finds its channels closed.
  handles.clear();
  grants.clear();
  if (!names.empty()) {
    base::Lock lock(names_mutex_);
    for (const std::string& name : names) {
      const auto found = names_.find(name);
      if (found != names_.end() && found->second == process.id) names_.erase(found);
    }
  }
  return bereaved;
}

void Society::tell(const StateRef& process, Bereaved bereaved, const ExitStatus& status) {
  for (const auto& [id, target_id] : bereaved.monitors) {
    const StateRef target = table_.find(target_id);
    Peer* const peer = target ? target->peer() : nullptr;
    if (peer == nullptr) continue;
    base::Lock lock(peer->mutex);
    peer->watchers.erase(id);
  }
  if (bereaved.links.empty() && bereaved.watchers.empty()) return;
  const auto reason = std::make_shared<const ExitReason>(reason_of(status));
  const bool by_link = status.kind == ExitKind::kKilled && !bereaved.killed_by.empty() && status.killed_by == bereaved.killed_by;
  const std::string by = by_link ? std::move(bereaved.killed_by) : cause(*process, *reason);
  for (const ProcessId other : bereaved.links) tell_linked(*process, other, reason, by);
  for (auto& [id, watcher] : bereaved.watchers) {
    if (watcher.process != 0) {
      tell_watcher(*process, id, watcher.process, reason);
    } else {
      watcher.told(Process(process), *reason);
    }
  }
}

void Society::tell_linked(Process::State& ended, ProcessId other_id, const std::shared_ptr<const ExitReason>& reason,
                          const std::string& by) {
  const StateRef other = table_.find(other_id);
  Peer* const peer = other ? other->peer() : nullptr;
  if (peer == nullptr) return;
  bool tell = false;
  bool dies = false;
  detail::MailboxState::Wakes wakes;
  {
    base::Lock lock(peer->mutex);
    if (peer->ended || peer->links.erase(ended.id) == 0) return;
    if (peer->traps_exits) {
      // Under the lock: after unlink() and demonitor() nothing comes any more.
      tell = peer->mailbox->post_notice(
          {.kind = MessageKind::kExit, .sender = ended.id, .bytes = Bytes::copy_of(reason->message), .reason = reason}, wakes);
    } else {
      peer->mailbox->release_notice();
      dies = !reason->normal();
      if (dies && peer->killed_by.empty()) peer->killed_by = by;
    }
  }
  wakes.wake_all();
  if (tell) peer->mailbox->told();
  if (dies) other->stop(StopCause::kKill, by);
}

void Society::tell_watcher(Process::State& ended, MonitorId id, ProcessId watcher_id,
                           const std::shared_ptr<const ExitReason>& reason) {
  const StateRef watcher = table_.find(watcher_id);
  Peer* const peer = watcher ? watcher->peer() : nullptr;
  if (peer == nullptr) return;
  bool tell = false;
  detail::MailboxState::Wakes wakes;
  {
    base::Lock lock(peer->mutex);
    if (peer->ended || peer->monitors.erase(id) == 0) return;
    Message message{
        .kind = MessageKind::kDown, .sender = ended.id, .bytes = Bytes::copy_of(reason->message), .monitor = id, .reason = reason};
    tell = peer->mailbox->post_notice(std::move(message), wakes);
  }
  wakes.wake_all();
  if (tell) peer->mailbox->told();
}

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
