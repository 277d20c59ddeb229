// What goes over the control socket of `weft up`: one line of words as the request, then lines of JSON until the connection closes.
//
//   ps                              one object: the system and its children
//   kill ID, restart ID             one object: {"ok":true,…}
//   logs LINES follow|end [ID]      an object for each line; with follow, on and on
//   events LINES follow|end         the same for events
//
// What cannot be done is answered by {"error":{"kind":…,"message":…}}; what is no request closes the connection. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "weft/error.hpp"

namespace weft::cli {

struct ControlRequest {
  enum class What : std::uint8_t { kPs, kKill, kRestart, kLogs, kEvents };
  What what = What::kPs;
  std::string id{};         // kKill, kRestart; kLogs: empty for all
  std::uint64_t lines = 0;  // kLogs, kEvents
  bool follow = false;
};

inline constexpr std::size_t kControlRequestBytesMax = 4096;

std::string to_line(const ControlRequest& request);  // with its newline
std::optional<ControlRequest> parse_control_request(std::string_view line);

std::string error_line(const Error& error);
std::string ok_line(std::string_view id, std::string_view message);
// The error in an answer, if it is one.
std::optional<Error> error_in(std::string_view line);

// An id as the commands take it: "payment/ledger", "cart#2".
bool is_child_path(std::string_view text) noexcept;

}  // namespace weft::cli
