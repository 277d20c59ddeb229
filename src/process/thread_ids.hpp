// ThreadIds: the numbers of a process's guest threads: from 1 and below 2^29, as wasi-threads has it. Each is the next one that no thread has, so that it takes
// long until one is used again. Which have been there can be told at any time: thread 0 never gets its number here.
//
//   const std::uint32_t id = ids.next([&](std::uint32_t id) { return alive.contains(id); });
//
// A value; one thread at a time.
#pragma once

#include <cstdint>

namespace weft::process {

class ThreadIds {
 public:
  static constexpr std::uint32_t kEnd = 1U << 29U;

  // `end`: the first that is none.
  explicit ThreadIds(std::uint32_t end = kEnd) : end_(end) {}

  // Fewer than all of them are taken.
  template <class Taken>
  std::uint32_t next(const Taken& taken) {
    do {
      around_ = around_ || last_ + 1 == end_;
      last_ = last_ + 1 < end_ ? last_ + 1 : 1;
    } while (taken(last_));
    return last_;
  }
  // Whether some thread has, or had, this number.
  bool given(std::uint64_t id) const { return id != 0 && id < end_ && (around_ || id <= last_); }

 private:
  std::uint32_t end_;
  std::uint32_t last_ = 0;  // the one given last
  bool around_ = false;     // all have been given
};

}  // namespace weft::process
