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
  std::string name{};
  std::string state{};   // "queued", "running", "parked"
  std::string reason{};  // parked: what for ("sleep", "wasi fd_read", "process exit", …)
  Duration since{0};     // in that state
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
