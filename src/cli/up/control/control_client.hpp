// The other end of the control socket: finds the running `weft up`, asks, and reads the answer line by line.
//
//   Result<ControlClient> client = ControlClient::ask(settings, {.what = ControlRequest::What::kPs});
//   while (std::optional<std::string> line = client->next()) …
//   if (client->failure()) …
//
// Blocks its thread. One thread.
#pragma once

#include <optional>
#include <string>

#include "cli/settings.hpp"
#include "cli/up/control/control_protocol.hpp"
#include "platform/local_socket.hpp"
#include "weft/error.hpp"

namespace weft::cli {

class ControlClient {
 public:
  // kNotFound: nothing runs, or not that. kBadArgument: several run, and it was not said which. The message says what to do.
  static Result<ControlClient> ask(const Settings& settings, const ControlRequest& request);

  // The next line without its newline; nothing at the end of the answer, or when it did not come in time.
  std::optional<std::string> next();
  const std::optional<Error>& failure() const noexcept { return failure_; }

 private:
  ControlClient(platform::LocalConnection connection, bool patient) : connection_(std::move(connection)), patient_(patient) {}

  platform::LocalConnection connection_;
  const bool patient_;  // the next line may take as long as it likes
  std::string text_;
  bool ended_ = false;
  std::optional<Error> failure_;
};

// The system that is meant; see ask().
Result<std::string> choose_system(const Settings& settings);

}  // namespace weft::cli
