// Source: something that becomes ready, and those who watch it. What weft::Waitable refers to: tasks' ends, processes' exits, timers, ends
// of channels, events, semaphores, mailboxes derive from it.
//
//   class Bell final : public detail::Source {
//     bool ready() const noexcept override { return rung_.load(); }         // an atomic; written seq_cst BEFORE notify()
//     void ring() { rung_.store(true); notify(); }                          // no lock of yours held
//     …
//   };
//
// The protocol
// ------------
// A watcher puts itself into the list and then looks at ready(). Whoever makes the source ready writes that down and then looks whether
// anybody watches. Both with seq_cst, so at least one of the two sees the other: no event is lost. Nobody needs to notify who leaves things as they
// are (a second message in a channel that was readable): only on the way from not ready to ready, and when it is gone.
//
// There are two kinds of watchers. A Watch is one wait: the first notify ends it, and takes it out. A member of a wait set stays. Both are
// told under the source's lock, and only note it; who is to be woken by it is woken outside of all locks.
//
// Locks: the source's, then the wait set's. ready() and gone() are called under either, so they take none.
//
// Threads: notify from any, by whoever owns a reference to the source (a sleeper that is woken may drop the last other one). A watcher
// belongs to its owner, who keeps a reference to the source while it is attached.
//
// Templates over the sleeper, so that the model checker runs this very code (waitable_model.cpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "base/atomic.hpp"
#include "base/intrusive_list.hpp"
#include "sync/short_lock.hpp"
#include "sync/wake_list.hpp"

namespace weft::sync {

template <class Sleeper>
class BasicWatcher : public base::ListHook<struct WatcherLink> {
 public:
  // Under the source's lock: may take the wait set's, nothing else. True: it stays in the list. False: this was the last touch.
  virtual bool notified(WakeList<Sleeper>& wakes) = 0;

 protected:
  ~BasicWatcher() = default;
};

template <class Sleeper>
class BasicSource {
 public:
  using Watcher = BasicWatcher<Sleeper>;

  BasicSource() = default;
  BasicSource(const BasicSource&) = delete;
  BasicSource& operator=(const BasicSource&) = delete;

  // Any thread, no locks, seq_cst: see above.
  virtual bool ready() const noexcept = 0;
  // Will never be ready any more.
  virtual bool gone() const noexcept { return false; }
  // What waits for it is named so in dumps. Static text.
  virtual const char* reason() const noexcept { return "waitable"; }
  // The task whose own end this is, for it would wait for ever; null: of none. Compared, never used.
  virtual const void* ends_with() const noexcept { return nullptr; }

  // Of whatever the source is a part of.
  virtual void retain() const noexcept = 0;
  virtual void release() const noexcept = 0;

  // After it has become ready, or gone. Tells everybody who watches, and wakes them.
  void notify() {
    // seq_cst: partner of the fetch_add in attach().
    if (watchers_.load(std::memory_order_seq_cst) != 0) notify_watchers();
  }

  // The caller looks at ready() AFTER this, and keeps the watcher until it was notified for the last time or is detached.
  void attach(Watcher& watcher) {
    watchers_.fetch_add(1, std::memory_order_seq_cst);
    ShortLock lock(mutex_);
    list_.push_back(watcher);
  }
  // Out of the list, whether it was still there or not; nobody calls notified() after this.
  void detach(Watcher& watcher) {
    ShortLock lock(mutex_);
    if (!watcher.linked()) return;
    List::remove(watcher);
    watchers_.fetch_sub(1, std::memory_order_seq_cst);
  }

 protected:
  ~BasicSource() = default;

 private:
  using List = base::List<Watcher, WatcherLink>;
  // How many are woken between two turns of the lock.
  static constexpr std::size_t kBatch = 64;

  void notify_watchers() {
    // Those who were there when it began. What is left of them in `told` while others have the lock can be detached as ever.
    List told;
    mutex_.lock();
    told.splice_back(list_);
    while (!told.empty()) {
      WakeList<Sleeper> wakes;
      while (Watcher* const watcher = wakes.size() < kBatch ? told.pop_front() : nullptr) {
        if (watcher->notified(wakes)) {
          list_.push_back(*watcher);
        } else {
          watchers_.fetch_sub(1, std::memory_order_seq_cst);
        }
      }
      mutex_.unlock();
      wakes.wake_all();
      mutex_.lock();
    }
    mutex_.unlock();
  }

  // Writers: attach, detach, notify, under mutex_ but for the first; reader: notify. See the protocol.
  base::atomic<uint32_t> watchers_{0};
  ShortMutex mutex_;
  List list_ WEFT_GUARDED_BY(mutex_);
};

// One wait for one source.
template <class Sleeper>
class BasicWatch final : public BasicWatcher<Sleeper> {
 public:
  explicit BasicWatch(Sleeper sleeper) : sleeper_(sleeper) {}

  // Watches. True: it was ready (or gone) in the end, and the watch is over.
  bool begin(BasicSource<Sleeper>& source) {
    source.attach(*this);
    if (!source.ready() && !source.gone()) return false;
    end(source);
    return true;
  }
  // Once true nobody else refers to the watch.
  bool over() const { return over_.load(std::memory_order_acquire); }
  void end(BasicSource<Sleeper>& source) {
    if (!over()) source.detach(*this);
  }

 private:
  bool notified(WakeList<Sleeper>& wakes) override {
    wakes.add(sleeper_);
    // The last touch. Release, partner of over().
    over_.store(true, std::memory_order_release);
    return false;
  }

  const Sleeper sleeper_;
  // Writer: notified(), under the source's lock; reader: the owner.
  base::atomic<bool> over_{false};
};

}  // namespace weft::sync
