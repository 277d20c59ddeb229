// Handles of guests: numbers from 1, each process its own, at most kHandlesMax.
#include "process/state.hpp"
#include "process/together/guest_calls.hpp"
#include "process/together/society.hpp"

namespace weft::process {

std::int32_t Society::add_handle(Process::State& process, std::shared_ptr<Shareable> what) {
  Peer* const peer = process.peer();
  if (peer == nullptr) return -wasi::kNoProcess;
  base::Lock lock(peer->mutex);
  if (peer->ended) return -wasi::kNoProcess;
  for (const auto& [handle, known] : peer->handles) {
    if (known == what) return handle;
  }
  if (peer->handles.size() >= kHandlesMax) return -wasi::kTooManyHandles;
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

bool Society::remove_handle(Process::State& process, std::int32_t handle) {
  Peer* const peer = process.peer();
  if (peer == nullptr) return false;
  std::shared_ptr<Shareable> gone;  // destroyed outside of the lock
  base::Lock lock(peer->mutex);
  const auto found = peer->handles.find(handle);
  if (found == peer->handles.end()) return false;
  gone = std::move(found->second);
  peer->handles.erase(found);
  return true;
}

}  // namespace weft::process
