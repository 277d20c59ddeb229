// Where a running weft answers `weft dump`: a socket of this user's, served by the main thread between other events.
//
//   DumpServer server(make_dump);
//   server.open();                        // may fail: weft runs on without
//   std::vector<platform::Watch> watches; server.watch(watches); platform::wait_ready(watches, …); server.serve(watches);
//
// A client sends one line, "text" or "json", with " stacks" after it if it wants the guests' stacks, and reads the answer to its end.
// One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/request_server.hpp"
#include "cli/settings.hpp"
#include "platform/local_socket.hpp"
#include "platform/readiness.hpp"

namespace weft::cli {

class DumpServer {
 public:
  using Answer = std::function<std::string(Format format, bool stacks)>;
  explicit DumpServer(Answer answer);

  Result<void> open();
  std::filesystem::path path() const { return listener_ ? listener_->path() : std::filesystem::path(); }

  // See RequestServer.
  void watch(std::vector<platform::Watch>& watches) const { server_.watch(watches); }
  void serve(const std::vector<platform::Watch>& watches) { server_.serve(watches); }
  std::optional<Duration> until_next_event() const { return server_.until_next_event(); }

 private:
  std::optional<platform::LocalListener> listener_;
  RequestServer server_;
};

// The request as it goes over the socket.
std::string dump_request(Format format, bool stacks);

// "<process id>.sock" in the directory of this user's running wefts.
Result<std::filesystem::path> dump_socket_of(std::uint32_t process_id);

}  // namespace weft::cli
