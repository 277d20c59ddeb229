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

// A bound on how many of something there are.
class Places {
 public:
  explicit Places(std::uint64_t max) : max_(max) {}

  // A place for one more, or false at the bound. Each true is undone by one release().
  bool reserve();
  void release() { taken_.fetch_sub(1, std::memory_order_relaxed); }
  std::uint64_t taken() const { return taken_.load(std::memory_order_relaxed); }
  std::uint64_t max() const { return max_; }

 private:
  const std::uint64_t max_;
  // Writers: reserve and release, any thread; readers: anyone. A count that publishes nothing, hence relaxed.
  base::atomic<std::uint64_t> taken_{0};
};

class Table {
 public:
  explicit Table(std::uint64_t processes_max) : places_(processes_max) {}

  // See Places.
  bool reserve() { return places_.reserve(); }
  void release() { places_.release(); }

  ProcessId next_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  void add(ProcessId id, std::shared_ptr<Process::State> state);
  void remove(ProcessId id);
  std::shared_ptr<Process::State> find(ProcessId id) const;  // null: it has ended, or never was
  std::vector<std::shared_ptr<Process::State>> all() const;

  std::uint64_t alive() const { return places_.taken(); }
  std::uint64_t spawned() const { return next_id_.load(std::memory_order_relaxed) - 1; }
  std::uint64_t processes_max() const { return places_.max(); }

 private:
  static constexpr std::size_t kShards = 16;
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<ProcessId, std::shared_ptr<Process::State>> processes;  // under mutex
  };

  Places places_;
  // Writer: whoever spawns a process; readers: anyone. Publishes nothing, hence relaxed.
  base::atomic<std::uint64_t> next_id_{1};
  std::array<Shard, kShards> shards_;
};

}  // namespace weft::process
