// FutexQueues: who waits on which address, in the order in which they came. The heart of futex.hpp, without tasks and timers: so that
// it can be compiled for the model checker, where a Sleeper is something simpler than a sched::Task.
//
//   FutexEntry<Task> entry;                                         // one wait at a time
//   queues.enqueue(entry, &word, task, &group, [&] { return value_of(word) == expected; });
//   queues.notify(&word, 1);                                        // wakes the task; entry.state() says kWoken
//
// A Sleeper has retain(), release() (as base::Ref wants them) and wake(), which may be called by whoever has a reference.
//
// Addresses are hashed to buckets, each with a lock. In a bucket there is one entry for each address, its first waiter, the head; the
// others stand behind their head, first come first served. So what one operation looks at are the distinct addresses of one bucket,
// however many wait on each. The hash is mixed with a seed that guests do not know, so that they cannot aim at one bucket.
//
// The states of an entry; all but the first arrow are taken under the bucket's lock by settle(), which is the last touch of the entry:
//
//                            notify
//    kIdle ──enqueue──▶ kQueued ──▶ kWoken ──────┐
//      ▲                  │ │ expire             │
//      │         withdraw │ └─────▶ kTimedOut ───┤
//      └──────────────────┘                      └──enqueue──▶ kQueued
//
// Exactly one of the three takes an entry out of its queue, and that is the outcome.
//
// Any thread; enqueue, withdraw and the life of an entry belong to its owner. Nothing allocates. No lock is held when a sleeper is
// woken; taken under a bucket's lock are no other locks.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/assert.hpp"
#include "base/atomic.hpp"
#include "base/cache_line.hpp"
#include "base/intrusive_list.hpp"
#include "base/mutex.hpp"
#include "base/ref.hpp"
#include "base/rng.hpp"
#include "sync/futex_group.hpp"

namespace weft::sync {

enum class FutexState : uint8_t { kIdle, kQueued, kWoken, kTimedOut };

// One wait at a time. Not kQueued when it dies.
template <class Sleeper>
class FutexEntry : public base::ListHook<struct FutexHeadLink>, public base::ListHook<struct FutexFollowerLink> {
 public:
  // Any thread. Once it says anything but kQueued nobody but the owner refers to the entry: it may be used again or destroyed at once.
  FutexState state() const { return state_.load(std::memory_order_acquire); }

 private:
  template <class, uint32_t>
  friend class FutexQueues;

  // Written by the owner while the entry is not queued; read under the bucket's lock, and by expire(), which an alarm calls that was set
  // after they were written.
  const void* address_ = nullptr;
  Sleeper* sleeper_ = nullptr;
  FutexGroup* group_ = nullptr;  // that it counts as blocked in; null: it does not
  // Under the bucket's lock.
  uint64_t ticket_ = 0;
  base::List<FutexEntry, FutexFollowerLink> followers_;  // of a head
  // Writers: enqueue and settle, under the bucket's lock; readers: the owner and dumps, without it. Release in settle(), partner of
  // the acquire in state(): it publishes that nobody touches the entry any more.
  base::atomic<FutexState> state_{FutexState::kIdle};
};

// `kBatch`: how many are woken between two turns of the lock. It bounds how long one notify keeps others out.
template <class Sleeper, uint32_t kBatch = 64>
class FutexQueues {
 public:
  using Entry = FutexEntry<Sleeper>;

  // `buckets` is a power of two.
  FutexQueues(uint64_t seed, uint32_t buckets) : mask_(buckets - 1), buckets_(std::make_unique<Bucket[]>(buckets)) {
    WEFT_ASSERT(std::has_single_bit(buckets), "the number of buckets is a power of two");
    addend_ = base::splitmix64(seed);
    factor_ = base::splitmix64(seed) | 1;
  }
  FutexQueues(const FutexQueues&) = delete;
  FutexQueues& operator=(const FutexQueues&) = delete;

  struct Enqueued {
    bool queued = false;       // false: the values were not equal, and nothing was done
    bool all_blocked = false;  // with this one all threads of the group wait for ever
  };

  // The entry's owner. Asks `still_equal` and queues the entry as one step: under the lock that a notify takes, too. So a notify that
  // comes after a store to the word either finds the entry or is over, and then the store is seen here. The sleeper stays alive as
  // long as the entry is queued. `group` null: the wait has a deadline, or nobody counts.
  template <class Compare>
  Enqueued enqueue(Entry& entry, const void* address, Sleeper& sleeper, FutexGroup* group, Compare still_equal) {
    entry.address_ = address;
    entry.sleeper_ = &sleeper;
    entry.group_ = group;
    Bucket& bucket = bucket_of(address);
    base::Lock lock(bucket.mutex);
    WEFT_ASSERT(entry.state_.load(std::memory_order_relaxed) != FutexState::kQueued, "one wait at a time");
    if (!still_equal()) return {};
    entry.ticket_ = bucket.next_ticket++;
    // Relaxed: other threads look at it under the lock.
    entry.state_.store(FutexState::kQueued, std::memory_order_relaxed);
    if (Entry* const head = find(bucket, address)) {
      head->followers_.push_back(entry);
    } else {
      bucket.heads.push_back(entry);
    }
    return {true, group != nullptr && group->thread_blocked()};
  }

  // Any thread. Takes up to `count` waiters out of the queue, the longest waiting first, and wakes them; answers how many.
  //
  // It lets go of the lock between batches, so a large one is not one moment: meanwhile others may time out, be cancelled or be taken
  // by another notify, each once and each counted by whoever took it. Not one that came after this call began is woken by it (its
  // ticket says so): a sleeper that is woken early and waits again cannot be woken twice, or keep this going for ever.
  uint32_t notify(const void* address, uint32_t count) {
    uint32_t woken = 0;
    uint64_t end = 0;
    Bucket& bucket = bucket_of(address);
    while (woken < count) {
      Sleeper* batch[kBatch];  // not initialised: most calls wake one
      uint32_t taken = 0;
      {
        base::Lock lock(bucket.mutex);
        if (woken == 0) end = bucket.next_ticket;
        taken = take(bucket, address, std::min(count - woken, kBatch), end, batch);
      }
      for (uint32_t i = 0; i < taken; ++i) base::Ref<Sleeper>::adopt(batch[i])->wake();
      woken += taken;
      if (taken < kBatch) break;
    }
    return woken;
  }

  // Any thread, while the owner sees to it that the entry stays (it waits for its alarm to be over). True: the wait is over with
  // kTimedOut, and the caller wakes the sleeper. False: it was over before.
  bool expire(Entry& entry) { return remove(entry, FutexState::kTimedOut); }
  // The owner: gives the wait up. False: it was over before, and state() says how.
  bool withdraw(Entry& entry) { return entry.state() == FutexState::kQueued && remove(entry, FutexState::kIdle); }

  // Any thread. O(waiters).
  size_t waiting(const void* address) const {
    Bucket& bucket = bucket_of(address);
    base::Lock lock(bucket.mutex);
    Entry* const head = find(bucket, address);
    if (head == nullptr) return 0;
    size_t count = 1;
    for (Entry* entry = head->followers_.front(); entry != nullptr; entry = head->followers_.next(*entry)) ++count;
    return count;
  }

 private:
  using Heads = base::List<Entry, FutexHeadLink>;
  using Followers = base::List<Entry, FutexFollowerLink>;

  struct alignas(base::kCacheLinePair) Bucket {
    base::Mutex mutex;
    Heads heads WEFT_GUARDED_BY(mutex);
    uint64_t next_ticket WEFT_GUARDED_BY(mutex) = 0;  // that of the next entry to come; rises along each queue
  };

  // Multiplication by a secret odd number before splitmix64's own mixing: which addresses collide depends on the seed, not only where
  // they end up.
  Bucket& bucket_of(const void* address) const {
    uint64_t key = (static_cast<uint64_t>(reinterpret_cast<uintptr_t>(address)) + addend_) * factor_;
    return buckets_[base::splitmix64(key) & mask_];
  }

  static Entry* find(Bucket& bucket, const void* address) WEFT_REQUIRES(bucket.mutex) {
    Entry* head = bucket.heads.front();
    while (head != nullptr && head->address_ != address) head = bucket.heads.next(*head);
    return head;
  }

  // The first of `queue` is the head from now on, and the rest stands behind it. Leaves `queue` empty.
  static void put_back(Bucket& bucket, Followers& queue) WEFT_REQUIRES(bucket.mutex) {
    Entry* const head = queue.pop_front();
    if (head == nullptr) return;
    head->followers_.splice_back(queue);
    bucket.heads.push_back(*head);
  }

  // The end of a wait, once its entry is in no list any more. The group first, then the state: that is the last touch.
  static void settle(Entry& entry, FutexState to) {
    WEFT_DEBUG_ASSERT(entry.state_.load(std::memory_order_relaxed) == FutexState::kQueued, "a wait ended twice");
    if (entry.group_ != nullptr) entry.group_->thread_unblocked();
    entry.state_.store(to, std::memory_order_release);
  }

  // Ends up to `most` waits that have tickets below `end`, and hands out a reference to each sleeper: the entry, and what it is part
  // of, may be gone as soon as it is settled.
  static uint32_t take(Bucket& bucket, const void* address, uint32_t most, uint64_t end, Sleeper** batch)
      WEFT_REQUIRES(bucket.mutex) {
    Entry* const head = find(bucket, address);
    if (head == nullptr) return 0;
    Heads::remove(*head);
    Followers queue;
    queue.push_back(*head);
    queue.splice_back(head->followers_);
    uint32_t taken = 0;
    while (taken < most && !queue.empty() && queue.front()->ticket_ < end) {
      Entry& entry = *queue.pop_front();
      batch[taken++] = base::Ref<Sleeper>(entry.sleeper_).leak();
      settle(entry, FutexState::kWoken);
    }
    put_back(bucket, queue);
    return taken;
  }

  // Takes the entry out of wherever it stands, if it still does.
  bool remove(Entry& entry, FutexState to) {
    Bucket& bucket = bucket_of(entry.address_);
    base::Lock lock(bucket.mutex);
    if (entry.state_.load(std::memory_order_relaxed) != FutexState::kQueued) return false;
    if (static_cast<base::ListHook<FutexHeadLink>&>(entry).linked()) {
      Heads::remove(entry);
      put_back(bucket, entry.followers_);
    } else {
      Followers::remove(entry);
    }
    settle(entry, to);
    return true;
  }

  const uint64_t mask_;
  uint64_t addend_ = 0;
  uint64_t factor_ = 0;
  const std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace weft::sync
