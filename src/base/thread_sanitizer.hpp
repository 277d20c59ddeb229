// What ThreadSanitizer has to be told where order is made by code that it cannot see: the engine's locks and atomics. Nothing in other builds.
//
//   handed_over(&task);   // what this thread did so far to it …
//   taken_over(&task);    // … comes before what this one does from now on
//
// Any thread. To be used only where such an order is really there.
#pragma once

#ifdef WEFT_SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::base {

inline void handed_over([[maybe_unused]] void* object) {
#ifdef WEFT_SANITIZE_THREAD
  __tsan_release(object);
#endif
}

inline void taken_over([[maybe_unused]] void* object) {
#ifdef WEFT_SANITIZE_THREAD
  __tsan_acquire(object);
#endif
}

}  // namespace weft::base
