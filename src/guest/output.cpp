#include "guest/output.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "platform/platform.hpp"
#include "platform/stdio.hpp"

namespace weft {

Output Output::discard() { return {}; }

Output Output::inherit(bool lines, std::string line_prefix) {
  Output output;
  output.kind = Kind::kInherit;
  output.whole_lines = lines || !line_prefix.empty();
  output.prefix = std::move(line_prefix);
  return output;
}

Output Output::capture() {
  Output output;
  output.kind = Kind::kCapture;
  return output;
}

Output Output::to(Receiver to, bool lines) {
  Output output;
  output.kind = Kind::kReceiver;
  output.whole_lines = lines;
  output.receiver = std::move(to);
  return output;
}

}  // namespace weft

namespace weft::guest {
namespace {

constexpr std::size_t kBatchBytes = 64U << 10;    // gathered before it is written out
constexpr std::size_t kLineBytesMax = 64U << 10;  // a longer line is cut

std::size_t index_of(Stream stream) { return stream == Stream::kOut ? 0 : 1; }

platform::StandardStream standard_stream(std::size_t index) {
  return index == 0 ? platform::StandardStream::kOut : platform::StandardStream::kErr;
}

}  // namespace

// What the pump's thread works on. It outlives the pump if the thread has to be left behind.
struct OutputPump::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<OutputPort>> queue;  // under mutex
  bool busy = false;                              // under mutex: the thread holds something that is not out yet
  bool stopping = false;                          // under mutex

  // Written by the pump's thread when the outside is gone, read by workers; publishes nothing else.
  std::array<std::atomic<bool>, 2> inherited_closed{};

  // Only the pump's thread.
  std::array<std::string, 2> batch;

  void run();
  void serve(OutputPort& port);
  void deliver(OutputPort& port, Stream stream, std::string_view bytes);
  void deliver_lines(OutputPort& port, Stream stream, std::string_view bytes);
  void emit(OutputPort& port, Stream stream, std::string_view bytes);
  void flush_batch(std::size_t index);
};

OutputPort::Written OutputPort::write(Stream stream, std::span<const std::byte> bytes) {
  if (bytes.empty()) return std::size_t{0};
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::unique_lock lock(mutex_);
  if (ended_ || closed_now(stream)) return std::unexpected(Refusal::kClosed);
  if (output_.kind == Output::Kind::kDiscard) return bytes.size();
  const std::uint64_t room = limit_bytes_ - std::min(limit_bytes_, waiting_bytes_);
  const std::size_t taken = static_cast<std::size_t>(std::min<std::uint64_t>(room, bytes.size()));
  if (output_.kind == Output::Kind::kCapture) {
    captured_[index_of(stream)].append(text.substr(0, taken));
    waiting_bytes_ += taken;
    if (taken < bytes.size()) return std::unexpected(Refusal::kLimit);
    return taken;
  }
  if (taken == 0) return std::unexpected(Refusal::kFull);
  if (segments_.empty() || segments_.back().stream != stream) segments_.push_back({stream, {}});
  segments_.back().bytes.append(text.substr(0, taken));
  waiting_bytes_ += taken;
  const bool enqueue = !std::exchange(queued_, true);
  lock.unlock();
  if (enqueue) pump_.enqueue(shared_from_this());
  return taken;
}

std::size_t OutputPort::wait_for_room(Stream stream, sched::Task* task) {
  std::lock_guard lock(mutex_);
  if (ended_ || closed_now(stream)) return 1;  // let it write, and learn that it is closed
  if (output_.kind == Output::Kind::kDiscard || output_.kind == Output::Kind::kCapture) return kBatchBytes;
  const std::uint64_t room = limit_bytes_ - std::min(limit_bytes_, waiting_bytes_);
  if (room > 0) return static_cast<std::size_t>(std::min<std::uint64_t>(room, kBatchBytes));
  const auto same = [&](const base::Ref<sched::Task>& waiter) { return waiter.get() == task; };
  if (task != nullptr && std::ranges::none_of(waiters_, same)) waiters_.emplace_back(task);
  return 0;
}

std::string OutputPort::captured(Stream stream) const {
  std::lock_guard lock(mutex_);
  return captured_[index_of(stream)];
}

void OutputPort::close(std::function<void()> then) {
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
    // An unfinished line can only wait while the pump has served this port at least once, so it is asked again to finish it.
    const bool drained = !queued_ && waiting_bytes_ == 0;
    const bool carried = output_.kind == Output::Kind::kInherit || output_.kind == Output::Kind::kReceiver;
    if (carried && (!drained || output_.whole_lines)) {
      then_ = std::move(then);
      if (std::exchange(queued_, true)) return;
    }
  }
  if (then) {
    then();
  } else {
    pump_.enqueue(shared_from_this());
  }
}

bool OutputPort::closed_now(Stream stream) const {
  return output_.kind == Output::Kind::kInherit &&
         pump_.shared_->inherited_closed[index_of(stream)].load(std::memory_order_relaxed);  // a hint: see Shared
}

OutputPump::OutputPump() : shared_(std::make_shared<Shared>()), thread_([shared = shared_] { shared->run(); }) {}

OutputPump::~OutputPump() {
  const bool out = flush(std::chrono::seconds(1));
  {
    std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
  }
  shared_->changed.notify_all();
  if (out) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

std::shared_ptr<OutputPort> OutputPump::open(ProcessId process, Output output, std::uint64_t limit_bytes) {
  return std::shared_ptr<OutputPort>(new OutputPort(*this, process, std::move(output), limit_bytes));
}

bool OutputPump::flush(Duration bound) {
  std::unique_lock lock(shared_->mutex);
  return shared_->changed.wait_for(lock, bound, [&] { return shared_->queue.empty() && !shared_->busy; });
}

void OutputPump::enqueue(std::shared_ptr<OutputPort> port) {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->queue.push_back(std::move(port));
  }
  shared_->changed.notify_all();
}

void OutputPump::Shared::run() {
  platform::adopt_thread();  // receivers run here
  std::unique_lock lock(mutex);
  while (true) {
    if (queue.empty()) {
      if (busy) {
        lock.unlock();
        flush_batch(0);
        flush_batch(1);
        lock.lock();
        if (!queue.empty()) continue;
        busy = false;
        changed.notify_all();
      }
      if (stopping) return;
      changed.wait(lock);
      continue;
    }
    busy = true;
    std::shared_ptr<OutputPort> port = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    serve(*port);
    port.reset();
    lock.lock();
  }
}

// Takes what the port holds, carries it out, and ends or re-queues the port.
void OutputPump::Shared::serve(OutputPort& port) {
  std::vector<OutputPort::Segment> segments;
  bool ended = false;
  {
    std::lock_guard lock(port.mutex_);
    segments.swap(port.segments_);
    ended = port.ended_;
  }
  std::uint64_t bytes = 0;
  for (const OutputPort::Segment& segment : segments) {
    bytes += segment.bytes.size();
    deliver(port, segment.stream, segment.bytes);
  }
  if (ended) {
    for (const Stream stream : {Stream::kOut, Stream::kErr}) {
      std::string& partial = port.partial_[index_of(stream)];
      if (partial.empty()) continue;
      partial.push_back('\n');
      emit(port, stream, partial);
      partial.clear();
    }
    // The end of a process is reported only when its output is out.
    flush_batch(0);
    flush_batch(1);
  }

  std::vector<base::Ref<sched::Task>> waiters;
  std::function<void()> then;
  bool again = false;
  {
    std::lock_guard lock(port.mutex_);
    port.waiting_bytes_ -= bytes;
    waiters.swap(port.waiters_);
    // `ended` may have become true since: then another round finishes the last line.
    again = !port.segments_.empty() || port.ended_ != ended;
    if (!again) {
      port.queued_ = false;
      if (ended) then = std::move(port.then_);
    }
  }
  for (const base::Ref<sched::Task>& waiter : waiters) waiter->wake();
  if (then) then();
  if (again) {
    std::lock_guard lock(mutex);
    queue.push_back(port.shared_from_this());
  }
}

void OutputPump::Shared::deliver(OutputPort& port, Stream stream, std::string_view bytes) {
  if (port.output_.whole_lines) {
    deliver_lines(port, stream, bytes);
  } else {
    emit(port, stream, bytes);
  }
}

void OutputPump::Shared::deliver_lines(OutputPort& port, Stream stream, std::string_view bytes) {
  std::string& partial = port.partial_[index_of(stream)];
  const bool prefixed = port.output_.kind == Output::Kind::kInherit && !port.output_.prefix.empty();
  while (!bytes.empty()) {
    // Without a prefix, all whole lines go out in one piece.
    const std::size_t end = prefixed ? bytes.find('\n') : bytes.rfind('\n');
    std::string_view line = bytes.substr(0, end == std::string_view::npos ? bytes.size() : end + 1);
    bytes.remove_prefix(line.size());
    if (end == std::string_view::npos) {
      partial.append(line);
      if (partial.size() < kLineBytesMax) return;
      partial.push_back('\n');
      emit(port, stream, partial);
      partial.clear();
    } else if (partial.empty()) {
      emit(port, stream, line);
    } else {
      partial.append(line);
      emit(port, stream, partial);
      partial.clear();
    }
  }
}

void OutputPump::Shared::emit(OutputPort& port, Stream stream, std::string_view bytes) {
  if (port.output_.kind == Output::Kind::kReceiver) {
    try {
      port.output_.receiver(port.process_, stream, bytes);
    } catch (...) {
      // The receiver is the embedder's: what it throws has nowhere to go, and must not end the pump for everybody else.
    }
    return;
  }
  const std::size_t index = index_of(stream);
  // What the two streams say keeps its order on a terminal that shows both.
  if (!batch[1 - index].empty()) flush_batch(1 - index);
  if (!port.output_.prefix.empty() && port.output_.whole_lines) batch[index].append(port.output_.prefix);
  batch[index].append(bytes);
  if (batch[index].size() >= kBatchBytes) flush_batch(index);
}

void OutputPump::Shared::flush_batch(std::size_t index) {
  if (batch[index].empty()) return;
  if (!inherited_closed[index].load(std::memory_order_relaxed)) {
    const int failure = platform::write_all(standard_stream(index), std::as_bytes(std::span(batch[index])));
    if (failure != 0) inherited_closed[index].store(true, std::memory_order_relaxed);
  }
  batch[index].clear();
}

}  // namespace weft::guest
