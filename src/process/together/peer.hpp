// Peer: what a process is to others: its mailbox, links, monitors, names, handles and grants. Made when one of these is first used.
//
// Locks: two peers are locked together in the order of their processes' ids; a mailbox's lock may be taken under a peer's, and nothing else. Nobody is woken,
// killed or called under one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/mutex.hpp"
#include "base/ref.hpp"
#include "process/together/budget.hpp"
#include "process/together/mailbox.hpp"
#include "process/together/shareable.hpp"
#include "weft/link.hpp"

namespace weft::process {

struct Watcher {
  ProcessId process = 0;                                          // 0: the host
  std::function<void(const Process&, const ExitReason&)> told{};  // of the host
};

class Peer {
 public:
  explicit Peer(const MailboxLimits& limits) : mailbox(base::make_ref<detail::MailboxState>(limits)) {}

  const base::Ref<detail::MailboxState> mailbox;

  base::Mutex mutex;
  bool ended WEFT_GUARDED_BY(mutex) = false;
  bool traps_exits WEFT_GUARDED_BY(mutex) = false;
  std::string killed_by WEFT_GUARDED_BY(mutex);  // what its end by a link was put down to
  // Each link, and each monitor of its own, has a place for a notice reserved in the mailbox.
  std::unordered_set<ProcessId> links WEFT_GUARDED_BY(mutex);
  std::unordered_map<MonitorId, ProcessId> monitors WEFT_GUARDED_BY(mutex);  // its own: whom they watch
  std::unordered_map<MonitorId, Watcher> watchers WEFT_GUARDED_BY(mutex);    // of others, on it
  std::vector<std::string> names WEFT_GUARDED_BY(mutex);
  std::unordered_map<std::int32_t, std::shared_ptr<Shareable>> handles WEFT_GUARDED_BY(mutex);
  std::map<std::string, std::shared_ptr<Shareable>, std::less<>> grants WEFT_GUARDED_BY(mutex);  // by name, with a handle or not
  // What it may make, of regions and of channels. Null: it has made none yet.
  std::shared_ptr<Budget> regions WEFT_GUARDED_BY(mutex);
  std::shared_ptr<Budget> channels WEFT_GUARDED_BY(mutex);
};

// Whom the end of a process concerns.
struct Bereaved {
  std::string killed_by;
  std::unordered_set<ProcessId> links;
  std::unordered_map<MonitorId, ProcessId> monitors;
  std::unordered_map<MonitorId, Watcher> watchers;
};

}  // namespace weft::process
