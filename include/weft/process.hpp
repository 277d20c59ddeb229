// A process: what is spawned, limited and killed as one. One WASI context, one exit status.
//
//   weft::Result<weft::Process> process = runtime.spawn({.module = *module, .arguments = {"app", "input.txt"}});
//   weft::ExitStatus status = process->join();
//
// A Process is a handle. Copying it is cheap; all functions may be called from any thread. Dropping the last handle detaches:
// the process runs on and is reaped by the runtime. kill() first if it must not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/limits.hpp"
#include "weft/module.hpp"
#include "weft/task.hpp"
#include "weft/value.hpp"
#include "weft/waitable.hpp"

namespace weft {

class Mailbox;

using ProcessId = std::uint64_t;  // unique within a runtime, counted from 1

// 0 is the most urgent, 7 the least. Levels are served in order, with ageing: the lowest still runs under load.
using Priority = std::uint8_t;
inline constexpr Priority kPriorityHighest = 0;
inline constexpr Priority kPriorityNormal = 4;
inline constexpr Priority kPriorityLowest = 7;

enum class Stream : std::uint8_t { kOut = 1, kErr = 2 };

// Where the standard output and error of a process go.
class Output {
 public:
  // Called on the runtime's output thread, never on a worker; it may block, which holds the process back once
  // Limits::output_bytes are waiting. With whole_lines each call gets one or more whole lines (a line longer than 64 KiB is cut).
  using Receiver = std::function<void(ProcessId, Stream, std::string_view)>;

  static Output discard();
  static Output inherit(bool whole_lines = false, std::string prefix = {});  // this program's own stdout and stderr
  static Output capture();  // kept, up to Limits::output_bytes; read it with Process::captured()
  static Output to(Receiver receiver, bool whole_lines = false);

  enum class Kind : std::uint8_t { kDiscard, kInherit, kCapture, kReceiver };
  Kind kind = Kind::kDiscard;
  bool whole_lines = false;
  std::string prefix{};  // put before every line (kInherit with whole_lines)
  Receiver receiver;
};

// Where the standard input of a process comes from.
struct Input {
  enum class Kind : std::uint8_t { kEmpty, kInherit, kText };
  Kind kind = Kind::kEmpty;
  std::string text{};

  static Input empty() { return {}; }
  static Input inherit() { return {Kind::kInherit, {}}; }  // this program's own stdin; processes that inherit it share it
  static Input of(std::string text) { return {Kind::kText, std::move(text)}; }
};

struct Directory {
  std::string host{};   // path on this machine
  std::string guest{};  // path that the guest sees; empty: the same
  bool read_only = false;
};

// What becomes of a process all of whose threads wait on memory without a time-out, so that nothing is left that could wake any of them.
enum class OnDeadlock : std::uint8_t {
  kReport,  // it ends (ExitKind::kDeadlocked), and its status says where each thread waits
  kKill,    // it ends, without the report
  kIgnore,  // it stays as it is, until somebody kills it
};

struct ProcessSpec {
  Module module{};
  std::string name{};                    // for people: dumps, traces, prefixes; empty: the module's name
  std::vector<std::string> arguments{};  // argv, with argv[0]; empty: just the module's name
  std::vector<std::pair<std::string, std::string>> environment{};
  std::vector<Directory> directories{};
  bool network = false;  // sockets and name lookup (components only: preview 1 has no sockets to open)
  Input input = Input::empty();
  Output output = Output::discard();
  std::string entry{};                    // exported function; empty: the command's own entry point
  std::vector<Value> entry_values{};      // its arguments …
  std::vector<std::string> entry_text{};  // … or the same as text, converted by its signature
  Limits limits{};
  Priority priority = kPriorityNormal;
  OnDeadlock on_deadlock = OnDeadlock::kReport;
  // Of a program with strands: the process stays when its entry has returned, to run the strands that spawn_strand() asks for, until finish_strands() or kill().
  // The program needs no entry point then; a reactor's initialisation is called.
  bool resident = false;
};

// One frame of a guest's stack, innermost first.
struct Frame {
  std::string module{};
  std::string function{};  // demangled; empty when the module has no names
  std::uint32_t function_index = 0;
  static constexpr std::uint64_t kNoOffset = UINT64_MAX;
  std::uint64_t offset = 0;  // in the module, bytes; kNoOffset: not known
  std::string file{};        // source position, when the module carries DWARF
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

enum class ExitKind : std::uint8_t {
  kReturned,      // the entry function returned
  kExited,        // the guest called exit(code)
  kTrapped,       // the guest did what WebAssembly forbids
  kKilled,        // somebody called kill()
  kLimitReached,  // see ExitStatus::limit
  kFailed,        // it could not be started: its memory, its data or its stack were not to be had
  kDeadlocked,    // all its threads waited for each other: see ExitStatus::waiting
};

// A guest thread of a process that was found deadlocked.
struct WaitingThread {
  std::uint32_t thread = 0;    // its id; 0 is the first thread, where `main` runs
  std::uint64_t address = 0;   // what it waits on, in the guest's memory
  Duration waited{0};          // for how long by then
  std::uint32_t value = 0;     // the 32 bits there
  std::vector<Frame> stack{};  // where; empty beyond the first 64 threads
  std::string holder{};        // who has it, when it looks like a mutex of a C library that says so; else empty
};

struct LimitReached {
  LimitKind kind = LimitKind::kMemory;
  std::uint64_t value = 0;  // the limit; bytes, elements, nanoseconds or units of fuel
  std::uint64_t asked = 0;  // what was asked for, or what was used; 0 when that is not known
};

struct ExitStatus {
  ExitKind kind = ExitKind::kReturned;
  std::int32_t code = 0;                 // kExited: as the guest said; else 0
  std::vector<Value> results{};          // kReturned from an entry function
  std::string result_text{};             // the same as text
  std::string message{};                 // one line for people; empty when all is well
  std::string detail{};                  // more lines: the engine's own words on a trap or a failure
  std::string killed_by{};               // kKilled: what kill() was told
  std::optional<LimitReached> limit{};   // kLimitReached
  std::vector<Frame> backtrace{};        // kTrapped, and limits reached inside the guest
  std::uint32_t thread = 0;              // the guest thread that ended the process; 0: the first one, or nobody
  std::vector<WaitingThread> waiting{};  // kDeadlocked: its threads
  Usage usage{};

  bool success() const noexcept { return kind == ExitKind::kReturned || (kind == ExitKind::kExited && code == 0); }
};

// What a guest says of its health, by calling the function `alive` of the import module "weft".
struct Heartbeat {
  std::uint64_t beats = 0;  // calls so far
  Duration silent{0};       // since the last one; if there was none, since the spawn
};

std::string_view name_of(ExitKind kind) noexcept;  // "returned", "exited", "trapped", …

class Process {
 public:
  Process() = default;
  explicit operator bool() const noexcept { return state_ != nullptr; }

  ProcessId id() const noexcept;
  const std::string& name() const noexcept;
  bool running() const noexcept;
  Usage usage() const;  // so far
  // Whether it is too long is for you to say: see the health checks of `weft up`.
  Heartbeat heartbeat() const;

  // Waits for the end. Blocks the calling thread: not to be called on a worker (a task or a host function), which is
  // answered with an assertion; await exited() there.
  ExitStatus join() const;
  // The same with a bound; nothing when the process still runs then.
  std::optional<ExitStatus> join_for(Duration bound) const;
  // The status, if it has ended.
  std::optional<ExitStatus> try_join() const;
  // co_await process.exited() inside a Task.
  Task<ExitStatus> exited() const;
  // The same among other things (weft/wait_set.hpp): ready once it has ended. Of no process: a waitable of nothing.
  Waitable when_exited() const;
  // The same of one of its guest threads, by its id: ready once it has ended, also if another thread has got its id since. 0, the first one: the process. Of a
  // thread that there has not been: a waitable of nothing.
  Waitable when_thread_ended(std::uint32_t thread) const;

  // Ends the process wherever it is: in a tight loop, parked, or inside a host call that waits. Returns at once; `by` is what
  // its status will say. The first kill counts; after the end it does nothing.
  void kill(std::string_view by) const;

  // Asks it to end: its standard input reports end-of-file, and weft.stop_requested (import module "weft") answers 1.
  void request_stop() const;

  void set_priority(Priority priority) const;

  // Calls an exported function of the process's instance on a strand of its own: thousands at once, over one memory, each with a stack. The handle's
  // result is what the function returned; kCancelled when the process ended before; dropping the handle detaches, and its cancel() does nothing.
  // The program has to have strands: it imports weft_strand, or was compiled with RuntimeOptions::strands; else kBadArgument, as for arguments of other
  // types than the function's. kNoEntryPoint: no such function. kCancelled: the process has ended. kExhausted, from the handle: RuntimeOptions::strands_max.
  // Never waits.
  Result<JoinHandle<std::vector<Value>>> spawn_strand(std::string_view function, std::span<const Value> arguments = {}) const;
  // ProcessSpec::resident: it ends when its last strand has.
  void finish_strands() const;

  // Where messages to it go (weft/mailbox.hpp); one of nothing, in which everything fails with kClosed, if it has ended without ever having had one.
  Mailbox mailbox() const;

  // Output::capture(): what it has written so far.
  std::string captured(Stream stream) const;

  struct State;
  explicit Process(std::shared_ptr<State> state) : state_(std::move(state)) {}
  const std::shared_ptr<State>& state() const noexcept { return state_; }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace weft
