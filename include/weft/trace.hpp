// What each worker ran when: for Perfetto (https://ui.perfetto.dev) and for tests.
//
//   runtime.trace().write_json(path);
//
// A process that has just ended may not have its last event in it yet; all are there once the runtime has shut down.
// Recording costs a few nanoseconds an event and is bounded: when a worker's buffer is full the oldest events go, and are counted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "weft/error.hpp"

namespace weft {

enum class TraceKind : std::uint8_t { kSpawn, kRun, kYield, kPreempt, kPark, kWake, kSteal, kExit };
std::string_view name_of(TraceKind kind) noexcept;

struct TraceEvent {
  std::uint64_t time_ns = 0;  // monotonic
  std::uint64_t task_id = 0;
  std::uint32_t worker = 0;  // kOutside: by a thread that is no worker
  TraceKind kind = TraceKind::kRun;
  const char* reason = nullptr;  // kPark: what for; static text
  static constexpr std::uint32_t kOutside = 0xffff'ffff;
};

struct Trace {
  std::vector<TraceEvent> events{};  // by time
  std::uint64_t dropped = 0;         // lost to full buffers
  unsigned workers = 0;
  struct TaskName {
    std::uint64_t task_id = 0;
    std::uint64_t process_id = 0;
    std::string name{};
  };
  std::vector<TaskName> names{};

  // The Trace Event Format that Perfetto and Chrome read. kIo with the path and the reason.
  Result<void> write_json(const std::filesystem::path& path) const;
};

}  // namespace weft
