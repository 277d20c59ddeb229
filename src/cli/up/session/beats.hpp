// Signs of life: guests call weft.alive, and whoever did not in time is found.
//
//   Beats beats;
//   beats.watch(process, "cart", health);               // when it has started
//   for (const Beats::Late& late : beats.take_late()) kill it
//
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/up/manifest/manifest.hpp"
#include "weft/process.hpp"

namespace weft::cli {

class Beats {
 public:
  using Clock = std::chrono::steady_clock;

  void watch(Process process, std::string path, const ManifestHealth& health);
  void forget(ProcessId process);

  struct Late {
    ProcessId process = 0;
    std::string path;
    Duration bound{0};  // that it has missed
  };
  // Those that are late, each once.
  std::vector<Late> take_late();
  // When one may be late: take_late() looks then.
  std::optional<Clock::time_point> next_deadline() const;

 private:
  struct Watched {
    Process process;
    std::string path;
    ManifestHealth health;
    Clock::time_point last;     // beat that is known of, or its start
    Clock::time_point look_at;  // when a look is worth while
    bool has_beaten = false;
    Duration bound() const { return has_beaten ? health.interval : health.start.value_or(health.interval); }
    Clock::time_point deadline() const;
    void look(Clock::time_point now);
  };

  std::unordered_map<ProcessId, Watched> watched_;
};

}  // namespace weft::cli
