#include "process/table.hpp"

namespace weft::process {

bool Places::reserve() {
  std::uint64_t taken = taken_.load(std::memory_order_relaxed);
  do {
    if (taken >= max_) return false;
  } while (!taken_.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed));
  return true;
}

void Table::add(ProcessId id, std::shared_ptr<Process::State> state) {
  Shard& shard = shards_[id % kShards];
  std::lock_guard lock(shard.mutex);
  shard.processes.emplace(id, std::move(state));
}

void Table::remove(ProcessId id) {
  std::shared_ptr<Process::State> removed;  // declared before the lock: the last reference may go here, outside it
  Shard& shard = shards_[id % kShards];
  std::lock_guard lock(shard.mutex);
  const auto found = shard.processes.find(id);
  if (found == shard.processes.end()) return;
  removed = std::move(found->second);
  shard.processes.erase(found);
}

std::shared_ptr<Process::State> Table::find(ProcessId id) const {
  const Shard& shard = shards_[id % kShards];
  std::lock_guard lock(shard.mutex);
  const auto found = shard.processes.find(id);
  return found == shard.processes.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Process::State>> Table::all() const {
  std::vector<std::shared_ptr<Process::State>> all;
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (const auto& [id, state] : shard.processes) all.push_back(state);
  }
  return all;
}

}  // namespace weft::process
