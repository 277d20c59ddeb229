// The one name for atomics: base::atomic<T>. In a model build (WEFT_MODEL defined, see base/model/model.hpp) each access is
// a point where the explorer may switch threads; otherwise it is std::atomic. All of the program's atomics go through here.
#pragma once

#ifdef WEFT_MODEL
#include "base/model/model.hpp"
#else
#include <atomic>
#endif

namespace weft::base {

#ifdef WEFT_MODEL
template <class T>
using atomic = model::Atomic<T>;
#else
template <class T>
using atomic = std::atomic<T>;
#endif

// Orders what was stored before with what is loaded after, for two threads that each announce something and then look at the other's word (as a
// seq_cst fence does), where a read-modify-write of any atomic object stands between the two anyway. x86-64: every such operation is a full
// barrier already (Intel SDM vol. 3A, 9.2.3.9: loads and stores are not reordered with locked instructions), and only the compiler has to be told.
inline void fence_after_rmw() {
#if defined(WEFT_MODEL)
  // The model's threads see everything in order.
#elif defined(__x86_64__)
  std::atomic_signal_fence(std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace weft::base
