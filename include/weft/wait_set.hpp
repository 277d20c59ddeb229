// WaitSet: one wait for many waitables: for any of them, for all, or for N.
//
//   weft::WaitSet set;
//   (void)set.add(1, receiver.readable());
//   (void)set.add(2, weft::timer(std::chrono::seconds(5)));
//   weft::Result<std::vector<weft::WaitEvent>> events = co_await set.any();
//   for (const weft::WaitEvent& event : *events) { … event.key … }
//
// As epoll with level triggering: what is ready is reported, again and again as long as it is ready, fairly: what has been reported goes
// behind the other ready ones. A wake-up and a report cost the same however many members there are. No event is lost: what is ready when it
// is added, or becomes so at any time, is found by the next wait or ends one that is going on. Several may wait at once; they are served in
// order, and may be told of the same member.
//
// A handle: copies refer to the same set. All functions may be called from any thread, also while somebody waits. The set keeps its
// members' memory (see Waitable). Dropping the last handle closes it. A set is no Waitable itself, so there are no sets in sets and no
// circles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "weft/error.hpp"
#include "weft/units.hpp"
#include "weft/waitable.hpp"

namespace weft {

struct WaitSetOptions {
  std::size_t members_max = 65'536;
};

struct WaitEvent {
  std::uint64_t key = 0;
  // The member will never be ready any more (Waitable::gone). Said once: it is no member from then on.
  bool gone = false;

  bool operator==(const WaitEvent&) const = default;
};

// What ends a wait.
struct WaitFor {
  static constexpr std::size_t kAll = SIZE_MAX;
  std::size_t least = 1;  // members that are ready at the same time, those that are gone included; kAll: all there are then
  std::size_t most = 64;  // reported at once; what is more goes first the next time. Never below `least`.
  Duration bound = kForever;
};

class WaitSet {
 public:
  explicit WaitSet(WaitSetOptions options = {});
  WaitSet(const WaitSet&) = default;
  WaitSet(WaitSet&&) noexcept = default;
  WaitSet& operator=(const WaitSet&) = default;
  WaitSet& operator=(WaitSet&&) noexcept = default;
  ~WaitSet() = default;

  // `key` is yours; it comes back in the event. The same waitable may be in it twice, under two keys.
  // kBadArgument: the key is taken, or the waitable is of nothing. kExhausted: members_max. kCancelled: the set is closed.
  Result<void> add(std::uint64_t key, const Waitable& waitable) const;
  // False: there is no such member. After it no wait that begins reports the member.
  bool remove(std::uint64_t key) const;
  std::size_t size() const;

  class State;

  class [[nodiscard]] Wait final : public detail::Operation {
   public:
    Wait(std::shared_ptr<State> state, WaitFor what);
    ~Wait() override;
    // At least WaitFor::least events, in the order in which they are reported. kTimedOut; kCancelled: the set was closed;
    // kBadArgument: `least` is zero or more than members_max.
    Result<std::vector<WaitEvent>> await_resume();
    // Parks the calling thread instead of a task. Never on a worker (asserted).
    Result<std::vector<WaitEvent>> block() {
      run_blocking();
      return await_resume();
    }

   private:
    bool begin(const sync::Sleeper& sleeper) override;
    bool done() override;
    void expire() override;
    const char* reason() const noexcept override { return "wait set"; }
    bool look();

    enum class Outcome : std::uint8_t { kWaiting, kReady, kTimedOut, kClosed, kBadArgument };

    const std::shared_ptr<State> state_;
    const WaitFor what_;
    Outcome outcome_ = Outcome::kWaiting;
    bool queued_ = false;
    std::vector<WaitEvent> events_{};
    detail::Opaque<64> waiter_;
  };
  // Parks until enough members are ready. Of an empty set: all() is over at once, with no events; the others wait until something is added.
  Wait wait(WaitFor what = {}) const { return {state_, what}; }
  Wait any(Duration bound = kForever) const { return {state_, {.bound = bound}}; }
  Wait all(Duration bound = kForever) const { return {state_, {.least = WaitFor::kAll, .most = WaitFor::kAll, .bound = bound}}; }

  // Ends all waits with kCancelled, drops the members, and refuses new ones. Once is enough.
  void close() const;

 private:
  struct Closer;
  std::shared_ptr<State> state_;
  std::shared_ptr<Closer> closer_;  // shared by the handles only: waits do not keep the set open
};

}  // namespace weft
