// Intensity: at most N restarts within a period. Pure; O(1) a restart on average.
//
//   if (!intensity.add(now_ns)) give_up();
#pragma once

#include <cstdint>
#include <deque>

#include "weft/units.hpp"

namespace weft::supervise {

class Intensity {
 public:
  // Below 0: no limit.
  Intensity(std::int64_t restarts_max, Duration period)
      : restarts_max_(restarts_max), period_ns_(static_cast<std::uint64_t>(period.count())) {}

  // Counts a restart; false: it is one too many. One that lies exactly a period back still counts, as in OTP's add_restart.
  bool add(std::uint64_t now_ns) {
    if (restarts_max_ < 0) return true;
    restarts_ns_.push_back(now_ns);
    while (now_ns - restarts_ns_.front() > period_ns_) restarts_ns_.pop_front();
    return restarts_ns_.size() <= static_cast<std::uint64_t>(restarts_max_);
  }

 private:
  const std::int64_t restarts_max_;
  const std::uint64_t period_ns_;
  std::deque<std::uint64_t> restarts_ns_;  // those within the period, oldest first; at most restarts_max_ + 1
};

}  // namespace weft::supervise
