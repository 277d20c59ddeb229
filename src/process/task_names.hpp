// Names of tasks, kept beyond their end for whoever reads a trace. Bounded; any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "weft/trace.hpp"

namespace weft::process {

class TaskNames {
 public:
  void add(std::uint64_t task_id, std::uint64_t process_id, std::string name) {
    std::lock_guard lock(mutex_);
    if (names_.size() < kNamesMax) names_.push_back({task_id, process_id, std::move(name)});
  }
  std::vector<Trace::TaskName> all() const {
    std::lock_guard lock(mutex_);
    return names_;
  }

 private:
  static constexpr std::size_t kNamesMax = 1'000'000;
  mutable std::mutex mutex_;
  std::vector<Trace::TaskName> names_;  // under mutex_
};

}  // namespace weft::process
