// Environment: what processes need of the runtime they live in. Kept alive by the runtime and by everything made in it: modules,
// programs and handles of processes may outlive the Runtime that made them.
#pragma once

#include <memory>
#include <vector>

#include "guest/input.hpp"
#include "guest/output.hpp"
#include "process/paid_link.hpp"
#include "process/table.hpp"
#include "process/task_names.hpp"
#include "sched/scheduler.hpp"
#include "sched/trace.hpp"
#include "sync/futex.hpp"
#include "wasm/engine.hpp"
#include "wasm/program.hpp"

namespace weft::process {

class Society;
std::shared_ptr<Society> make_society(Table& table);  // society.hpp

struct Environment {
  Environment(std::unique_ptr<wasm::Engine> engine_of, std::unique_ptr<wasm::Linker> linker_of, LinkerOnDemand::Make paid_linker_of,
              std::unique_ptr<sched::Recorder> recorder_of, std::uint64_t processes_max, std::uint64_t threads_max)
      : engine(std::move(engine_of)),
        linker(std::move(linker_of)),
        paid_linker(std::move(paid_linker_of)),
        recorder(std::move(recorder_of)),
        table(processes_max),
        threads(threads_max) {}
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // In the order in which they need each other; they are destroyed the other way round.
  const std::unique_ptr<wasm::Engine> engine;
  const std::unique_ptr<const wasm::Linker> linker;
  LinkerOnDemand paid_linker;                       // for processes with a pool of fuel
  const std::unique_ptr<sched::Recorder> recorder;  // null without RuntimeOptions::trace
  TaskNames names;                                  // filled while there is a recorder
  Table table;
  std::uint64_t stack_bytes = 0;  // of a guest, for what its spawn costs in fuel; set once
  const std::shared_ptr<Society> society_owner = make_society(table);
  Society& society = *society_owner;
  Places threads;  // for guest threads, of processes that may have several
  guest::OutputPump output;
  guest::SharedStdin input;
  std::vector<std::unique_ptr<wasm::Engine::Entered>> entered;  // one a worker, made and unmade by it
  // Set once, like the scheduler, whose timers it uses; what the scheduler lets go of at its end may still wait in it.
  std::unique_ptr<sync::FutexTable> futexes;
  // Set once, before anything else uses this.
  std::unique_ptr<sched::Scheduler> scheduler_owner;
  sched::Scheduler& scheduler() const { return *scheduler_owner; }
};

}  // namespace weft::process
