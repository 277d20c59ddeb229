// NeedFlag: how something that sleeps while nobody needs it (the ticker) is called, without a system call each time and without
// a call being lost.
//
//   whoever needs it:  makes the reason visible (a seq_cst store); if (flag.raise()) parker.unpark();
//   the one called:    while the flag is up it looks for reasons by itself; to go to sleep: if (flag.lower(any_reason)) park
//
// The same Dekker-like protocol as in idle.hpp: lower() takes the flag down and then looks for reasons once more.
#pragma once

#include "base/atomic.hpp"

namespace weft::sched {

class NeedFlag {
 public:
  // Any thread, after it made its reason visible. True: the caller must unpark the one called.
  bool raise() { return !up_.load(std::memory_order_seq_cst) && !up_.exchange(true, std::memory_order_seq_cst); }
  bool up() const { return up_.load(std::memory_order_seq_cst); }
  // The one called. True: nobody needs it, and whoever does from now on will unpark it. False: it is still needed.
  template <class AnyReason>
  bool lower(AnyReason any_reason) {
    up_.store(false, std::memory_order_seq_cst);
    if (!any_reason()) return true;
    up_.store(true, std::memory_order_seq_cst);
    return false;
  }

 private:
  // Raised by any thread, lowered by the one called. Publishes nothing: it says only who must look.
  base::atomic<bool> up_{false};
};

}  // namespace weft::sched
