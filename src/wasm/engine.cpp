#include "wasm/engine.hpp"

#include "base/thread_sanitizer.hpp"
#include "sched/task.hpp"
#include "wasm/call.hpp"
#include "wasm/call_host.hpp"

namespace weft::wasm {
namespace {

sched::Task& task_of(void* task) { return *static_cast<sched::Task*>(task); }
CallHost& host_of(void* process) { return *static_cast<CallHost*>(process); }

weft_decision to_abi(Decision decision) {
  switch (decision) {
    case Decision::kContinue:
      return WEFT_DECISION_CONTINUE;
    case Decision::kYield:
      return WEFT_DECISION_YIELD;
    case Decision::kStop:
      return WEFT_DECISION_STOP;
  }
  return WEFT_DECISION_STOP;
}

weft_futex_poll to_abi(FutexAnswer answer) {
  switch (answer) {
    case FutexAnswer::kWoken:
      return WEFT_FUTEX_POLL_WOKEN;
    case FutexAnswer::kNotEqual:
      return WEFT_FUTEX_POLL_NOT_EQUAL;
    case FutexAnswer::kTimedOut:
      return WEFT_FUTEX_POLL_TIMED_OUT;
    case FutexAnswer::kPending:
      return WEFT_FUTEX_POLL_PENDING;
  }
  return WEFT_FUTEX_POLL_WOKEN;
}

weft_hooks hooks() {
  weft_hooks table{};
  // A stored waker goes from the worker to a thread of Tokio's through Tokio's own locks.
  table.task_wake = [](void* task) {
    base::taken_over(task);
    task_of(task).wake();
  };
  table.task_retain = [](void* task) {
    task_of(task).retain();
    base::handed_over(task);
  };
  table.task_release = [](void* task) {
    base::taken_over(task);
    task_of(task).release();
  };
  table.epoch = [](void* process) { return to_abi(host_of(process).epoch()); };
  table.spinning = [](void* process) { host_of(process).spinning(); };
  table.yield_now = [](void* process) { host_of(process).yield_now(); };
  table.write = [](void* process, std::uint32_t stream, const std::uint8_t* data, std::size_t size) {
    return host_of(process).write(stream, std::as_bytes(std::span(data, size)));
  };
  table.write_ready = [](void* process, std::uint32_t stream, void* task) {
    return host_of(process).write_ready(stream, static_cast<sched::Task*>(task));
  };
  table.read = [](void* process, std::uint8_t* buffer, std::size_t capacity, void* task) {
    return host_of(process).read(std::as_writable_bytes(std::span(buffer, capacity)), static_cast<sched::Task*>(task));
  };
  table.sleep = [](void* process, std::uint64_t deadline_ns, void* task, void** op) {
    return host_of(process).sleep(deadline_ns, static_cast<sched::Task*>(task), op) ? WEFT_POLL_READY : WEFT_POLL_PENDING;
  };
  table.sleep_drop = [](void* process, void* op) { host_of(process).sleep_drop(op); };
  table.futex_wait = [](void* process, const weft_futex_wait* wait, void*, void** op) {
    // On a guest's stack, which goes from call to call through the engine's pool.
    FutexWait passed;
    base::taken_over(&passed);
    passed = {.address = wait->address,
              .guest_address = wait->guest_address,
              .bytes = wait->bytes,
              .expected = wait->expected,
              .timeout_ns = wait->timeout_ns};
    const FutexAnswer answer = host_of(process).futex_wait(passed, op);
    base::handed_over(&passed);
    return to_abi(answer);
  };
  table.futex_drop = [](void* process, void* op) { host_of(process).futex_drop(op); };
  table.futex_notify = [](void* process, const void* address, std::uint32_t count) {
    return host_of(process).futex_notify(address, count);
  };
  table.thread_spawn = [](void* process, std::int32_t argument) { return host_of(process).spawn_thread(argument); };
  table.strand_finished = [](void* process, std::uint64_t token, const weft_val* results, std::size_t size, weft_error* error) {
    if (error != nullptr) {
      host_of(process).strand_finished(token, std::unexpected(take_error(error)));
      return;
    }
    std::vector<Value> values;
    for (const weft_val& value : std::span(results, size)) values.push_back(from_abi(value));
    host_of(process).strand_finished(token, std::move(values));
  };
  return table;
}

ErrorKind kind_of(weft_error_code code) {
  switch (code) {
    case WEFT_ERROR_CODE_INTERNAL:
      return ErrorKind::kInternal;
    case WEFT_ERROR_CODE_INVALID_MODULE:
      return ErrorKind::kInvalidModule;
    case WEFT_ERROR_CODE_UNSUPPORTED_FEATURE:
      return ErrorKind::kUnsupportedFeature;
    case WEFT_ERROR_CODE_MISSING_IMPORT:
      return ErrorKind::kMissingImport;
    case WEFT_ERROR_CODE_NO_ENTRY_POINT:
      return ErrorKind::kNoEntryPoint;
    case WEFT_ERROR_CODE_BAD_ARGUMENT:
      return ErrorKind::kBadArgument;
    case WEFT_ERROR_CODE_NOT_PRECOMPILED_FOR_THIS_ENGINE:
      return ErrorKind::kIncompatible;
    case WEFT_ERROR_CODE_RESOURCE_EXHAUSTED:
      return ErrorKind::kExhausted;
    case WEFT_ERROR_CODE_IO:
      return ErrorKind::kIo;
    case WEFT_ERROR_CODE_HOST:
      return ErrorKind::kInternal;
  }
  return ErrorKind::kInternal;
}

}  // namespace

Error take_error(weft_error* error) {
  Error taken{kind_of(weft_error_kind(error)), std::string(from_abi(weft_error_message(error))),
              std::string(from_abi(weft_error_detail(error)))};
  weft_error_free(error);
  return taken;
}

Result<std::unique_ptr<Engine>> Engine::create(const EngineConfig& config) {
  weft_engine_config abi;
  weft_engine_config_default(&abi);
  abi.hooks = hooks();
  abi.cache_directory = wasm::to_abi(config.cache_directory);
  abi.fuel = config.fuel;
  abi.epochs = config.epochs;
  abi.fibers = config.fibers == Fibers::kAsync ? WEFT_FIBERS_ASYNC : WEFT_FIBERS_CONTINUATIONS;
  abi.strands = config.strands;
  abi.strands_preemptive = config.strands_preemptive;
  abi.strands_max = config.strands_max;
  abi.strand_stack_bytes = config.strand_stack_bytes;
  abi.slots_max = config.slots_max;
  abi.thread_slots_max = config.thread_slots_max;
  abi.memory_reservation_bytes = config.memory_reservation_bytes;
  abi.memory_bytes_max = config.memory_bytes_max;
  abi.stack_bytes = config.stack_bytes;
  abi.blocking_threads_max = config.blocking_threads_max;
  weft_engine* raw = nullptr;
  if (weft_error* error = weft_engine_new(&abi, &raw)) return std::unexpected(take_error(error));
  return std::unique_ptr<Engine>(new Engine(raw));
}

Engine::~Engine() { weft_engine_free(raw_); }

std::string Engine::warning() const { return std::string(from_abi(weft_engine_warning(raw_))); }

std::string_view Engine::version() noexcept { return from_abi(weft_engine_version()); }

}  // namespace weft::wasm
