// Words for how processes end.
#pragma once

#include <string>

#include "weft/process.hpp"

namespace weft::process {

// "memory limit 64 MiB reached (asked for 80 MiB); raise it with --max-memory"
std::string describe(const LimitReached& limit);

}  // namespace weft::process
