// What Prometheus reads of a running system: the text format 0.0.4, over HTTP as far as that takes.
//
//   std::string reply = http_reply("GET /metrics HTTP/1.1\r\nHost: …", [&] { return metrics_text("shop", board, channels, stats); });
//
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "cli/up/session/board.hpp"
#include "weft/channel.hpp"
#include "weft/runtime.hpp"

namespace weft::cli {

// `channels` by name, and of `regions` their bytes.
std::string metrics_text(std::string_view system, const Board& board, const std::map<std::string, ChannelStats>& channels,
                         const std::map<std::string, std::uint64_t>& regions, const RuntimeStats& stats);

// A whole answer to a request's head, connection to be closed after it. Empty: it is no HTTP.
std::string http_reply(std::string_view head, const std::function<std::string()>& text);

}  // namespace weft::cli
