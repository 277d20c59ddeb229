#include "platform/stdio.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace weft::platform {
namespace {

class PolledStdin final : public StdinReader {
 public:
  explicit PolledStdin(int stop_descriptor) : stop_descriptor_(stop_descriptor) {}
  PolledStdin(const PolledStdin&) = delete;
  PolledStdin& operator=(const PolledStdin&) = delete;
  ~PolledStdin() override { ::close(stop_descriptor_); }

  long read(std::span<std::byte> buffer) override {
    while (true) {
      std::array<pollfd, 2> waits = {{{stop_descriptor_, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
      if (::poll(waits.data(), waits.size(), -1) < 0) {
        if (errno == EINTR) continue;
        return -errno;
      }
      if (waits[0].revents != 0) return 0;
      if (waits[1].revents == 0) continue;
      if ((waits[1].revents & POLLNVAL) != 0) return 0;  // standard input is closed: as good as empty
      const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
      if (got >= 0) return static_cast<long>(got);
      if (errno != EINTR && errno != EAGAIN) return -errno;
    }
  }

  void stop() override {
    const std::uint64_t one = 1;
    // It can only fail when the counter is full, and then the reader has been told already.
    [[maybe_unused]] const ssize_t written = ::write(stop_descriptor_, &one, sizeof one);
  }

 private:
  const int stop_descriptor_;
};

}  // namespace

int write_all(StandardStream stream, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(static_cast<int>(stream), bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // Somebody shares the descriptor and made it non-blocking: wait as a blocking one would.
      pollfd wait = {static_cast<int>(stream), POLLOUT, 0};
      if (::poll(&wait, 1, -1) < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

std::unique_ptr<StdinReader> StdinReader::create() {
  const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor < 0) return nullptr;
  return std::make_unique<PolledStdin>(descriptor);
}

}  // namespace weft::platform
