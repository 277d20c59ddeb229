// IdleSet: who is awake, who is searching for work, who sleeps; so that work never waits while a worker sleeps unasked, and yet a
// burst of work does not wake everybody at once. The throttle by counting searchers is that of the Go and Tokio schedulers.
//
// The protocol
// ------------
//   whoever brings work:  1. makes it visible (a seq_cst store)   2. claim(): is somebody searching? then they will find it;
//                                                                    else take one sleeper and unpark it
//   whoever finds none:   1. begin_search() and looks around      2. sleep(): announces itself (a seq_cst read-modify-write)
//                         3. looks around ONCE MORE               4. parks; or, if there was work after all, leave()s as a searcher:
//                                                                    between 1 and 2 somebody may have relied on its search
//   whoever found some:   1. end_search()                         2. if it was the last searcher, looks around and claim()s another: those
//                                                                    who relied on it have work that it did not take
// Either the bringer sees the sleeper announced, or the sleeper sees the work: both are seq_cst, one comes first.
//
// A claimed worker is counted as awake and searching from the moment of the claim, not from when it wakes: otherwise every bringer in
// between would wake another one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/assert.hpp"
#include "base/atomic.hpp"
#include "base/mutex.hpp"

namespace weft::sched {

class IdleSet {
 public:
  // All workers are awake at first, and none is searching.
  explicit IdleSet(uint32_t workers) : workers_(workers), state_(uint64_t{workers} << kAwakeShift) { sleepers_.reserve(workers); }

  // Any thread, after it made work visible: a worker to unpark, or -1 when nobody sleeps or somebody searches already.
  int32_t claim() {
    if (!claimable(state_.load(std::memory_order_seq_cst))) return -1;
    base::Lock lock(mutex_);
    if (!claimable(state_.load(std::memory_order_seq_cst)) || sleepers_.empty()) return -1;
    // The one that slept last: its caches are warmest.
    const uint32_t worker = sleepers_.back();
    sleepers_.pop_back();
    state_.fetch_add(kOneAwake + 1, std::memory_order_seq_cst);
    return static_cast<int32_t>(worker);
  }

  // Any thread, after it made work visible; what is to be done about it. One load.
  enum class Standing : uint8_t {
    kAllBusy,     // with something else than looking for work
    kSomeSleep,   // and nobody searches: claim()
    kSomeSearch,  // they will find it
  };
  Standing standing() const {
    const uint64_t state = state_.load(std::memory_order_seq_cst);
    if (searching(state) != 0) return Standing::kSomeSearch;
    return awake(state) < workers_ ? Standing::kSomeSleep : Standing::kAllBusy;
  }
  bool has_sleepers() const { return awake(state_.load(std::memory_order_seq_cst)) < workers_; }

  // A worker: may it search? At most about half of them do at a time (two that ask at once may both get in).
  bool begin_search() {
    if (2 * searching(state_.load(std::memory_order_relaxed)) >= workers_) return false;
    state_.fetch_add(1, std::memory_order_seq_cst);
    return true;
  }
  // A searcher that found work. True: it was the last one.
  bool end_search() { return searching(state_.fetch_sub(1, std::memory_order_seq_cst)) == 1; }

  // A worker announces that it will sleep; it looks for work once more afterwards, before it does.
  void sleep(uint32_t worker, bool was_searching) {
    base::Lock lock(mutex_);
    sleepers_.push_back(worker);
    state_.fetch_sub(kOneAwake + (was_searching ? 1 : 0), std::memory_order_seq_cst);
  }
  // The worker is back, for whatever reason. True: it is a searcher now, because it was claimed, or because its last look found work
  // (`found_work`). False: it woke by itself, for a timer.
  bool leave(uint32_t worker, bool found_work) {
    base::Lock lock(mutex_);
    const auto place = std::find(sleepers_.begin(), sleepers_.end(), worker);
    if (place == sleepers_.end()) return true;
    sleepers_.erase(place);
    state_.fetch_add(kOneAwake + (found_work ? 1 : 0), std::memory_order_seq_cst);
    return found_work;
  }

 private:
  static constexpr unsigned kAwakeShift = 32;
  static constexpr uint64_t kOneAwake = uint64_t{1} << kAwakeShift;
  static uint32_t searching(uint64_t state) { return static_cast<uint32_t>(state); }
  static uint32_t awake(uint64_t state) { return static_cast<uint32_t>(state >> kAwakeShift); }
  bool claimable(uint64_t state) const { return searching(state) == 0 && awake(state) < workers_; }

  const uint32_t workers_;
  // Low half: searchers; high half: workers awake. Written by workers (search, sleep, leave) and bringers (claim); the changes of the high
  // half under mutex_. seq_cst throughout: see the protocol.
  base::atomic<uint64_t> state_;
  base::Mutex mutex_;
  std::vector<uint32_t> sleepers_ WEFT_GUARDED_BY(mutex_);
};

}  // namespace weft::sched
