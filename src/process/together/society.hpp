// Society: what processes of one runtime have in common: links, monitors and names (kinship.hpp); locks, topics and regions by name; what guests hold by handles.
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
#include "process/together/kinship.hpp"
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

struct Processes {
  using Member = Process::State;
  using Table = process::Table;
  static void kill(Process::State& process, std::string_view by);
  static Process handle_of(StateRef process);
};
extern template class Kinship<Processes>;

class Society : public Kinship<Processes> {
 public:
  using Kinship::Kinship;

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

 private:
  ByName<detail::LockState> locks_;
  ByName<detail::TopicState> topics_;
  ByName<detail::RegionState> regions_by_name_;
  std::shared_ptr<Budget> regions_;
  const std::shared_ptr<Budget> channels_ = std::make_shared<Budget>(UINT64_MAX);  // counted only
};

}  // namespace weft::process
