// The flags of weft up and of the commands that talk to it; see cli/flags.hpp.
#pragma once

#include <span>

#include "cli/flags.hpp"

namespace weft::cli {

std::span<const Flag> up_flags();
std::span<const Flag> ps_flags();
std::span<const Flag> top_flags();
std::span<const Flag> kill_flags();  // and of restart
std::span<const Flag> logs_flags();
std::span<const Flag> events_flags();

}  // namespace weft::cli
