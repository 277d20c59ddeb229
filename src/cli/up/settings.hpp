// What `weft up` and the commands that talk to it are asked. Part of Settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "weft/units.hpp"

namespace weft::cli {

enum class TopOrder : std::uint8_t { kTree, kCpu, kMemory, kRestarts };

struct UpSettings {
  // weft up
  bool check = false;   // only read the manifest
  bool schema = false;  // only print the schema
  bool plain = false;   // no table
  std::string metrics;  // loopback address and port; empty: none

  // ps, top, kill, restart, logs, events
  std::string system;  // a name, or the path of a manifest; empty: the only one that runs
  bool follow = false;
  std::optional<std::uint64_t> lines;
  TopOrder order = TopOrder::kCpu;
  Duration every = std::chrono::seconds(1);
  std::optional<std::uint64_t> times;
};

}  // namespace weft::cli
