#include "weft/bridge.hpp"

#include <string>

#include "sched/run_context.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail {

// The run in progress says most; a simulated scheduler has no threads of its own, and the ticker and callbacks between two runs have no run.
Result<void> may_block(std::string_view what) {
  if (sched::RunContext::current() == nullptr && !sched::on_scheduler_thread()) return {};
  return fail(ErrorKind::kWouldDeadlock, std::string(what) +
                                             " blocks its thread, and this one runs tasks for a runtime: co_await the task "
                                             "instead, or come from a thread of the host");
}

}  // namespace weft::detail
