// A picture of what `weft bench ring` found: the time of an item over the slots of the ring, one line a case, both axes logarithmic. One SVG
// file that needs nothing else, in light and dark.
//
// Pure functions, any thread.
#pragma once

#include <span>
#include <string>

#include "cli/bench/report.hpp"

namespace weft::cli {

// At least one of `rows` is of a ring.
std::string bench_plot(std::span<const BenchRow> rows);

}  // namespace weft::cli
