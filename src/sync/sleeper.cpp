#include "sync/sleeper.hpp"

namespace weft::sync {

struct MyParker {
  MyParker() = default;
  MyParker(const MyParker&) = delete;
  MyParker& operator=(const MyParker&) = delete;
  ~MyParker() { parker->release(); }
  ThreadParker* parker = new ThreadParker;
};

ThreadParker& ThreadParker::mine() {
  thread_local const MyParker mine;
  return *mine.parker;
}

bool ThreadParker::park_until(Clock::time_point deadline) {
  base::Lock lock(mutex_);
  while (!token_) {
    if (deadline == Clock::time_point::max()) {
      woken_.wait(mutex_);
    } else {
      const Clock::time_point now = Clock::now();
      if (now >= deadline) return false;
      (void)woken_.wait_for(mutex_, deadline - now);
    }
  }
  token_ = false;
  return true;
}

void ThreadParker::unpark() {
  // Told under the lock: the thread may take the token, and this object with it, as soon as it is free; but the caller has a reference.
  base::Lock lock(mutex_);
  token_ = true;
  woken_.notify_one();
}

}  // namespace weft::sync
