// The runtime through its public interface: options, modules, host functions, coroutines, dumps, traces, shutdown.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

class RuntimeInterfaceTest : public RuntimeTest {};

TEST_F(RuntimeInterfaceTest, OptionsThatMakeNoSenseAreRefused) {
  const auto refused = [](auto set) {
    RuntimeOptions options = usual_options();
    set(options);
    const Result<Runtime> runtime = Runtime::create(std::move(options));
    EXPECT_FALSE(runtime.has_value());
    if (!runtime) {
      EXPECT_FALSE(runtime.error().message.empty());
    }
    return runtime ? ErrorKind::kInternal : runtime.error().kind;
  };
  EXPECT_EQ(refused([](RuntimeOptions& options) { options.workers = 1'000'000; }), ErrorKind::kBadArgument);
  EXPECT_EQ(refused([](RuntimeOptions& options) { options.quantum = 0ns; }), ErrorKind::kBadArgument);
  EXPECT_EQ(refused([](RuntimeOptions& options) { options.quantum = 1h; }), ErrorKind::kBadArgument);
  EXPECT_EQ(refused([](RuntimeOptions& options) { options.processes_max = 0; }), ErrorKind::kBadArgument);
  EXPECT_EQ(refused([](RuntimeOptions& options) { options.stack_bytes = 1; }), ErrorKind::kBadArgument);
  EXPECT_EQ(refused([](RuntimeOptions& options) { options.memory_bytes_max = 1; }), ErrorKind::kBadArgument);
  EXPECT_EQ(refused([](RuntimeOptions& options) { options.memory_bytes_max = 1ULL << 40; }), ErrorKind::kBadArgument);
  EXPECT_EQ(refused([](RuntimeOptions& options) { options.blocking_threads_max = 0; }), ErrorKind::kBadArgument);
}

TEST_F(RuntimeInterfaceTest, MoreProcessesThanMappingsNamesTheSetting) {
  RuntimeOptions options = usual_options();
  options.processes_max = 1'000'000'000;
  const Result<Runtime> runtime = Runtime::create(std::move(options));
  ASSERT_FALSE(runtime.has_value());
  EXPECT_EQ(runtime.error().kind, ErrorKind::kExhausted);
  EXPECT_NE(runtime.error().message.find("vm.max_map_count"), std::string::npos) << runtime.error().message;
}

TEST_F(RuntimeInterfaceTest, WhatIsNoModuleIsRefused) {
  start();
  const auto compile_bytes = [&](std::string_view text) {
    return runtime_->compile({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, "bad.wasm");
  };
  EXPECT_EQ(compile_bytes("").error().kind, ErrorKind::kInvalidModule);
  EXPECT_EQ(compile_bytes("hello").error().kind, ErrorKind::kInvalidModule);
  EXPECT_EQ(compile_bytes(std::string_view("\0asm", 4)).error().kind, ErrorKind::kInvalidModule);
  EXPECT_EQ(compile_bytes("(module (func").error().kind, ErrorKind::kInvalidModule);
  EXPECT_EQ(runtime_->load("/no/such/file.wasm").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(runtime_->load("/tmp").error().kind, ErrorKind::kIo);
}

TEST_F(RuntimeInterfaceTest, AMissingImportIsNamed) {
  start();
  const Result<Process> process =
      runtime_->spawn({.module = compile(R"((module (import "env" "fetch" (func)) (func (export "_start"))))")});
  ASSERT_FALSE(process.has_value());
  EXPECT_EQ(process.error().kind, ErrorKind::kMissingImport);
  EXPECT_NE(process.error().message.find("env"), std::string::npos) << process.error().message;
  EXPECT_NE(process.error().message.find("fetch"), std::string::npos) << process.error().message;
}

TEST_F(RuntimeInterfaceTest, PrecompiledCodeRunsAgain) {
  start();
  const std::vector<std::uint8_t> code = compile(kExits42).serialize().value();
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "weft_precompiled.cwasm";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(code.data()), static_cast<std::streamsize>(code.size()));
  const Module module = runtime_->load_precompiled(path).value();
  EXPECT_EQ(spawn({.module = module}).join().code, 42);
  EXPECT_FALSE(runtime_->load(path).has_value()) << "machine code must be asked for by name";
  std::ofstream(path, std::ios::binary) << "garbage";
  EXPECT_FALSE(runtime_->load_precompiled(path).has_value());
  std::filesystem::remove(path);
}

TEST_F(RuntimeInterfaceTest, HostFunctionsOfBothKinds) {
  RuntimeOptions options = usual_options();
  options.host.define("env", "add", [](Caller&, std::int32_t a, std::int32_t b) { return a + b; });
  options.host.define("env", "nap", [](Caller&, std::int64_t ms) -> Task<std::int32_t> {
    co_await sleep_for(std::chrono::milliseconds(ms));
    co_await yield();
    co_return static_cast<std::int32_t>(co_await blocking([ms] { return ms * 2; }));
  });
  options.host.define("env", "peek", [](Caller& caller, std::uint32_t address) -> Result<std::int32_t> {
    const auto bytes = caller.bytes(address, 1);
    if (!bytes) return fail(ErrorKind::kBadArgument, "address " + std::to_string(address) + " is outside the memory");
    return static_cast<std::int32_t>((*bytes)[0]);
  });
  start(std::move(options));
  const Module module = compile(R"((module
    (import "env" "add" (func $add (param i32 i32) (result i32)))
    (import "env" "nap" (func $nap (param i64) (result i32)))
    (import "env" "peek" (func $peek (param i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 7) "*")
    (func (export "both") (result i32)
      (call $add (call $nap (i64.const 2)) (call $peek (i32.const 7))))
    (func (export "outside") (result i32) (call $peek (i32.const -1)))))");
  EXPECT_EQ(spawn({.module = module, .entry = "both"}).join().result_text, "46");
  const ExitStatus outside = spawn({.module = module, .entry = "outside"}).join();
  EXPECT_EQ(outside.kind, ExitKind::kTrapped);
  EXPECT_NE(outside.message.find("address 4294967295 is outside"), std::string::npos) << outside.message;
}

TEST_F(RuntimeInterfaceTest, AnAttemptAnswersOrLeavesItToTheTask) {
  RuntimeOptions options = usual_options();
  std::atomic<int> attempts{0};
  std::atomic<int> tasks{0};
  const auto attempt = [&attempts](Caller&, std::int32_t what) -> std::optional<Result<std::int32_t>> {
    ++attempts;
    if (what == 2) return fail(ErrorKind::kBadArgument, "not that");
    if (what == 3) throw std::runtime_error("oh no");
    if (what == 4) return std::nullopt;
    return what + 10;
  };
  options.host.define("env", "ask", attempt, [&tasks](Caller&, std::int32_t what) -> Task<Result<std::int32_t>> {
    ++tasks;
    co_await yield();
    co_return what + 20;
  });
  start(std::move(options));
  const Module module = compile(R"((module
    (import "env" "ask" (func $ask (param i32) (result i32)))
    (func (export "ask") (param i32) (result i32) (call $ask (local.get 0)))))");
  const auto ask = [&](std::int32_t what) { return spawn({.module = module, .entry = "ask", .entry_values = {what}}).join(); };
  EXPECT_EQ(ask(1).result_text, "11");
  EXPECT_EQ(tasks, 0);
  EXPECT_EQ(ask(4).result_text, "24");
  EXPECT_EQ(tasks, 1);
  EXPECT_EQ(attempts, 2) << "asked once, before the task";
  for (const auto& [what, why] : {std::pair{2, "not that"}, std::pair{3, "oh no"}}) {
    const ExitStatus status = ask(what);
    EXPECT_EQ(status.kind, ExitKind::kTrapped);
    EXPECT_NE(status.message.find(why), std::string::npos) << status.message;
  }
  EXPECT_EQ(tasks, 1);
}

// Calls of functions that wait take different ways through the engine, by what they take.
template <class... A>
class Taking {
 public:
  static std::int32_t digest(A... values) {
    std::int64_t sum = 7;
    ((sum = sum * 31 + static_cast<std::int64_t>(values)), ...);
    return static_cast<std::int32_t>(sum);
  }
  static std::string import(int number) {
    std::string types;
    ((types += std::string(" ") + type<A>()), ...);
    return "(import \"env\" \"" + std::to_string(number) + "\" (func (param" + types + ") (result i32)))";
  }
  // An export of its number that calls it.
  static std::string caller(int number) {
    const std::string name = std::to_string(number);
    std::string values;
    int at = 0;
    ((values += std::string("(") + type<A>() + ".const " + std::to_string(value(at++)) + ")"), ...);
    return "(func (export \"" + name + "\") (result i32) (call " + name + values + "))";
  }
  static void define(HostFunctions& host, int number) {
    host.define("env", std::to_string(number), [](Caller&, A... values) -> Task<std::int32_t> {
      const std::int32_t sum = digest(values...);
      co_await yield();
      co_return sum;
    });
  }
  static std::int32_t expected() {
    int at = 0;
    std::tuple<A...> values;
    std::apply([&at](A&... each) { ((each = static_cast<A>(value(at++))), ...); }, values);
    return std::apply(digest, values);
  }

 private:
  static std::int64_t value(int at) { return at % 2 == 0 ? 1000 + at : -at; }
  template <class T>
  static const char* type() {
    if (std::is_same_v<T, double>) return "f64";
    return std::is_same_v<T, std::int64_t> ? "i64" : "i32";
  }
};

TEST_F(RuntimeInterfaceTest, FunctionsThatWaitGetWhatTheyWereCalledWith) {
  using I = std::int32_t;
  using L = std::int64_t;
  const auto each = []<class... T>(std::tuple<T...>, const auto& action) {
    int number = 0;
    (action(T(), number++), ...);
  };
  constexpr std::tuple<Taking<I>, Taking<L>, Taking<I, I>, Taking<I, L>, Taking<I, L, I, L>, Taking<I, L, L, L>, Taking<I, I, I, I>,
                       Taking<I, I, I, L>, Taking<I, I, I, I, L>, Taking<L, L, I, I, L>, Taking<I, I, L, I, I, I, L>,
                       Taking<I, I, I, I, I, I, L>, Taking<double>, Taking<double, I, L>, Taking<L, I, I, I, I, L, L, I, I, double>>
      kAll;
  RuntimeOptions options = usual_options();
  std::string imports;
  std::string callers;
  each(kAll, [&](auto one, int number) {
    one.define(options.host, number);
    imports += one.import(number);
    callers += one.caller(number);
  });
  start(std::move(options));
  const Module module = compile("(module " + imports + callers + ")");
  each(kAll, [&](auto one, int number) {
    EXPECT_EQ(spawn({.module = module, .entry = std::to_string(number)}).join().result_text, std::to_string(one.expected()))
        << number;
  });
}

TEST_F(RuntimeInterfaceTest, AnExceptionOfAHostFunctionTrapsTheGuestOnly) {
  RuntimeOptions options = usual_options();
  options.host.define("env", "now", [](Caller&) -> std::int32_t { throw std::runtime_error("oh no"); });
  options.host.define("env", "later", [](Caller&) -> Task<void> {
    co_await yield();
    throw std::runtime_error("oh dear");
  });
  start(std::move(options));
  const Module module = compile(R"((module
    (import "env" "now" (func $now (result i32))) (import "env" "later" (func $later))
    (func (export "now") (drop (call $now))) (func (export "later") (call $later))))");
  const ExitStatus now = spawn({.module = module, .entry = "now"}).join();
  EXPECT_EQ(now.kind, ExitKind::kTrapped);
  EXPECT_NE(now.message.find("oh no"), std::string::npos) << now.message;
  const ExitStatus later = spawn({.module = module, .entry = "later"}).join();
  EXPECT_EQ(later.kind, ExitKind::kTrapped);
  EXPECT_NE(later.message.find("oh dear"), std::string::npos) << later.message;
}

Task<int> sum_of_codes(std::vector<Process> processes) {
  int sum = 0;
  for (const Process& process : processes) sum += (co_await process.exited()).code;
  co_return sum;
}

TEST_F(RuntimeInterfaceTest, CoroutinesAwaitProcessesTimersWorkAndEachOther) {
  Runtime& runtime = start();
  std::vector<Process> processes;
  for (int count = 0; count < 10; ++count) processes.push_back(spawn(kExits42));
  const auto outer = [](Runtime on, std::vector<Process> all) -> Task<int> {
    JoinHandle<int> inner = on.start(sum_of_codes(std::move(all)));
    co_await sleep_for(2ms);
    const int more = co_await blocking([] { return 5; });
    const Result<int> sum = co_await std::move(inner);
    co_return *sum + more;
  };
  EXPECT_EQ(runtime.start(outer(runtime, processes)).join().value(), 425);
}

TEST_F(RuntimeInterfaceTest, ACancelledCoroutineIsUnwoundWhereItWaits) {
  Runtime& runtime = start();
  auto destroyed = std::make_shared<std::atomic<bool>>(false);
  struct Guard {
    std::shared_ptr<std::atomic<bool>> flag;
    ~Guard() { *flag = true; }
  };
  const auto sleeper = [](std::shared_ptr<std::atomic<bool>> flag) -> Task<void> {
    const Guard guard{std::move(flag)};
    co_await sleep_for(1h);
  };
  JoinHandle<void> handle = runtime.start(sleeper(destroyed));
  const auto sleeping = [&] {
    const std::vector<TaskDump> tasks = runtime.dump();
    return tasks.size() == 1 && tasks[0].reason == "sleep";
  };
  while (!sleeping()) std::this_thread::yield();
  EXPECT_FALSE(handle.join_for(1ms).has_value());
  handle.cancel();
  EXPECT_EQ(handle.join().error().kind, ErrorKind::kCancelled);
  EXPECT_TRUE(destroyed->load());
}

TEST_F(RuntimeInterfaceTest, AnExceptionOfACoroutineIsItsError) {
  Runtime& runtime = start();
  const auto thrower = []() -> Task<int> {
    co_await yield();
    throw std::runtime_error("lost");
  };
  const auto catcher = [](auto make) -> Task<int> {
    try {
      co_return co_await make();
    } catch (const std::runtime_error&) {
      co_return 7;
    }
  };
  const Result<int> thrown = runtime.start(thrower()).join();
  ASSERT_FALSE(thrown.has_value());
  EXPECT_NE(thrown.error().message.find("lost"), std::string::npos);
  EXPECT_EQ(runtime.start(catcher(thrower)).join().value(), 7);
  const auto work = []() -> Task<int> { co_return co_await blocking([]() -> int { throw std::runtime_error("work"); }); };
  EXPECT_FALSE(runtime.start(work()).join().has_value());
}

TEST_F(RuntimeInterfaceTest, TheDumpSaysWhatEveryTaskDoes) {
  Runtime& runtime = start();
  const Process sleeping = spawn({.module = compile(kSleeps), .name = "sleeper"});
  const Process spinning = spawn({.module = compile(kSpins), .name = "spinner"});
  wait_until_parked(sleeping, "wasi poll_oneoff");
  wait_until_run(spinning);
  std::vector<TaskDump> tasks;
  std::map<std::string, const TaskDump*> by_name;
  // The first look may meet the spinner on its way into the loop, and the next one the sleeper that the first has woken.
  do {
    tasks = runtime.dump(true, kHang);
    ASSERT_EQ(tasks.size(), 2U);
    for (const TaskDump& task : tasks) by_name[task.name] = &task;
    ASSERT_TRUE(by_name.contains("sleeper") && by_name.contains("spinner"));
    ASSERT_FALSE(by_name["spinner"]->stack.empty());
  } while (by_name["spinner"]->stack[0].function != "spin" || by_name["sleeper"]->state != "parked");
  ASSERT_FALSE(by_name["sleeper"]->stack.empty());
  EXPECT_EQ(by_name["sleeper"]->stack[0].function, "nap");
  const nlohmann::json parsed = nlohmann::json::parse(to_json(tasks));
  EXPECT_EQ(parsed.size(), 2U);
  EXPECT_NE(to_text(tasks).find("wasi poll_oneoff"), std::string::npos);
}

TEST(DumpTest, AnUnknownPlaceIsLeftOut) {
  TaskDump task;
  task.stack = {{.module = "app", .function = "deep", .offset = Frame::kNoOffset},
                {.module = "app", .function = "main", .offset = 0x10}};
  const std::string text = to_text({task});
  EXPECT_NE(text.find("deep in app\n"), std::string::npos) << text;
  EXPECT_NE(text.find("main in app +0x10\n"), std::string::npos) << text;
  const nlohmann::json parsed = nlohmann::json::parse(to_json({task}));
  EXPECT_TRUE(parsed[0]["stack"][0]["offset"].is_null());
  EXPECT_EQ(parsed[0]["stack"][1]["offset"], 0x10);
}

TEST_F(RuntimeInterfaceTest, TheTraceIsConsistent) {
  RuntimeOptions options = usual_options();
  options.trace = true;
  Runtime& runtime = start(std::move(options));
  std::vector<Process> processes;
  for (int count = 0; count < 20; ++count) processes.push_back(spawn(kExits42));
  processes.push_back(spawn(kSpins));
  processes.push_back(spawn(kSpins));
  processes.push_back(spawn(kSpins));
  while (runtime.stats().preemptions < 10) std::this_thread::yield();
  for (const Process& process : processes) process.kill("the test");
  for (const Process& process : processes) (void)process.join();
  (void)runtime.shutdown(kHang);
  const Trace trace = runtime.trace();
  EXPECT_EQ(trace.dropped, 0U);
  // On each worker runs begin and end in turn, with the same task, and every task is spawned once and exits once.
  std::map<std::uint32_t, std::uint64_t> running;
  std::map<std::uint64_t, int> spawned;
  std::map<std::uint64_t, int> exited;
  std::uint64_t last_ns = 0;
  for (const TraceEvent& event : trace.events) {
    EXPECT_GE(event.time_ns, last_ns);
    last_ns = event.time_ns;
    switch (event.kind) {
      case TraceKind::kSpawn:
        ++spawned[event.task_id];
        break;
      case TraceKind::kRun:
        EXPECT_EQ(running[event.worker], 0U);
        running[event.worker] = event.task_id;
        break;
      case TraceKind::kYield:
      case TraceKind::kPreempt:
      case TraceKind::kPark:
      case TraceKind::kExit:
        EXPECT_EQ(running[event.worker], event.task_id);
        running[event.worker] = 0;
        if (event.kind == TraceKind::kExit) ++exited[event.task_id];
        break;
      case TraceKind::kWake:
      case TraceKind::kSteal:
        break;
    }
  }
  EXPECT_EQ(spawned.size(), processes.size());
  EXPECT_EQ(exited.size(), processes.size());
  for (const auto& [task, times] : exited) {
    EXPECT_EQ(times, 1);
    EXPECT_EQ(spawned[task], 1);
  }
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "weft_trace.json";
  ASSERT_TRUE(trace.write_json(path).has_value());
  std::ifstream file(path);
  const nlohmann::json parsed = nlohmann::json::parse(file);
  EXPECT_GT(parsed["traceEvents"].size(), processes.size());
  std::filesystem::remove(path);
  EXPECT_EQ(trace.write_json("/no/such/directory/trace.json").error().kind, ErrorKind::kIo);
}

TEST_F(RuntimeInterfaceTest, ShutdownDrainsThenCancelsThenReports) {
  Runtime& runtime = start();
  const Process sleeping = spawn({.module = compile(kSleeps), .name = "sleeper"});
  const Process quick = spawn(kExits42);
  const ShutdownReport report = runtime.shutdown(2s, kHang);
  EXPECT_EQ(quick.join().code, 42);
  EXPECT_EQ(sleeping.join().killed_by, "shutdown");
  ASSERT_EQ(report.cancelled.size(), 1U);
  EXPECT_EQ(report.cancelled[0].name, "sleeper");
  EXPECT_TRUE(report.surviving.empty());
  EXPECT_EQ(runtime.spawn({.module = quick ? compile(kReturns) : Module()}).error().kind, ErrorKind::kCancelled);
  const auto late = []() -> Task<int> { co_return 1; };
  EXPECT_EQ(runtime.start(late()).join().error().kind, ErrorKind::kCancelled);
  EXPECT_TRUE(runtime.shutdown(0s).cancelled.empty());
}

TEST_F(RuntimeInterfaceTest, SeveralRuntimesInOneProgram) {
  start();
  Result<Runtime> other = Runtime::create(usual_options());
  ASSERT_TRUE(other.has_value());
  EXPECT_TRUE(spawn(kReturns).join().success());
  EXPECT_EQ(other->spawn({.module = compile(kReturns)}).error().kind, ErrorKind::kBadArgument) << "a module belongs to its runtime";
}

}  // namespace
}  // namespace weft::testing
