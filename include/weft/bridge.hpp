// The bridge between code that blocks and code that awaits, in both directions.
//
//   weft::Result<int> sum = weft::block_on(runtime, both(a, b));        // on a thread of the host: runs the task, waits for its result
//
//   weft::Task<std::string> read(std::string path) {                    // in a task: runs what blocks, without holding a worker
//     auto work = [path] { return read_file(path); };
//     co_return co_await weft::blocking(std::move(work));
//   }
//
// block_on() is what others call execute_async_in_sync, and weft::blocking() (weft/task.hpp) is its reverse, execute_sync_in_async. From blocking work
// block_on() may be called again: it then holds a thread of the pool (RuntimeOptions::blocking_threads_max), so do not nest the two without bound.
#pragma once

#include <string_view>
#include <utility>

#include "weft/error.hpp"
#include "weft/process.hpp"
#include "weft/runtime.hpp"
#include "weft/task.hpp"

namespace weft {

namespace detail {
// kWouldDeadlock on a thread that a scheduler needs. Any thread, some nanoseconds.
Result<void> may_block(std::string_view what);
}  // namespace detail

// Runs the task on the runtime's workers and blocks the calling thread until it has ended. On a worker or a ticker of any runtime (in a task, in a host
// function, however deep below one, in a callback there) it fails with kWouldDeadlock at once, and the task is destroyed unrun: such a thread has to go
// on running others, and co_await is there for it. Otherwise as JoinHandle::join(): kCancelled when the runtime shuts down, kInternal with the text of an
// exception that escapes.
template <class T>
Result<T> block_on(const Runtime& runtime, Task<T> task, Priority priority = kPriorityNormal, std::string_view name = "block_on") {
  if (Result<void> may = detail::may_block("block_on()"); !may) return std::unexpected<Error>(std::move(may.error()));
  return runtime.start(std::move(task), priority, name).join();
}

}  // namespace weft
