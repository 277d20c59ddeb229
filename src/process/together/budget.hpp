// How many bytes of something somebody may have made: a process, all of a runtime. Outlives its owner as long as anything that was paid from it does. Any thread.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft::process {

class Budget {
 public:
  // Each thing is paid for by its bytes and this much for what goes with it.
  static constexpr std::uint64_t kOverheadBytes = 4096;

  explicit Budget(std::uint64_t max) : max_(max) {}
  // All or nothing.
  bool take(std::uint64_t bytes) {
    std::uint64_t used = used_.load(std::memory_order_relaxed);
    do {
      if (used > max_ || bytes > max_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  void give_back(std::uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t max() const { return max_; }

 private:
  const std::uint64_t max_;
  // Writers: whoever makes or frees something. A count that publishes nothing, hence relaxed.
  base::atomic<std::uint64_t> used_{0};
};

}  // namespace weft::process
