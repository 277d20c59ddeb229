// What AddressSanitizer has to be told. Nothing in other builds.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef WEFT_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>

#include <cstddef>
#endif

namespace weft::base {

// First of all where an exception is caught on the stack of a guest, in the very function: it does not know such stacks, so it leaves what the frames that are gone have marked, and reports
// the next that come to lie there (https://github.com/google/sanitizers/issues/189).
[[gnu::noinline]] inline void forget_unwound_frames() noexcept {
#ifdef WEFT_ADDRESS_SANITIZER
  constexpr std::size_t kHostStackBytes = 32UL << 10;  // that a host function may use
  __asan_unpoison_memory_region(static_cast<char*>(__builtin_frame_address(0)) - kHostStackBytes, kHostStackBytes);
#endif
}

}  // namespace weft::base
