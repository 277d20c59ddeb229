#include "weft/runtime.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "api/runtime_state.hpp"
#include "guest/host_functions.hpp"
#include "platform/platform.hpp"
#include "process/spawn.hpp"
#include "process/state.hpp"
#include "process/together/guest_calls.hpp"
#include "process/together/society.hpp"
#include "sync/bridge.hpp"
#include "sync/coroutine.hpp"
#include "sync/waitable.hpp"

#ifndef WEFT_VERSION
#error "the build defines WEFT_VERSION"
#endif

namespace weft {
namespace {

// The address space that linear memories may take together, of the 128 TiB that a program on x86-64 and aarch64 has. It is one mapping, and
// a position-independent executable sits two thirds up: the largest hole that is certain is the one of 85 TiB below it.
#ifdef WEFT_SANITIZE_THREAD
constexpr std::uint64_t kReservationBytesMax =
    1ULL << 39;  // ThreadSanitizer leaves a program one and a half TiB, threads of guests want some
#else
constexpr std::uint64_t kReservationBytesMax = 64ULL << 40;
#endif
constexpr std::uint64_t kFullReservationBytes = 4ULL << 30;  // with it, and the engine's guard, no access needs a bounds check
constexpr std::uint64_t kGuardBytes = 64ULL << 20;
constexpr std::uint64_t kWasmPageBytes = 64U << 10;
// Mappings that one process takes while it lives (docs/design/processes.md says how they come about), and those of everything else.
constexpr std::uint64_t kMapsPerProcess = 5;
constexpr std::uint64_t kMapsElsewhere = 2000;
constexpr std::uint32_t kTraceEventsPerWorker = 1U << 20;

Duration span(std::uint64_t ns) { return Duration(static_cast<std::int64_t>(ns)); }

std::uint64_t deadline_after(std::uint64_t now_ns, Duration duration) {
  if (duration <= Duration::zero()) return now_ns;
  const auto span_ns = static_cast<std::uint64_t>(duration.count());
  return span_ns < sched::kNever - now_ns ? now_ns + span_ns : sched::kNever;
}

Result<void> check(const RuntimeOptions& options) {
  const auto bad = [](std::string message) { return fail(ErrorKind::kBadArgument, std::move(message)); };
  if (options.workers > sched::kWorkersMax)
    return bad(fmt::format("{} workers: at most {} are possible", options.workers, sched::kWorkersMax));
  if (options.quantum < std::chrono::microseconds(10) || options.quantum > std::chrono::seconds(10)) {
    return bad(fmt::format("a quantum of {}: choose between 10us and 10s", format_duration(options.quantum)));
  }
  if (options.processes_max == 0) return bad("room for 0 processes: at least 1 is needed");
  if (options.threads_max == 0) return bad("room for 0 guest threads: at least 1 is needed");
  if (options.stack_bytes < (32U << 10) || options.stack_bytes > (1ULL << 30)) {
    return bad(fmt::format("a stack of {}: choose between 32 KiB and 1 GiB", format_size(options.stack_bytes)));
  }
  if (options.memory_bytes_max < kWasmPageBytes) {
    return bad(fmt::format("memories of at most {}: WebAssembly's pages have 64 KiB", format_size(options.memory_bytes_max)));
  }
  if (options.memory_bytes_max > kFullReservationBytes) {
    return bad(fmt::format("memories of up to {}: 4 GiB is the most that a 32-bit guest can address",
                           format_size(options.memory_bytes_max)));
  }
  if (options.blocking_threads_max == 0) return bad("0 threads for blocking work: at least 1 is needed");
  return {};
}

// A process needs several mappings, and the kernel bounds their number: better said now than when guests fail at random.
Result<void> check_maps(const RuntimeOptions& options, const platform::MemoryFacts& memory) {
  const std::uint64_t needed = options.processes_max * kMapsPerProcess + kMapsElsewhere;
  if (memory.maps_max == 0 || needed <= memory.maps_max) return {};
  return fail(ErrorKind::kExhausted,
              fmt::format("{} processes need about {} memory mappings, but vm.max_map_count is {}; raise it with: sysctl -w "
                          "vm.max_map_count={}",
                          options.processes_max, needed, memory.maps_max, needed));
}

// Of one process. The engine maps the stack of each, with a guard page before it, and nothing says no to a strand later than when it is made.
std::uint32_t strands_that_fit(const platform::MemoryFacts& memory) {
  constexpr std::uint64_t kStrandsMax = 1'000'000;
  constexpr std::uint64_t kMapsPerStrand = 2;
  constexpr std::uint64_t kMapsForTheRest = 4096;
  if (memory.maps_max == 0) return kStrandsMax;
  const std::uint64_t room = memory.maps_max > kMapsForTheRest ? memory.maps_max - kMapsForTheRest : 0;
  return static_cast<std::uint32_t>(std::clamp(room / kMapsPerStrand, std::uint64_t{1000}, kStrandsMax));
}

// $XDG_CACHE_HOME/weft or ~/.cache/weft; empty when neither is known.
std::filesystem::path default_cache_directory() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/')
    return std::filesystem::path(cache) / "weft";
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/')
    return std::filesystem::path(home) / ".cache" / "weft";
  return {};
}

// All that guests may import.
Result<std::unique_ptr<wasm::Linker>> make_linker(const wasm::Engine& engine, const std::shared_ptr<const HostFunctions>& host,
                                                  process::Payment payment) {
  auto linker = wasm::Linker::create(engine);
  if (!linker) return linker;
  const auto ours = std::make_shared<const HostFunctions>(process::guest_calls(*host, payment));
  Result<void> defined = guest::define_host_functions(**linker, host);
  if (defined) defined = guest::define_weft_module(**linker, *host);
  if (defined) defined = guest::define_host_functions(**linker, ours);
  if (!defined) return std::unexpected(defined.error());
  return linker;
}

Result<std::vector<std::uint8_t>> read_file(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found)
    return fail(ErrorKind::kNotFound, path.string() + ": there is no such file");
  if (error) {
    return fail(error == std::errc::permission_denied ? ErrorKind::kPermission : ErrorKind::kIo,
                path.string() + ": " + error.message());
  }
  if (std::filesystem::is_directory(status))
    return fail(ErrorKind::kIo, path.string() + ": it is a directory, not a WebAssembly file");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int failure = errno;
    return fail(failure == EACCES || failure == EPERM ? ErrorKind::kPermission : ErrorKind::kIo,
                path.string() + ": it cannot be read: " + std::generic_category().message(failure));
  }
  std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return fail(ErrorKind::kIo, path.string() + ": reading it failed");
  return bytes;
}

}  // namespace

std::string_view version() noexcept { return WEFT_VERSION; }
std::string_view engine_version() noexcept { return wasm::Engine::version(); }

Result<Runtime> Runtime::create(RuntimeOptions options) {
  if (Result<void> checked = check(options); !checked) return std::unexpected(checked.error());
  platform::Platform& platform = platform::host();
  if (Result<void> checked = check_maps(options, platform.memory()); !checked) return std::unexpected(checked.error());
  if (options.workers == 0) options.workers = platform.cpus();

  std::vector<std::string> warnings;
  wasm::EngineConfig config;
  if (options.cache) {
    if (options.cache_directory.empty()) options.cache_directory = default_cache_directory();
    if (options.cache_directory.empty()) {
      warnings.emplace_back("compiled code is not kept: neither XDG_CACHE_HOME nor HOME says where");
    } else {
      config.cache_directory = options.cache_directory.string();
    }
  }
  config.fuel = options.fuel;
  config.epochs = options.preemption;
  // One slot more a worker: a slot is given back a moment after its process was counted out.
  config.slots_max = options.processes_max + options.workers;
  config.fibers = options.fibers;
  config.strands = options.strands;
  config.strands_preemptive = options.strands_preemptive;
  config.strands_max = options.strands_max != 0 ? options.strands_max : strands_that_fit(platform.memory());
  config.strand_stack_bytes = options.strand_stack_bytes;
  config.thread_slots_max = options.threads_max + options.workers;
  config.stack_bytes = options.stack_bytes;
  config.blocking_threads_max = options.blocking_threads_max;
  const std::uint64_t share = (kReservationBytesMax / config.slots_max) & ~(kWasmPageBytes - 1);
  config.memory_reservation_bytes = kFullReservationBytes;
  if (share < kFullReservationBytes + kGuardBytes) {
    // Bounds checks are compiled in anyway; then a memory gets only the addresses that it can use, and needs fewer page tables.
    config.memory_reservation_bytes = std::min(share, (options.memory_bytes_max + kWasmPageBytes - 1) & ~(kWasmPageBytes - 1));
    if (options.memory_bytes_max > share) {
      options.memory_bytes_max = share;
      warnings.push_back(
          fmt::format("with room for {} processes no memory can grow beyond {}", options.processes_max, format_size(share)));
    }
  }
  config.memory_bytes_max = options.memory_bytes_max & ~(kWasmPageBytes - 1);

  auto engine = wasm::Engine::create(config);
  if (!engine) return std::unexpected(engine.error());
  if (std::string warning = (*engine)->warning(); !warning.empty()) warnings.push_back(std::move(warning));
  const auto host = std::make_shared<const HostFunctions>(options.host);
  auto linker = make_linker(**engine, host, process::Payment::kNone);
  if (!linker) return std::unexpected(linker.error());
  auto make_paid_linker = [of = engine->get(), host] { return make_linker(*of, host, process::Payment::kFromPool); };
  auto recorder = options.trace ? std::make_unique<sched::Recorder>(options.workers, kTraceEventsPerWorker) : nullptr;

  auto environment = std::make_shared<process::Environment>(std::move(*engine), std::move(*linker), std::move(make_paid_linker),
                                                            std::move(recorder), options.processes_max, options.threads_max);
  environment->stack_bytes = options.stack_bytes;
  environment->entered.resize(options.workers);
  environment->society.set_names_max(options.names_max);
  environment->society.set_regions_bytes_max(options.regions_bytes_max);
  process::Environment* const raw = environment.get();
  sched::SchedulerConfig scheduling;
  scheduling.workers = options.workers;
  scheduling.quantum_ns = static_cast<std::uint64_t>(options.quantum.count());
  scheduling.platform = &platform;
  scheduling.preempt_tick = [raw] { raw->engine->increment_epoch(); };
  scheduling.worker_start = [raw](std::uint32_t worker) { raw->entered[worker] = raw->engine->enter(); };
  scheduling.worker_stop = [raw](std::uint32_t worker) { raw->entered[worker].reset(); };
  scheduling.blocking.threads_max = options.blocking_threads_max;
  scheduling.recorder = environment->recorder.get();
  environment->scheduler_owner = std::make_unique<sched::Scheduler>(std::move(scheduling));
  // Guests choose the addresses: which of them share a queue is not for them to know.
  std::random_device random;
  const std::uint64_t seed = (std::uint64_t{random()} << 32U) | random();
  environment->futexes = std::make_unique<sync::FutexTable>(environment->scheduler().timers(), seed);
  if (Result<void> started = environment->scheduler().start(); !started) return std::unexpected(started.error());

  std::shared_ptr<State> state(new State(std::move(options), std::move(environment)), State::let_go);
  state->warnings = std::move(warnings);
  return Runtime(std::move(state));
}

Result<Module> Runtime::load(const std::filesystem::path& path) const {
  Result<std::vector<std::uint8_t>> bytes = read_file(path);
  if (!bytes) return std::unexpected(bytes.error());
  Result<Module> module = compile(*bytes, path.filename().string());
  if (!module) module.error().message = path.string() + ": " + module.error().message;
  return module;
}

Result<Module> Runtime::compile(std::span<const std::uint8_t> bytes, std::string name) const {
  auto compiled = wasm::CompiledModule::compile(*state_->environment->engine, bytes, std::move(name));
  if (!compiled) return std::unexpected(compiled.error());
  return Module(std::make_shared<const Module::Code>(state_->environment, std::move(*compiled)));
}

Result<Module> Runtime::load_precompiled(const std::filesystem::path& path) const {
  Result<std::vector<std::uint8_t>> bytes = read_file(path);
  if (!bytes) return std::unexpected(bytes.error());
  auto compiled = wasm::CompiledModule::load_precompiled(*state_->environment->engine, *bytes, path.filename().string());
  if (!compiled) {
    compiled.error().message = path.string() + ": " + compiled.error().message;
    return std::unexpected(compiled.error());
  }
  return Module(std::make_shared<const Module::Code>(state_->environment, std::move(*compiled)));
}

Result<Program> Runtime::prepare(ProcessSpec spec) const {
  if (!spec.module) return fail(ErrorKind::kBadArgument, "a process needs a module: ProcessSpec::module is empty");
  if (spec.module.code()->kept != state_->environment) {
    return fail(ErrorKind::kBadArgument, "the module belongs to another runtime: compile it with the one that runs it");
  }
  std::shared_ptr<const wasm::CompiledModule> compiled = spec.module.code()->compiled;
  auto prepared = process::prepare(std::move(spec), std::move(compiled), *state_->environment->linker,
                                   {.fuel = state_->options.fuel, .memory_bytes_max = state_->options.memory_bytes_max});
  if (!prepared) return std::unexpected(prepared.error());
  return Program(std::move(*prepared));
}

Result<Process> Runtime::spawn(const Program& program, SpawnOptions options) const {
  if (!program) return fail(ErrorKind::kBadArgument, "an empty program cannot be spawned: prepare() one");
  if (state_->shut_down.load()) return fail(ErrorKind::kCancelled, "the runtime is shutting down");
  const FuelPool fuel = options.fuel;
  if (!fuel) return process::spawn(state_->environment, program.state(), std::move(options));
  const std::uint64_t cost = fuel.cost_of(FuelOperation::spawn(state_->options.stack_bytes));
  if (Result<void> paid = fuel.try_take(cost); !paid) return std::unexpected(std::move(paid.error()));
  Result<Process> spawned = process::spawn(state_->environment, program.state(), std::move(options));
  if (!spawned) fuel.give_back(cost);
  return spawned;
}

Result<Process> Runtime::spawn(ProcessSpec spec) const {
  Result<Program> program = prepare(std::move(spec));
  if (!program) return std::unexpected(program.error());
  return spawn(*program);
}

std::optional<Process> Runtime::find(ProcessId id) const {
  auto found = state_->environment->table.find(id);
  if (!found) return std::nullopt;
  return Process(std::move(found));
}

Result<void> Runtime::register_name(std::string_view name, const Process& process) const {
  if (!process || process.state()->kept != state_->environment) {
    return fail(ErrorKind::kBadArgument, "a name is given to a process of the same runtime");
  }
  return state_->environment->society.register_name(name, *process.state());
}

bool Runtime::unregister_name(std::string_view name) const { return state_->environment->society.unregister_name(name); }

std::optional<Process> Runtime::whereis(std::string_view name) const {
  const ProcessId id = state_->environment->society.whereis(name);
  return id == 0 ? std::nullopt : find(id);
}

void Runtime::start_body(std::unique_ptr<detail::Started> body, const std::shared_ptr<detail::JoinState>& join, Priority priority,
                         std::string_view name) const {
  auto task = base::make_ref<sync::CoroutineTask>(std::move(body), join, std::min(priority, kPriorityLowest), std::string(name));
  if (state_->shut_down.load() || !state_->environment->scheduler().spawn(task)) {
    task->refuse({ErrorKind::kCancelled, "the runtime is shutting down", {}});
  } else if (state_->environment->recorder) {
    state_->environment->names.add(task->id(), 0, std::string(name));
  }
}

void detail::cross(const Runtime& runtime, Crossing& crossing, Priority priority, std::string_view name) {
  Runtime::State& state = *runtime.state();
  sync::Caller caller(crossing);
  base::Ref<sched::Task> task = caller.make_task(std::min(priority, kPriorityLowest), name);
  if (state.shut_down.load()) {
    task = nullptr;
  } else if (!state.environment->recorder) {
    (void)state.environment->scheduler().spawn(std::move(task), sched::SpawnPlace::kNext);
  } else if (const base::Ref<sched::Task> traced = task;
             state.environment->scheduler().spawn(std::move(task), sched::SpawnPlace::kNext)) {
    state.environment->names.add(traced->id(), 0, std::string(name));
  }
  caller.wait();
}

std::vector<TaskDump> Runtime::dump(bool guest_stacks, Duration bound) const {
  return process::dump(*state_->environment, guest_stacks, bound);
}

Waitable Runtime::timer(Duration after) const {
  sched::Scheduler& scheduler = state_->environment->scheduler();
  return sync::make_timer(scheduler, sync::deadline_after(scheduler.now_ns(), after));
}

RuntimeStats Runtime::stats() const {
  const process::Environment& environment = *state_->environment;
  const sched::SchedulerStatistics scheduling = environment.scheduler().statistics();
  RuntimeStats stats;
  stats.workers = scheduling.workers;
  stats.processes = environment.table.alive();
  stats.processes_spawned = environment.table.spawned();
  stats.tasks = scheduling.tasks;
  stats.switches = scheduling.switches;
  stats.preemptions = scheduling.preemptions;
  stats.steals = scheduling.steals;
  stats.blocking_threads = scheduling.blocking.threads;
  stats.timers = scheduling.timers;
  stats.names = environment.society.names();
  stats.region_bytes = environment.society.region_bytes();
  stats.channel_bytes = environment.society.channel_bytes();
  stats.guest_threads = environment.threads.taken();
  return stats;
}

const RuntimeOptions& Runtime::options() const noexcept { return state_->options; }
const std::vector<std::string>& Runtime::warnings() const noexcept { return state_->warnings; }

Trace Runtime::trace() const {
  Trace trace;
  const process::Environment& environment = *state_->environment;
  trace.workers = state_->options.workers;
  if (!environment.recorder) return trace;
  environment.recorder->collect([&](const sched::TraceEvent& event) {
    trace.events.push_back({event.time_ns, event.task_id, event.worker, static_cast<TraceKind>(event.kind), event.reason});
  });
  std::ranges::stable_sort(trace.events, {}, &TraceEvent::time_ns);
  trace.dropped = environment.recorder->dropped();
  trace.names = environment.names.all();
  return trace;
}

ShutdownReport Runtime::shutdown(Duration drain, Duration cancel) const { return state_->shutdown(drain, cancel); }

// The last copy may go on a thread of the runtime itself: in a coroutine, a host function, a receiver of output, in blocking work. That thread cannot wait for
// its own end, so another one does.
void Runtime::State::let_go(State* state) noexcept {
  if (platform::on_own_thread()) {
    std::thread([state] { delete state; }).detach();
  } else {
    delete state;
  }
}

ShutdownReport Runtime::State::shutdown(Duration drain, Duration cancel) {
  ShutdownReport report;
  if (shut_down.exchange(true)) return report;
  sched::Scheduler& scheduler = environment->scheduler();
  // What the scheduler lets go of is unwound on this thread.
  std::unique_ptr<wasm::Engine::Entered> entered = environment->engine->enter();
  const std::uint64_t now_ns = scheduler.now_ns();
  const std::uint64_t drain_ns = deadline_after(now_ns, drain);
  const sched::ShutdownReport done = scheduler.shutdown(drain_ns, deadline_after(drain_ns, cancel));
  const std::uint64_t then_ns = scheduler.now_ns();
  for (const sched::TaskInfo& info : done.cancelled) report.cancelled.push_back(process::dump_of(info, then_ns));
  for (const sched::TaskInfo& info : done.surviving) report.surviving.push_back(process::dump_of(info, then_ns));
  (void)environment->output.flush(std::max(cancel, span(0)));
  environment->input.close();
  entered.reset();
  // Its threads may hold the last references to tasks that have ended, and so to all of this.
  if (report.surviving.empty()) environment->engine->stop_io();
  return report;
}

}  // namespace weft
