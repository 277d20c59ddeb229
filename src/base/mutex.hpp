// Mutexes with annotations: clang checks with -Wthread-safety that GUARDED_BY fields are touched under their lock.
//
//   base::Mutex mutex_;
//   List<Task> queue_ WEFT_GUARDED_BY(mutex_);
//   base::Lock lock(mutex_);
//
// Any thread. Never park, never call out while holding one.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/cache_line.hpp"

#ifdef WEFT_MODEL
#include "base/model/model.hpp"
#endif

#if defined(__clang__)
#define WEFT_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define WEFT_THREAD_ANNOTATION(x)
#endif
#define WEFT_CAPABILITY(name) WEFT_THREAD_ANNOTATION(capability(name))
#define WEFT_SCOPED_CAPABILITY WEFT_THREAD_ANNOTATION(scoped_lockable)
#define WEFT_GUARDED_BY(mutex) WEFT_THREAD_ANNOTATION(guarded_by(mutex))
#define WEFT_REQUIRES(...) WEFT_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define WEFT_EXCLUDES(...) WEFT_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define WEFT_ACQUIRE(...) WEFT_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define WEFT_TRY_ACQUIRE(...) WEFT_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define WEFT_RELEASE(...) WEFT_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define WEFT_NO_THREAD_SAFETY WEFT_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace weft::base {

#ifdef WEFT_MODEL
using NativeMutex = model::ModelMutex;
#else
using NativeMutex = std::mutex;
#endif

// Whoever finds it locked looks again for a microsecond or so before it sleeps: what is done under a Mutex takes less, and to be put to sleep and woken takes both
// sides several times as long.
class WEFT_CAPABILITY("mutex") Mutex {
 public:
  void lock() WEFT_ACQUIRE() {
#ifdef WEFT_MODEL
    mutex_.lock();
#else
    if (!mutex_.try_lock()) lock_contended();
#endif
  }
  bool try_lock() WEFT_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  void unlock() WEFT_RELEASE() { mutex_.unlock(); }

 private:
  friend class Condition;

#ifndef WEFT_MODEL
  void lock_contended() WEFT_NO_THREAD_SAFETY {
    // Ever less often: each look takes the cache line from whoever holds the mutex.
    constexpr int kPausesMax = 32;
    for (int pauses = 1; pauses <= kPausesMax; pauses *= 2) {
      for (int i = 0; i < pauses; ++i) spin_pause();
      if (mutex_.try_lock()) return;
    }
    mutex_.lock();
  }
#endif

  NativeMutex mutex_;
};

class WEFT_SCOPED_CAPABILITY Lock {
 public:
  explicit Lock(Mutex& mutex) WEFT_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() WEFT_RELEASE() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

#ifndef WEFT_MODEL
// A condition variable over a Mutex. For threads only: a task parks through sched instead.
class Condition {
 public:
  // The caller holds `mutex`; may wake without cause, so wait in a loop.
  void wait(Mutex& mutex) WEFT_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // As wait, but gives up after `nanoseconds`; false then.
  template <class Duration>
  bool wait_for(Mutex& mutex, Duration duration) WEFT_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool woken = condition_.wait_for(lock, duration) == std::cv_status::no_timeout;
    lock.release();
    return woken;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};
#endif

}  // namespace weft::base
