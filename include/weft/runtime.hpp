// The runtime: workers, the engine, and everything that runs on them.
//
//   weft::Result<weft::Runtime> runtime = weft::Runtime::create();
//   weft::Result<weft::Module> module = runtime->load("app.wasm");
//   weft::Result<weft::Process> process = runtime->spawn({.module = *module, .output = weft::Output::inherit()});
//   return process->join().success() ? 0 : 1;
//
// All functions may be called from any thread unless they say otherwise. Several runtimes may live in one program. Destroying the last
// copy of a Runtime shuts it down: it kills what still runs and waits for that. Where the last copy goes on one of the runtime's own threads (in a Task, a
// host function, a receiver of output, blocking work), which cannot wait for its own end, the shutdown goes on in the background.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/dump.hpp"
#include "weft/error.hpp"
#include "weft/fibers.hpp"
#include "weft/fuel_pool.hpp"
#include "weft/grant.hpp"
#include "weft/host.hpp"
#include "weft/module.hpp"
#include "weft/process.hpp"
#include "weft/task.hpp"
#include "weft/trace.hpp"
#include "weft/waitable.hpp"

namespace weft {

struct RuntimeOptions {
  unsigned workers = 0;                             // OS threads that run tasks; 0: one per core this program may use
  Duration quantum = std::chrono::milliseconds(1);  // how long a task runs while others wait for its worker
  unsigned processes_max = 10'000;                  // alive at once; spawn() beyond it fails with kExhausted
  unsigned names_max = 16'384;                      // of processes (register_name), all together
  std::uint64_t regions_bytes_max = 1ULL << 30;     // of shared regions that guests make, or that have names, all together
  unsigned threads_max = 12'000;                // guest threads alive at once, of all processes that have any, their first included
  std::uint64_t stack_bytes = 512U << 10;       // of each guest
  std::uint64_t memory_bytes_max = 4ULL << 30;  // of linear memory, for any process; Limits::memory_bytes may say less
  unsigned blocking_threads_max = 64;           // of the pool for blocking work
  bool fuel = false;                            // count instructions, so that Limits::fuel works (costs about 20 %)
  bool preemption = true;                       // epoch checks; without them a tight loop keeps its worker, and kill() waits for it
  Fibers fibers = Fibers::kAsync;  // what core modules run on; kContinuations elsewhere than on x86-64 Linux: kBadArgument
  bool strands =
      false;  // compile core modules without shared memory so that Process::spawn_strand() works, also those that do not import strands
  unsigned strands_max =
      0;  // of one process at once; 0: as many as vm.max_map_count has room for (each takes two mappings), 1,000,000 at most
  std::uint32_t strand_stack_bytes = 64U << 10;  // of each strand, in the program's own memory; one that needs more traps
  bool strands_preemptive = false;               // interrupt a strand that does not yield, in favour of others of its process
  bool cache = true;                             // keep compiled code on disk
  std::filesystem::path cache_directory{};       // empty: $XDG_CACHE_HOME/weft or ~/.cache/weft
  HostFunctions host{};                          // what guests may import beside WASI
  bool trace = false;                            // record events for Runtime::trace()
};

// What a shutdown left undone. Empty lists mean that all went well.
struct ShutdownReport {
  std::vector<TaskDump> cancelled{};  // did not end by themselves in time, and were cancelled
  std::vector<TaskDump> surviving{};  // did not even end then: a bug of ours, or a host call that never returns
};

// How many of each exist now, and how much has been done since the start.
struct RuntimeStats {
  unsigned workers = 0;
  std::uint64_t processes = 0;  // alive
  std::uint64_t processes_spawned = 0;
  std::uint64_t tasks = 0;  // alive: fibers of guests, and coroutines
  std::uint64_t switches = 0;
  std::uint64_t preemptions = 0;
  std::uint64_t steals = 0;
  std::uint64_t blocking_threads = 0;
  std::uint64_t timers = 0;         // waiting
  std::uint64_t names = 0;          // registered
  std::uint64_t region_bytes = 0;   // of shared regions, each with 4 KiB for itself
  std::uint64_t channel_bytes = 0;  // of channels that guests have made: what they may hold, each with 4 KiB for itself
  std::uint64_t guest_threads = 0;  // alive, of processes whose programs may have several
};

// A spec made ready once, to be spawned many times.
class Program {
 public:
  Program() = default;
  explicit operator bool() const noexcept { return state_ != nullptr; }
  struct State;
  explicit Program(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  const std::shared_ptr<const State>& state() const noexcept { return state_; }

 private:
  std::shared_ptr<const State> state_;
};

// What may differ from copy to copy of a Program. Unset: as in its spec.
struct SpawnOptions {
  std::optional<std::string> name{};
  std::optional<Output> output{};
  std::optional<Priority> priority{};
  // Pays for the spawn (kExhausted if it has not enough: spawn() never waits), and for the process's threads and its calls to others (which wait, or are
  // refused, as the pool says; thread-spawn is refused), their switches, and their waits and notifies (which cannot be refused: FuelPool::owe).
  FuelPool fuel{};
  // What the process gets by name: at most 256. kBadArgument: two of one name, a name of no bytes or of more than 255, an end of no channel, a region of nothing.
  std::vector<Grant> grants{};
  // Runs as soon as the task that spawns it gives way, on the same worker, as if it had been woken. Without, it goes behind all that waits there, and an idle worker
  // is woken for it at once, which takes the spawner microseconds. For who spawns a process and then waits; who spawns several loses nothing.
  bool next = false;
};

class Runtime {
 public:
  // Fails with kBadArgument on options that make no sense (each names itself), kExhausted when the machine refuses threads or
  // address space.
  static Result<Runtime> create(RuntimeOptions options = {});

  // Reads and compiles a file: wasm binary or text, a module or a component. kNotFound, kPermission, kIo, kInvalidModule,
  // kUnsupportedFeature. May take seconds; from a task, call it inside weft::blocking().
  Result<Module> load(const std::filesystem::path& path) const;
  Result<Module> compile(std::span<const std::uint8_t> bytes, std::string name) const;
  // The machine code that Module::serialize() gave. It runs unchecked: load only what you would run natively. kIncompatible when it
  // was made by another version, configuration or kind of processor.
  Result<Module> load_precompiled(const std::filesystem::path& path) const;

  // Links the module with WASI and the host functions, opens its directories, checks its limits. kMissingImport, kNoEntryPoint,
  // kBadArgument, kNotFound, kPermission.
  Result<Program> prepare(ProcessSpec spec) const;

  // Starts a process; never blocks, never waits for a worker. kExhausted at RuntimeOptions::processes_max or at a limit of the
  // machine, before anything is lost; kCancelled once the runtime shuts down.
  Result<Process> spawn(const Program& program, SpawnOptions options = {}) const;
  Result<Process> spawn(ProcessSpec spec) const;

  // The process of that number, as long as it runs.
  std::optional<Process> find(ProcessId id) const;

  // Names of processes. A process may have up to 16; they go when it ends. 1 to 255 bytes, no control characters. kBadArgument: another process has it, or
  // it cannot be a name. kExhausted: RuntimeOptions::names_max, or the process has 16. kNotFound: the process has ended.
  Result<void> register_name(std::string_view name, const Process& process) const;
  bool unregister_name(std::string_view name) const;
  std::optional<Process> whereis(std::string_view name) const;

  // Starts a coroutine as a task. After the shutdown has begun its handle reports kCancelled.
  template <class T>
  JoinHandle<T> start(Task<T> task, Priority priority = kPriorityNormal, std::string_view name = "task") const {
    auto join = std::make_shared<detail::TypedJoinState<T>>();
    start_body(std::make_unique<detail::StartedTask<T>>(std::move(task), join), join, priority, name);
    return JoinHandle<T>(std::move(join));
  }

  // Ready once the time has passed, and from then on, but not once the runtime is gone. Any thread; in a task, weft::timer() is the same.
  Waitable timer(Duration after) const;

  // Every task with its state, what it waits for and since when; with guest_stacks also where each guest is (this wakes parked guests
  // once and waits a moment for running ones; at most `bound`).
  std::vector<TaskDump> dump(bool guest_stacks = false, Duration bound = std::chrono::milliseconds(200)) const;

  RuntimeStats stats() const;
  const RuntimeOptions& options() const noexcept;
  // What creation had to do without: a cache that cannot be written, for instance. One line each.
  const std::vector<std::string>& warnings() const noexcept;

  // The events so far (RuntimeOptions::trace); dropped ones are counted in it.
  Trace trace() const;

  // Refuses new work, waits up to `drain` for the rest, cancels what is left, waits up to `cancel`, and reports. Once; later calls
  // return an empty report. Never from a task.
  ShutdownReport shutdown(Duration drain, Duration cancel = std::chrono::seconds(2)) const;

  struct State;
  explicit Runtime(std::shared_ptr<State> state) : state_(std::move(state)) {}
  const std::shared_ptr<State>& state() const noexcept { return state_; }

 private:
  void start_body(std::unique_ptr<detail::Started> body, const std::shared_ptr<detail::JoinState>& join, Priority priority,
                  std::string_view name) const;
  std::shared_ptr<State> state_;
};

// "0.1.0", and the engine's "wasmtime 48.0.8".
std::string_view version() noexcept;
std::string_view engine_version() noexcept;

}  // namespace weft
