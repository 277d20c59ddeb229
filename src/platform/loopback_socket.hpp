// A TCP port that only programs on this machine reach, for metrics.
//
//   Result<LoopbackListener> listener = LoopbackListener::open("127.0.0.1:9464");
//   … when listener->fd() is readable: std::optional<LocalConnection> client = listener->accept();
//
// Every user of the machine can connect to it: nothing secret goes over it. One thread at a time; nothing here blocks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "platform/local_socket.hpp"
#include "weft/error.hpp"

namespace weft::platform {

class LoopbackListener {
 public:
  // "127.0.0.1:9464", "[::1]:9464", "localhost:9464"; port 0 is a free one. kBadArgument for other addresses than loopback ones, kPermission when the port is taken.
  static Result<LoopbackListener> open(std::string_view address);
  ~LoopbackListener();
  LoopbackListener(LoopbackListener&& other) noexcept;
  LoopbackListener& operator=(LoopbackListener&&) = delete;

  int fd() const noexcept { return fd_; }
  const std::string& address() const noexcept { return address_; }  // with the port that it has got
  std::optional<LocalConnection> accept();

 private:
  LoopbackListener(int fd, std::string address) : fd_(fd), address_(std::move(address)) {}
  int fd_ = -1;
  std::string address_;
};

}  // namespace weft::platform
