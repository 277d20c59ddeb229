// LocalRing: a bounded queue of pointers, first in first out, with one owner who pushes and pops and any number of thieves who take
// half of it at a time, without locks. The scheme is that of the Go scheduler's run queue: positions only grow, and whoever
// moves `head` forward by compare-and-swap owns what lies between.
//
//   LocalRing<Task, 4096> ring;
//   if (!ring.push(task)) overflow(task);   // owner
//   Task* next = ring.pop();                // owner
//   uint32_t got = ring.steal_half_into(my_ring);  // owner of my_ring
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/cache_line.hpp"

namespace weft::sched {

template <class T, size_t kCapacity>
class LocalRing {
  static_assert(kCapacity > 0 && (kCapacity & (kCapacity - 1)) == 0, "positions are masked");

 public:
  static constexpr size_t kSlots = kCapacity;

  // Owner. False when it is full. The store of tail is seq_cst: partner of the sleeper that announces itself and then looks at tail
  // (see idle.hpp); it also releases what the element points to.
  bool push(T* element) { return push<std::memory_order_seq_cst>(element); }
  // The same without the barrier: the owner makes up for it, by base::fence_after_rmw(), before it looks whether somebody sleeps.
  bool push_unfenced(T* element) { return push<std::memory_order_release>(element); }

  // Owner. Appends what `next` gives, until it gives null or the ring is full; publishes once. Answers how many. `next` is
  // called only when there is room.
  template <class Next>
  uint32_t push_many(Next next) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    const uint64_t room = kCapacity - (tail - head_.load(std::memory_order_acquire));
    uint32_t count = 0;
    while (count < room) {
      T* const element = next();
      if (element == nullptr) break;
      slots_[(tail + count) & kMask].store(element, std::memory_order_relaxed);
      ++count;
    }
    if (count != 0) tail_.store(tail + count, std::memory_order_seq_cst);
    return count;
  }

  // Owner. Null when it is empty. `left` becomes how many are left, `next` the address of the first of these, null if there is none: only
  // good for a prefetch, since a thief may have taken it, and it may be gone.
  T* pop(uint64_t& left, const void*& next) {
    uint64_t head = head_.load(std::memory_order_relaxed);
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    for (;;) {
      left = 0;
      next = nullptr;
      if (head == tail) return nullptr;
      T* const element = slots_[head & kMask].load(std::memory_order_relaxed);
      left = tail - head - 1;
      if (left != 0) next = slots_[(head + 1) & kMask].load(std::memory_order_relaxed);
      // Fails only when a thief moved head. acq_rel: release for nobody but symmetry with the thieves; acquire as in push.
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel, std::memory_order_relaxed)) return element;
    }
  }
  T* pop() {
    uint64_t left;
    const void* next;
    return pop(left, next);
  }

  // A thief that owns `mine`: moves half (rounded up, as far as there is room) of what is here to the back of `mine`. Answers how
  // many; 0 when empty or after losing against others a few times.
  uint32_t steal_half_into(LocalRing& mine) {
    const uint64_t my_tail = mine.tail_.load(std::memory_order_relaxed);
    const uint64_t room = kCapacity - (my_tail - mine.head_.load(std::memory_order_acquire));
    for (int attempt = 0; attempt < kStealAttempts; ++attempt) {
      uint64_t head = head_.load(std::memory_order_acquire);
      // Acquire: partner of the owner's store in push; the elements below tail are visible.
      const uint64_t tail = tail_.load(std::memory_order_acquire);
      const uint64_t here = tail - head;
      if (here == 0 || room == 0) return 0;
      if (here > kCapacity) continue;  // head was read long before tail: others have been quick
      uint64_t count = here - here / 2;
      if (count > room) count = room;
      for (uint64_t i = 0; i < count; ++i) {
        // The owner may overwrite such a slot meanwhile, but only after head has moved; then the exchange fails and the copies, which
        // nobody sees before my tail moves, are worthless.
        T* const element = slots_[(head + i) & kMask].load(std::memory_order_relaxed);
        mine.slots_[(my_tail + i) & kMask].store(element, std::memory_order_relaxed);
      }
      if (head_.compare_exchange_strong(head, head + count, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        mine.tail_.store(my_tail + count, std::memory_order_seq_cst);
        return static_cast<uint32_t>(count);
      }
    }
    return 0;
  }

  // Any thread; exact for the owner as long as no thief is at work. seq_cst: see push.
  size_t size() const {
    const uint64_t head = head_.load(std::memory_order_acquire);
    const uint64_t tail = tail_.load(std::memory_order_seq_cst);
    return static_cast<size_t>(tail - head);
  }
  bool empty() const { return size() == 0; }

 private:
  template <std::memory_order kOrder>
  bool push(T* element) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    // Acquire: a thief that moved head has read its slots (partner: the exchange in steal_half_into); so they may be reused.
    if (tail - head_.load(std::memory_order_acquire) >= kCapacity) return false;
    slots_[tail & kMask].store(element, std::memory_order_relaxed);
    tail_.store(tail + 1, kOrder);
    return true;
  }

  static constexpr uint64_t kMask = kCapacity - 1;
  static constexpr int kStealAttempts = 4;

  // 64 bits do not wrap, so an old head never fits by accident.
  // head: written by the owner and thieves, by compare-and-swap; publishes that the slots below it were read.
  alignas(base::kCacheLinePair) base::atomic<uint64_t> head_{0};
  // tail: written by the owner only; publishes the slots below it.
  alignas(base::kCacheLinePair) base::atomic<uint64_t> tail_{0};
  // Written by the owner, read by owner and thieves; see above for why relaxed does.
  alignas(base::kCacheLinePair) base::atomic<T*> slots_[kCapacity] = {};
};

}  // namespace weft::sched
