// The processor's cycle counter, where it has one that is cheap to read. Any thread.
#pragma once

#include <cstdint>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace weft::platform {

// Not ordered with the instructions around it: good for durations, not for fences. 0 where there is no such counter.
inline uint64_t read_cycles() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return 0;
#endif
}

}  // namespace weft::platform
