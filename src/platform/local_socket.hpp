// Sockets between programs of one user on one machine, for `weft dump`.
//
//   Result<LocalListener> listener = LocalListener::open(*private_directory("weft") / "42.sock");
//   … when listener->fd() is readable: std::optional<LocalConnection> client = listener->accept();
//
// Values that own a descriptor; one thread at a time each. Nothing here blocks but connect_local() and LocalConnection::read_to_end().
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "weft/error.hpp"

namespace weft::platform {

class LocalConnection {
 public:
  explicit LocalConnection(int fd) : fd_(fd) {}
  ~LocalConnection();
  LocalConnection(LocalConnection&& other) noexcept;
  LocalConnection& operator=(LocalConnection&& other) noexcept;

  int fd() const noexcept { return fd_; }

  // Both move what can be moved now. Read: appends to `text`; false when the other side has closed or failed.
  bool read_some(std::string& text);
  // Write: removes from `text` what went out; false when the other side has gone.
  bool write_some(std::string_view& text);

  // Blocks until the other side closes, at most `bound` between two pieces. Fails with kTimedOut or kIo.
  Result<std::string> read_to_end(std::chrono::nanoseconds bound);

 private:
  int fd_ = -1;
};

class LocalListener {
 public:
  // Only this user may connect (mode 0600). A dead socket of that name is replaced, a live one refused (kPermission).
  static Result<LocalListener> open(const std::filesystem::path& path);
  ~LocalListener();  // removes the file
  LocalListener(LocalListener&& other) noexcept;
  LocalListener& operator=(LocalListener&&) = delete;

  int fd() const noexcept { return fd_; }
  const std::filesystem::path& path() const noexcept { return path_; }

  // A client that waits, if it belongs to this user (or to the superuser); others are closed.
  std::optional<LocalConnection> accept();

 private:
  LocalListener(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::filesystem::path path_;
};

// kNotFound: nobody listens there. kPermission: not this user's.
Result<LocalConnection> connect_local(const std::filesystem::path& path);

// $XDG_RUNTIME_DIR/<name>, else /tmp/<name>-<uid>: made with mode 0700 when it is missing. kPermission when it belongs to
// somebody else or others may write to it.
Result<std::filesystem::path> private_directory(std::string_view name);

std::uint32_t process_id() noexcept;  // of this program, as the operating system counts
bool process_exists(std::uint32_t id) noexcept;

}  // namespace weft::platform
