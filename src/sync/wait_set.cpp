#include "weft/wait_set.hpp"

#include <new>
#include <string>

#include "base/assert.hpp"
#include "sync/wait_set_core.hpp"
#include "sync/waitable.hpp"

namespace weft {

namespace {
using Core = sync::WaitSetCore<sync::Sleeper>;
using Waiter = Core::Waiter;
}  // namespace

class WaitSet::State {
 public:
  explicit State(std::size_t members_max) : core(members_max) {}
  Core core;
};

struct WaitSet::Closer {
  explicit Closer(std::shared_ptr<State> what) : state(std::move(what)) {}
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;
  ~Closer() { state->core.close(); }
  const std::shared_ptr<State> state;
};

WaitSet::WaitSet(WaitSetOptions options)
    : state_(std::make_shared<State>(options.members_max)), closer_(std::make_shared<Closer>(state_)) {}

Result<void> WaitSet::add(std::uint64_t key, const Waitable& waitable) const {
  if (!waitable) return fail(ErrorKind::kBadArgument, "wait set: a waitable of nothing is never ready");
  switch (state_->core.add(key, *waitable.source())) {
    case Core::Added::kYes:
      return {};
    case Core::Added::kKeyTaken:
      return fail(ErrorKind::kBadArgument, "wait set: the key " + std::to_string(key) + " is taken; remove it first");
    case Core::Added::kFull:
      return fail(ErrorKind::kExhausted, "wait set: it has " + std::to_string(state_->core.members_max()) +
                                             " members, as many as it may; raise members_max");
    case Core::Added::kClosed:
      break;
  }
  return fail(ErrorKind::kCancelled, "wait set: it is closed");
}

bool WaitSet::remove(std::uint64_t key) const { return state_->core.remove(key); }
std::size_t WaitSet::size() const { return state_->core.size(); }
void WaitSet::close() const { state_->core.close(); }

// ---- waits ----

WaitSet::Wait::Wait(std::shared_ptr<State> state, WaitFor what) : Operation(what.bound), state_(std::move(state)), what_(what) {
  static_assert(sizeof(Waiter) <= sizeof waiter_);
}

WaitSet::Wait::~Wait() {
  if (queued_) state_->core.cancel(*reinterpret_cast<Waiter*>(waiter_.bytes));
}

bool WaitSet::Wait::begin(const sync::Sleeper& sleeper) {
  if (what_.least == 0 || (what_.least != WaitFor::kAll && what_.least > state_->core.members_max())) {
    outcome_ = Outcome::kBadArgument;
    return true;
  }
  new (waiter_.bytes) Waiter(sleeper, what_.least);
  return look();
}

bool WaitSet::Wait::done() {
  if (reinterpret_cast<Waiter*>(waiter_.bytes)->state.load(std::memory_order_acquire) == sync::WaitSetWait::kQueued) return false;
  return look();
}

// Takes what there is, or queues.
bool WaitSet::Wait::look() {
  Core::Events events;
  const Core::Waited waited = state_->core.wait(*reinterpret_cast<Waiter*>(waiter_.bytes), what_.most, events);
  queued_ = waited == Core::Waited::kQueued;
  if (queued_) return false;
  outcome_ = waited == Core::Waited::kReady ? Outcome::kReady : Outcome::kClosed;
  events_ = std::move(events);
  return true;
}

void WaitSet::Wait::expire() {
  // A last look: it may have been woken and not have run yet.
  Waiter& waiter = *reinterpret_cast<Waiter*>(waiter_.bytes);
  if (waiter.state.load(std::memory_order_acquire) == sync::WaitSetWait::kWoken && look()) return;
  state_->core.cancel(waiter);
  queued_ = false;
  outcome_ = Outcome::kTimedOut;
}

Result<std::vector<WaitEvent>> WaitSet::Wait::await_resume() {
  switch (outcome_) {
    case Outcome::kReady:
      return std::move(events_);
    case Outcome::kTimedOut:
      return fail(ErrorKind::kTimedOut, "wait set: the bound in time has passed");
    case Outcome::kClosed:
      return fail(ErrorKind::kCancelled, "wait set: it is closed");
    case Outcome::kBadArgument:
      return fail(ErrorKind::kBadArgument, "wait set: a wait for " + std::to_string(what_.least) + " members of a set of at most " +
                                               std::to_string(state_->core.members_max()));
    case Outcome::kWaiting:
      break;
  }
  WEFT_ASSERT(false, "a wait was asked for its result before it was over");
  return {};
}

}  // namespace weft
