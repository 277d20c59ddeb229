// The engine's C ABI with arguments as an unkind caller has them: names that are empty, not UTF-8 or with a zero in them, functions and values that do not fit, limits of
// all sizes. The input is a list of operations, each with a few bytes. Whatever comes: a result or an error with a message; nothing crosses the boundary but those.
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft_engine.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

// What the engine is told of a task: nothing but a count of references.
struct FakeTask {
  std::atomic<std::int64_t> references{1};
  std::atomic<std::uint64_t> wakes{0};
};

void must(bool good, const char* what) {
  if (good) return;
  std::cerr << "abi_fuzz: " << what << std::endl;
  std::abort();
}

std::string_view view(weft_str text) { return {text.data, text.size}; }

// Frees the error. False if there was one.
bool fine(weft_error* error) {
  if (error == nullptr) return true;
  must(weft_error_message(error).size > 0, "an error without a message");
  must(view(weft_error_message(error)).find('\n') == std::string_view::npos, "a message of several lines");
  (void)weft_error_detail(error);
  must(weft_error_kind(error) != WEFT_ERROR_CODE_INTERNAL, "an internal error");
  weft_error_free(error);
  return false;
}

// Reads operands from the input; zeros once it has ended.
class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }
  std::uint64_t number() {
    std::uint64_t number = 0;
    for (unsigned count = byte() % 9; count > 0; --count) number = number << 8 | byte();
    return number;
  }
  // Borrowed from the input. Without bytes sometimes NULL, sometimes not.
  weft_str text() {
    const std::uint8_t head = byte();
    const std::size_t size = std::min<std::size_t>(head % 24, rest_.size());
    const std::span<const std::uint8_t> taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    if (size == 0 && head >= 128) return {nullptr, 0};
    return {reinterpret_cast<const char*>(taken.data()), size};
  }
  // A name that exists, or any text.
  weft_str name() {
    static constexpr std::array<std::string_view, 8> kNames{"_start", "add", "env", "memory", "take", "wait", "", "nothing"};
    const std::uint8_t which = byte();
    if (which % 4 == 0) return text();
    const std::string_view name = kNames[which / 4 % kNames.size()];
    return {name.data(), name.size()};
  }

 private:
  std::span<const std::uint8_t> rest_;
};

constexpr std::string_view kModule = R"((module
  (import "env" "take" (func $take (param i32 i64 f32 f64 v128) (result i32)))
  (import "env" "wait" (func $wait))
  (memory (export "memory") 1) (global (export "global") (mut i32) (i32.const 1)) (table (export "table") 1 funcref)
  (func (export "_start") (call $wait) (drop (call $take (i32.const 1) (i64.const 2) (f32.const 3) (f64.const 4) (v128.const i64x2 5 6))))
  (func (export "add") (param i32 i64 f32 f64 v128) (result i32 i64) (call $wait) (memory.grow (local.get 0)) (local.get 1)))
)";

weft_error* take(void*, void*, weft_caller* caller, const weft_val*, std::size_t nargs, weft_val* results, std::size_t nresults) {
  must(nargs == 5 && nresults == 1, "another number of values than was defined");
  std::uint8_t* base = nullptr;
  std::size_t size = 0;
  must(weft_caller_memory(caller, &base, &size) && size >= 65536, "no memory");
  weft_backtrace_free(weft_caller_backtrace(caller));
  results[0].of.i32 = base[size - 1];
  return nullptr;
}

weft_host_poll wait(void*, void*, weft_caller*, void** op, const weft_val*, std::size_t, weft_val*, std::size_t, void*,
                    weft_error** error) {
  static const weft_str kWhy{"enough", 6};
  auto state = reinterpret_cast<std::uintptr_t>(*op);
  *op = reinterpret_cast<void*>(++state);
  if (state < 3) return WEFT_HOST_POLL_PENDING;
  *op = nullptr;
  static std::uint64_t calls = 0;
  if (++calls % 3 != 0) return WEFT_HOST_POLL_READY;
  *error = weft_error_new(WEFT_ERROR_CODE_HOST, kWhy);
  return WEFT_HOST_POLL_TRAP;
}

void drop_env(void* env) { --*static_cast<int*>(env); }

struct Fixture {
  weft_engine* engine = nullptr;
  weft_linker* linker = nullptr;
  weft_module* module = nullptr;
  weft_program* program = nullptr;
  weft_enter_guard* entered = nullptr;

  Fixture() {
    weft_engine_config config;
    weft_engine_config_default(&config);
    config.hooks.task_wake = [](void* task) { ++static_cast<FakeTask*>(task)->wakes; };
    config.hooks.task_retain = [](void* task) { ++static_cast<FakeTask*>(task)->references; };
    config.hooks.task_release = [](void* task) { --static_cast<FakeTask*>(task)->references; };
    config.slots_max = 4;
    must(fine(weft_engine_new(&config, &engine)), "no engine");
    entered = weft_engine_enter(engine);
    must(fine(weft_linker_new(engine, &linker)), "no linker");
    const std::array<weft_val_kind, 5> params{WEFT_VAL_KIND_I32, WEFT_VAL_KIND_I64, WEFT_VAL_KIND_F32, WEFT_VAL_KIND_F64,
                                              WEFT_VAL_KIND_V128};
    const weft_val_kind result = WEFT_VAL_KIND_I32;
    must(
        fine(weft_linker_define(linker, {"env", 3}, {"take", 4}, params.data(), params.size(), &result, 1, take, nullptr, nullptr)),
        "define");
    must(fine(weft_linker_define_async(linker, {"env", 3}, {"wait", 4}, nullptr, 0, nullptr, 0, wait, nullptr, nullptr, nullptr)),
         "define");
    must(fine(weft_module_compile(engine, reinterpret_cast<const std::uint8_t*>(kModule.data()), kModule.size(), nullptr, &module)),
         "compile");
    must(fine(weft_program_new(linker, module, &program)), "link");
  }
};

void features(Bytes& bytes) {
  const std::uint64_t found = weft_feature_find(bytes.name());
  must((found & ~weft_features_known()) == 0, "a feature that is not known");
  const std::uint64_t bit = bytes.number();
  const weft_str name = weft_feature_name(bit);
  if (name.size > 0) must(weft_feature_find(name) == bit, "a feature that is not found by its name");
}

void engine_config(Bytes& bytes) {
  weft_engine_config config;
  weft_engine_config_default(&config);
  const std::uint8_t which = bytes.byte();
  if ((which & 1) != 0) {
    config.hooks.task_wake = [](void*) {};
    config.hooks.task_retain = [](void*) {};
    config.hooks.task_release = [](void*) {};
  }
  config.slots_max = static_cast<std::uint32_t>(bytes.number() % 16);  // more takes address space, not thought
  config.stack_bytes = bytes.number();
  config.memory_reservation_bytes = bytes.number() % (8ULL << 30);
  config.memory_bytes_max = bytes.number();
  config.features = bytes.number();
  config.fuel = (which & 2) != 0;
  config.pooling = (which & 4) != 0;
  config.cache_directory = {nullptr, 0};
  weft_engine* engine = nullptr;
  if (fine(weft_engine_new(&config, &engine))) weft_engine_free(engine);
}

void linker(Bytes& bytes, Fixture& fixture) {
  weft_linker* made = nullptr;
  must(fine(weft_linker_new(fixture.engine, &made)), "no linker");
  int environments = 0;
  for (int count = 0; count < 3; ++count) {
    const weft_str module = bytes.name();
    const weft_str name = bytes.name();
    std::vector<weft_val_kind> params(bytes.byte() % 40, WEFT_VAL_KIND_I32);
    for (weft_val_kind& kind : params) kind = static_cast<weft_val_kind>(bytes.byte() % 5);
    const std::size_t results = std::min<std::size_t>(bytes.byte() % 3, params.size());
    ++environments;
    const weft_host_fn function = bytes.byte() % 8 == 0 ? nullptr : take;
    (void)fine(weft_linker_define(made, module, name, params.data(), params.size(), params.data(), results, function, &environments,
                                  drop_env));
  }
  weft_program* program = nullptr;
  if (fine(weft_program_new(made, fixture.module, &program))) weft_program_free(program);
  weft_linker_free(made);
  must(environments == 0, "an environment was kept, or dropped twice");
}

void call(Bytes& bytes, Fixture& fixture) {
  weft_wasi_config* wasi = nullptr;
  if (bytes.byte() % 2 == 0) {
    must(fine(weft_wasi_config_new(&wasi)), "no WASI");
    (void)fine(weft_wasi_config_arg(wasi, bytes.text()));
    const weft_str name = bytes.text();
    (void)fine(weft_wasi_config_env(wasi, name, bytes.text()));
    const weft_str host = bytes.text();
    (void)fine(weft_wasi_config_dir(wasi, host, bytes.text(), bytes.byte() % 2 == 0));
    weft_wasi_config_terminal(wasi, bytes.byte() % 3, true);
    weft_wasi_config_network(wasi, static_cast<std::uint32_t>(bytes.number()));
  }
  weft_call_config config;
  weft_call_config_default(&config);
  config.wasi = wasi;
  config.entry = bytes.name();
  std::vector<weft_val> values(bytes.byte() % 7);
  for (weft_val& value : values) {
    value.kind = static_cast<weft_val_kind>(bytes.byte() % 5);
    std::memset(&value.of, bytes.byte(), sizeof value.of);
  }
  std::vector<weft_str> texts(bytes.byte() % 7);
  for (weft_str& text : texts) text = bytes.text();
  if (bytes.byte() % 4 != 0) (values.size() > 2 ? texts.clear() : values.clear());
  config.args = values.data();
  config.nargs = values.size();
  config.text_args = texts.data();
  config.ntext_args = texts.size();
  if (bytes.byte() % 2 == 0) config.limits.memory_bytes = bytes.number();
  if (bytes.byte() % 4 == 0) config.limits.table_elements = bytes.number();
  if (bytes.byte() % 8 == 0) config.limits.instances = bytes.number();
  if (bytes.byte() % 8 == 0) config.limits.fuel = bytes.number();
  weft_counters counters{};
  config.counters = bytes.byte() % 2 == 0 ? &counters : nullptr;
  FakeTask task;
  weft_call* made = nullptr;
  if (fine(weft_call_new(fixture.program, &config, nullptr, &made))) {
    bool ready = false;
    for (unsigned polls = bytes.byte() % 16; polls > 0 && !ready; --polls) ready = weft_call_poll(made, &task) == WEFT_POLL_READY;
    if (ready) {
      weft_outcome outcome;
      weft_call_outcome(made, &outcome);
      must(view(outcome.message).find('\n') == std::string_view::npos, "an outcome of several lines");
      must((outcome.kind == WEFT_OUTCOME_KIND_FAILED) == (outcome.error != nullptr), "a failure without an error");
      if (outcome.backtrace != nullptr) {
        weft_frame frame;
        const std::size_t size = weft_backtrace_size(outcome.backtrace);
        must(!weft_backtrace_frame(outcome.backtrace, size, &frame) &&
                 !weft_backtrace_frame(outcome.backtrace, ~std::size_t{0}, &frame),
             "a frame too many");
      }
    } else {
      (void)weft_call_waiting_for(made);
    }
    weft_call_drop(made);
  }
  must(task.references == 1, "references to a task are left, or too few");
  weft_wasi_config_free(wasi);
}

void bytes_of_modules(Bytes& bytes, Fixture& fixture) {
  const weft_str text = bytes.text();
  const auto* data = reinterpret_cast<const std::uint8_t*>(text.data);
  const weft_module_kind kind = weft_module_detect(data, text.size);
  weft_bytes* json = nullptr;
  if (fine(weft_inspect(fixture.engine, data, text.size, &json))) weft_bytes_free(json);
  // What calls itself precompiled is machine code: only what is not goes on.
  if (kind == WEFT_MODULE_KIND_PRECOMPILED_CORE || kind == WEFT_MODULE_KIND_PRECOMPILED_COMPONENT) return;
  const weft_module_options options{bytes.text(), bytes.byte() % 2 == 0};
  weft_module* module = nullptr;
  if (fine(weft_module_compile(fixture.engine, data, text.size, &options, &module))) weft_module_free(module);
  must(!fine(weft_module_load_precompiled(fixture.engine, data, text.size, nullptr, &module)), "text was loaded as machine code");
  (void)weft_module_exports_function(fixture.module, bytes.name());
}

void errors(Bytes& bytes) {
  weft_error* error = weft_error_new(static_cast<weft_error_code>(bytes.byte() % 10), bytes.text());
  (void)weft_error_message(error);
  (void)weft_error_kind(error);
  weft_error_free(error);
  weft_error_free(nullptr);
  weft_bytes_free(nullptr);
  weft_module_free(nullptr);
  weft_program_free(nullptr);
  weft_linker_free(nullptr);
  weft_call_drop(nullptr);
  weft_backtrace_free(nullptr);
  weft_engine_free(nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Fixture& fixture = *new Fixture;
  Bytes bytes({data, size});
  for (int operations = 0; operations < 8 && !bytes.empty(); ++operations) {
    switch (bytes.byte() % 16) {
      case 0:
        features(bytes);
        break;
      case 1:
        engine_config(bytes);
        break;
      case 2:
      case 3:
      case 4:
        linker(bytes, fixture);
        break;
      case 5:
        errors(bytes);
        break;
      case 6:
      case 7:
      case 8:
        bytes_of_modules(bytes, fixture);
        break;
      default:
        call(bytes, fixture);
        break;
    }
  }
  return 0;
}
