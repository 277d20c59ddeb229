// Signs of life: guests call weft.alive (import module "weft"), and whoever did not in time is found.
//
//   Beats beats;                                        // a shared one; options.host gets its function
//   beats.watch(process.id(), "cart", health);          // main thread, when it has started
//   for (const Beats::Late& late : beats.take_late(now)) kill it
//
// beat(): any thread. The others: one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/up/manifest.hpp"
#include "weft/process.hpp"

namespace weft::cli {

class Beats {
 public:
  using Clock = std::chrono::steady_clock;

  void beat(ProcessId process);

  void watch(ProcessId process, std::string path, const ManifestHealth& health);
  void forget(ProcessId process);

  struct Late {
    ProcessId process = 0;
    std::string path;
    Duration bound{0};  // that it has missed
  };
  // Those that are late, each once.
  std::vector<Late> take_late();
  // When the next one would be late if it stayed silent.
  std::optional<Clock::time_point> next_deadline() const;

 private:
  struct Watched {
    std::string path;
    ManifestHealth health;
    Clock::time_point last;  // beat, or its start
    bool has_beaten = false;
    Duration bound() const { return has_beaten ? health.interval : health.start.value_or(health.interval); }
    Clock::time_point deadline() const;
  };

  mutable std::mutex mutex_;
  std::unordered_map<ProcessId, Watched> watched_;  // under mutex_
};

}  // namespace weft::cli
