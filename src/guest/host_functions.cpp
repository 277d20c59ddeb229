#include "guest/host_functions.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/address_sanitizer.hpp"
#include "sync/task_context.hpp"
#include "wasm/call.hpp"
#include "wasm/call_host.hpp"

namespace weft {

void HostFunctions::add(Function function) {
  std::erase_if(functions_, [&](const Function& old) { return old.module == function.module && old.name == function.name; });
  functions_.push_back(std::move(function));
}

namespace guest {
namespace {

constexpr std::size_t kInlineValues = 8;

class GuestCaller final : public Caller {
 public:
  GuestCaller(weft_caller* raw, wasm::CallHost& host) : raw_(raw), host_(host) {}
  // For another poll of the call: the memory may have moved meanwhile.
  void renew(weft_caller* raw) {
    raw_ = raw;
    memory_.reset();
  }
  wasm::CallHost& host() const { return host_; }
  std::uint64_t process_id() const noexcept override { return host_.process_id(); }
  std::span<std::byte> memory() override {
    if (!memory_) {
      std::uint8_t* base = nullptr;
      std::size_t size = 0;
      const bool any = weft_caller_memory(raw_, &base, &size);
      memory_ = any ? std::as_writable_bytes(std::span(base, size)) : std::span<std::byte>();
    }
    return *memory_;
  }

 private:
  weft_caller* raw_;
  wasm::CallHost& host_;
  std::optional<std::span<std::byte>> memory_;  // asked for once: it is, several times, by most functions
};

// The arguments as values; without allocation for the usual few.
class Arguments {
 public:
  Arguments(const weft_val* args, std::size_t count) : count_(count) {
    if (count > kInlineValues) many_.resize(count);
    Value* values = count > kInlineValues ? many_.data() : few_.data();
    for (std::size_t index = 0; index < count; ++index) values[index] = wasm::from_abi(args[index]);
  }
  std::span<const Value> span() const { return {count_ > kInlineValues ? many_.data() : few_.data(), count_}; }

 private:
  std::size_t count_;
  std::array<Value, kInlineValues> few_;
  std::vector<Value> many_;
};

weft_error* to_abi_error(const Error& error) {
  return weft_error_new(WEFT_ERROR_CODE_HOST, wasm::to_abi(std::string_view(error.message)));
}

weft_error* store(const detail::HostResult& result, weft_val* results) {
  if (!result) return to_abi_error(result.error());
  if (result->has_value()) results[0] = wasm::to_abi(**result);
  return nullptr;
}

// What the engine has of a function. It belongs to a HostFunctions that several linkers may have.
using Shared = std::shared_ptr<const HostFunctions::Function>;

weft_error* call_immediate(void* environment, void* process, weft_caller* raw, const weft_val* args, std::size_t nargs,
                           weft_val* results, std::size_t) noexcept {
  const HostFunctions::Function& function = **static_cast<const Shared*>(environment);
  try {
    GuestCaller caller(raw, *static_cast<wasm::CallHost*>(process));
    const Arguments arguments(args, nargs);
    return store(function.immediate(caller, arguments.span()), results);
  } catch (...) {
    base::forget_unwound_frames();
    return to_abi_error(detail::error_of(std::current_exception()));
  }
}

// A call that waits, and the caller that it refers to.
struct Waiting {
  Waiting(weft_caller* raw, wasm::CallHost& host) : caller(raw, host) {}
  GuestCaller caller;
  std::unique_ptr<detail::HostCall> call;
};

weft_host_poll poll_waiting(void* environment, void* process, weft_caller* raw, void** op, const weft_val* args, std::size_t nargs,
                            weft_val* results, std::size_t, void*, weft_error** error) noexcept {
  const HostFunctions::Function& function = **static_cast<const Shared*>(environment);
  try {
    auto* waiting = static_cast<Waiting*>(*op);
    if (waiting == nullptr) {
      auto& host = *static_cast<wasm::CallHost*>(process);
      const Arguments arguments(args, nargs);
      if (function.attempt) {
        GuestCaller caller(raw, host);
        if (const std::optional<detail::HostResult> answer = function.attempt(caller, arguments.span())) {
          *error = store(*answer, results);
          return *error == nullptr ? WEFT_HOST_POLL_READY : WEFT_HOST_POLL_TRAP;
        }
      }
      waiting = new Waiting(raw, host);
      *op = waiting;
      waiting->call = function.waiting(waiting->caller, arguments.span());
    }
    waiting->caller.renew(raw);
    detail::TaskContext context{*sched::RunContext::current()};
    if (!waiting->call->poll(context)) return WEFT_HOST_POLL_PENDING;
    *error = store(waiting->call->take(), results);
  } catch (...) {
    base::forget_unwound_frames();
    *error = to_abi_error(detail::error_of(std::current_exception()));
  }
  return *error == nullptr ? WEFT_HOST_POLL_READY : WEFT_HOST_POLL_TRAP;
}

void drop_waiting(void*, void*, void* op) noexcept { delete static_cast<Waiting*>(op); }

void drop_function(void* environment) noexcept { delete static_cast<Shared*>(environment); }

// The order of ValueType is that of the ABI's kinds; this says so to the compiler.
weft_val_kind to_abi(ValueType type) {
  switch (type) {
    case ValueType::kI32:
      return WEFT_VAL_KIND_I32;
    case ValueType::kI64:
      return WEFT_VAL_KIND_I64;
    case ValueType::kF32:
      return WEFT_VAL_KIND_F32;
    case ValueType::kF64:
      return WEFT_VAL_KIND_F64;
    case ValueType::kV128:
      return WEFT_VAL_KIND_V128;
  }
  return WEFT_VAL_KIND_I32;
}

weft_error* stop_requested(void*, void* process, weft_caller*, const weft_val*, std::size_t, weft_val* results,
                           std::size_t) noexcept {
  results[0].of.i32 = static_cast<wasm::CallHost*>(process)->stop_requested() ? 1 : 0;
  return nullptr;
}

weft_error* acknowledge_stop(void*, void* process, weft_caller*, const weft_val*, std::size_t, weft_val*, std::size_t) noexcept {
  static_cast<wasm::CallHost*>(process)->acknowledge_stop();
  return nullptr;
}

weft_error* alive(void*, void* process, weft_caller*, const weft_val*, std::size_t, weft_val*, std::size_t) noexcept {
  static_cast<wasm::CallHost*>(process)->alive();
  return nullptr;
}

weft_error* progress(void*, void* process, weft_caller* raw, const weft_val* args, std::size_t, weft_val*, std::size_t) noexcept {
  auto& host = *static_cast<wasm::CallHost*>(process);
  try {
    GuestCaller caller(raw, host);
    const auto address = static_cast<std::uint32_t>(args[1].of.i32);
    const auto size = static_cast<std::uint32_t>(args[2].of.i32);
    const std::optional<std::span<std::byte>> bytes = caller.bytes(address, size);
    if (!bytes) return to_abi_error({ErrorKind::kBadArgument, "weft.progress: the text lies outside of the memory", {}});
    // Copied: other threads of the guest may write to it, and there is no more of it than is shown.
    constexpr std::size_t kTextBytesMax = 260;
    std::array<char, kTextBytesMax> text{};
    const std::size_t copied = std::min<std::size_t>(size, kTextBytesMax);
    std::memcpy(text.data(), bytes->data(), copied);
    host.progress(args[0].of.f64, std::string_view(text.data(), copied));
  } catch (...) {
    base::forget_unwound_frames();
    return to_abi_error(detail::error_of(std::current_exception()));
  }
  return nullptr;
}

}  // namespace

wasm::CallHost& call_host_of(Caller& caller) { return static_cast<GuestCaller&>(caller).host(); }

Result<void> define_host_functions(wasm::Linker& linker, const std::shared_ptr<const HostFunctions>& functions) {
  for (const HostFunctions::Function& function : functions->all()) {
    auto environment = std::make_unique<Shared>(functions, &function);
    wasm::Linker::Definition definition;
    definition.module = function.module;
    definition.name = function.name;
    for (const ValueType type : function.parameters) definition.parameters.push_back(to_abi(type));
    if (function.result) definition.results.push_back(to_abi(*function.result));
    definition.environment = environment.release();
    definition.drop_environment = drop_function;
    const Result<void> defined = function.immediate ? linker.define(definition, call_immediate)
                                                    : linker.define_waiting(definition, poll_waiting, drop_waiting);
    if (!defined) return defined;
  }
  return {};
}

Result<void> define_weft_module(wasm::Linker& linker, const HostFunctions& unless_in) {
  const auto define = [&](const char* name, std::vector<weft_val_kind> parameters, std::vector<weft_val_kind> results,
                          auto function) {
    const auto taken = [name](const HostFunctions::Function& other) { return other.module == "weft" && other.name == name; };
    if (std::ranges::any_of(unless_in.all(), taken)) return Result<void>();
    wasm::Linker::Definition definition;
    definition.module = "weft";
    definition.name = name;
    definition.parameters = std::move(parameters);
    definition.results = std::move(results);
    return linker.define(definition, function);
  };
  Result<void> defined = define("stop_requested", {}, {WEFT_VAL_KIND_I32}, stop_requested);
  if (defined) defined = define("acknowledge_stop", {}, {}, acknowledge_stop);
  if (defined) defined = define("alive", {}, {}, alive);
  if (defined) defined = define("progress", {WEFT_VAL_KIND_F64, WEFT_VAL_KIND_I32, WEFT_VAL_KIND_I32}, {}, progress);
  return defined;
}

}  // namespace guest
}  // namespace weft
