// Waitables: one shape for everything that is or becomes ready: the end of a task or a process, a timer, an end of a channel, an event.
//
//   weft::Event stop;
//   weft::Task<void> worker(weft::Event stop) {
//     while (!stop.is_set()) { … co_await stop.when_set().wait_for(std::chrono::seconds(1)); }
//   }
//   stop.when_set().wait().block();                    // the same from a thread of the host
//
// Being ready is a level: it lasts as long as the cause does, for all who look. A wait is over when the waitable was ready at some moment
// after the wait began; by the time you act on it, somebody else may have been there first. To wait for several, see weft/wait_set.hpp.
//
// A Waitable is a counted reference: copy it freely, use it from any thread, drop it at any time. It keeps the memory of what it refers
// to, but nothing else of it: a channel closes, an event is abandoned, as if the waitable were not there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "weft/error.hpp"
#include "weft/task.hpp"
#include "weft/units.hpp"

namespace weft {

namespace sync {
class Sleeper;  // who is to be woken: a task, or a thread of the host
}

namespace detail {

class Source;

// Room in a public class for an object whose type is not public.
template <std::size_t kBytes>
struct Opaque {
  alignas(std::max_align_t) std::byte bytes[kBytes];
};

// What may have to wait: in a Task `co_await` it, from a thread of the host call its block(). Once, by whoever made it; it stays where
// it was made. Destroying one that waits (as the end of a task does) gives the wait up.
class Operation : public Awaitable {
 public:
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  bool poll(TaskContext& context) final;

 protected:
  explicit Operation(Duration bound) : bound_(bound) {}
  ~Operation() override;  // a derived class gives up in its own

  // True: over at once. False: `sleeper` will be woken when done() is worth asking.
  virtual bool begin(const sync::Sleeper& sleeper) = 0;
  // After a wake-up, possibly one without cause.
  virtual bool done() = 0;
  // The bound has passed. The operation is over after this: as done, if that was first, or as timed out.
  virtual void expire() = 0;
  // Static text: what is waited for.
  virtual const char* reason() const noexcept = 0;

  // Performs it on the calling thread. Not on a worker (asserted).
  void run_blocking();

 private:
  const Duration bound_;
  std::uint64_t deadline_ns_ = 0;
  void* timer_ = nullptr;
  bool begun_ = false;
};

}  // namespace detail

class Waitable {
 public:
  // Of nothing: never ready, and a wait for it fails with kBadArgument.
  Waitable() = default;
  Waitable(const Waitable& other) noexcept;
  Waitable(Waitable&& other) noexcept : source_(std::exchange(other.source_, nullptr)) {}
  Waitable& operator=(Waitable other) noexcept {
    std::swap(source_, other.source_);
    return *this;
  }
  ~Waitable();
  explicit operator bool() const noexcept { return source_ != nullptr; }

  // Right now. Never parks.
  bool ready() const noexcept;
  // It is not ready and will never be any more: nobody is left who could make it so. Never parks.
  bool gone() const noexcept;

  class [[nodiscard]] Wait final : public detail::Operation {
   public:
    Wait(const Waitable& waitable, Duration bound);
    ~Wait() override;
    // kTimedOut: the bound has passed. kCancelled: it is gone. kBadArgument: there is nothing to wait for, or the task waits for its
    // own end.
    Result<void> await_resume();
    // Parks the calling thread instead of a task. Never on a worker (asserted).
    Result<void> block() {
      run_blocking();
      return await_resume();
    }

   private:
    bool begin(const sync::Sleeper& sleeper) override;
    bool done() override;
    void expire() override;
    const char* reason() const noexcept override;

    enum class Outcome : std::uint8_t { kWaiting, kReady, kTimedOut, kGone, kNothing, kItself };
    void settle();

    detail::Source* const source_;  // counted
    Outcome outcome_ = Outcome::kWaiting;
    bool watching_ = false;
    detail::Opaque<64> watch_;
  };
  // Parks until it is ready.
  Wait wait() const { return {*this, kForever}; }
  // The same with a bound; zero or less: looks once.
  Wait wait_for(Duration bound) const { return {*this, bound}; }

  // For the rooms below the public interface: takes over one reference.
  explicit Waitable(detail::Source* counted) noexcept : source_(counted) {}
  detail::Source* source() const noexcept { return source_; }

 private:
  detail::Source* source_ = nullptr;
};

// A switch that others wait for. A counted handle, any thread. When the last copy is dropped while it is not set, its waitables are gone.
class Event {
 public:
  explicit Event(bool set = false);
  Event(const Event& other) noexcept;
  Event(Event&& other) noexcept;
  Event& operator=(Event other) noexcept;
  ~Event();

  // Lets everybody pass who waits, and whoever comes before the next reset().
  void set() const;
  // Those that were waiting when it was set have passed all the same.
  void reset() const noexcept;
  bool is_set() const noexcept;
  Waitable when_set() const;

 private:
  class State;
  State* state_;  // counted; null when moved from
};

// Ready once the time has passed, and from then on. On a worker only (in a Task or a host function); elsewhere there is Runtime::timer.
// Zero or less: ready at once. Dropping the last reference disarms it.
Waitable timer(Duration after);

namespace detail {
Waitable when_finished(JoinState& join);
}

// Ready once the task has ended, in whichever way. Its result stays with the handle.
template <class T>
Waitable when_done(const JoinHandle<T>& handle) {
  return detail::when_finished(handle.state());
}

}  // namespace weft
