#include "cli/up/session/beats.hpp"

#include <algorithm>
#include <utility>

namespace weft::cli {

namespace {

// A bound of years must not overflow the clock.
Beats::Clock::time_point after(Beats::Clock::time_point from, Duration bound) {
  return from + std::min<Duration>(bound, std::chrono::hours(24 * 365));
}

}  // namespace

Beats::Clock::time_point Beats::Watched::deadline() const { return after(last, bound()); }

void Beats::Watched::look(Clock::time_point now) {
  if (const Heartbeat beat = process.heartbeat(); beat.beats != 0) {
    has_beaten = true;
    last = now - beat.silent;
  }
  // Once it has beaten its bound is the interval, however long its start may take.
  look_at = std::min(deadline(), after(now, health.interval));
}

void Beats::watch(Process process, std::string path, const ManifestHealth& health) {
  const ProcessId id = process.id();
  const Clock::time_point now = Clock::now();
  Watched watched{std::move(process), std::move(path), health, now, now};
  watched.look(now);
  watched_.insert_or_assign(id, std::move(watched));
}

void Beats::forget(ProcessId process) { watched_.erase(process); }

std::vector<Beats::Late> Beats::take_late() {
  const Clock::time_point now = Clock::now();
  std::vector<Late> late;
  for (auto each = watched_.begin(); each != watched_.end();) {
    Watched& watched = each->second;
    if (now >= watched.look_at) watched.look(now);
    if (now < watched.deadline()) {
      ++each;
      continue;
    }
    late.push_back({each->first, std::move(watched.path), watched.bound()});
    each = watched_.erase(each);
  }
  return late;
}

std::optional<Beats::Clock::time_point> Beats::next_deadline() const {
  std::optional<Clock::time_point> next;
  for (const auto& [process, watched] : watched_) next = next ? std::min(*next, watched.look_at) : watched.look_at;
  return next;
}

}  // namespace weft::cli
