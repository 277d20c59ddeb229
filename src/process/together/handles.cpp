// Handles of guests: numbers from 1, each process its own, at most kHandlesMax. And what processes were granted by name.
#include <algorithm>
#include <string>
#include <typeinfo>
#include <unordered_set>
#include <utility>
#include <variant>

#include "process/state.hpp"
#include "process/together/channel_end.hpp"
#include "process/together/guest_calls.hpp"
#include "process/together/region.hpp"
#include "process/together/society.hpp"

namespace weft::process {

std::int32_t Society::add_handle(Process::State& process, std::shared_ptr<Shareable> what, std::size_t same_max) {
  Peer* const peer = process.peer();
  if (peer == nullptr) return -wasi::kNoProcess;
  base::Lock lock(peer->mutex);
  if (peer->ended) return -wasi::kNoProcess;
  std::size_t same = 0;
  const Shareable& added = *what;
  for (const auto& [handle, known] : peer->handles) {
    if (known == what) return handle;
    const Shareable& other = *known;
    if (typeid(other) == typeid(added)) ++same;
  }
  if (same >= same_max || peer->handles.size() >= kHandlesMax) return -wasi::kTooManyHandles;
  // Among the first kHandlesMax + 1 numbers one is free.
  std::int32_t handle = 1;
  while (peer->handles.contains(handle)) ++handle;
  peer->handles.emplace(handle, std::move(what));
  return handle;
}

std::shared_ptr<Shareable> Society::find_handle(Process::State& process, std::int32_t handle) {
  Peer* const peer = process.peer();
  if (peer == nullptr) return nullptr;
  base::Lock lock(peer->mutex);
  const auto found = peer->handles.find(handle);
  return found == peer->handles.end() ? nullptr : found->second;
}

std::int32_t Society::drop_handle(Process::State& process, std::int32_t handle) {
  Peer* const peer = process.peer();
  if (peer == nullptr) return wasi::kBadHandle;
  std::shared_ptr<Shareable> gone;  // destroyed outside of the lock
  std::shared_ptr<Shareable> granted;
  base::Lock lock(peer->mutex);
  const auto found = peer->handles.find(handle);
  if (found == peer->handles.end()) return wasi::kBadHandle;
  if (!found->second->may_be_dropped()) return wasi::kNotPermitted;
  gone = std::move(found->second);
  peer->handles.erase(found);
  const auto name = std::ranges::find(peer->grants, gone, [](const auto& one) { return one.second; });
  if (name != peer->grants.end()) {
    granted = std::move(name->second);
    peer->grants.erase(name);
  }
  return 0;
}

// ---- grants ----

namespace {

bool is_grant_name(std::string_view name) { return !name.empty() && name.size() <= Society::kNameBytesMax; }

std::shared_ptr<Shareable> shareable_of(const Sender& sender) { return std::make_shared<ChannelEnd>(sender); }
std::shared_ptr<Shareable> shareable_of(const Receiver& receiver) { return std::make_shared<ChannelEnd>(receiver); }
std::shared_ptr<Shareable> shareable_of(const SharedRegion& region) { return region.state(); }

}  // namespace

Result<void> Society::check_grants(const std::vector<Grant>& grants) {
  if (grants.size() > kGrantsMax) {
    return fail(ErrorKind::kBadArgument,
                std::to_string(grants.size()) + " grants: a process can have " + std::to_string(kGrantsMax));
  }
  std::unordered_set<std::string_view> names;
  for (const Grant& grant : grants) {
    if (!is_grant_name(grant.name)) {
      return fail(ErrorKind::kBadArgument,
                  "a grant's name has 1 to " + std::to_string(kNameBytesMax) + " bytes, not " + std::to_string(grant.name.size()));
    }
    if (!names.insert(grant.name).second) return fail(ErrorKind::kBadArgument, "two grants have the name " + grant.name);
    if (!std::visit([](const auto& what) { return static_cast<bool>(what); }, grant.what)) {
      return fail(ErrorKind::kBadArgument, "the grant " + grant.name + " is empty: it belongs to no channel and to no region");
    }
  }
  return {};
}

void Society::give_grants(Process::State& process, std::vector<Grant> grants) {
  if (grants.empty()) return;
  Peer* const peer = process.peer();
  for (Grant& grant : grants) {
    std::shared_ptr<Shareable> what = std::visit([](const auto& one) { return shareable_of(one); }, grant.what);
    base::Lock lock(peer->mutex);
    peer->grants.emplace(std::move(grant.name), std::move(what));
  }
}

std::int32_t Society::granted(Process::State& process, std::string_view name) {
  Peer* const peer = process.peer();
  if (peer == nullptr) return -wasi::kNotFound;
  std::shared_ptr<Shareable> what;
  {
    base::Lock lock(peer->mutex);
    const auto found = peer->grants.find(name);
    if (found == peer->grants.end()) return -wasi::kNotFound;
    what = found->second;
  }
  return add_handle(process, std::move(what));
}

std::int32_t Society::grant(Process::State& to, std::string_view name, std::shared_ptr<Shareable> what) {
  if (!is_grant_name(name) || !what->may_be_granted()) return wasi::kInvalid;
  Peer* const peer = to.peer();
  if (peer == nullptr) return wasi::kNoProcess;
  if (std::shared_ptr<Shareable> another = what->for_another()) what = std::move(another);
  base::Lock lock(peer->mutex);
  if (peer->ended) return wasi::kNoProcess;
  if (peer->grants.contains(name)) return wasi::kExists;
  if (peer->grants.size() >= kGrantsMax) return wasi::kNoSpace;
  peer->grants.emplace(name, std::move(what));
  return 0;
}

}  // namespace weft::process
