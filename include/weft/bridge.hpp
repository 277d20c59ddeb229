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

#include <cstdint>
#include <exception>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/error.hpp"
#include "weft/process.hpp"
#include "weft/runtime.hpp"
#include "weft/task.hpp"

namespace weft {

namespace detail {

// kWouldDeadlock on a thread that a scheduler needs. Any thread, some nanoseconds.
Result<void> may_block(std::string_view what);

// A coroutine that a thread of the host waits for. It lies on that thread's stack, and the coroutine ends there too: the worker that runs it leaves
// nothing behind that would have to be freed elsewhere.
class Crossing {
 public:
  virtual bool poll(TaskContext& context) = 0;  // by a worker; true when done
  virtual void abandon(Error why) = 0;          // cancelled or shut down, instead of poll(): destroys the frames; any thread

 protected:
  ~Crossing() = default;
};

template <class T>
class TypedCrossing final : public Crossing {
 public:
  explicit TypedCrossing(Task<T> task) : task_(std::move(task)) {
    chain_.top = task_.handle();
    task_.handle().promise().chain = &chain_;
  }
  bool poll(TaskContext& context) override { return chain_.poll(context, task_.handle()); }
  void abandon(Error why) override {
    task_ = {};
    abandoned_.emplace(std::move(why));
  }
  // Once it is over.
  Result<T> take() {
    if (abandoned_) return std::unexpected<Error>(std::move(*abandoned_));
    try {
      if constexpr (std::is_void_v<T>) {
        task_.handle().promise().take();
        return {};
      } else {
        return task_.handle().promise().take();
      }
    } catch (...) {
      return std::unexpected<Error>(error_of(std::current_exception()));
    }
  }

 private:
  Task<T> task_;
  Chain chain_;
  std::optional<Error> abandoned_;
};

// Runs it, and returns when it is over. Not where may_block() fails.
void cross(const Runtime& runtime, Crossing& crossing, Priority priority, std::string_view name);

}  // namespace detail

// Runs the task on the runtime's workers and blocks the calling thread until it has ended. On a worker or a ticker of any runtime (in a task, in a host
// function, however deep below one, in a callback there) it fails with kWouldDeadlock at once, and the task is destroyed unrun: such a thread has to go
// on running others, and co_await is there for it. Otherwise as JoinHandle::join(): kCancelled when the runtime shuts down, kInternal with the text of an
// exception that escapes.
// Somebody waits, so the task is queued as one that was woken: ahead of those of its priority that only wait for their turn. Its outermost frame is destroyed
// on the calling thread.
template <class T>
Result<T> block_on(const Runtime& runtime, Task<T> task, Priority priority = kPriorityNormal, std::string_view name = "block_on") {
  if (Result<void> may = detail::may_block("block_on()"); !may) return std::unexpected<Error>(std::move(may.error()));
  detail::TypedCrossing<T> crossing(std::move(task));
  detail::cross(runtime, crossing, priority, name);
  return crossing.take();
}

}  // namespace weft
