// Answers requests that come over stream sockets, between other events of the main thread: one request a connection, read up to its end mark, then the answer
// until the connection closes. Nothing it does blocks; idle, it is some descriptors in a wait. Everything is bounded: clients, their requests, what waits to be sent,
// and the time that a silent one is kept.
//
//   RequestServer server({.answer = [](RequestServer::ClientId, std::string_view request) { return RequestServer::Reply{"fine\n"}; }});
//   server.listen(listener);                                 // something with fd() and accept()
//   server.watch(watches); platform::wait_ready(watches, server.until_next_event()); server.serve(watches);
//
// An answer may go on: with Reply::more, push() adds to it until finish(), or until the client has gone. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/local_socket.hpp"
#include "platform/readiness.hpp"
#include "weft/units.hpp"

namespace weft::cli {

class RequestServer {
 public:
  using ClientId = std::uint64_t;
  using Clock = std::chrono::steady_clock;

  struct Reply {
    std::string text{};
    bool more = false;
  };
  struct Options {
    // Gets the request up to its end mark, without it. Nothing: the client is hung up on.
    std::function<std::optional<Reply>(ClientId, std::string_view request)> answer;
    std::string_view end_mark = "\n";
    std::size_t clients_max = 8;  // the next one waits in the socket's own queue
    std::size_t request_bytes_max = 64;
    std::size_t pushed_bytes_max = 1U << 20;          // of push(), not yet sent
    Duration patience = std::chrono::seconds(10);     // for a request to be complete
    Duration slow_reader = std::chrono::seconds(30);  // for a reader to take something
  };
  explicit RequestServer(Options options) : options_(std::move(options)) {}

  // `listener` must outlive this.
  template <class Listener>
  void listen(Listener& listener) {
    listener_fd_ = listener.fd();
    accept_ = [&listener] { return listener.accept(); };
  }
  bool listening() const noexcept { return listener_fd_ >= 0; }

  // Adds what it waits for; serve() finds it again by descriptor.
  void watch(std::vector<platform::Watch>& watches) const;
  void serve(const std::vector<platform::Watch>& watches);
  std::optional<Duration> until_next_event() const;  // until some client's patience is over

  enum class Pushed : std::uint8_t { kTaken, kFull, kGone };
  Pushed push(ClientId client, std::string_view text);
  void finish(ClientId client);
  bool connected(ClientId client) const;
  // Before the end: sends what can be sent without waiting.
  void send_last();

 private:
  struct Client {
    ClientId id;
    platform::LocalConnection connection;
    Clock::time_point give_up_at;
    std::string text{};    // the request, then what is to be sent
    std::size_t sent = 0;  // of it
    bool answering = false;
    bool more = false;
  };

  bool advance(Client& client);  // false: the client is done with
  bool read(Client& client);
  bool write(Client& client);
  bool wants_to_write(const Client& client) const { return client.answering && client.sent < client.text.size(); }
  Client* find(ClientId id);

  Options options_;
  int listener_fd_ = -1;
  std::function<std::optional<platform::LocalConnection>()> accept_;
  std::list<Client> clients_;
  ClientId last_id_ = 0;
};

}  // namespace weft::cli
