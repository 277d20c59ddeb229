// This program's own standard streams, as bytes. The one place where guests' output and input meet file descriptors.
//
// write_all may be called from any thread, one at a time per stream. A StdinReader belongs to one thread; stop() may be called from any.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace weft::platform {

enum class StandardStream : int { kOut = 1, kErr = 2 };

// Writes all of `bytes`, waiting as long as the reader takes. 0, or the errno that stopped it (EPIPE when nobody reads any more).
int write_all(StandardStream stream, std::span<const std::byte> bytes);

// Reads standard input in a way that can be interrupted.
class StdinReader {
 public:
  static std::unique_ptr<StdinReader> create();  // null when the machine has no descriptors left
  virtual ~StdinReader() = default;
  // Waits for input and reads at most buffer.size() bytes: their number, 0 at the end of input or after stop(), -errno on failure.
  virtual long read(std::span<std::byte> buffer) = 0;
  // Any thread, any time: the current and all later reads return 0.
  virtual void stop() = 0;
};

}  // namespace weft::platform
