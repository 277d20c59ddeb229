#include "weft/dump.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "weft/process.hpp"

namespace weft {
namespace {

std::string describe(const Frame& frame) {
  std::string text = frame.function.empty() ? fmt::format("function {}", frame.function_index) : frame.function;
  if (!frame.file.empty()) {
    text += fmt::format(" at {}:{}:{}", frame.file, frame.line, frame.column);
  } else {
    text += fmt::format(" in {}", frame.module);
    if (frame.offset != Frame::kNoOffset) text += fmt::format(" +{:#x}", frame.offset);
  }
  return text;
}

}  // namespace

std::string to_text(const std::vector<TaskDump>& tasks) {
  std::string text = fmt::format("{} task{}\n", tasks.size(), tasks.size() == 1 ? "" : "s");
  for (const TaskDump& task : tasks) {
    text += fmt::format("\ntask {}", task.task_id);
    if (task.process_id != 0) text += fmt::format(", process {}", task.process_id);
    if (task.thread_id != 0) text += fmt::format(", thread {}", task.thread_id);
    if (!task.name.empty()) text += fmt::format(" ({})", task.name);
    text += fmt::format(": {}", task.state);
    if (!task.reason.empty()) text += fmt::format(" in {}", task.reason);
    if (task.address != 0) text += fmt::format(" on {:#x}", task.address);
    text += fmt::format(" for {}; priority {}, cpu {}, {} switches, {} preemptions\n", format_duration(task.since), task.priority,
                        format_duration(task.cpu_time), task.switches, task.preemptions);
    for (std::size_t index = 0; index < task.stack.size(); ++index)
      text += fmt::format("  {:>3}: {}\n", index, describe(task.stack[index]));
  }
  return text;
}

std::string to_json(const std::vector<TaskDump>& tasks) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const TaskDump& task : tasks) {
    nlohmann::ordered_json stack = nlohmann::ordered_json::array();
    for (const Frame& frame : task.stack) {
      stack.push_back(
          {{"module", frame.module},
           {"function", frame.function},
           {"function_index", frame.function_index},
           {"offset", frame.offset == Frame::kNoOffset ? nlohmann::ordered_json() : nlohmann::ordered_json(frame.offset)},
           {"file", frame.file},
           {"line", frame.line},
           {"column", frame.column}});
    }
    array.push_back({{"task_id", task.task_id},
                     {"process_id", task.process_id},
                     {"thread_id", task.thread_id},
                     {"name", task.name},
                     {"state", task.state},
                     {"reason", task.reason},
                     {"address", task.address},
                     {"since", task.since.count()},
                     {"cpu_time", task.cpu_time.count()},
                     {"switches", task.switches},
                     {"preemptions", task.preemptions},
                     {"priority", task.priority},
                     {"stack", std::move(stack)}});
  }
  // Names come from guests: what is no UTF-8 is replaced, not refused.
  return array.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace weft
