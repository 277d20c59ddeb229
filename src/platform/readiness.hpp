// Waiting for several descriptors at once, and a descriptor that another thread can make ready.
//
//   platform::Notifier notifier;                                  // elsewhere: notifier.notify()
//   std::array watches{platform::Watch{notifier.fd()}};
//   platform::wait_ready(watches, std::chrono::milliseconds(100));
//   if (watches[0].readable) notifier.clear();
//
// wait_ready blocks its own thread: for main threads and service threads, never for workers.
#pragma once

#include <chrono>
#include <optional>
#include <span>

namespace weft::platform {

struct Watch {
  int fd = -1;  // negative: skipped
  bool for_writing = false;
  bool for_closing = false;  // only that the other side goes away; reported as readable
  bool readable = false;     // or closed by the other side; set by wait_ready
  bool writable = false;     // set by wait_ready
};

// Returns when at least one is ready, when `bound` has passed (unset: never), or early for no reason.
void wait_ready(std::span<Watch> watches, std::optional<std::chrono::nanoseconds> bound);

// Any number of notify() before a clear() count as one.
class Notifier {
 public:
  Notifier();
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  int fd() const noexcept { return fd_; }
  void notify() noexcept;  // any thread
  void clear() noexcept;   // the thread that waits

 private:
  int fd_ = -1;
};

}  // namespace weft::platform
