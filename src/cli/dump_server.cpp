#include "cli/dump_server.hpp"

#include <algorithm>

namespace weft::cli {

std::string dump_request(Format format, bool stacks) {
  return std::string(format == Format::kJson ? "json" : "text") + (stacks ? " stacks\n" : "\n");
}

Result<std::filesystem::path> dump_socket_of(std::uint32_t process_id) {
  Result<std::filesystem::path> directory = platform::private_directory("weft");
  if (!directory) return directory;
  return *directory / (std::to_string(process_id) + ".sock");
}

Result<void> DumpServer::open() {
  const Result<std::filesystem::path> path = dump_socket_of(platform::process_id());
  if (!path) return std::unexpected(path.error());
  Result<platform::LocalListener> listener = platform::LocalListener::open(*path);
  if (!listener) return std::unexpected(listener.error());
  listener_.emplace(std::move(*listener));
  return {};
}

void DumpServer::watch(std::vector<platform::Watch>& watches) const {
  if (!listener_) return;
  // With all places taken, the next client waits in the socket's own queue.
  if (clients_.size() < kClientsMax) watches.push_back({.fd = listener_->fd()});
  for (const Client& client : clients_) {
    watches.push_back({.fd = client.connection.fd(), .for_writing = client.answering});
  }
}

void DumpServer::serve(const std::vector<platform::Watch>& watches) {
  if (!listener_) return;
  const auto ready = [&](int fd) {
    return std::ranges::any_of(watches, [&](const platform::Watch& w) { return w.fd == fd && (w.readable || w.writable); });
  };
  for (auto client = clients_.begin(); client != clients_.end();) {
    client = !ready(client->connection.fd()) || advance(*client) ? std::next(client) : clients_.erase(client);
  }
  if (clients_.size() < kClientsMax && ready(listener_->fd())) {
    if (std::optional<platform::LocalConnection> connection = listener_->accept()) {
      clients_.push_back({.connection = std::move(*connection), .request = {}, .answer = {}, .unsent = {}});
    }
  }
}

bool DumpServer::advance(Client& client) {
  if (client.answering) return client.connection.write_some(client.unsent) && !client.unsent.empty();
  const bool open = client.connection.read_some(client.request);
  const std::size_t end = client.request.find('\n');
  if (end == std::string::npos) return open && client.request.size() <= kRequestBytesMax;
  for (const Format format : {Format::kText, Format::kJson}) {
    for (const bool stacks : {false, true}) {
      if (client.request != dump_request(format, stacks)) continue;
      client.answer = answer_(format, stacks);
      client.unsent = client.answer;
      client.answering = true;
      return true;
    }
  }
  return false;
}

}  // namespace weft::cli
