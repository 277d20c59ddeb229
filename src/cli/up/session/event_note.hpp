// What `weft up` tells of what happens: each thing once as a line for people, and once as a line of JSON.
//
//   EventNote note = note_of(event, "shop");     // "shop: cart restarting in 100ms", {"time":…,"event":"restarting","id":"cart",…}
//
// Pure but for the clock, any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "weft/supervisor.hpp"

namespace weft::cli {

struct EventNote {
  std::string text;  // one line, without a newline
  std::string json;  // one line, with it
};

EventNote note_of(const SupervisorEvent& event, std::string_view system);

// Of weft up's own: "ready", "unhealthy", "reloaded", … `id` may be empty.
EventNote note_of(std::string_view event, std::string_view system, std::string_view id, std::string_view message);

// Where a child is, below the system: of supervisor "shop/payment" and child "ledger", "payment/ledger".
std::string path_of(const SupervisorEvent& event, std::string_view system);

std::string time_text(std::uint64_t wall_ns);  // "2026-11-21T14:14:06.123Z"

// One line; what is no UTF-8 is replaced.
std::string dumped(const nlohmann::ordered_json& json);

nlohmann::ordered_json to_json(const ExitStatus& status);

}  // namespace weft::cli
