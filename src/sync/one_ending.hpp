// OneEnding: one thread waits for one thing to end, and keeps the object on its stack: whoever ends it does not touch it afterwards.
//
//   OneEnding<ThreadParker> ending;              // the thread that waits
//   if (!ending.ended()) ending.sleep(ThreadParker::mine());
//
//   ending.end();                                // whoever ends it, once
//
// The parker is counted (sleeper.hpp): whoever ends wakes it after the waiting thread may be gone, so the sleeping thread gives one reference away.
//
//   kRuns ──end──▶ kEnded
//     │               ▲
//     └─sleep─▶ kSleeps ─end─┘   and then, with what was read before, the parker is woken
#pragma once

#include <cstdint>

#include "base/assert.hpp"
#include "base/atomic.hpp"

namespace weft::sync {

template <class Parker>
class OneEnding {
 public:
  OneEnding() = default;
  OneEnding(const OneEnding&) = delete;
  OneEnding& operator=(const OneEnding&) = delete;

  // The waiting thread. True: what was written before end() is seen, and this object may go.
  bool ended() const { return word_.load(std::memory_order_acquire) == kEnded; }

  // The waiting thread: returns when it has ended. `park` may return early.
  template <class Park>
  void sleep(Parker& parker, Park park) {
    parker_ = &parker;
    parker.retain();  // for whoever ends it
    uint32_t runs = kRuns;
    // Release: the parker, for end(). Acquire on failure: as ended().
    if (!word_.compare_exchange_strong(runs, kSleeps, std::memory_order_release, std::memory_order_acquire)) {
      parker.release();
      return;
    }
    while (!ended()) park();
  }

  // Anyone, once. Nothing of this object is touched once the word says that it has ended.
  void end() {
    uint32_t word = kRuns;
    // Release: what led to the end, for ended(). Acquire on failure: the parker.
    if (word_.compare_exchange_strong(word, kEnded, std::memory_order_release, std::memory_order_acquire)) return;
    WEFT_ASSERT(word == kSleeps, "one thing ended twice");
    Parker* const parker = parker_;
    word_.store(kEnded, std::memory_order_release);
    parker->unpark();
    parker->release();
  }

 private:
  static constexpr uint32_t kRuns = 0;
  static constexpr uint32_t kSleeps = 1;
  static constexpr uint32_t kEnded = 2;

  // Writers: sleep() (kSleeps) and end() (kEnded); readers: the same, and ended(). kSleeps publishes the parker, kEnded what led to the end.
  base::atomic<uint32_t> word_{kRuns};
  Parker* parker_ = nullptr;  // written before kSleeps, read after it
};

}  // namespace weft::sync
