#include "weft/trace.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "sched/trace.hpp"

namespace weft {

static_assert(static_cast<int>(TraceKind::kSpawn) == static_cast<int>(sched::TraceKind::kSpawn));
static_assert(static_cast<int>(TraceKind::kPark) == static_cast<int>(sched::TraceKind::kPark));
static_assert(static_cast<int>(TraceKind::kExit) == static_cast<int>(sched::TraceKind::kExit));
static_assert(TraceEvent::kOutside == sched::TraceEvent::kOutside);

std::string_view name_of(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::kSpawn:
      return "spawn";
    case TraceKind::kRun:
      return "run";
    case TraceKind::kYield:
      return "yield";
    case TraceKind::kPreempt:
      return "preempt";
    case TraceKind::kPark:
      return "park";
    case TraceKind::kWake:
      return "wake";
    case TraceKind::kSteal:
      return "steal";
    case TraceKind::kExit:
      return "exit";
  }
  return "unknown";
}

namespace {

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool ends_a_run(TraceKind kind) {
  return kind == TraceKind::kYield || kind == TraceKind::kPreempt || kind == TraceKind::kPark || kind == TraceKind::kExit;
}

// Writes the Trace Event Format: one thread a worker, one complete event a run, instants for the rest. Times in microseconds.
class Writer {
 public:
  Writer(const Trace& trace, std::FILE* file) : trace_(trace), file_(file) {
    for (const Trace::TaskName& name : trace.names) names_.emplace(name.task_id, &name);
  }

  void write() {
    put("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"producer\":\"weft\",\"dropped\":\"" + std::to_string(trace_.dropped) +
        "\"},\"traceEvents\":[\n");
    put(R"({"ph":"M","pid":1,"name":"process_name","args":{"name":"weft"}})");
    for (unsigned worker = 0; worker < trace_.workers; ++worker) thread_name(worker, fmt::format("worker {}", worker));
    thread_name(trace_.workers, "outside");
    // What each worker runs now: where its current run began in the list of events.
    std::vector<const TraceEvent*> running(trace_.workers, nullptr);
    start_ns_ = trace_.events.empty() ? 0 : trace_.events.front().time_ns;
    for (const TraceEvent& event : trace_.events) {
      const bool inside = event.worker < trace_.workers;
      if (event.kind == TraceKind::kRun && inside) {
        running[event.worker] = &event;
      } else if (ends_a_run(event.kind) && inside) {
        const TraceEvent* begun = running[event.worker];
        running[event.worker] = nullptr;
        // The beginning may have been dropped from a full buffer.
        if (begun != nullptr && begun->task_id == event.task_id) run(*begun, event);
      } else {
        instant(event);
      }
    }
    put("\n]}\n");
  }

 private:
  void put(const std::string& text) { (void)std::fwrite(text.data(), 1, text.size(), file_); }

  double microseconds(std::uint64_t ns) const { return static_cast<double>(ns) / 1000.0; }

  std::string name_of_task(std::uint64_t task_id) const {
    const auto found = names_.find(task_id);
    if (found == names_.end() || found->second->name.empty()) return fmt::format("task {}", task_id);
    if (found->second->process_id == 0) return found->second->name;
    return fmt::format("{} #{}", found->second->name, found->second->process_id);
  }

  void thread_name(unsigned thread, const std::string& name) {
    put(fmt::format(",\n{{\"ph\":\"M\",\"pid\":1,\"tid\":{},\"name\":\"thread_name\",\"args\":{{\"name\":{}}}}}", thread + 1,
                    json_text(name)));
  }

  void run(const TraceEvent& begun, const TraceEvent& ended) {
    put(fmt::format(
        ",\n{{\"ph\":\"X\",\"pid\":1,\"tid\":{},\"ts\":{:.3f},\"dur\":{:.3f},\"name\":{},\"args\":{{\"task\":{},\"end\":{}",
        begun.worker + 1, microseconds(begun.time_ns - start_ns_), microseconds(ended.time_ns - begun.time_ns),
        json_text(name_of_task(begun.task_id)), begun.task_id, json_text(name_of(ended.kind))));
    if (ended.kind == TraceKind::kPark && ended.reason != nullptr) put(",\"reason\":" + json_text(ended.reason));
    put("}}");
  }

  void instant(const TraceEvent& event) {
    const unsigned thread = event.worker < trace_.workers ? event.worker + 1 : trace_.workers + 1;
    put(fmt::format(
        ",\n{{\"ph\":\"i\",\"s\":\"t\",\"pid\":1,\"tid\":{},\"ts\":{:.3f},\"name\":{},\"args\":{{\"task\":{},\"of\":{}}}}}", thread,
        microseconds(event.time_ns - start_ns_), json_text(name_of(event.kind)), event.task_id,
        json_text(name_of_task(event.task_id))));
  }

  const Trace& trace_;
  std::FILE* file_;
  std::uint64_t start_ns_ = 0;
  std::unordered_map<std::uint64_t, const Trace::TaskName*> names_;
};

}  // namespace

Result<void> Trace::write_json(const std::filesystem::path& path) const {
  const auto failed = [&](int failure) {
    return fail(ErrorKind::kIo,
                "the trace cannot be written to " + path.string() + ": " + std::generic_category().message(failure));
  };
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return failed(errno);
  Writer(*this, file).write();
  const bool bad = std::ferror(file) != 0;
  const int failure = errno;
  if (std::fclose(file) != 0) return failed(errno);
  if (bad) return failed(failure);
  return {};
}

}  // namespace weft
