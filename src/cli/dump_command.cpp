#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "cli/dump_server.hpp"
#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "platform/local_socket.hpp"

namespace weft::cli {
namespace {

// A dump of a hundred thousand tasks takes its time; a weft that is stopped (Ctrl-Z) never answers.
constexpr auto kAnswerBound = std::chrono::seconds(30);

std::optional<std::uint32_t> as_process_id(std::string_view text) {
  std::uint32_t id = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, id);
  if (error != std::errc() || rest != end || id == 0) return std::nullopt;
  return id;
}

// The wefts of this user that answer; sockets whose owner is gone are removed on the way.
std::vector<std::uint32_t> running_wefts() {
  std::vector<std::uint32_t> found;
  const Result<std::filesystem::path> directory = platform::private_directory("weft");
  if (!directory) return found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(*directory, error)) {
    if (entry.path().extension() != ".sock") continue;
    const std::optional<std::uint32_t> id = as_process_id(entry.path().stem().string());
    if (!id) continue;
    if (platform::process_exists(*id)) {
      found.push_back(*id);
    } else {
      std::error_code ignored;
      std::filesystem::remove(entry.path(), ignored);
    }
  }
  std::ranges::sort(found);
  return found;
}

Result<std::filesystem::path> choose_socket(const Settings& settings) {
  if (!settings.operands.empty()) {
    const std::string& operand = settings.operands.front();
    if (const std::optional<std::uint32_t> id = as_process_id(operand)) return dump_socket_of(*id);
    if (operand.find_first_not_of("0123456789") == std::string::npos) {
      return fail(ErrorKind::kBadArgument, fmt::format("dump {}: not the number of a process", operand));
    }
    return std::filesystem::path(operand);
  }
  const std::vector<std::uint32_t> running = running_wefts();
  if (running.size() == 1) return dump_socket_of(running.front());
  if (running.empty()) return fail(ErrorKind::kNotFound, "dump: no weft of this user is running");
  std::string list;
  for (const std::uint32_t id : running) list += fmt::format(" {}", id);
  return fail(ErrorKind::kBadArgument, fmt::format("dump: several wefts are running; say which:{}", list));
}

int explain(Console& console, const Settings& settings, const Error& error) {
  if (error.kind == ErrorKind::kBadArgument) return report_error(console, error);
  const std::string asked = settings.operands.empty() ? std::string("dump") : "dump " + settings.operands.front();
  std::string message = error.message;
  if (error.kind == ErrorKind::kNotFound && !settings.operands.empty()) {
    message = fmt::format("{}: no running weft of this user answers there; weft dump without an argument finds them", asked);
  }
  static_cast<void>(report_error(console, {error.kind, message, {}}, asked));
  return kExitUnavailable;
}

}  // namespace

int dump_tasks(const Settings& settings, Console& console) {
  const Result<std::filesystem::path> socket = choose_socket(settings);
  if (!socket) return explain(console, settings, socket.error());
  Result<platform::LocalConnection> connection = platform::connect_local(*socket);
  if (!connection) return explain(console, settings, connection.error());

  const std::string request = dump_request(settings.json ? Format::kJson : Format::kText, settings.stacks);
  std::string_view unsent = request;
  // The socket's buffer takes these few bytes at once, or the other side is gone.
  if (!connection->write_some(unsent) || !unsent.empty()) {
    return explain(console, settings, {ErrorKind::kNotFound, "the connection was closed", {}});
  }
  const Result<std::string> answer = connection->read_to_end(kAnswerBound);
  if (!answer) return explain(console, settings, answer.error());
  if (answer->empty()) return explain(console, settings, {ErrorKind::kNotFound, "it ended before it answered", {}});
  const std::string text = answer->ends_with('\n') ? *answer : *answer + '\n';
  return console.print(text) ? kExitSuccess : kExitOutputClosed;
}

}  // namespace weft::cli
