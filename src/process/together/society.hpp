// Society: what processes of one runtime know of each other: links, monitors, names. The rules are in weft/link.hpp and weft/runtime.hpp.
//
// All functions may be called from any thread, with no lock held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "process/table.hpp"
#include "process/together/budget.hpp"
#include "process/together/peer.hpp"
#include "process/together/shareable.hpp"
#include "weft/error.hpp"
#include "weft/grant.hpp"
#include "weft/process.hpp"

namespace weft {
struct TopicOptions;
namespace detail {
class LockState;
class RegionState;
class SubscriptionState;
class TopicState;
}  // namespace detail
}  // namespace weft

namespace weft::process {

using StateRef = std::shared_ptr<Process::State>;

class Society {
 public:
  static constexpr std::size_t kNameBytesMax = 255;
  static constexpr std::size_t kNamesOfOneMax = 16;

  explicit Society(Table& table) : table_(table) {}
  Society(const Society&) = delete;
  Society& operator=(const Society&) = delete;

  Result<void> link(Process::State& one, Process::State& other);
  bool unlink(Process::State& one, ProcessId other);
  void trap_exits(Process::State& process, bool traps);

  // Of a number that no process has any more, or never had, the message comes at once.
  Result<MonitorId> monitor(Process::State& watcher, ProcessId target);
  bool demonitor(Process::State& watcher, MonitorId id, bool flush);
  MonitorId monitor(const StateRef& target, Watcher watcher);
  static bool demonitor_host(Process::State& target, MonitorId id);

  // The bound on names, set once.
  void set_names_max(std::size_t max) { names_max_ = max; }
  // kBadArgument, kExhausted, kNotFound: it has ended. Taken: kBadArgument, and `taken` is set, if given.
  Result<void> register_name(std::string_view name, Process::State& process, bool* taken = nullptr);
  // With an owner: only if it is theirs.
  bool unregister_name(std::string_view name, ProcessId owner_or_zero = 0);
  ProcessId whereis(std::string_view name) const;  // 0: nobody
  std::size_t names() const;

  // Locks and topics by name: see weft/process_lock.hpp and weft/topic.hpp.
  Result<std::shared_ptr<detail::LockState>> open_lock(std::string_view name, std::uint32_t permits);
  std::size_t publish(std::string_view topic, ProcessId publisher, const Bytes& bytes) const;
  Result<std::shared_ptr<detail::SubscriptionState>> subscribe(std::string_view topic, const TopicOptions& options);

  // Shared regions: see weft/shared_region.hpp. `maker`, if there is one, pays for what is made. kBadArgument, kExhausted, kNotFound: the maker has ended.
  using RegionResult = Result<std::shared_ptr<detail::RegionState>>;
  RegionResult make_region(std::uint64_t bytes, Process::State* maker);
  RegionResult open_region(std::string_view name, std::uint64_t bytes, Process::State* maker = nullptr);
  // The bound on all of them, set once.
  void set_regions_bytes_max(std::uint64_t max);
  std::uint64_t region_bytes() const;

  // For a channel of so many bytes that the process makes: keep it with the channel, and it is given back with that. Null: the process may not make so much more.
  std::shared_ptr<const void> pay_for_channel(Process::State& maker, std::uint64_t bytes);
  std::uint64_t channel_bytes() const { return channels_->used(); }

  // Handles of guests. A number from 1, the same for the same thing; or -errno. Of one type there may be `same_max`.
  static constexpr std::size_t kHandlesMax = 256;
  static std::int32_t add_handle(Process::State& process, std::shared_ptr<Shareable> what, std::size_t same_max = kHandlesMax);
  static std::shared_ptr<Shareable> find_handle(Process::State& process, std::int32_t handle);
  // Gives it up, and the name under which it was granted. 0 or an errno: it may not be dropped, or there is none.
  static std::int32_t drop_handle(Process::State& process, std::int32_t handle);

  // Things that a process was given under names: weft/grant.hpp.
  static constexpr std::size_t kGrantsMax = 256;
  // kBadArgument, before anything is done.
  static Result<void> check_grants(const std::vector<Grant>& grants);
  // To a process that has just been made. They were checked.
  static void give_grants(Process::State& process, std::vector<Grant> grants);
  // The handle of what it was granted under that name, or -errno.
  static std::int32_t granted(Process::State& process, std::string_view name);
  // 0 or an errno.
  static std::int32_t grant(Process::State& to, std::string_view name, std::shared_ptr<Shareable> what);

  // By the Process::State. First the process leaves: its mailbox closes, its names and handles go. Once its status is there, others are told.
  Bereaved leave(Process::State& process);
  void tell(const StateRef& process, Bereaved bereaved, const ExitStatus& status);

 private:
  void tell_linked(Process::State& ended, ProcessId other, const std::shared_ptr<const ExitReason>& reason, const std::string& by);
  void tell_watcher(Process::State& ended, MonitorId id, ProcessId watcher, const std::shared_ptr<const ExitReason>& reason);

  Table& table_;
  ByName<detail::LockState> locks_;
  ByName<detail::TopicState> topics_;
  ByName<detail::RegionState> regions_by_name_;
  std::shared_ptr<Budget> regions_;
  const std::shared_ptr<Budget> channels_ = std::make_shared<Budget>(UINT64_MAX);  // counted only
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
