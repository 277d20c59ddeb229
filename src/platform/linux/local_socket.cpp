#include "platform/local_socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace weft::platform {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kBadArgument,
                text + ": a socket's path may have at most " + std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

// bind and connect take the address of every family through the same pointer type.
const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Result<int> open_socket() {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(ErrorKind::kExhausted, "no socket is to be had: " + reason(errno));
  return fd;
}

ErrorKind kind_of(int error) {
  if (error == ENOENT || error == ECONNREFUSED) return ErrorKind::kNotFound;
  if (error == EACCES || error == EPERM) return ErrorKind::kPermission;
  return ErrorKind::kIo;
}

}  // namespace

LocalConnection::~LocalConnection() {
  if (fd_ >= 0) ::close(fd_);
}
LocalConnection::LocalConnection(LocalConnection&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
LocalConnection& LocalConnection::operator=(LocalConnection&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

bool LocalConnection::read_some(std::string& text) {
  std::array<char, 16 * 1024> chunk;
  const ssize_t count = ::recv(fd_, chunk.data(), chunk.size(), 0);
  if (count > 0) text.append(chunk.data(), static_cast<std::size_t>(count));
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

bool LocalConnection::write_some(std::string_view& text) {
  const ssize_t count = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
  if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  return count >= 0 || errno == EAGAIN || errno == EINTR;
}

Result<std::string> LocalConnection::read_to_end(std::chrono::nanoseconds bound) {
  std::string text;
  while (true) {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    const auto bound_ms = std::chrono::duration_cast<std::chrono::milliseconds>(bound).count();
    const int count = ::poll(&ready, 1, static_cast<int>(bound_ms));
    if (count == 0) return fail(ErrorKind::kTimedOut, "no answer in time");
    if (count < 0 && errno != EINTR) return fail(ErrorKind::kIo, reason(errno));
    if (count > 0 && !read_some(text)) return text;
  }
}

LocalListener::~LocalListener() {
  if (fd_ < 0) return;
  ::close(fd_);
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}
LocalListener::LocalListener(LocalListener&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Result<LocalListener> LocalListener::open(const std::filesystem::path& path) {
  const Result<sockaddr_un> address = address_of(path);
  if (!address) return std::unexpected(address.error());
  if (std::filesystem::exists(std::filesystem::symlink_status(path))) {
    if (connect_local(path)) return fail(ErrorKind::kPermission, path.native() + ": somebody listens there already");
    std::error_code ignored;
    std::filesystem::remove(path, ignored);  // left behind by a program that was killed
  }
  const Result<int> fd = open_socket();
  if (!fd) return std::unexpected(fd.error());
  LocalListener listener(*fd, path);
  // The directory is private, so the moment between bind and chmod is nobody's chance.
  if (::bind(*fd, generic(*address), sizeof *address) != 0 || ::chmod(path.c_str(), 0600) != 0 || ::listen(*fd, 8) != 0) {
    return fail(kind_of(errno), path.native() + ": cannot listen there: " + reason(errno));
  }
  return listener;
}

std::optional<LocalConnection> LocalListener::accept() {
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return std::nullopt;
  LocalConnection connection(fd);
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  if (peer.uid != ::geteuid() && peer.uid != 0) return std::nullopt;
  return connection;
}

Result<LocalConnection> connect_local(const std::filesystem::path& path) {
  const Result<sockaddr_un> address = address_of(path);
  if (!address) return std::unexpected(address.error());
  const Result<int> fd = open_socket();
  if (!fd) return std::unexpected(fd.error());
  LocalConnection connection(*fd);
  if (::connect(*fd, generic(*address), sizeof *address) != 0) {
    return fail(kind_of(errno), path.native() + ": " + reason(errno));
  }
  return connection;
}

Result<std::filesystem::path> private_directory(std::string_view name) {
  std::filesystem::path path;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') {
    path = std::filesystem::path(runtime) / name;
  } else {
    path = "/tmp/" + std::string(name) + "-" + std::to_string(::geteuid());
  }
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(kind_of(errno), path.native() + ": cannot be made: " + reason(errno));
  }
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return fail(kind_of(errno), path.native() + ": " + reason(errno));
  // In /tmp anybody could have made it first.
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 022) != 0) {
    return fail(ErrorKind::kPermission, path.native() + ": must be a directory of this user that others cannot write to");
  }
  return path;
}

std::uint32_t process_id() noexcept { return static_cast<std::uint32_t>(::getpid()); }

bool process_exists(std::uint32_t id) noexcept {
  return id != 0 && id <= 0x7fff'ffffU && (::kill(static_cast<pid_t>(id), 0) == 0 || errno == EPERM);
}

}  // namespace weft::platform
