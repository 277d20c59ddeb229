// The flags of `weft bench`, for the table in flags.cpp.
#pragma once

#include <vector>

#include "cli/flags.hpp"

namespace weft::cli {

const std::vector<Flag>& bench_flags();

}  // namespace weft::cli
