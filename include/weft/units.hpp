// Sizes and durations as people write them: 64MiB, 1.5GB, 250ms, 2m30s. Pure functions, any thread.
//
//   weft::Result<std::uint64_t> bytes = weft::parse_size("64MiB");
//   std::string text = weft::format_duration(std::chrono::milliseconds(1500));  // "1.5s"
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "weft/error.hpp"

namespace weft {

using Duration = std::chrono::nanoseconds;

// A bound that never passes.
inline constexpr Duration kForever = Duration::max();

// Bytes. A bare number is bytes; suffixes B, K/KB/KiB, M/MB/MiB, G/GB/GiB, and so on for T, P and E, in any case. K, M, G, … and their -iB
// forms are powers of 1024; KB, MB, GB, … are powers of 1000. A fraction is allowed with a suffix. Fails with kBadArgument on
// anything else, on a negative number and on overflow of 64 bits.
Result<std::uint64_t> parse_size(std::string_view text);

// The shortest exact-looking form with a power-of-1024 suffix: 512 B, 64 MiB, 1.5 GiB.
std::string format_size(std::uint64_t bytes);

// Nanoseconds. Suffixes ns, us (or µs), ms, s, m, h, d; several may follow each other (1m30s); a fraction is allowed.
// A bare number is refused except 0: the unit would be a guess. Fails with kBadArgument, also on overflow of 63 bits.
Result<Duration> parse_duration(std::string_view text);

// Three significant digits and the fitting unit: 812ns, 1.53ms, 12.4s, 3m20s.
std::string format_duration(Duration duration);

}  // namespace weft
