// The size to which things written by different threads are kept apart, and the pause of a spinning thread.
#pragma once

#include <cstddef>

namespace weft::base {

// Two 64-byte lines: the adjacent-line prefetcher of x86-64 pulls lines in pairs, so 64 alone still shares.
inline constexpr std::size_t kCacheLinePair = 128;

// Tells the processor that this is a spin loop. Any thread.
inline void spin_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace weft::base
