#include "sched/timer.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace weft::sched {
namespace {

// The entry whose fire() this thread is in: its own cancel() must not wait for itself.
thread_local const TimerEntry* firing_here = nullptr;

}  // namespace

TimerEntry::~TimerEntry() { WEFT_ASSERT(!armed_ && firing_ == 0, "a timer died while it was armed"); }

bool TimerEntry::cancel() { return timers_ != nullptr && timers_->cancel(*this); }

Timers::Timers(uint64_t now_ns, DeadlineListener* listener) : listener_(listener), now_tick_(now_ns >> kTickShift) {}

Timers::~Timers() {
  base::Lock lock(mutex_);
  const auto forget = [](Entries& entries) {
    while (TimerEntry* const entry = entries.pop_front()) {
      entry->armed_ = false;
      entry->timers_ = nullptr;
    }
  };
  for (auto& level : slots_) {
    for (Entries& slot : level) forget(slot);
  }
  forget(due_);
}

void Timers::arm(TimerEntry& entry, uint64_t deadline_ns) {
  bool earlier = false;
  {
    base::Lock lock(mutex_);
    entry.timers_ = this;
    if (entry.armed_) unlink(entry);
    entry.armed_ = true;
    // Rounded up, so that it never fires early; but not beyond what can be counted back into nanoseconds.
    entry.tick_ = std::min((deadline_ns >> kTickShift) + ((deadline_ns & (kTickNs - 1)) != 0 ? 1 : 0), kNever >> kTickShift);
    insert(entry);
    ++armed_;
    const uint64_t due_ns = entry.tick_ << kTickShift;
    if (due_ns < next_deadline_ns_.load(std::memory_order_relaxed)) {
      next_deadline_ns_.store(due_ns, std::memory_order_seq_cst);
      earlier = true;
    }
  }
  if (earlier && listener_ != nullptr) listener_->earlier_deadline(deadline_ns);
}

// Level n has slots of 64^n ticks. An entry goes to the level of the highest bit in which its tick differs from now, so that a slot of
// a higher level begins strictly after now, and its entries move down when that time comes.
void Timers::insert(TimerEntry& entry) {
  if (entry.tick_ <= now_tick_) {
    entry.level_ = kLevels;
    due_.push_back(entry);
    return;
  }
  const auto highest = static_cast<unsigned>(63 - std::countl_zero(entry.tick_ ^ now_tick_));
  const unsigned level = highest / kLevelBits;  // below kLevels: ticks have 64 - kTickShift bits
  const auto slot = static_cast<unsigned>((entry.tick_ >> (level * kLevelBits)) & (kSlots - 1));
  entry.level_ = static_cast<uint8_t>(level);
  entry.slot_ = static_cast<uint8_t>(slot);
  slots_[level][slot].push_back(entry);
  occupied_[level] |= uint64_t{1} << slot;
}

void Timers::unlink(TimerEntry& entry) {
  Entries::remove(entry);
  --armed_;
  if (entry.level_ < kLevels && slots_[entry.level_][entry.slot_].empty()) {
    occupied_[entry.level_] &= ~(uint64_t{1} << entry.slot_);
  }
}

// The first tick at which something is to be done: fire (level 0) or move down. kNever when nothing is armed.
uint64_t Timers::earliest_tick() const {
  for (unsigned level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    // All slots in use lie ahead of now in its lap of this level, see insert; the lowest level that has any is the earliest.
    const auto slot = static_cast<uint64_t>(std::countr_zero(occupied_[level]));
    const unsigned shift = level * kLevelBits;
    const uint64_t lap = now_tick_ >> (shift + kLevelBits) << (shift + kLevelBits);
    return lap | (slot << shift);
  }
  return kNever;
}

// Moves what is due by `tick` to due_.
void Timers::collect(uint64_t tick) {
  for (;;) {
    const uint64_t next = earliest_tick();
    if (next > tick) break;
    now_tick_ = next;
    // The slot that begins now; its entries are due or belong further down.
    for (unsigned level = 0; level < kLevels; ++level) {
      const auto slot = static_cast<unsigned>((next >> (level * kLevelBits)) & (kSlots - 1));
      if ((occupied_[level] & (uint64_t{1} << slot)) == 0) continue;
      if (level > 0 && (next & ((uint64_t{1} << (level * kLevelBits)) - 1)) != 0) continue;
      occupied_[level] &= ~(uint64_t{1} << slot);
      Entries moving;
      moving.splice_back(slots_[level][slot]);
      while (TimerEntry* const entry = moving.pop_front()) insert(*entry);
    }
  }
  now_tick_ = std::max(now_tick_, tick);
}

void Timers::publish() {
  const uint64_t tick = due_.empty() ? earliest_tick() : now_tick_;
  const uint64_t next_ns = tick == kNever || tick > (kNever >> kTickShift) ? kNever : tick << kTickShift;
  next_deadline_ns_.store(next_ns, std::memory_order_seq_cst);
}

uint32_t Timers::advance(uint64_t now_ns) {
  uint32_t fired = 0;
  base::Lock lock(mutex_);
  collect(now_ns >> kTickShift);
  publish();
  while (TimerEntry* const entry = due_.front()) {
    unlink(*entry);
    if (due_.empty()) publish();
    entry->armed_ = false;
    ++entry->firing_;
    ++fired;
    ++fired_;
    mutex_.unlock();
    const TimerEntry* const outer = std::exchange(firing_here, entry);
    entry->fire();
    firing_here = outer;
    mutex_.lock();
    // Whoever waits in cancel() may go on now, and free the entry: the last touch.
    --entry->firing_;
    if (waiting_ != 0) fired_one_.notify_all();
  }
  return fired;
}

bool Timers::cancel(TimerEntry& entry) {
  base::Lock lock(mutex_);
  const bool was_armed = entry.armed_;
  if (was_armed) {
    unlink(entry);
    entry.armed_ = false;
    // next_deadline_ns_ may be early now: that costs one empty look. Recomputed only when nothing is left, so that an idle
    // runtime is not woken for timers that are gone.
    if (armed_ == 0) publish();
  }
  const uint8_t own = firing_here == &entry ? 1 : 0;
  ++waiting_;
  while (entry.firing_ > own) fired_one_.wait(mutex_);
  --waiting_;
  return was_armed;
}

uint64_t Timers::armed() const {
  base::Lock lock(mutex_);
  return armed_;
}

uint64_t Timers::fired() const {
  base::Lock lock(mutex_);
  return fired_;
}

void TaskTimer::fire() noexcept {
  // The reference may be all that keeps the task, and this timer, alive once the task runs on: no touch after the wake.
  Task& task = borrowed_ != nullptr ? *borrowed_ : *task_;
  fired_.store(true, std::memory_order_release);
  task.wake();
}

}  // namespace weft::sched
