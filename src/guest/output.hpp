// What guests write, on its way out.
//
// A process writes into its OutputPort, which never blocks: it takes what fits and otherwise says that there is no room, and the guest
// parks. One thread of the runtime, the OutputPump, carries the bytes to where they go; only that thread may block.
//
//   OutputPump pump;                                   // one a runtime
//   auto port = pump.open(process_id, output, limit);  // one a process
//   port->write(Stream::kOut, bytes);                  // on a worker, by the guest
//   port->close([] { …all that was written is out… });
//
// Threads: a port is used by the workers that run its process and by the pump; all its functions are safe from any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sched/task.hpp"
#include "weft/process.hpp"

namespace weft::guest {

class OutputPump;

class OutputPort : public std::enable_shared_from_this<OutputPort> {
 public:
  // What write() came to, when it took nothing.
  enum class Refusal : std::uint8_t { kFull, kClosed, kLimit };
  using Written = std::expected<std::size_t, Refusal>;

  // Takes the front of `bytes`, at least one byte, or refuses: kFull (try again once woken, see wait_for_room), kClosed (nobody
  // reads any more), kLimit (captured output has reached its limit: the process is to end).
  Written write(Stream stream, std::span<const std::byte> bytes);

  // Bytes that write() would take now. 0: `task`, if any, will be woken once that changes.
  std::size_t wait_for_room(Stream stream, sched::Task* task);

  // Captured so far.
  std::string captured(Stream stream) const;
  std::uint64_t limit_bytes() const noexcept { return limit_bytes_; }

  // The process has ended: no write follows. `then` is called once, when all that was written is out; on this thread if that is so
  // now, else on the pump's.
  void close(std::function<void()> then);

 private:
  friend class OutputPump;
  OutputPort(OutputPump& pump, ProcessId process, Output output, std::uint64_t limit_bytes)
      : pump_(pump), process_(process), output_(std::move(output)), limit_bytes_(limit_bytes) {}

  struct Segment {
    Stream stream;
    std::string bytes;
  };

  bool closed_now(Stream stream) const;

  OutputPump& pump_;
  const ProcessId process_;
  const Output output_;
  const std::uint64_t limit_bytes_;

  mutable std::mutex mutex_;
  // All below: under mutex_.
  std::vector<Segment> segments_;    // written, not yet taken by the pump; the two streams in their order
  std::uint64_t waiting_bytes_ = 0;  // written, not yet out
  std::string captured_[2];
  bool queued_ = false;  // in the pump's queue, or being served
  bool ended_ = false;
  std::vector<base::Ref<sched::Task>> waiters_;
  std::function<void()> then_;
  // Only the pump's thread: the unfinished last line of each stream.
  std::string partial_[2];
};

class OutputPump {
 public:
  OutputPump();
  // Carries out what is left, unless the outside does not take it: then the thread is left behind with what it holds.
  ~OutputPump();
  OutputPump(const OutputPump&) = delete;
  OutputPump& operator=(const OutputPump&) = delete;

  std::shared_ptr<OutputPort> open(ProcessId process, Output output, std::uint64_t limit_bytes);

  // Waits until everything is out, at most `bound`. False: something still waits for a reader.
  bool flush(Duration bound);

 private:
  friend class OutputPort;
  struct Shared;
  void enqueue(std::shared_ptr<OutputPort> port);

  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace weft::guest
