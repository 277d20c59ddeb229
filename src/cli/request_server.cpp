#include "cli/request_server.hpp"

#include <algorithm>
#include <utility>

namespace weft::cli {

void RequestServer::watch(std::vector<platform::Watch>& watches) const {
  if (!listening()) return;
  if (clients_.size() < options_.clients_max) watches.push_back({.fd = listener_fd_});
  for (const Client& client : clients_) {
    // One with nothing to be sent is watched for its going away.
    watches.push_back({.fd = client.connection.fd(), .for_writing = wants_to_write(client)});
  }
}

void RequestServer::serve(const std::vector<platform::Watch>& watches) {
  if (!listening()) return;
  const auto ready = [&](int fd) {
    return std::ranges::any_of(watches, [&](const platform::Watch& w) { return w.fd == fd && (w.readable || w.writable); });
  };
  const Clock::time_point now = Clock::now();
  for (auto client = clients_.begin(); client != clients_.end();) {
    const bool waits_for_us = client->answering && !wants_to_write(*client);
    const bool late = !waits_for_us && now >= client->give_up_at;
    const bool stays = ready(client->connection.fd()) ? advance(*client) : !late;
    client = stays ? std::next(client) : clients_.erase(client);
  }
  if (clients_.size() < options_.clients_max && ready(listener_fd_)) {
    if (std::optional<platform::LocalConnection> connection = accept_()) {
      clients_.push_back({.id = ++last_id_, .connection = std::move(*connection), .give_up_at = now + options_.patience});
    }
  }
}

std::optional<Duration> RequestServer::until_next_event() const {
  std::optional<Clock::time_point> next;
  for (const Client& client : clients_) {
    if (client.answering && !wants_to_write(client)) continue;
    next = next ? std::min(*next, client.give_up_at) : client.give_up_at;
  }
  if (!next) return std::nullopt;
  return std::max(Duration(0), Duration(*next - Clock::now()));
}

bool RequestServer::advance(Client& client) {
  if (wants_to_write(client)) return write(client);
  return read(client);
}

bool RequestServer::read(Client& client) {
  if (client.answering) {
    // It waits for more, and has nothing to say: either it goes, or it babbles.
    std::string ignored;
    return client.connection.read_some(ignored) && ignored.empty();
  }
  const bool open = client.connection.read_some(client.text);
  const std::size_t end = client.text.find(options_.end_mark);
  if (end == std::string::npos) return open && client.text.size() <= options_.request_bytes_max;
  if (end > options_.request_bytes_max) return false;
  const std::string request = client.text.substr(0, end);
  client.text.clear();
  client.answering = true;
  std::optional<Reply> reply = options_.answer(client.id, request);
  if (!reply) return false;
  client.text = std::move(reply->text);
  client.more = reply->more;
  client.give_up_at = Clock::now() + options_.slow_reader;
  return client.more || !client.text.empty();
}

bool RequestServer::write(Client& client) {
  std::string_view unsent = std::string_view(client.text).substr(client.sent);
  const std::size_t before = unsent.size();
  if (!client.connection.write_some(unsent)) return false;
  client.sent += before - unsent.size();
  if (unsent.size() != before) client.give_up_at = Clock::now() + options_.slow_reader;
  if (!unsent.empty()) return true;
  client.text.clear();
  client.sent = 0;
  return client.more;
}

RequestServer::Pushed RequestServer::push(ClientId id, std::string_view text) {
  Client* client = find(id);
  if (client == nullptr || !client->more) return Pushed::kGone;
  if (client->text.size() - client->sent + text.size() > options_.pushed_bytes_max) return Pushed::kFull;
  if (client->sent == client->text.size()) client->give_up_at = Clock::now() + options_.slow_reader;
  client->text.erase(0, client->sent);
  client->sent = 0;
  client->text += text;
  return Pushed::kTaken;
}

void RequestServer::finish(ClientId id) {
  Client* client = find(id);
  if (client == nullptr) return;
  client->more = false;
  if (!wants_to_write(*client)) std::erase_if(clients_, [&](const Client& each) { return each.id == id; });
}

void RequestServer::send_last() {
  clients_.remove_if([&](Client& client) { return wants_to_write(client) && !write(client); });
}

bool RequestServer::connected(ClientId id) const {
  return std::ranges::any_of(clients_, [&](const Client& client) { return client.id == id; });
}

RequestServer::Client* RequestServer::find(ClientId id) {
  const auto found = std::ranges::find(clients_, id, &Client::id);
  return found == clients_.end() ? nullptr : &*found;
}

}  // namespace weft::cli
