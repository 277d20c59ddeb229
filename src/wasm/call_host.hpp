// CallHost: what a running call asks of whoever runs it. One object a process; the engine hands it back in every hook.
//
// Unless said otherwise, a function is called on the worker that polls the call, from inside Call::poll, on the guest's own stack: keep
// stack use small, do not block, do not throw, and keep no thread-local across it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sched/task.hpp"
#include "weft/error.hpp"
#include "weft/value.hpp"

namespace weft::wasm {

enum class Decision : std::uint8_t { kContinue, kYield, kStop };

enum class FutexAnswer : std::uint8_t { kWoken, kNotEqual, kTimedOut, kPending };

struct FutexWait {
  const void* address;          // of the word, aligned
  std::uint64_t guest_address;  // the same, as the guest calls it
  std::uint32_t bytes;          // 4 or 8
  std::uint64_t expected;
  std::int64_t timeout_ns;  // negative: for ever
};

class CallHost {
 public:
  static constexpr std::int64_t kWriteClosed = -1;
  static constexpr std::int64_t kWriteStop = -2;
  static constexpr std::int64_t kReadPending = -1;

  virtual ~CallHost() = default;

  virtual std::uint64_t process_id() const noexcept = 0;
  // The process was asked to end.
  virtual bool stop_requested() const noexcept = 0;

  // What the guest says of itself: that it is well, how far it is (0 … 1, if it keeps to it), and that it has heard that it is to end.
  virtual void alive() noexcept {}
  virtual void progress(double, std::string_view) noexcept {}
  virtual void acknowledge_stop() noexcept {}

  // At an epoch check. After kYield the poll returns pending and nobody wakes the task: re-queue it.
  virtual Decision epoch() noexcept = 0;
  // After kYield: the guest was found in a loop that only looks at memory until another thread changes it.
  virtual void spinning() noexcept = 0;
  // The guest called sched_yield: the poll returns pending right after this, and nobody wakes the task.
  virtual void yield_now() noexcept = 0;
  // Bytes taken (possibly fewer, also 0), kWriteClosed or kWriteStop.
  virtual std::int64_t write(std::uint32_t stream, std::span<const std::byte> bytes) noexcept = 0;
  // Bytes that may be written now; 0: `task`, if given, will be woken when it is worth asking again.
  virtual std::int64_t write_ready(std::uint32_t stream, sched::Task* task) noexcept = 0;
  // Bytes read, 0 at the end of input, kReadPending: `task`, if given, will be woken.
  virtual std::int64_t read(std::span<std::byte> buffer, sched::Task* task) noexcept = 0;
  // True once `deadline_ns` has passed; false: `task` will be woken then. `*op` is null at first, ours to use, and null again when ready.
  virtual bool sleep(std::uint64_t deadline_ns, sched::Task* task, void** op) noexcept = 0;
  // The sleep is given up. From the thread that polls or drops the call.
  virtual void sleep_drop(void* op) noexcept = 0;

  // A wait on a word of shared memory; `*op` as for sleep. kPending: the task of the call will be woken.
  virtual FutexAnswer futex_wait(const FutexWait& wait, void** op) noexcept = 0;
  virtual void futex_drop(void* op) noexcept = 0;
  // Wakes up to `count` that wait on the word; answers how many.
  virtual std::uint32_t futex_notify(const void* address, std::uint32_t count) noexcept = 0;
  // The guest starts a thread: its id, or a negative number as an error.
  virtual std::int32_t spawn_thread(std::int32_t argument) noexcept = 0;
  // What the strand answered that Call::spawn_strand asked for as `token`, or why it did not begin.
  virtual void strand_finished(std::uint64_t token, Result<std::vector<Value>> results) noexcept = 0;
};

}  // namespace weft::wasm
