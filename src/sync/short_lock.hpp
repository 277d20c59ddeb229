// ShortMutex: a mutex that is held for a few instructions at a time, by workers above all. One word; taking and leaving it are one atomic
// operation each, in line. A worker that finds it taken spins for a moment before it lets itself be put to sleep, because that would cost it
// ten times as much. (Drepper, "Futexes Are Tricky", the third mutex.)
//
//   ShortMutex mutex_;
//   ShortLock lock(mutex_);
//
// Any thread. Never park, never call out while holding one.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/cache_line.hpp"
#include "base/mutex.hpp"

namespace weft::sync {

#ifdef WEFT_MODEL
using ShortMutex = base::Mutex;
#else
class WEFT_CAPABILITY("mutex") ShortMutex {
 public:
  ShortMutex() = default;
  ShortMutex(const ShortMutex&) = delete;
  ShortMutex& operator=(const ShortMutex&) = delete;

  void lock() WEFT_ACQUIRE() {
    uint32_t expected = kFree;
    // Acquire: what the one before wrote under it, by the release in unlock().
    if (!word_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed)) lock_slowly();
  }
  void unlock() WEFT_RELEASE() {
    if (word_.exchange(kFree, std::memory_order_release) == kAwaited) word_.notify_one();
  }

 private:
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kHeld = 1;
  static constexpr uint32_t kAwaited = 2;  // and somebody may sleep until it is free
  static constexpr int kSpins = 100;       // a microsecond or a few

  void lock_slowly() {
    for (int i = 0; i < kSpins; ++i) {
      base::spin_pause();
      uint32_t expected = kFree;
      if (word_.load(std::memory_order_relaxed) == kFree &&
          word_.compare_exchange_weak(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed)) {
        return;
      }
    }
    while (word_.exchange(kAwaited, std::memory_order_acquire) != kFree) word_.wait(kAwaited, std::memory_order_relaxed);
  }

  // Writers and readers: those who take it.
  base::atomic<uint32_t> word_{kFree};
};
#endif

class WEFT_SCOPED_CAPABILITY ShortLock {
 public:
  explicit ShortLock(ShortMutex& mutex) WEFT_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~ShortLock() WEFT_RELEASE() { mutex_.unlock(); }
  ShortLock(const ShortLock&) = delete;
  ShortLock& operator=(const ShortLock&) = delete;

 private:
  ShortMutex& mutex_;
};

}  // namespace weft::sync
