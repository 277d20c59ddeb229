// Kinship: what processes of one runtime know of each other: links, monitors, names. The rules are in weft/link.hpp and weft/runtime.hpp.
//
// Who ends goes through two steps, one after the other: leave(), by which it is out of everything, with its mailbox and names; and, once its status is there,
// tell(), by which others hear of it. Between the two it is a process that has ended: nobody can be linked with it, and who unlinks it hears nothing.
//
// All functions may be called from any thread, with no lock held.
//
// Template over who is related, so that tasks of a simulation can stand for processes (kinship_sim_test.cpp). Traits has:
//   Member   with id, name, limits(), peer() (null once it has ended without ever having had one) and on_end(listener)
//   Table    find(id): a std::shared_ptr<Member>, null once it leaves
//   kill(Member&, by), handle_of(std::shared_ptr<Member>): a weft::Process
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "process/together/peer.hpp"
#include "weft/error.hpp"
#include "weft/link.hpp"

namespace weft::process {

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

template <class Traits>
class Kinship {
 public:
  using Member = typename Traits::Member;
  using Table = typename Traits::Table;
  using MemberRef = std::shared_ptr<Member>;
  static constexpr std::size_t kNameBytesMax = 255;
  static constexpr std::size_t kNamesOfOneMax = 16;

  explicit Kinship(Table& table) : table_(table) {}
  Kinship(const Kinship&) = delete;
  Kinship& operator=(const Kinship&) = delete;

  // ---- links ----

  Result<void> link(Member& one, Member& other) WEFT_NO_THREAD_SAFETY {
    if (&one == &other) return {};
    Peer* const a = one.peer();
    if (a == nullptr) return has_ended(one);
    Peer* const b = other.peer();
    if (b == nullptr) return has_ended(other);
    const BothLocked lock(one.id, *a, other.id, *b);
    if (a->ended) return has_ended(one);
    if (b->ended) return has_ended(other);
    // One alone has it still if it was unlinked while it was about to leave, and could not be found.
    const bool new_to_one = !a->links.contains(other.id);
    const bool new_to_other = !b->links.contains(one.id);
    if (new_to_one && !a->mailbox->reserve_notice()) return no_room(one);
    if (new_to_other && !b->mailbox->reserve_notice()) {
      if (new_to_one) a->mailbox->release_notice();
      return no_room(other);
    }
    a->links.insert(other.id);
    b->links.insert(one.id);
    return {};
  }

  bool unlink(Member& one, ProcessId other_id) WEFT_NO_THREAD_SAFETY {
    Peer* const a = one.peer();
    if (a == nullptr || one.id == other_id) return false;
    const MemberRef other = table_.find(other_id);
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

  void trap_exits(Member& process, bool traps) {
    Peer* const peer = process.peer();
    if (peer == nullptr) return;
    base::Lock lock(peer->mutex);
    peer->traps_exits = traps;
  }

  // Of a number that no process has any more, or never had, the message comes at once.
  Result<MonitorId> monitor(Member& watcher, ProcessId target_id) WEFT_NO_THREAD_SAFETY {
    Peer* const a = watcher.peer();
    if (a == nullptr) return has_ended(watcher);
    if (!a->mailbox->reserve_notice()) {
      if (a->mailbox->closed()) return has_ended(watcher);
      return no_room(watcher);
    }
    const MonitorId id = next_monitor_.fetch_add(1, std::memory_order_relaxed);
    const MemberRef target = table_.find(target_id);
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

  bool demonitor(Member& watcher, MonitorId id, bool flush) {
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
    const MemberRef target = table_.find(target_id);
    if (Peer* const b = target ? target->peer() : nullptr) {
      base::Lock lock(b->mutex);
      b->watchers.erase(id);
    }
    return true;
  }

  // For the host.
  MonitorId monitor(const MemberRef& target, Watcher watcher) {
    const MonitorId id = next_monitor_.fetch_add(1, std::memory_order_relaxed);
    if (Peer* const peer = target->peer()) {
      base::Lock lock(peer->mutex);
      if (!peer->ended) {
        peer->watchers.emplace(id, std::move(watcher));
        return id;
      }
    }
    // Its status may be a moment away.
    target->on_end(
        [target, told = std::move(watcher.told)](const ExitStatus& status) { told(Traits::handle_of(target), reason_of(status)); });
    return id;
  }

  static bool demonitor_host(Member& target, MonitorId id) {
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

  // ---- ends, by the process itself ----

  // Its mailbox closes, its names and handles go.
  Bereaved leave(Member& process) {
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

  // Once its status is there.
  void tell(const MemberRef& process, Bereaved bereaved, const ExitStatus& status) {
    for (const auto& [id, target_id] : bereaved.monitors) {
      const MemberRef target = table_.find(target_id);
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
        watcher.told(Traits::handle_of(process), *reason);
      }
    }
  }

  // ---- names ----

  // The bound on names, set once.
  void set_names_max(std::size_t max) { names_max_ = max; }
  // kBadArgument, kExhausted, kNotFound: it has ended. Taken: kBadArgument, and `taken` is set, if given.
  Result<void> register_name(std::string_view name, Member& process, bool* taken = nullptr) {
    const auto odd = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (name.empty() || name.size() > kNameBytesMax || std::ranges::any_of(name, odd)) {
      return fail(ErrorKind::kBadArgument,
                  "a name of a process has 1 to " + std::to_string(kNameBytesMax) + " bytes, none of them a control character");
    }
    base::Lock lock(names_mutex_);
    if (const auto found = names_.find(name); found != names_.end()) {
      if (found->second == process.id) return {};
      if (taken != nullptr) *taken = true;
      return fail(ErrorKind::kBadArgument,
                  "the name " + std::string(name) + " is taken by process " + std::to_string(found->second));
    }
    if (names_.size() >= names_max_) {
      return fail(ErrorKind::kExhausted,
                  "there are " + std::to_string(names_max_) + " names already; raise RuntimeOptions::names_max");
    }
    Peer* const peer = process.peer();
    if (peer != nullptr) {
      base::Lock own(peer->mutex);
      if (!peer->ended) {
        if (peer->names.size() >= kNamesOfOneMax) {
          return fail(ErrorKind::kExhausted,
                      "process " + std::to_string(process.id) + " has " + std::to_string(kNamesOfOneMax) + " names already");
        }
        peer->names.emplace_back(name);
        names_.emplace(name, process.id);
        return {};
      }
    }
    return fail(ErrorKind::kNotFound, "process " + std::to_string(process.id) + " has ended");
  }

  // With an owner: only if it is theirs.
  bool unregister_name(std::string_view name, ProcessId owner_or_zero = 0) {
    MemberRef owner;  // let go of outside of the lock
    base::Lock lock(names_mutex_);
    const auto found = names_.find(name);
    if (found == names_.end() || (owner_or_zero != 0 && found->second != owner_or_zero)) return false;
    owner = table_.find(found->second);
    names_.erase(found);
    if (Peer* const peer = owner ? owner->peer() : nullptr) {
      base::Lock own(peer->mutex);
      std::erase(peer->names, name);
    }
    return true;
  }

  // 0: nobody.
  ProcessId whereis(std::string_view name) const {
    base::Lock lock(names_mutex_);
    const auto found = names_.find(name);
    return found == names_.end() ? 0 : found->second;
  }

  std::size_t names() const {
    base::Lock lock(names_mutex_);
    return names_.size();
  }

 private:
  static std::string called(const Member& process) { return "process " + std::to_string(process.id) + " (" + process.name + ")"; }

  static std::unexpected<Error> has_ended(const Member& process) {
    return fail(ErrorKind::kNotFound, called(process) + " has ended");
  }

  static std::unexpected<Error> no_room(const Member& process) {
    return fail(ErrorKind::kExhausted, called(process) + " has " + std::to_string(process.limits().mailbox.notices) +
                                           " links, monitors and messages about ends already; raise MailboxLimits::notices");
  }

  // "linked process 12 (worker) trapped: …", to stand behind "killed by".
  static std::string cause(const Member& ended, const ExitReason& reason) {
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

  void tell_linked(Member& ended, ProcessId other_id, const std::shared_ptr<const ExitReason>& reason, const std::string& by) {
    const MemberRef other = table_.find(other_id);
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
    if (dies) Traits::kill(*other, by);
  }

  void tell_watcher(Member& ended, MonitorId id, ProcessId watcher_id, const std::shared_ptr<const ExitReason>& reason) {
    const MemberRef watcher = table_.find(watcher_id);
    Peer* const peer = watcher ? watcher->peer() : nullptr;
    if (peer == nullptr) return;
    bool tell = false;
    detail::MailboxState::Wakes wakes;
    {
      base::Lock lock(peer->mutex);
      if (peer->ended || peer->monitors.erase(id) == 0) return;
      Message message{.kind = MessageKind::kDown,
                      .sender = ended.id,
                      .bytes = Bytes::copy_of(reason->message),
                      .monitor = id,
                      .reason = reason};
      tell = peer->mailbox->post_notice(std::move(message), wakes);
    }
    wakes.wake_all();
    if (tell) peer->mailbox->told();
  }

  Table& table_;
  // Writers: monitor(). A count that publishes nothing, hence relaxed.
  base::atomic<MonitorId> next_monitor_{1};
  std::size_t names_max_ = 16'384;
  // Taken before a peer's.
  mutable base::Mutex names_mutex_;
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, ProcessId, Hash, std::equal_to<>> names_ WEFT_GUARDED_BY(names_mutex_);
};

}  // namespace weft::process
