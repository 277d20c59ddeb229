#include "sync/waitable.hpp"

#include <new>

#include "base/assert.hpp"
#include "sched/core.hpp"

namespace weft {
namespace sync {
namespace {

class TimerSource final : public CountedSource, private sched::TimerEntry {
 public:
  TimerSource(sched::Scheduler& scheduler, uint64_t deadline_ns) : core_(&scheduler.core()) {
    if (deadline_ns <= scheduler.now_ns()) {
      due_.store(true, std::memory_order_seq_cst);
    } else if (deadline_ns != sched::kNever) {
      core_->timers().arm(*this, deadline_ns);
    }
  }
  // Waits for a fire() on another thread: so it needs no reference of its own.
  ~TimerSource() override { cancel(); }

  bool ready() const noexcept override { return due_.load(std::memory_order_seq_cst); }
  const char* reason() const noexcept override { return "timer"; }

 private:
  void fire() noexcept override {
    due_.store(true, std::memory_order_seq_cst);
    notify();
  }

  const base::Ref<sched::Core> core_;  // the wheel is a part of it
  // Writer: fire(); readers: ready(). seq_cst: the protocol of the source.
  base::atomic<bool> due_{false};
};

}  // namespace

Waitable make_timer(sched::Scheduler& scheduler, uint64_t deadline_ns) {
  return to_waitable(base::make_ref<TimerSource>(scheduler, deadline_ns));
}

}  // namespace sync

using Watch = sync::BasicWatch<sync::Sleeper>;

// ---- Waitable ----

Waitable::Waitable(const Waitable& other) noexcept : source_(other.source_) {
  if (source_ != nullptr) source_->retain();
}
Waitable::~Waitable() {
  if (source_ != nullptr) source_->release();
}
bool Waitable::ready() const noexcept { return source_ != nullptr && source_->ready(); }
bool Waitable::gone() const noexcept { return source_ != nullptr && source_->gone(); }

Waitable::Wait::Wait(const Waitable& waitable, Duration bound) : Operation(bound), source_(waitable.source_) {
  static_assert(sizeof(Watch) <= sizeof watch_);
  if (source_ != nullptr) source_->retain();
}

Waitable::Wait::~Wait() {
  if (source_ == nullptr) return;
  if (watching_) {
    Watch& watch = *reinterpret_cast<Watch*>(watch_.bytes);
    watch.end(*source_);
    watch.~Watch();
  }
  source_->release();
}

// It has been ready: that is enough, even if it is not any more. Gone says less.
void Waitable::Wait::settle() { outcome_ = !source_->ready() && source_->gone() ? Outcome::kGone : Outcome::kReady; }

bool Waitable::Wait::begin(const sync::Sleeper& sleeper) {
  if (source_ == nullptr) {
    outcome_ = Outcome::kNothing;
    return true;
  }
  // Looked at before anything is set up, and then asked again by the watch.
  if (source_->ready() || source_->gone()) {
    settle();
    return true;
  }
  const sched::Task* const task = sleeper.task_or_null();
  if (task != nullptr && source_->ends_with() == task) {
    outcome_ = Outcome::kItself;
    return true;
  }
  Watch& watch = *new (watch_.bytes) Watch(sleeper);
  watching_ = true;
  if (!watch.begin(*source_)) return false;
  settle();
  return true;
}

bool Waitable::Wait::done() {
  if (!reinterpret_cast<Watch*>(watch_.bytes)->over()) return false;
  settle();
  return true;
}

void Waitable::Wait::expire() {
  Watch& watch = *reinterpret_cast<Watch*>(watch_.bytes);
  watch.end(*source_);
  if (watch.over()) {
    settle();
  } else {
    outcome_ = Outcome::kTimedOut;
  }
}

const char* Waitable::Wait::reason() const noexcept { return source_->reason(); }

Result<void> Waitable::Wait::await_resume() {
  switch (outcome_) {
    case Outcome::kReady:
      return {};
    case Outcome::kTimedOut:
      return fail(ErrorKind::kTimedOut, std::string(source_->reason()) + ": the bound in time has passed");
    case Outcome::kGone:
      return fail(ErrorKind::kCancelled, std::string(source_->reason()) + ": nobody is left who could make it ready");
    case Outcome::kNothing:
      return fail(ErrorKind::kBadArgument, "a waitable of nothing is never ready");
    case Outcome::kItself:
      return fail(ErrorKind::kBadArgument, "a task cannot wait for its own end");
    case Outcome::kWaiting:
      break;
  }
  WEFT_ASSERT(false, "a wait was asked for its result before it was over");
  return {};
}

// ---- Event ----

class Event::State final : public sync::FlagSource {
 public:
  State() : FlagSource("event") {}
  // Writers and readers: the handles. The last one abandons. acq_rel: it sees what the others did.
  base::atomic<uint32_t> handles{1};
};

Event::Event(bool set) : state_(new State) {
  if (set) state_->set();
}
Event::Event(const Event& other) noexcept : state_(other.state_) {
  if (state_ == nullptr) return;
  state_->retain();
  state_->handles.fetch_add(1, std::memory_order_relaxed);
}
Event::Event(Event&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
Event& Event::operator=(Event other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}
Event::~Event() {
  if (state_ == nullptr) return;
  if (state_->handles.fetch_sub(1, std::memory_order_acq_rel) == 1) state_->abandon();
  state_->release();
}
void Event::set() const { state_->set(); }
void Event::reset() const noexcept { state_->reset(); }
bool Event::is_set() const noexcept { return state_->ready(); }
Waitable Event::when_set() const { return sync::to_waitable(*state_); }

// ---- timers ----

Waitable timer(Duration after) {
  const sched::RunContext* const context = sched::RunContext::current();
  WEFT_ASSERT(context != nullptr, "weft::timer() takes its clock from the task that calls it: elsewhere, use Runtime::timer()");
  return sync::make_timer(context->scheduler(), sync::deadline_after(context->now_ns(), after));
}

}  // namespace weft
