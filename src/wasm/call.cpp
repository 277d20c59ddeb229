#include "wasm/call.hpp"

#include <cstring>

namespace weft::wasm {
namespace {

LimitKind limit_kind_of(weft_limit limit) {
  switch (limit) {
    case WEFT_LIMIT_NONE:
    case WEFT_LIMIT_MEMORIES:
    case WEFT_LIMIT_MEMORY:
      return LimitKind::kMemory;
    case WEFT_LIMIT_TABLES:
    case WEFT_LIMIT_TABLE:
      return LimitKind::kTableElements;
    case WEFT_LIMIT_INSTANCES:
      return LimitKind::kInstances;
    case WEFT_LIMIT_FUEL:
      return LimitKind::kFuel;
    case WEFT_LIMIT_STACK:
      return LimitKind::kStack;
    case WEFT_LIMIT_OUTPUT:
      return LimitKind::kOutput;
  }
  return LimitKind::kMemory;
}

}  // namespace

Value from_abi(const weft_val& value) {
  switch (value.kind) {
    case WEFT_VAL_KIND_I32:
      return value.of.i32;
    case WEFT_VAL_KIND_I64:
      return value.of.i64;
    case WEFT_VAL_KIND_F32:
      return value.of.f32;
    case WEFT_VAL_KIND_F64:
      return value.of.f64;
    case WEFT_VAL_KIND_V128: {
      Vector128 vector;
      std::memcpy(vector.data(), value.of.v128, sizeof value.of.v128);
      return vector;
    }
  }
  return std::int32_t{0};
}

weft_val to_abi(const Value& value) {
  weft_val abi{};
  switch (type_of(value)) {
    case ValueType::kI32:
      abi.kind = WEFT_VAL_KIND_I32;
      abi.of.i32 = std::get<std::int32_t>(value);
      break;
    case ValueType::kI64:
      abi.kind = WEFT_VAL_KIND_I64;
      abi.of.i64 = std::get<std::int64_t>(value);
      break;
    case ValueType::kF32:
      abi.kind = WEFT_VAL_KIND_F32;
      abi.of.f32 = std::get<float>(value);
      break;
    case ValueType::kF64:
      abi.kind = WEFT_VAL_KIND_F64;
      abi.of.f64 = std::get<double>(value);
      break;
    case ValueType::kV128:
      abi.kind = WEFT_VAL_KIND_V128;
      std::memcpy(abi.of.v128, std::get<Vector128>(value).data(), sizeof abi.of.v128);
      break;
  }
  return abi;
}

std::vector<Frame> frames_of(const weft_backtrace* backtrace) {
  std::vector<Frame> frames;
  if (backtrace == nullptr) return frames;
  const std::size_t size = weft_backtrace_size(backtrace);
  frames.reserve(size);
  for (std::size_t index = 0; index < size; ++index) {
    weft_frame frame;
    if (!weft_backtrace_frame(backtrace, index, &frame)) break;
    frames.push_back({.module = std::string(from_abi(frame.module)),
                      .function = std::string(from_abi(frame.function)),
                      .function_index = frame.function_index,
                      .offset = frame.offset,
                      .file = std::string(from_abi(frame.file)),
                      .line = frame.line,
                      .column = frame.column});
  }
  return frames;
}

Result<Call> Call::prepare(const Program& program, const CallConfig& config, CallHost& host) {
  weft_call_config abi;
  weft_call_config_default(&abi);
  abi.wasi = config.wasi != nullptr ? config.wasi->raw() : nullptr;
  abi.entry = to_abi(config.entry);
  std::vector<weft_val> values;
  for (const Value& value : config.values) values.push_back(to_abi(value));
  abi.args = values.data();
  abi.nargs = values.size();
  std::vector<weft_str> text_values;
  for (const std::string& value : config.text_values) text_values.push_back(to_abi(std::string_view(value)));
  abi.text_args = text_values.data();
  abi.ntext_args = text_values.size();
  const Limits& limits = *config.limits;
  abi.limits.memory_bytes = limits.memory_bytes.value_or(WEFT_UNLIMITED);
  abi.limits.table_elements = limits.table_elements.value_or(WEFT_UNLIMITED);
  abi.limits.instances = limits.instances.value_or(WEFT_UNLIMITED);
  abi.limits.fuel = limits.fuel.value_or(WEFT_UNLIMITED);
  abi.counters = config.counters;
  abi.resident = config.resident;
  abi.ignore_deadlock = config.ignore_deadlock;
  weft_call* raw = nullptr;
  if (weft_error* error = weft_call_new(program.raw(), &abi, &host, &raw)) return std::unexpected(take_error(error));
  return Call(raw);
}

Result<Call> Call::prepare_thread(const Call& parent, std::int32_t id, std::int32_t argument, weft_counters* counters,
                                  CallHost& host) {
  weft_call* raw = nullptr;
  if (weft_error* error = weft_call_new_thread(parent.raw_, id, argument, counters, &host, &raw)) {
    return std::unexpected(take_error(error));
  }
  return Call(raw);
}

Result<void> Call::spawn_strand(std::string_view function, std::span<const Value> arguments, std::uint64_t token) const {
  std::vector<weft_val> values;
  for (const Value& value : arguments) values.push_back(to_abi(value));
  if (weft_error* error = weft_call_spawn_strand(raw_, to_abi(function), values.data(), values.size(), token)) {
    return std::unexpected(take_error(error));
  }
  return {};
}

ExitStatus Call::outcome() const {
  weft_outcome abi;
  weft_call_outcome(raw_, &abi);
  ExitStatus status;
  status.message = std::string(from_abi(abi.message));
  status.backtrace = frames_of(abi.backtrace);
  switch (abi.kind) {
    case WEFT_OUTCOME_KIND_RETURNED:
      status.kind = ExitKind::kReturned;
      for (std::size_t index = 0; index < abi.results_size; ++index) status.results.push_back(from_abi(abi.results[index]));
      status.result_text = std::string(from_abi(abi.results_text));
      break;
    case WEFT_OUTCOME_KIND_EXITED:
      status.kind = ExitKind::kExited;
      status.code = abi.exit_code;
      break;
    case WEFT_OUTCOME_KIND_TRAPPED:
      status.kind = ExitKind::kTrapped;
      break;
    case WEFT_OUTCOME_KIND_STOPPED:
      status.kind = ExitKind::kKilled;
      break;
    case WEFT_OUTCOME_KIND_LIMIT:
      status.kind = ExitKind::kLimitReached;
      status.limit = LimitReached{limit_kind_of(abi.limit), abi.limit_value, abi.limit_asked};
      break;
    case WEFT_OUTCOME_KIND_DEADLOCKED:
      status.kind = ExitKind::kDeadlocked;
      break;
    case WEFT_OUTCOME_KIND_FAILED:
      status.kind = ExitKind::kFailed;
      if (abi.error != nullptr) {
        status.message = std::string(from_abi(weft_error_message(abi.error)));
        status.detail = std::string(from_abi(weft_error_detail(abi.error)));
      }
      break;
  }
  return status;
}

}  // namespace weft::wasm
