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

}  // namespace weft::base
