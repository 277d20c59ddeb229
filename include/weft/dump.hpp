// What all tasks are doing: the answer to "why does it hang". Plain data, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weft/process.hpp"
#include "weft/units.hpp"

namespace weft {

struct TaskDump {
  std::uint64_t task_id = 0;
  std::uint64_t process_id = 0;  // 0: a task of the host
  std::uint32_t thread_id = 0;   // of a guest; 0 is its first thread
  std::string name{};
  std::string state{};        // "queued", "running", "parked"
  std::string reason{};       // parked: what for ("sleep", "wasi fd_read", "process exit", …)
  std::uint64_t address = 0;  // parked on a word of the guest's memory: which
  Duration since{0};          // in that state
  Duration cpu_time{0};
  std::uint64_t switches = 0;
  std::uint64_t preemptions = 0;
  std::uint8_t priority = 0;
  std::vector<Frame> stack{};  // of the guest, innermost first; empty when not asked for or not to be had
};

// One task a paragraph, for people. The JSON form is an array of objects with the field names above, durations in nanoseconds.
std::string to_text(const std::vector<TaskDump>& tasks);
std::string to_json(const std::vector<TaskDump>& tasks);

}  // namespace weft
