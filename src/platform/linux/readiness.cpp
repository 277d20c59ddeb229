#include "platform/readiness.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/assert.hpp"

namespace weft::platform {

void wait_ready(std::span<Watch> watches, std::optional<std::chrono::nanoseconds> bound) {
  std::vector<pollfd> polled;
  polled.reserve(watches.size());
  for (const Watch& watch : watches) {
    const int events = watch.for_closing ? 0 : watch.for_writing ? POLLOUT : POLLIN;
    polled.push_back({.fd = watch.fd, .events = static_cast<short>(events), .revents = 0});
  }
  timespec timeout{};
  if (bound) {
    const auto clamped = std::max(*bound, std::chrono::nanoseconds(0));
    timeout.tv_sec = static_cast<time_t>(clamped.count() / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(clamped.count() % 1'000'000'000);
  }
  const int count = ::ppoll(polled.data(), polled.size(), bound ? &timeout : nullptr, nullptr);
  for (std::size_t i = 0; i < watches.size(); ++i) {
    const short events = count > 0 ? polled[i].revents : short{0};
    const bool broken = (events & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    watches[i].readable = !watches[i].for_writing && ((events & POLLIN) != 0 || broken);
    watches[i].writable = watches[i].for_writing && ((events & POLLOUT) != 0 || broken);
  }
}

Notifier::Notifier() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  WEFT_ASSERT(fd_ >= 0, "the machine gives no descriptor for an event counter");
}

Notifier::~Notifier() { ::close(fd_); }

void Notifier::notify() noexcept {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then it is ready anyway.
  [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof one);
}

void Notifier::clear() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = ::read(fd_, &count, sizeof count);
}

}  // namespace weft::platform
