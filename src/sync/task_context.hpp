// TaskContext: what a leaf of a coroutine sees while it is polled (see weft/task.hpp). On the worker's stack, valid during the poll only.
#pragma once

#include "sched/run_context.hpp"
#include "sched/task.hpp"
#include "weft/task.hpp"

namespace weft::detail {

struct TaskContext {
  sched::RunContext& run;
  sched::Task& task() const { return run.task(); }
};

}  // namespace weft::detail
