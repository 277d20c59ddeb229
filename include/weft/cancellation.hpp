// Cancellation tokens: how "please stop" reaches everything that works on one thing. Sources cancel, tokens hear it; they form trees.
//
//   weft::CancellationSource request;
//   request.cancel_after(runtime, std::chrono::seconds(5), "the client has waited long enough");
//   weft::CancellationSource part(request.token());                    // cancelled with its parent, never the other way round
//   runtime.start(fetch(part.token()));
//   …
//   request.cancel("the client has gone");
//
//   weft::Task<void> fetch(weft::CancellationToken token) {
//     while (!token.cancelled()) { … co_await token.cancelled_wait_for(std::chrono::milliseconds(10)); }
//   }
//
// Cancelling is a request: it says so to whoever asks, waits or has registered a callback, and stops nothing by itself. It happens once and
// is never taken back. Sources and tokens are counted handles: copy them freely, any function from any thread, drop them at any time. Dropping
// a source does not cancel: a token whose sources are all gone just stays as it is. A child that is dropped leaves its parent at once,
// so a long-lived parent keeps nothing of children that are gone; children keep their parents.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "weft/error.hpp"
#include "weft/units.hpp"
#include "weft/waitable.hpp"

namespace weft {

class Runtime;

namespace sched {
class Scheduler;
}
namespace sync {
class CancellationNode;
struct CancellationRegistration;
}  // namespace sync

// A callback that is registered. Dropping it deregisters: when that has returned, the callback does not run and never will; if it is running on another
// thread right now, dropping waits for it. From inside the callback itself it just returns. Movable; one thread at a time.
class [[nodiscard]] CancellationCallback {
 public:
  CancellationCallback() = default;
  CancellationCallback(CancellationCallback&& other) noexcept : registration_(std::exchange(other.registration_, nullptr)) {}
  CancellationCallback& operator=(CancellationCallback&& other) noexcept {
    if (this != &other) {
      deregister();
      registration_ = std::exchange(other.registration_, nullptr);
    }
    return *this;
  }
  CancellationCallback(const CancellationCallback&) = delete;
  CancellationCallback& operator=(const CancellationCallback&) = delete;
  ~CancellationCallback() { deregister(); }

  void deregister() noexcept;

 private:
  friend class CancellationToken;
  explicit CancellationCallback(sync::CancellationRegistration* registration) : registration_(registration) {}
  sync::CancellationRegistration* registration_ = nullptr;  // owned
};

class CancellationToken {
 public:
  // Of nothing: never cancelled.
  CancellationToken() = default;
  CancellationToken(const CancellationToken& other) noexcept;
  CancellationToken(CancellationToken&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  CancellationToken& operator=(CancellationToken other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~CancellationToken();
  explicit operator bool() const noexcept { return node_ != nullptr; }

  // One load. Never parks.
  bool cancelled() const noexcept;
  // What cancel() was told; empty while it is not cancelled.
  std::string reason() const;
  // kCancelled with the reason, once it is: if (auto go_on = token.check(); !go_on) co_return …
  Result<void> check() const;

  // Calls back once, when it is cancelled: on the thread that cancels (a worker, for a deadline), outside all locks, after the whole tree below is
  // marked; at once and here if it is cancelled already. The callback has to be quick, may not park or throw, and may do anything with
  // tokens, also drop its own registration. Callbacks of one token run one after the other, in the order of registration.
  CancellationCallback on_cancel(std::function<void()> callback) const;

  // Ready once it is cancelled. Of a token of nothing: a waitable of nothing.
  Waitable when_cancelled() const;
  // Parks a task until then: co_await token.cancelled_wait(). A thread of the host: cancelled_wait().block(). The bound: kTimedOut.
  Waitable::Wait cancelled_wait() const { return when_cancelled().wait(); }
  Waitable::Wait cancelled_wait_for(Duration bound) const { return when_cancelled().wait_for(bound); }

 private:
  friend class CancellationSource;
  explicit CancellationToken(sync::CancellationNode* counted) noexcept : node_(counted) {}
  sync::CancellationNode* node_ = nullptr;  // counted
};

class CancellationSource {
 public:
  // A root.
  CancellationSource();
  // A child of `parent`: cancelled with it, at once if it is cancelled already. A root if the parent is a token of nothing.
  explicit CancellationSource(const CancellationToken& parent);

  CancellationToken token() const { return token_; }
  bool cancelled() const noexcept { return token_.cancelled(); }

  // Cancels this and everything below. True: this call did it; when it returns, all below are cancelled and their callbacks have run (but for those
  // that another call, at the same time, is at). False: it was cancelled before. O(tokens and callbacks below).
  bool cancel(std::string reason = "cancelled") const;

  // Cancels it when the time has passed, as long as anybody has a handle to it or to something below by then. The earliest deadline counts. It is late
  // by what timers are late by, and waits for no task. Zero or less: at once. It keeps neither the runtime nor its shutdown waiting; after
  // that it does nothing.
  void cancel_after(const Runtime& runtime, Duration after, std::string reason = "the deadline has passed") const;
  // The same on a worker (in a Task or a host function), with the clock of its runtime; elsewhere asserted.
  void cancel_after(Duration after, std::string reason = "the deadline has passed") const;

 private:
  void cancel_at(sched::Scheduler& scheduler, std::uint64_t deadline_ns, std::string reason) const;
  CancellationToken token_;
};

}  // namespace weft
