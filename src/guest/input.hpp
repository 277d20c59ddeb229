// What guests read from their standard input.
//
// A process has an InputPort, which never blocks: without input it answers that it has none and wakes the task later. Text comes from
// memory; the program's own standard input is read by one thread, started when the first guest asks and reading only when one waits, so that
// input nobody asked for stays where it is.
//
// Threads: all functions from any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/ref.hpp"
#include "platform/stdio.hpp"
#include "sched/task.hpp"
#include "weft/process.hpp"

namespace weft::guest {

// The program's own standard input, shared by all guests that inherit it: each byte goes to whoever asks first.
class SharedStdin {
 public:
  SharedStdin() = default;
  ~SharedStdin() { close(); }
  SharedStdin(const SharedStdin&) = delete;
  SharedStdin& operator=(const SharedStdin&) = delete;

  // Bytes, 0 at the end, -1: nothing yet, `task` (if any) will be woken.
  std::int64_t read(std::span<std::byte> buffer, sched::Task* task);
  // `task` has ended, and is not to be woken.
  void forget(const sched::Task& task);
  // Interrupts the reading thread and waits for it; lets go of those that wait, who would keep what this is a part of. Reads report the end from now on. Once
  // no task runs any more; again does nothing.
  void close();

 private:
  static constexpr std::size_t kBufferBytes = 64U << 10;
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::byte> buffer_;  // under mutex_, like all below
  std::size_t consumed_ = 0;
  bool wanted_ = false;
  bool ended_ = false;
  bool stopping_ = false;
  std::vector<base::Ref<sched::Task>> waiters_;
  std::unique_ptr<platform::StdinReader> reader_;
  std::thread thread_;
};

class InputPort {
 public:
  // Both outlive the port.
  InputPort(const Input& input, SharedStdin& shared) : input_(input), shared_(shared) {}

  std::int64_t read(std::span<std::byte> buffer, sched::Task* task);
  // From now on every read answers end of input.
  void end();
  // `task`, which may have waited for input, has ended.
  void forget(const sched::Task& task);

 private:
  const Input& input_;
  SharedStdin& shared_;
  std::mutex mutex_;
  std::size_t consumed_ = 0;  // under mutex_
  bool ended_ = false;        // under mutex_
};

}  // namespace weft::guest
