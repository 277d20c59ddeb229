// WaitSetCore: the members of a wait set, those that may be ready, and those who wait; after epoll, with level triggering.
//
// Why no event is lost, and a wake-up costs O(1)
// ----------------------------------------------
// A member watches its source (source.hpp). When told, it puts itself at the back of the ready list, unless it is in it: that is all a wake-up does,
// apart from waking the first waiter that this is enough for. The list holds candidates: whoever waits takes them out one by one and asks
// each source; those that are not ready are dropped from it, and are back with the next notify, which comes after their source has become
// ready again. Taking out and asking happen under the lock that notify takes to put in, so one of the two sees the other. What is reported
// goes to the back, still a candidate.
//
// A waiter that was woken and leaves, with a result, without one, or dropped, wakes the next that there is enough for. So as long as there
// are candidates for somebody who waits, somebody is on the way.
//
// Locks: change_, around adding and removing; then the source's; then mutex_.
//
// Template over the sleeper, so that the model checker runs this very code (waitable_model.cpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sync/short_lock.hpp"
#include "sync/source.hpp"
#include "weft/wait_set.hpp"

namespace weft::sync {

enum class WaitSetWait : uint8_t { kIdle, kQueued, kWoken };

// One wait. It lies where its operation does.
template <class Sleeper>
struct WaitSetWaiter : base::ListHook<struct WaitSetWaiterLink> {
  WaitSetWaiter(Sleeper who, std::size_t need) : sleeper(who), least(need) {}
  const Sleeper sleeper;
  const std::size_t least;
  // Written under the set's lock, read without it by the owner. Release, partner of the acquire there: the last touch when it says kWoken.
  base::atomic<WaitSetWait> state{WaitSetWait::kIdle};
};

template <class Sleeper>
class WaitSetCore {
 public:
  using Source = BasicSource<Sleeper>;
  using Waiter = WaitSetWaiter<Sleeper>;
  static constexpr std::size_t kAll = SIZE_MAX;

  using Events = std::vector<WaitEvent>;

  explicit WaitSetCore(std::size_t members_max) : members_max_(members_max) {}
  WaitSetCore(const WaitSetCore&) = delete;
  WaitSetCore& operator=(const WaitSetCore&) = delete;
  ~WaitSetCore() { close(); }

  std::size_t members_max() const { return members_max_; }

  enum class Added : uint8_t { kYes, kKeyTaken, kFull, kClosed };
  // Keeps a reference to the source.
  Added add(uint64_t key, Source& source) {
    WakeList<Sleeper> wakes;  // after the locks
    base::Lock change(change_);
    if (members_.size() >= members_max_) return Added::kFull;
    const auto [at, fresh] = members_.try_emplace(key);
    if (!fresh) return Added::kKeyTaken;
    at->second = std::make_unique<Member>(*this, source, key);
    Member& member = *at->second;
    {
      ShortLock lock(mutex_);
      if (!closed_) {
        ++size_;
      } else {
        member.dropped = true;
      }
    }
    if (member.dropped) {
      members_.erase(at);
      return Added::kClosed;
    }
    source.attach(member);
    if (source.ready() || source.gone()) {
      ShortLock lock(mutex_);
      candidate(member);
      wake_next(wakes);
    }
    return Added::kYes;
  }

  bool remove(uint64_t key) {
    std::unique_ptr<Member> member;  // its source may go with it: after the locks
    WakeList<Sleeper> wakes;
    base::Lock change(change_);
    const auto at = members_.find(key);
    if (at == members_.end()) return false;
    member = std::move(at->second);
    members_.erase(at);
    take_out(*member, wakes);
    return true;
  }

  std::size_t size() const {
    ShortLock lock(mutex_);
    return size_;
  }

  enum class Waited : uint8_t { kReady, kQueued, kClosed };
  // Reports at least waiter.least and at most `most` members; or queues the waiter, until it is woken: then call it again.
  Waited wait(Waiter& waiter, std::size_t most, Events& events) {
    bool any_gone = false;
    WakeList<Sleeper> wakes;
    const Waited waited = try_wait(waiter, most, events, any_gone, wakes);
    if (any_gone) {
      for (const WaitEvent& event : events) {
        if (event.gone) remove_gone(event.key);
      }
    }
    return waited;
  }
  // Gives a wait up. Whatever it was woken for goes to the next.
  void cancel(Waiter& waiter) {
    WakeList<Sleeper> wakes;
    ShortLock lock(mutex_);
    if (waiter.state.load(std::memory_order_relaxed) == WaitSetWait::kQueued) Waiters::remove(waiter);
    waiter.state.store(WaitSetWait::kIdle, std::memory_order_relaxed);
    wake_next(wakes);
  }

  // Wakes all, drops all.
  void close() {
    std::unordered_map<uint64_t, std::unique_ptr<Member>> members;
    WakeList<Sleeper> wakes;
    base::Lock change(change_);
    {
      ShortLock lock(mutex_);
      closed_ = true;
      while (Waiter* const waiter = waiters_.front()) wake(*waiter, wakes);
    }
    members.swap(members_);
    for (auto& [key, member] : members) take_out(*member, wakes);
  }

 private:
  struct ReadyLink;
  class Member final : public BasicWatcher<Sleeper>, public base::ListHook<ReadyLink> {
   public:
    Member(WaitSetCore& owner, Source& what, uint64_t name) : set(owner), source(what), key(name) { source.retain(); }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    ~Member() { source.release(); }
    bool notified(WakeList<Sleeper>& wakes) override { return set.notified(*this, wakes); }

    WaitSetCore& set;
    Source& source;
    const uint64_t key;
    bool dropped = false;  // under the set's mutex_: no candidate any more
  };
  using Ready = base::List<Member, ReadyLink>;
  using Waiters = base::List<Waiter, WaitSetWaiterLink>;

  static bool is_candidate(const Member& member) { return static_cast<const base::ListHook<ReadyLink>&>(member).linked(); }

  bool notified(Member& member, WakeList<Sleeper>& wakes) {
    ShortLock lock(mutex_);
    candidate(member);
    wake_next(wakes);
    return true;
  }
  void candidate(Member& member) WEFT_REQUIRES(mutex_) {
    if (member.dropped || is_candidate(member)) return;
    ready_.push_back(member);
    ++ready_count_;
  }
  void no_candidate(Member& member) WEFT_REQUIRES(mutex_) {
    Ready::remove(member);
    --ready_count_;
  }
  std::size_t need(const Waiter& waiter) const WEFT_REQUIRES(mutex_) { return waiter.least == kAll ? size_ : waiter.least; }

  void wake(Waiter& waiter, WakeList<Sleeper>& wakes) WEFT_REQUIRES(mutex_) {
    Waiters::remove(waiter);
    wakes.add(waiter.sleeper);
    waiter.state.store(WaitSetWait::kWoken, std::memory_order_release);
  }
  // The first for whom there may be enough.
  void wake_next(WakeList<Sleeper>& wakes) WEFT_REQUIRES(mutex_) {
    for (Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = waiters_.next(*waiter)) {
      if (ready_count_ < need(*waiter)) continue;
      wake(*waiter, wakes);
      return;
    }
  }

  Waited try_wait(Waiter& waiter, std::size_t most, Events& events, bool& any_gone, WakeList<Sleeper>& wakes) {
    ShortLock lock(mutex_);
    const bool again = waiter.state.load(std::memory_order_relaxed) == WaitSetWait::kWoken;
    if (closed_) return Waited::kClosed;
    if (collect(need(waiter), most, events, any_gone)) {
      waiter.state.store(WaitSetWait::kIdle, std::memory_order_relaxed);
      wake_next(wakes);
      return Waited::kReady;
    }
    waiter.state.store(WaitSetWait::kQueued, std::memory_order_relaxed);
    if (!again) {
      waiters_.push_back(waiter);
    } else {
      // Woken too early, it keeps its place; what was not enough for it may be for another.
      waiters_.push_front(waiter);
      wake_next(wakes);
    }
    return Waited::kQueued;
  }

  bool collect(std::size_t least, std::size_t most, Events& events, bool& any_gone) WEFT_REQUIRES(mutex_) {
    if (ready_count_ < least) return false;
    most = std::max(most, least);
    if (least > 1) {
      // All of them have to be ready at once: look at each before any is reported.
      Member* member = ready_.front();
      while (member != nullptr) {
        Member* const next = ready_.next(*member);
        if (!member->source.ready() && !member->source.gone()) no_candidate(*member);
        member = next;
      }
      if (ready_count_ < least) return false;
    }
    Ready reported;
    while (events.size() < most) {
      Member* const member = ready_.front();
      if (member == nullptr) break;
      if (member->source.ready()) {
        Ready::remove(*member);
        reported.push_back(*member);
        events.push_back({member->key, false});
      } else {
        if (member->source.gone()) {
          events.push_back({member->key, true});
          member->dropped = true;
          any_gone = true;
        }
        no_candidate(*member);
      }
    }
    ready_.splice_back(reported);
    if (events.size() >= least) return true;
    // A level has fallen between the two looks: wait on. But that one is gone is said once, and cannot be taken back.
    if (any_gone) return true;
    events.clear();
    return false;
  }

  // It was reported as gone: no member any more, unless its key has been given anew.
  void remove_gone(uint64_t key) {
    std::unique_ptr<Member> member;
    WakeList<Sleeper> wakes;
    base::Lock change(change_);
    const auto at = members_.find(key);
    if (at == members_.end()) return;
    {
      ShortLock lock(mutex_);
      if (!at->second->dropped) return;
    }
    member = std::move(at->second);
    members_.erase(at);
    take_out(*member, wakes);
  }

  void take_out(Member& member, WakeList<Sleeper>& wakes) WEFT_REQUIRES(change_) {
    member.source.detach(member);
    ShortLock lock(mutex_);
    member.dropped = true;
    if (is_candidate(member)) no_candidate(member);
    --size_;
    // Fewer are all of them now.
    wake_next(wakes);
  }

  const std::size_t members_max_;
  base::Mutex change_;
  std::unordered_map<uint64_t, std::unique_ptr<Member>> members_ WEFT_GUARDED_BY(change_);
  mutable ShortMutex mutex_;
  Ready ready_ WEFT_GUARDED_BY(mutex_);
  std::size_t ready_count_ WEFT_GUARDED_BY(mutex_) = 0;
  std::size_t size_ WEFT_GUARDED_BY(mutex_) = 0;
  Waiters waiters_ WEFT_GUARDED_BY(mutex_);
  bool closed_ WEFT_GUARDED_BY(mutex_) = false;
};

}  // namespace weft::sync
