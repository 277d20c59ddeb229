// Table: which processes live. Gives ids, bounds their number, and finds them for shutdown and dumps. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/atomic.hpp"
#include "weft/process.hpp"

namespace weft::process {

class Table {
 public:
  explicit Table(std::uint64_t processes_max) : processes_max_(processes_max) {}

  // A place for one more process, or false at the bound. Each true is undone by one release().
  bool reserve();
  void release();

  ProcessId next_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  void add(ProcessId id, std::shared_ptr<Process::State> state);
  void remove(ProcessId id);
  std::vector<std::shared_ptr<Process::State>> all() const;

  std::uint64_t alive() const { return alive_.load(std::memory_order_relaxed); }
  std::uint64_t spawned() const { return next_id_.load(std::memory_order_relaxed) - 1; }
  std::uint64_t processes_max() const { return processes_max_; }

 private:
  static constexpr std::size_t kShards = 16;
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<ProcessId, std::shared_ptr<Process::State>> processes;  // under mutex
  };

  const std::uint64_t processes_max_;
  // Counters, written by whoever spawns or ends a process, read by anyone. They publish nothing, hence relaxed.
  base::atomic<std::uint64_t> alive_{0};
  base::atomic<std::uint64_t> next_id_{1};
  std::array<Shard, kShards> shards_;
};

}  // namespace weft::process
