// WakeList: whom to wake, collected under a lock and woken outside of it.
//
//   WakeList<Sleeper> wakes;
//   { base::Lock lock(mutex_); …; wakes.add(entry.sleeper); }
//   wakes.wake_all();
//
// One thread at a time. A reference to each is kept from add() on: a sleeper may be over with its wait, and gone, before it is woken.
// Nobody is forgotten: what is still in it when it dies is woken then.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace weft::sync {

template <class Sleeper>
class WakeList {
 public:
  static constexpr std::size_t kInline = 8;

  WakeList() = default;
  WakeList(const WakeList&) = delete;
  WakeList& operator=(const WakeList&) = delete;
  ~WakeList() { wake_all(); }

  void add(Sleeper sleeper) {
    sleeper.retain();
    if (count_ < kInline) {
      first_[count_] = sleeper;
    } else {
      more_.push_back(sleeper);
    }
    ++count_;
  }
  std::size_t size() const { return count_; }

  void wake_all() {
    const std::size_t inside = count_ < kInline ? count_ : kInline;
    for (std::size_t i = 0; i < inside; ++i) wake(first_[i]);
    for (const Sleeper& sleeper : more_) wake(sleeper);
    more_.clear();
    count_ = 0;
  }

 private:
  static void wake(const Sleeper& sleeper) {
    sleeper.wake();
    sleeper.release();
  }

  std::array<Sleeper, kInline> first_;  // filled as far as count_ says
  std::vector<Sleeper> more_;
  std::size_t count_ = 0;
};

}  // namespace weft::sync
