#include "cli/up/control/control_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>
#include <vector>

#include "cli/suggest.hpp"
#include "cli/up/manifest/manifest.hpp"
#include "cli/up/session/event_note.hpp"
#include "cli/up/session/run_record.hpp"
#include "platform/readiness.hpp"

namespace weft::cli {
namespace {

constexpr auto kAnswerBound = std::chrono::seconds(30);
constexpr std::string_view kUsualManifest = "weft.toml";

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// What is known of a system that does not answer.
Error not_running(const std::string& system) {
  std::string message = fmt::format("no system named {} of this user is running", system);
  if (const std::optional<RunRecord> left = read_record(system)) {
    message += fmt::format("; the last weft up of it (process {}, {}), which began {}, did not end in order", left->process,
                           left->manifest, time_text(left->started_ns));
  } else {
    const std::vector<std::string> running = running_systems();
    const std::vector<std::string_view> names(running.begin(), running.end());
    message += did_you_mean(system, names);
    if (!running.empty()) message += fmt::format("; running: {}", fmt::join(running, ", "));
  }
  return {ErrorKind::kNotFound, std::move(message), {}};
}

}  // namespace

Result<std::string> choose_system(const Settings& settings) {
  const std::string& asked = settings.up.system;
  if (!asked.empty()) {
    const bool is_path = asked.find('/') != std::string::npos || asked.ends_with(".toml");
    if (is_path) return manifest_name(asked);
    if (is_manifest_name(asked)) return asked;
    return fail(ErrorKind::kBadArgument,
                fmt::format("--system {}: neither the name of a system nor the path of a manifest", asked));
  }
  const std::vector<std::string> running = running_systems();
  if (running.size() == 1) return running.front();
  const Result<std::string> here =
      exists(std::string(kUsualManifest)) ? manifest_name(kUsualManifest) : Result<std::string>(std::string());
  const std::string name = here ? *here : std::string();
  if (running.empty()) {
    if (!name.empty()) return std::unexpected(not_running(name));
    return fail(ErrorKind::kNotFound, "no system of this user is running; weft up weft.toml starts one");
  }
  if (std::ranges::find(running, name) != running.end()) return name;
  return fail(ErrorKind::kBadArgument,
              fmt::format("several systems are running; say which with --system: {}", fmt::join(running, ", ")));
}

Result<ControlClient> ControlClient::ask(const Settings& settings, const ControlRequest& request) {
  const Result<std::string> system = choose_system(settings);
  if (!system) return std::unexpected(system.error());
  const Result<std::filesystem::path> path = control_socket_of(*system);
  if (!path) return std::unexpected(path.error());
  Result<platform::LocalConnection> connection = platform::connect_local(*path);
  if (!connection) {
    if (connection.error().kind == ErrorKind::kNotFound) return std::unexpected(not_running(*system));
    return std::unexpected(connection.error());
  }
  const std::string line = to_line(request);
  std::string_view unsent = line;
  // The socket's buffer takes a line at once, or the other side is gone.
  if (!connection->write_some(unsent) || !unsent.empty()) return std::unexpected(not_running(*system));
  const bool patient = request.follow || request.what == ControlRequest::What::kRestart;
  return ControlClient(std::move(*connection), patient);
}

std::optional<std::string> ControlClient::next() {
  while (true) {
    const std::size_t end = text_.find('\n');
    if (end != std::string::npos) {
      std::string line = text_.substr(0, end);
      text_.erase(0, end + 1);
      if (line.empty()) continue;
      if (std::optional<Error> error = error_in(line)) {
        failure_ = std::move(error);
        return std::nullopt;
      }
      return line;
    }
    if (ended_) return std::nullopt;
    std::array watches{platform::Watch{.fd = connection_.fd()}};
    platform::wait_ready(watches, patient_ ? std::nullopt : std::optional<Duration>(kAnswerBound));
    if (!watches[0].readable) {
      if (patient_) continue;
      failure_ = Error{ErrorKind::kTimedOut, "weft up does not answer", {}};
      return std::nullopt;
    }
    // Lines that came with the end still count.
    if (!connection_.read_some(text_)) ended_ = true;
  }
}

}  // namespace weft::cli
