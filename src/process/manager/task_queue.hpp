// TaskQueue: who waits for a place to run, by priority; first in, first out within one, with ageing: the head of a priority that was passed over `ageing` times
// is next, whatever waits above it. So of P priorities that always have somebody waiting, each is served at least every ageing + P picks.
//
//   TaskQueue<ManagedTask, QueueLink> queue(8, 32);
//   queue.push(task, 3);
//   if (ManagedTask* next = queue.front(); next != nullptr && fits(*next)) queue.pop();
//
// Intrusive; never owns. Not thread-safe: whoever owns it guards it.
#pragma once

#include <array>
#include <cstdint>

#include "base/assert.hpp"
#include "base/intrusive_list.hpp"

namespace weft::process {

template <class T, class Link>
class TaskQueue {
 public:
  static constexpr unsigned kLevelsMax = 8;

  // 1 … 8 levels; `ageing` picks, at least 1.
  TaskQueue(unsigned levels, std::uint32_t ageing) : levels_(levels), ageing_(ageing) {
    WEFT_ASSERT(levels >= 1 && levels <= kLevelsMax && ageing >= 1, "a queue of 1 to 8 levels, with ageing");
  }

  std::uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void push(T& element, unsigned level) {
    WEFT_ASSERT(level < levels_, "no such level");
    Level& at = all_[level];
    if (at.list.empty()) at.passed_over = 0;
    at.list.push_back(element);
    ++size_;
  }
  // Who is next; null when nobody waits. Stays the same until something is pushed, popped or removed.
  T* front() {
    const unsigned level = pick();
    return level < levels_ ? all_[level].list.front() : nullptr;
  }
  // Takes out who front() said.
  void pop() {
    const unsigned level = pick();
    WEFT_ASSERT(level < levels_, "nobody waits");
    all_[level].list.pop_front();
    all_[level].passed_over = 0;
    --size_;
    for (unsigned other = 0; other < levels_; ++other) {
      if (other != level && !all_[other].list.empty()) ++all_[other].passed_over;
    }
  }
  // Out of the middle.
  void remove(T& element) {
    base::List<T, Link>::remove(element);
    --size_;
  }

 private:
  struct Level {
    base::List<T, Link> list;
    std::uint32_t passed_over = 0;  // picks since its head was last served, or since it began to wait
  };

  // The level that was passed over longest of those that were for too long, else the most urgent one. levels_: all are empty.
  unsigned pick() const {
    unsigned urgent = levels_;
    unsigned aged = levels_;
    for (unsigned level = 0; level < levels_; ++level) {
      if (all_[level].list.empty()) continue;
      if (urgent == levels_) urgent = level;
      if (all_[level].passed_over < ageing_) continue;
      if (aged == levels_ || all_[level].passed_over > all_[aged].passed_over) aged = level;
    }
    return aged < levels_ ? aged : urgent;
  }

  const unsigned levels_;
  const std::uint32_t ageing_;
  std::uint64_t size_ = 0;
  std::array<Level, kLevelsMax> all_;
};

}  // namespace weft::process
