#include "platform/loopback_socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <utility>

namespace weft::platform {
namespace {

constexpr std::uint32_t kLoopbackNet = 127;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  std::string host;
};

std::unexpected<Error> refuse(std::string_view address, std::string_view why) {
  return fail(ErrorKind::kBadArgument, std::string(address) + ": " + std::string(why));
}

// bind and its kin take the address of every family through the same pointer type.
template <class T>
sockaddr* generic(T& address) {
  return reinterpret_cast<sockaddr*>(&address);
}

Result<Address> parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const char* digits = colon == std::string_view::npos ? end : text.data() + colon + 1;
  const auto [rest, error] = std::from_chars(digits, end, port);
  if (colon == std::string_view::npos || error != std::errc() || rest != end) {
    return refuse(text, "must be a loopback address and a port, such as 127.0.0.1:9464");
  }
  std::string host(text.substr(0, colon));
  if (host == "localhost") host = "127.0.0.1";
  Address address;
  if (host.starts_with('[') && host.ends_with(']')) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    if (::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &six.sin6_addr) != 1) return refuse(text, "is no address");
    if (!IN6_IS_ADDR_LOOPBACK(&six.sin6_addr))
      return refuse(text, "is not a loopback address; only 127.0.0.1, [::1] and localhost will do");
    std::memcpy(&address.storage, &six, sizeof six);
    address.size = sizeof six;
  } else {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &four.sin_addr) != 1) {
      return refuse(text, "must be a loopback address and a port, such as 127.0.0.1:9464");
    }
    if (ntohl(four.sin_addr.s_addr) >> 24U != kLoopbackNet) {
      return refuse(text, "is not a loopback address; only 127.0.0.1, [::1] and localhost will do");
    }
    std::memcpy(&address.storage, &four, sizeof four);
    address.size = sizeof four;
  }
  address.host = std::move(host);
  return address;
}

std::uint16_t port_of(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, generic(bound), &size) != 0) return 0;
  if (bound.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &bound, sizeof six);
    return ntohs(six.sin6_port);
  }
  sockaddr_in four{};
  std::memcpy(&four, &bound, sizeof four);
  return ntohs(four.sin_port);
}

}  // namespace

Result<LoopbackListener> LoopbackListener::open(std::string_view text) {
  Result<Address> address = parse(text);
  if (!address) return std::unexpected(address.error());
  const int fd = ::socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail(ErrorKind::kExhausted, std::string(text) + ": no socket is to be had: " + std::generic_category().message(errno));
  LoopbackListener listener(fd, {});
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, generic(address->storage), address->size) != 0 || ::listen(fd, 16) != 0) {
    const int error = errno;
    return fail(error == EADDRINUSE || error == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                std::string(text) + ": cannot listen there: " + std::generic_category().message(error));
  }
  listener.address_ = address->host + ":" + std::to_string(port_of(fd));
  return listener;
}

LoopbackListener::~LoopbackListener() {
  if (fd_ >= 0) ::close(fd_);
}
LoopbackListener::LoopbackListener(LoopbackListener&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), address_(std::move(other.address_)) {}

std::optional<LocalConnection> LoopbackListener::accept() {
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return std::nullopt;
  return LocalConnection(fd);
}

}  // namespace weft::platform
