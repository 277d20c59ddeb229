#include "cli/dump_server.hpp"

#include <utility>

namespace weft::cli {

std::string dump_request(Format format, bool stacks) {
  return std::string(format == Format::kJson ? "json" : "text") + (stacks ? " stacks\n" : "\n");
}

Result<std::filesystem::path> dump_socket_of(std::uint32_t process_id) {
  Result<std::filesystem::path> directory = platform::private_directory("weft");
  if (!directory) return directory;
  return *directory / (std::to_string(process_id) + ".sock");
}

DumpServer::DumpServer(Answer answer)
    : server_({.answer = [answer = std::move(answer)](RequestServer::ClientId,
                                                      std::string_view request) -> std::optional<RequestServer::Reply> {
        for (const Format format : {Format::kText, Format::kJson}) {
          for (const bool stacks : {false, true}) {
            if (std::string(request) + '\n' == dump_request(format, stacks)) return RequestServer::Reply{answer(format, stacks)};
          }
        }
        return std::nullopt;
      }}) {}

Result<void> DumpServer::open() {
  const Result<std::filesystem::path> path = dump_socket_of(platform::process_id());
  if (!path) return std::unexpected(path.error());
  Result<platform::LocalListener> listener = platform::LocalListener::open(*path);
  if (!listener) return std::unexpected(listener.error());
  listener_.emplace(std::move(*listener));
  server_.listen(*listener_);
  return {};
}

}  // namespace weft::cli
