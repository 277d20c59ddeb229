// Where a running weft answers `weft dump`: a socket of this user's, served by the main thread between other events. Idle, it is one
// more descriptor in a wait; nothing it does blocks, so it never delays the end of the program.
//
//   DumpServer server(make_dump);
//   server.open();                        // may fail: weft runs on without
//   std::vector<platform::Watch> watches; server.watch(watches); platform::wait_ready(watches, …); server.serve(watches);
//
// A client sends one line, "text" or "json", with " stacks" after it if it wants the guests' stacks, and reads the answer to its end.
// One thread.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/settings.hpp"
#include "platform/local_socket.hpp"
#include "platform/readiness.hpp"

namespace weft::cli {

class DumpServer {
 public:
  using Answer = std::function<std::string(Format format, bool stacks)>;
  explicit DumpServer(Answer answer) : answer_(std::move(answer)) {}

  Result<void> open();
  std::filesystem::path path() const { return listener_ ? listener_->path() : std::filesystem::path(); }

  // Adds what it waits for; serve() finds it again by descriptor.
  void watch(std::vector<platform::Watch>& watches) const;
  void serve(const std::vector<platform::Watch>& watches);

 private:
  static constexpr std::size_t kClientsMax = 8;
  static constexpr std::size_t kRequestBytesMax = 64;

  struct Client {
    platform::LocalConnection connection;
    std::string request;
    std::string answer;
    std::string_view unsent;
    bool answering = false;
  };

  // False when the client is done with.
  bool advance(Client& client);

  Answer answer_;
  std::optional<platform::LocalListener> listener_;
  std::list<Client> clients_;  // a list: `unsent` points into its own client
};

// The request as it goes over the socket.
std::string dump_request(Format format, bool stacks);

// "<process id>.sock" in the directory of this user's running wefts.
Result<std::filesystem::path> dump_socket_of(std::uint32_t process_id);

}  // namespace weft::cli
