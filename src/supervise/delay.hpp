// How long to wait before a restart: Backoff (weft/supervisor.hpp) as a pure function of the attempt and of a random number.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/rng.hpp"
#include "weft/supervisor.hpp"

namespace weft::supervise {

// Not to be confused with a restart: a child that cannot even be started would otherwise be tried again and again without a pause.
inline constexpr Duration kStartRetryMin = std::chrono::milliseconds(10);

// `attempt` counts from 0. Takes one number from `random` if there is something to choose.
inline Duration delay_of(const Backoff& backoff, std::uint32_t attempt, base::Rng& random) {
  if (backoff.first <= Duration::zero()) return Duration::zero();
  const auto max = static_cast<double>(backoff.max.count());
  double delay = std::min(static_cast<double>(backoff.first.count()) * std::pow(backoff.factor, attempt), max);
  if (backoff.jitter > 0) {
    const double unit = static_cast<double>(random.next() >> 11U) * 0x1p-53;  // 0 … 1
    delay *= 1 + backoff.jitter * (2 * unit - 1);
  }
  // Against 2^63 rather than against max as a double: that may round up beyond what a Duration can say.
  return delay >= 0x1p62 ? backoff.max : std::min(Duration(static_cast<std::int64_t>(delay)), backoff.max);
}

}  // namespace weft::supervise
