// Spawning: from a prepared program to a process that runs. And looking at all of them.
#pragma once

#include <memory>
#include <vector>

#include "process/environment.hpp"
#include "process/process_observer.hpp"
#include "process/program.hpp"
#include "weft/dump.hpp"
#include "weft/error.hpp"
#include "weft/process.hpp"
#include "weft/runtime.hpp"

namespace weft::process {

// Any thread; never parks. kExhausted at the bound of the table, kCancelled when the scheduler takes no more. Its own fuel is the caller's affair.
Result<Process> spawn(const std::shared_ptr<Environment>& environment, std::shared_ptr<const Program::State> program,
                      SpawnOptions options, std::weak_ptr<ProcessObserver> observer = {});

// Every task of the scheduler; with `guest_stacks` also where each guest is, as far as they answer within `bound`.
std::vector<TaskDump> dump(const Environment& environment, bool guest_stacks, Duration bound);
TaskDump dump_of(const sched::TaskInfo& info, std::uint64_t now_ns);

}  // namespace weft::process
