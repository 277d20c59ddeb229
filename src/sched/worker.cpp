#include "sched/worker.hpp"

#include <bit>
#include <utility>

#include "sched/core.hpp"
#include "sched/trace.hpp"

namespace weft::sched {
namespace {

// Written by AsCurrent alone. Looked up anew at each use: guest code may continue on another thread.
thread_local Worker* current_worker = nullptr;

void add(base::atomic<uint64_t>& counter, uint64_t by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// A searcher goes round all other workers this often before it goes to sleep, with a short pause in between: a few microseconds in all.
constexpr int kSearchRounds = 3;
constexpr int kSearchPauses = 32;
// It goes on searching for this long where the time before work came that soon after it had run out: a thread of the host that hands over one task after the
// other, say. To be put to sleep and woken takes several times as long. Where nothing came that soon, it is not tried again until something does.
constexpr uint64_t kLingerNs = 5'000;
// With one task more than there is room for, somebody always has one more than others. Every so many quanta it moves on, so that all get their share.
constexpr uint32_t kNearlyBalanced = 4;

// A guest's task, from its head to the last thing that each run touches.
constexpr uintptr_t kTaskBytes = 256;

// The address is only a hint (see LocalRing::pop); a prefetch of what is gone does nothing. With thousands of tasks, everything particular to one
// has left the first caches by the time its turn comes.
void prefetch_task(const void* task) {
  const auto* const at = static_cast<const std::byte*>(task);
  for (uintptr_t offset = 0; offset < kTaskBytes; offset += 64) __builtin_prefetch(at + offset, 1);
}

}  // namespace

Worker* Worker::current() noexcept { return current_worker; }
Worker::AsCurrent::AsCurrent(Worker& worker) : before_(current_worker) { current_worker = &worker; }
Worker::AsCurrent::~AsCurrent() { current_worker = before_; }

Worker::Worker(Core& core, uint32_t index, uint64_t seed)
    : core_(core),
      index_(index),
      recorder_(core.config().recorder),
      quantum_ns_(core.config().quantum_ns),
      clock_(core.platform()),
      context_(*this),
      rng_(seed + index) {
  now_ns_ = clock_.now_ns();
}

Worker::~Worker() {
  for (auto& ring : rings_) delete ring.load(std::memory_order_relaxed);
}

Step Worker::step() {
  if (sleeping_) wake_up();
  if (core_.timers().next_deadline_ns() <= now_ns_) fire_timers();
  if (now_ns_ - balanced_ns_ >= quantum_ns_) balance();

  more_here_ = false;
  Task* task = pick();
  if (task == nullptr) task = search();
  if (task == nullptr) return go_to_sleep();
  if (idle_from_ns_ != 0) found_after_idling(*task);

  if (searching_) {
    searching_ = false;
    // Those who brought work while we searched relied on us; what we did not take is now somebody else's.
    if (core_.idle().end_search() && core_.any_work(now_ns_)) core_.notify();
  }
  announce_waiting();
  run(*task);
  return {Step::Kind::kRan};
}

void Worker::wake_up() {
  sleeping_ = false;
  if (core_.idle().leave(index_, false)) searching_ = true;
  if (timekeeper_) {
    timekeeper_ = false;
    core_.resign_timekeeper();
  }
  now_ns_ = clock_.now_ns();
}

void Worker::fire_timers() {
  firing_timers_ = true;
  core_.timers().advance(now_ns_);
  firing_timers_ = false;
  now_ns_ = clock_.now_ns();  // what that took is not the next task's
}

// ---- queues ----

Worker::Ring& Worker::ring(unsigned level) {
  Ring* ring = rings_[level].load(std::memory_order_relaxed);
  if (ring == nullptr) [[unlikely]] {
    ring = new Ring;
    rings_[level].store(ring, std::memory_order_release);
  }
  return *ring;
}

bool Worker::push_ring(Task& task, unsigned level, Push push) {
  Ring& mine = ring(level);
  if (!(push == Push::kAnnouncedLater ? mine.push_unfenced(&task) : mine.push(&task))) return false;
  ring_mask_ |= 1U << level;
  return true;
}

void Worker::push_back(Task& task, Push push) {
  const unsigned level = task.priority();
  // The shared queue's ordinary lane continues our ring: what is in it came before this task. With one worker that makes the order exact,
  // with several it is fair enough, and it keeps the tasks of an overfull ring from overtaking those that did not fit.
  if ((core_.injection().mask() & (1U << level)) != 0) {
    refill(level);
    if ((core_.injection().mask() & (1U << level)) != 0 && ring(level).size() > kRingCapacity / 2) {
      core_.injection().push(task, Lane::kOrdinary);
      return;
    }
  }
  if (!push_ring(task, level, push)) core_.injection().push(task, Lane::kOrdinary);
}

void Worker::push_woken(Task& task) {
  const unsigned level = task.priority();
  if (Task* const before = lifo_.load(std::memory_order_relaxed); before != nullptr) {
    // One slot. Timers that fire together are strangers: the others go where all workers see them first. Otherwise the newcomer's data
    // is warmest, and the one before goes to the back, unless it is the more urgent one.
    if (firing_timers_ || lifo_level_ < level) {
      core_.injection().push(task, Lane::kWoken);
      core_.notify();
      return;
    }
    if (Task* const displaced = take_lifo()) {
      push_back(*displaced);
      core_.notify();
    }
  }
  lifo_level_ = level;
  lifo_since_ns_.store(task.since_ns_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  lifo_.store(&task, std::memory_order_seq_cst);
  // No sleeper is woken for it: mostly it runs right here, a moment later. Should the task that woke it run on for long, the ticker
  // sees to it, by asking that task to give way, or by waking a sleeper that then steals it.
  if (task_running_) core_.ticker().need();
}

Task* Worker::take_lifo() { return lifo_.exchange(nullptr, std::memory_order_acq_rel); }

// Moves our share of the shared queue's ordinary lane behind our ring, if the ring is at most half full.
void Worker::refill(unsigned level) {
  Ring& mine = ring(level);
  if (mine.size() > kRingCapacity / 2) return;
  const uint32_t workers = core_.worker_count();
  const uint32_t share = (core_.injection().ordinary_count(level) + workers - 1) / workers;
  core_.injection().drain_ordinary(level, share == 0 ? 1 : share, [this, &mine, level](auto next) {
    if (mine.push_many(next) != 0) ring_mask_ |= 1U << level;
  });
}

unsigned Worker::choose_level(uint32_t waiting) {
  const auto first = static_cast<unsigned>(std::countr_zero(waiting));
  ++picks_;
  if (waiting != seen_mask_) {
    for (uint32_t fresh = waiting & ~seen_mask_; fresh != 0; fresh &= fresh - 1) {
      served_[std::countr_zero(fresh)] = picks_;
    }
    seen_mask_ = waiting;
  }
  unsigned level = first;
  // Ageing. More than one may be due; then the one that waited longest, so that none waits longer than the others together.
  if (uint32_t rest = waiting & (waiting - 1); rest != 0) {
    uint64_t longest = kAgeingPicks - 1;
    for (; rest != 0; rest &= rest - 1) {
      const auto candidate = static_cast<unsigned>(std::countr_zero(rest));
      const uint64_t passed = picks_ - served_[candidate];
      if (passed > longest) {
        longest = passed;
        level = candidate;
      }
    }
  }
  served_[level] = picks_;
  return level;
}

// `shared`: what the shared queue has, or had a moment ago.
Task* Worker::pick_ordinary(unsigned level, uint32_t shared) {
  const uint32_t bit = 1U << level;
  if ((shared & bit) != 0) refill(level);
  if ((ring_mask_ & bit) == 0) return nullptr;
  uint64_t left = 0;
  const void* next = nullptr;
  Task* const task = rings_[level].load(std::memory_order_relaxed)->pop(left, next);
  if (left == 0) {
    ring_mask_ &= ~bit;
  } else {
    more_here_ = true;
    prefetch_task(next);
  }
  return task;
}

Task* Worker::pick() {
  for (;;) {
    const uint32_t shared = core_.injection().mask();
    const uint32_t ordinary = (shared & 0xffU) | ring_mask_;
    const uint32_t woken = shared >> kPriorities;
    const bool lifo = lifo_.load(std::memory_order_relaxed) != nullptr;
    if (!lifo && woken == 0 && ordinary != 0 && (ordinary & (ordinary - 1)) == 0) {
      // The usual case, where there is nothing to choose.
      const auto level = static_cast<unsigned>(std::countr_zero(ordinary));
      seen_mask_ = ordinary;
      served_[level] = picks_;
      boosted_[level] = 0;
      if (Task* const task = pick_ordinary(level, shared)) return task;
      continue;
    }
    const uint32_t waiting = ordinary | woken | (lifo ? 1U << lifo_level_ : 0);
    if (waiting == 0) {
      seen_mask_ = 0;
      return nullptr;
    }
    const unsigned level = choose_level(waiting);
    const uint32_t bit = 1U << level;
    const bool lifo_here = lifo && lifo_level_ == level;
    const bool woken_here = (woken & bit) != 0;
    Task* task = nullptr;
    if ((lifo_here || woken_here) && (boosted_[level] < kBoostedMax || (ordinary & bit) == 0)) {
      // Turns between the two, or a pair that wakes each other for ever would keep out those woken elsewhere.
      last_boost_was_lifo_ = lifo_here && !(woken_here && last_boost_was_lifo_);
      task = last_boost_was_lifo_ ? take_lifo() : core_.injection().pop(level, Lane::kWoken);
      if (!last_boost_was_lifo_ && task != nullptr) prefetch_task(task);
      if (task != nullptr && boosted_[level] < kBoostedMax) ++boosted_[level];
    } else {
      task = pick_ordinary(level, shared);
      boosted_[level] = 0;
    }
    // Null: thieves or other workers were quicker. The masks show less now, so this ends.
    if (task != nullptr) return task;
  }
}

// Before a run: if others wait here, somebody idle should come for them, or, when all are busy, this run should not be too long.
void Worker::announce_waiting() {
  base::fence_after_rmw();  // for a task that yielded and was pushed without one; taking the next was a read-modify-write
  if (more_here_ || ring_waiting() || core_.injection().mask() != 0) core_.notify();
  if (lifo_.load(std::memory_order_relaxed) != nullptr) core_.ticker().need();
}

bool Worker::ring_waiting() {
  for (uint32_t mask = ring_mask_; mask != 0; mask &= mask - 1) {
    const auto level = static_cast<unsigned>(std::countr_zero(mask));
    if (!rings_[level].load(std::memory_order_relaxed)->empty()) return true;
    ring_mask_ &= ~(1U << level);  // thieves took all
  }
  return false;
}

bool Worker::has_stealable(uint64_t now_ns) const {
  for (const auto& slot : rings_) {
    const Ring* const ring = slot.load(std::memory_order_acquire);
    if (ring != nullptr && !ring->empty()) return true;
  }
  return lifo_overdue(now_ns);
}

bool Worker::lifo_overdue(uint64_t now_ns) const {
  return lifo_.load(std::memory_order_seq_cst) != nullptr &&
         now_ns >= lifo_since_ns_.load(std::memory_order_relaxed) + kLifoStealNs;
}

bool Worker::has_waiting() const {
  if (lifo_.load(std::memory_order_seq_cst) != nullptr) return true;
  for (const auto& slot : rings_) {
    const Ring* const ring = slot.load(std::memory_order_acquire);
    if (ring != nullptr && !ring->empty()) return true;
  }
  return false;
}

// ---- finding work elsewhere ----

// Half of what waits there in this priority goes behind our own. Answers how many.
uint32_t Worker::take_half(Worker& victim, unsigned level) {
  Ring* const theirs = victim.rings_[level].load(std::memory_order_acquire);
  if (theirs == nullptr || theirs->empty()) return 0;
  const uint32_t count = theirs->steal_half_into(ring(level));
  if (count == 0) return 0;
  ring_mask_ |= 1U << level;
  add(counts_.steals, 1);
  add(counts_.stolen, count);
  return count;
}

Task* Worker::steal_from(Worker& victim) {
  for (unsigned level = 0; level < kPriorities; ++level) {
    if (take_half(victim, level) == 0) continue;
    Task* const task = pick_ordinary(level, 0);
    if (task == nullptr) continue;  // others stole it from us at once
    if (recorder_ != nullptr) recorder_->record(index_, TraceKind::kSteal, now_ns_, task->id());
    return task;
  }
  if (victim.lifo_overdue(now_ns_)) {
    if (Task* const task = victim.take_lifo()) {
      add(counts_.steals, 1);
      add(counts_.stolen, 1);
      if (recorder_ != nullptr) recorder_->record(index_, TraceKind::kSteal, now_ns_, task->id());
      return task;
    }
  }
  return nullptr;
}

Worker::Load Worker::load() const {
  Load load{.tasks = running_since_ns() != 0 ? 1U : 0U};
  for (unsigned level = 0; level < kPriorities; ++level) {
    const Ring* const ring = rings_[level].load(std::memory_order_acquire);
    const uint64_t waiting = ring == nullptr ? 0 : ring->size();
    if (waiting != 0 && load.best_level == kPriorities) load.best_level = level;
    load.tasks += waiting;
  }
  return load;
}

// Stealing keeps workers from being idle; it does not make shares even: a worker with one endless task would never come back to look, while
// seven share another one. So each worker compares itself with the others once a quantum, between two tasks, and takes from the fullest, or
// from one where something more urgent waits than here.
void Worker::balance() {
  balanced_ns_ = now_ns_;
  const uint32_t workers = core_.worker_count();
  if (workers == 1) return;
  const Load own = load();  // between two tasks: the one that just yielded is in a ring
  Worker* fullest = nullptr;
  Load most;
  const uint32_t start = rng_.below(workers);
  for (uint32_t i = 0; i < workers; ++i) {
    Worker& other = core_.worker(start + i < workers ? start + i : start + i - workers);
    if (&other == this) continue;
    const Load theirs = other.load();
    if (theirs.best_level == kPriorities) continue;  // nothing to take
    const bool urgent = theirs.best_level < own.best_level && theirs.best_level < most.best_level;
    if (urgent || (theirs.tasks > most.tasks && (most.best_level >= own.best_level || fullest == nullptr))) {
      fullest = &other;
      most = theirs;
    }
  }
  if (fullest == nullptr) return;
  const bool near = most.tasks == own.tasks + 1;
  nearly_balanced_ = near ? nearly_balanced_ + 1 : 0;
  const bool more = most.tasks > own.tasks + 1 || nearly_balanced_ >= kNearlyBalanced;
  if (!more && !(own.tasks != 0 && most.best_level < own.best_level)) return;
  nearly_balanced_ = 0;
  take_half(*fullest, most.best_level);
}

bool Worker::others_have_waiting() const {
  for (uint32_t i = 0; i < core_.worker_count(); ++i) {
    if (i != index_ && core_.worker(i).has_waiting()) return true;
  }
  return false;
}

// How long it was idle, had it stayed awake.
void Worker::found_after_idling(const Task& task) {
  const uint64_t queued_ns = task.since_ns_.load(std::memory_order_relaxed);
  lingers_ = queued_ns < idle_from_ns_ + kLingerNs;
  idle_from_ns_ = 0;
}

Task* Worker::search() {
  const uint32_t workers = core_.worker_count();
  if (idle_from_ns_ == 0) idle_from_ns_ = now_ns_;
  const bool threaded = core_.platform().threaded();
  // Once only: when it wakes up and finds nothing it has not run out of work just now.
  const bool lingers = std::exchange(lingers_, false) && threaded;
  if (workers == 1 && !lingers) return nullptr;
  if (!searching_) searching_ = core_.idle().begin_search();
  if (!searching_) return nullptr;
  const int rounds = threaded ? kSearchRounds : 1;
  const uint64_t until_ns = lingers ? now_ns_ + kLingerNs : 0;
  for (int round = 0; round < rounds || now_ns_ < until_ns; ++round) {
    if (round != 0) {
      for (int i = 0; i < kSearchPauses && core_.injection().mask() == 0; ++i) base::spin_pause();
    }
    now_ns_ = clock_.now_ns();
    const uint32_t start = rng_.below(workers);
    for (uint32_t i = 0; i < workers; ++i) {
      const uint32_t victim = start + i < workers ? start + i : start + i - workers;
      if (victim == index_) continue;
      if (Task* const task = steal_from(core_.worker(victim))) return task;
    }
    if (core_.injection().mask() != 0) {
      if (Task* const task = pick()) return task;
    }
  }
  return nullptr;
}

Step Worker::go_to_sleep() {
  core_.idle().sleep(index_, searching_);
  searching_ = false;
  // The last look, after the announcement: see idle.hpp.
  now_ns_ = clock_.now_ns();
  if (core_.any_work(now_ns_)) {
    searching_ = core_.idle().leave(index_, true);
    return {Step::Kind::kAgain};
  }
  // From here on step() takes the announcement back.
  sleeping_ = true;
  if (core_.stopping()) return {Step::Kind::kAgain};
  uint64_t until_ns = kNever;
  if (core_.timers().next_deadline_ns() != kNever && core_.become_timekeeper(index_)) {
    timekeeper_ = true;
    until_ns = core_.timers().next_deadline_ns();
    if (until_ns <= now_ns_) return {Step::Kind::kAgain};
  }
  add(counts_.parks, 1);
  return {Step::Kind::kIdle, until_ns};
}

// ---- running ----

void Worker::run(Task& task) {
  task.state_.begin_run();
  // A task that came from another worker may have stopped there after we last read the clock, and must not seem to run at both.
  if (task.since_ns_.load(std::memory_order_relaxed) > now_ns_) [[unlikely]]
    now_ns_ = clock_.now_ns();
  context_.begin(task, now_ns_);
  task.since_ns_.store(now_ns_, std::memory_order_relaxed);
  running_since_ns_.store(now_ns_, std::memory_order_relaxed);
  add(counts_.switches, 1);
  if (recorder_ != nullptr) recorder_->record(index_, TraceKind::kRun, now_ns_, task.id());

  task_running_ = true;
  const Poll poll = task.run(context_);
  task_running_ = false;

  now_ns_ = clock_.now_ns();
  running_since_ns_.store(0, std::memory_order_relaxed);
  if (wants_ticks_.load(std::memory_order_relaxed)) wants_ticks_.store(false, std::memory_order_relaxed);
  if (shortened_.load(std::memory_order_relaxed)) shortened_.store(false, std::memory_order_relaxed);
  add(task.cpu_ns_, now_ns_ - context_.started_ns_);
  task.since_ns_.store(now_ns_, std::memory_order_relaxed);

  if (poll == Poll::kDone) {
    finish(task);
    return;
  }
  // From the transition on the task may run elsewhere, and end: what is still needed of it is read before.
  switch (context_.ending_) {
    case RunContext::Ending::kPreempted:
      add(task.preemptions_, 1);
      add(counts_.preemptions, 1);
      [[fallthrough]];
    case RunContext::Ending::kYield:
      if (recorder_ != nullptr) {
        const bool preempted = context_.ending_ == RunContext::Ending::kPreempted;
        recorder_->record(index_, preempted ? TraceKind::kPreempt : TraceKind::kYield, now_ns_, task.id());
      }
      task.state_.requeue();
      push_back(task, Push::kAnnouncedLater);
      return;
    case RunContext::Ending::kNone:
      WEFT_DEBUG_ASSERT(false, "run() returned kPending without park() or yield()");
      context_.park_ = {"unnamed", 0, 0};
      [[fallthrough]];
    case RunContext::Ending::kPark:
      task.park_reason_.store(context_.park_.reason, std::memory_order_relaxed);
      task.park_deadline_ns_.store(context_.park_.deadline_ns, std::memory_order_relaxed);
      task.park_address_.store(context_.park_.address, std::memory_order_relaxed);
      if (recorder_ != nullptr) recorder_->record(index_, TraceKind::kPark, now_ns_, task.id(), context_.park_.reason);
      if (task.state_.park()) return;
      // Woken while it ran: the same as if it had been parked and then woken.
      add(task.wakes_, 1);
      if (recorder_ != nullptr) recorder_->record(index_, TraceKind::kWake, now_ns_, task.id());
      push_woken(task);
      return;
  }
}

void Worker::finish(Task& task) {
  if (recorder_ != nullptr) recorder_->record(index_, TraceKind::kExit, now_ns_, task.id());
  task.state_.finish();
  task.on_done();
  core_.forget(task);
  now_ns_ = clock_.now_ns();  // what that took is not the next task's
}

bool Worker::should_yield() {
  const uint64_t now_ns = clock_.now_ns();
  if (now_ns - context_.slice_from_ns_ < quantum_ns_) return false;
  // The last one is for balance(): see there.
  return ring_waiting() || core_.injection().mask() != 0 || lifo_.load(std::memory_order_relaxed) != nullptr ||
         core_.timers().next_deadline_ns() <= now_ns || others_have_waiting();
}

void Worker::shorten(uint64_t slice_ns) {
  if (slice_ns >= quantum_ns_ || context_.started_ns_ < quantum_ns_) return;
  context_.slice_from_ns_ = context_.started_ns_ - (quantum_ns_ - slice_ns);
  running_since_ns_.store(context_.slice_from_ns_, std::memory_order_relaxed);
  shortened_.store(true, std::memory_order_relaxed);
}

void Worker::needs_ticks() {
  if (wants_ticks_.load(std::memory_order_relaxed)) return;
  wants_ticks_.store(true, std::memory_order_seq_cst);
  core_.ticker().need();
}

// ---- RunContext ----

RunContext* RunContext::current() noexcept {
  Worker* const worker = Worker::current();
  return worker == nullptr ? nullptr : worker->context();
}

Scheduler& RunContext::scheduler() const { return worker_.core().scheduler(); }
uint32_t RunContext::worker_index() const { return worker_.index(); }
uint64_t RunContext::now_ns() const { return worker_.clock_ns(); }
bool RunContext::should_yield() const { return worker_.should_yield(); }
void RunContext::shorten(uint64_t slice_ns) { worker_.shorten(slice_ns); }
void RunContext::needs_ticks() { worker_.needs_ticks(); }

}  // namespace weft::sched
