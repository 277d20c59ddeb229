#include "cli/up/beats.hpp"

#include <algorithm>
#include <utility>

namespace weft::cli {

Beats::Clock::time_point Beats::Watched::deadline() const {
  // A bound of years must not overflow the clock.
  return last + std::min<Duration>(bound(), std::chrono::hours(24 * 365));
}

void Beats::beat(ProcessId process) {
  const Clock::time_point now = Clock::now();
  const std::lock_guard lock(mutex_);
  const auto found = watched_.find(process);
  if (found == watched_.end()) return;
  found->second.last = now;
  found->second.has_beaten = true;
}

void Beats::watch(ProcessId process, std::string path, const ManifestHealth& health) {
  const std::lock_guard lock(mutex_);
  watched_.insert_or_assign(process, Watched{std::move(path), health, Clock::now()});
}

void Beats::forget(ProcessId process) {
  const std::lock_guard lock(mutex_);
  watched_.erase(process);
}

std::vector<Beats::Late> Beats::take_late() {
  const Clock::time_point now = Clock::now();
  std::vector<Late> late;
  const std::lock_guard lock(mutex_);
  for (auto each = watched_.begin(); each != watched_.end();) {
    if (now < each->second.deadline()) {
      ++each;
      continue;
    }
    late.push_back({each->first, std::move(each->second.path), each->second.bound()});
    each = watched_.erase(each);
  }
  return late;
}

std::optional<Beats::Clock::time_point> Beats::next_deadline() const {
  const std::lock_guard lock(mutex_);
  std::optional<Clock::time_point> next;
  for (const auto& [process, watched] : watched_) next = next ? std::min(*next, watched.deadline()) : watched.deadline();
  return next;
}

}  // namespace weft::cli
