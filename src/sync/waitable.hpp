// What a weft::Waitable refers to, for the rooms above: derive from detail::Source (sync/source.hpp has the protocol), or use a FlagSource.
//
//   base::Ref<FlagSource> ended_ = base::make_ref<FlagSource>("process exit");
//   Waitable exit() const { return to_waitable(ended_); }
//   …
//   ended_->set();                        // no lock held, a reference owned
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/ref.hpp"
#include "sched/scheduler.hpp"
#include "sync/sleeper.hpp"
#include "sync/source.hpp"
#include "weft/waitable.hpp"

namespace weft::detail {

class Source : public sync::BasicSource<sync::Sleeper> {
 protected:
  ~Source() = default;
};

}  // namespace weft::detail

namespace weft::sync {

// A source that counts its own references, starting with one.
class CountedSource : public detail::Source {
 public:
  void retain() const noexcept final { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept final {
    // Release what this owner did; acquire, by the last one, what all others did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 protected:
  virtual ~CountedSource() = default;

 private:
  mutable base::atomic<uint32_t> references_{1};
};

// Ready is a switch.
class FlagSource : public CountedSource {
 public:
  explicit FlagSource(const char* reason, const void* ends_with = nullptr) : reason_(reason), ends_with_(ends_with) {}

  bool ready() const noexcept final { return (word_.load(std::memory_order_seq_cst) & kSet) != 0; }
  bool gone() const noexcept final { return word_.load(std::memory_order_seq_cst) == kGone; }
  const char* reason() const noexcept final { return reason_; }
  const void* ends_with() const noexcept final { return ends_with_; }

  // Any thread that owns a reference and holds no lock of a source or a wait set.
  void set() {
    if ((word_.fetch_or(kSet, std::memory_order_seq_cst) & kSet) == 0) notify();
  }
  void reset() noexcept { word_.fetch_and(static_cast<uint8_t>(~kSet), std::memory_order_seq_cst); }
  // Nobody will set it any more. It stays ready if it is.
  void abandon() {
    if (word_.fetch_or(kGone, std::memory_order_seq_cst) == 0) notify();
  }

 private:
  static constexpr uint8_t kSet = 1;
  static constexpr uint8_t kGone = 2;

  const char* const reason_;
  const void* const ends_with_;
  // Writers: set, reset, abandon; readers: ready and gone. seq_cst: the protocol of the source.
  base::atomic<uint8_t> word_{0};
};

inline Waitable to_waitable(detail::Source& source) {
  source.retain();
  return Waitable(&source);
}
template <class T>
Waitable to_waitable(base::Ref<T> source) {
  return Waitable(source.leak());
}

// Ready once the scheduler's clock says `deadline_ns`. Any thread.
Waitable make_timer(sched::Scheduler& scheduler, uint64_t deadline_ns);

// `after` from now, at most kNever; now when it is not positive.
inline uint64_t deadline_after(uint64_t now_ns, Duration after) {
  if (after <= Duration::zero()) return now_ns;
  const auto span_ns = static_cast<uint64_t>(after.count());
  return after != kForever && span_ns < sched::kNever - now_ns ? now_ns + span_ns : sched::kNever;
}

}  // namespace weft::sync
