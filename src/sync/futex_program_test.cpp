// Programs as guests have them, on futexes alone: mutexes and condition variables as musl makes them, counters, bounded buffers, and
// random programs of which many lock themselves out. In virtual time under thousands of seeds, and on real threads: nothing is lost,
// nobody waits for ever without reason, and a deadlock is reported exactly when there is one, once, by the last thread that could
// still move.
//
// A failing seed is printed; WEFT_SIM_SEED=<seed> replays that one alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.hpp"
#include "sched/sim.hpp"
#include "sched/testing/fixture.hpp"
#include "sync/futex.hpp"
#include "sync/task_context.hpp"
#include "weft/task.hpp"

namespace weft::sync {
namespace {

using sched::kNever;
using sched::Poll;
using sched::RunContext;
using sched::testing::CountedTask;
using Body = weft::Task<void>;

// ---- a process and its threads ----

class Thread;

// Threads, their memory, and what kills them all.
class Process {
 public:
  // `sim` null: real threads.
  Process(sched::Scheduler& scheduler, sched::SimDriver* sim, uint64_t seed)
      : table(scheduler.timers(), seed, 4), scheduler_(scheduler), sim_(sim), seed_(seed) {}

  // All of them exist before the first one runs.
  void start(const std::vector<std::function<Body(Thread&)>>& bodies);
  // Ends every thread where it stands. The caller keeps the process until they are gone.
  void kill();
  // A thread has heard that nobody is left to wake anybody. In virtual time that is left to stand, and whether it is true shows at
  // the end.
  void stuck() {
    deadlocks.fetch_add(1);
    if (sim_ == nullptr) kill();
  }
  // Between any two steps of a thread. After a deadlock was reported nobody moves.
  void step(base::Rng& rng) {
    EXPECT_EQ(deadlocks.load(), 0) << "a deadlock was reported, but a thread moves";
    if (sim_ != nullptr && rng.one_in(3)) sim_->pass_time(rng.below(4'000));
  }
  void check_end() {
    EXPECT_EQ(group.alive(), 0U);
    EXPECT_EQ(group.blocked(), 0U);
    for (const base::Ref<Thread>& thread : threads_) EXPECT_TRUE(is_done(*thread));
  }

  FutexTable table;
  FutexGroup group;
  std::atomic<int> deadlocks{0};
  std::atomic<bool> killed{false};

 private:
  static bool is_done(const Thread& thread);

  sched::Scheduler& scheduler_;
  sched::SimDriver* const sim_;
  const uint64_t seed_;
  std::vector<base::Ref<Thread>> threads_;
};

// A thread whose code is a coroutine. Dies with it wherever it waits when the process is killed.
class Thread final : public CountedTask {
 public:
  Thread(Process& owner, uint64_t seed) : CountedTask({.kind = "thread"}), process(owner), rng(seed) {}

  void set_body(Body body) {
    body_ = std::move(body);
    chain_.top = body_.handle();
    body_.handle().promise().chain = &chain_;
  }
  Poll run(RunContext& context) override {
    if (process.killed.load()) {
      waiter.cancel();
      body_ = {};
      (void)process.group.thread_ended();
      return Poll::kDone;
    }
    weft::detail::TaskContext now{context};
    if (!chain_.poll(now, body_.handle())) return Poll::kPending;
    body_.handle().promise().take();
    if (process.group.thread_ended()) process.stuck();
    return Poll::kDone;
  }
  std::string describe() const override {
    const FutexWaiter::Info info = waiter.info();
    return info.waiting ? "waits at " + std::to_string(info.address) : "does not wait";
  }

  Process& process;
  base::Rng rng;
  FutexWaiter waiter;

 private:
  Body body_;
  weft::detail::Chain chain_;
};

bool Process::is_done(const Thread& thread) { return thread.state() == sched::State::kDone; }

void Process::start(const std::vector<std::function<Body(Thread&)>>& bodies) {
  for (const auto& body : bodies) {
    group.thread_started();
    threads_.push_back(base::make_ref<Thread>(*this, seed_ * 64 + threads_.size()));
    threads_.back()->set_body(body(*threads_.back()));
  }
  for (const base::Ref<Thread>& thread : threads_) EXPECT_TRUE(scheduler_.spawn(thread));
}

void Process::kill() {
  killed.store(true);
  for (const base::Ref<Thread>& thread : threads_) thread->wake();
}

// ---- what a guest's instructions do ----

uint32_t load(Thread& self, uint32_t& word) {
  self.process.step(self.rng);
  return std::atomic_ref(word).load();
}
uint32_t exchange(Thread& self, uint32_t& word, uint32_t value) {
  self.process.step(self.rng);
  return std::atomic_ref(word).exchange(value);
}
uint32_t add(Thread& self, uint32_t& word, uint32_t by) {
  self.process.step(self.rng);
  return std::atomic_ref(word).fetch_add(by);
}
// What was there before.
uint32_t compare_exchange(Thread& self, uint32_t& word, uint32_t expected, uint32_t value) {
  self.process.step(self.rng);
  std::atomic_ref(word).compare_exchange_strong(expected, value);
  return expected;
}
void notify(Thread& self, uint32_t& word, uint32_t count) {
  self.process.step(self.rng);
  self.process.table.notify(&word, count);
}

// memory.atomic.wait32. `timeout_ns` kNever: none.
class [[nodiscard]] Wait final : public weft::Awaitable {
 public:
  Wait(Thread& self, uint32_t& word, uint32_t expected, uint64_t timeout_ns)
      : self_(self), word_(word), expected_(expected), timeout_ns_(timeout_ns) {}
  bool poll(weft::detail::TaskContext& context) override {
    if (begun_) {
      outcome_ = self_.waiter.poll();
    } else {
      self_.process.step(self_.rng);
      begun_ = true;
      const uint64_t now_ns = context.run.now_ns();
      if (timeout_ns_ != kNever) deadline_ns_ = now_ns + timeout_ns_;
      const FutexWaiter::Begun begun = self_.waiter.begin(
          self_.process.table, {.address = &word_, .expected = expected_, .deadline_ns = deadline_ns_, .now_ns = now_ns}, self_,
          &self_.process.group);
      outcome_ = begun.outcome;
      if (begun.all_blocked) self_.process.stuck();
    }
    if (outcome_ != FutexOutcome::kPending) return true;
    context.run.park("futex", deadline_ns_ == kNever ? 0 : deadline_ns_, reinterpret_cast<uintptr_t>(&word_));
    return false;
  }
  FutexOutcome await_resume() const { return outcome_; }

 private:
  Thread& self_;
  uint32_t& word_;
  const uint32_t expected_;
  const uint64_t timeout_ns_;
  uint64_t deadline_ns_ = kNever;
  bool begun_ = false;
  FutexOutcome outcome_ = FutexOutcome::kPending;
};

// ---- what musl makes of them ----

// pthread_mutex_t, the normal type, after musl's pthread_mutex_timedlock.c and pthread_mutex_unlock.c.
struct Mutex {
  uint32_t lock = 0;
  uint32_t waiters = 0;
};
constexpr uint32_t kBusy = 16;
constexpr uint32_t kContended = 0x80000000;

Body lock(Thread& self, Mutex& mutex) {
  while (compare_exchange(self, mutex.lock, 0, kBusy) != 0) {
    const uint32_t seen = load(self, mutex.lock);
    if (seen == 0) continue;
    add(self, mutex.waiters, 1);
    compare_exchange(self, mutex.lock, seen, seen | kContended);
    (void)co_await Wait(self, mutex.lock, seen | kContended, kNever);
    add(self, mutex.waiters, UINT32_MAX);
  }
}

void unlock(Thread& self, Mutex& mutex) {
  const uint32_t waiters = load(self, mutex.waiters);
  const uint32_t seen = exchange(self, mutex.lock, 0);
  EXPECT_EQ(seen & ~kContended, kBusy) << "unlocked what was not locked";
  if (waiters != 0 || (seen & kContended) != 0) notify(self, mutex.lock, 1);
}

// pthread_cond_t, the process-shared kind, after musl's pthread_cond_timedwait.c and pthread_cond_signal.c.
struct Condition {
  uint32_t sequence = 0;
  uint32_t waiters = 0;
};

// False: timed out.
weft::Task<bool> wait(Thread& self, Condition& condition, Mutex& mutex, uint64_t timeout_ns) {
  add(self, condition.waiters, 1);
  const uint32_t sequence = load(self, condition.sequence);
  unlock(self, mutex);
  bool in_time = true;
  do {
    in_time = co_await Wait(self, condition.sequence, sequence, timeout_ns) != FutexOutcome::kTimedOut;
  } while (in_time && load(self, condition.sequence) == sequence);
  add(self, condition.waiters, UINT32_MAX);
  co_await lock(self, mutex);
  co_return in_time;
}

void signal(Thread& self, Condition& condition, uint32_t count) {
  if (load(self, condition.waiters) == 0) return;
  add(self, condition.sequence, 1);
  if (load(self, condition.waiters) != 0) notify(self, condition.sequence, count);
}

// ---- many runs of one program ----

// What a program looks like to whoever runs it.
struct Program {
  std::vector<std::function<Body(Thread&)>> threads;
  std::function<void()> check;  // after all threads have ended by themselves
};
using MakeProgram = std::function<Program(uint64_t seed)>;

struct Tally {
  uint32_t ended = 0;
  uint32_t stuck = 0;
};

void run_simulated(uint64_t seed, const MakeProgram& make, Tally& tally) {
  SCOPED_TRACE("WEFT_SIM_SEED=" + std::to_string(seed));
  const int64_t alive_before = CountedTask::alive();
  {
    const Program program = make(seed);
    sched::SimDriver sim(seed, {.workers = 1 + static_cast<uint32_t>(seed % 4)});
    Process process(sim.scheduler(), &sim, seed);
    process.start(program.threads);
    const bool ended = sim.run_until_empty(2'000'000);
    ASSERT_LT(sim.steps(), 2'000'000U) << "no end of it";
    // The scheduler knows for certain: tasks are left, and nothing will ever happen again.
    ASSERT_EQ(process.deadlocks.load(), ended ? 0 : 1)
        << (ended ? "a deadlock was reported where there was none" : "a deadlock was missed");
    if (ended) {
      ++tally.ended;
      program.check();
    } else {
      ++tally.stuck;
      EXPECT_EQ(process.group.alive(), process.group.blocked());
      process.kill();
      ASSERT_TRUE(sim.run_until_empty(2'000'000));
    }
    process.check_end();
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U);
  }
  EXPECT_EQ(CountedTask::alive(), alive_before) << "threads leaked";
}

Tally run_simulated(uint64_t seeds, const MakeProgram& make) {
  Tally tally;
  uint64_t only = 0;
  if (sched::testing::replay_seed(only)) {
    run_simulated(only, make, tally);
    return tally;
  }
  for (uint64_t seed = 1; seed <= seeds / sched::testing::kFewerSeeds; ++seed) {
    run_simulated(seed, make, tally);
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "replay with WEFT_SIM_SEED=" << seed;
      break;
    }
  }
  return tally;
}

class FutexProgramThreadsTest : public sched::testing::SchedulerTest {
 protected:
  // A deadlock that is missed hangs here, until the fixture's watchdog says who waits.
  Tally run(uint64_t programs, const MakeProgram& make_program) {
    sched::Scheduler& scheduler = make({.workers = 4});
    Tally tally;
    for (uint64_t seed = 1; seed <= programs && !HasFailure(); ++seed) {
      SCOPED_TRACE("program " + std::to_string(seed));
      const Program program = make_program(seed);
      Process process(scheduler, nullptr, seed);
      process.start(program.threads);
      EXPECT_TRUE(scheduler.drain(kNever));
      EXPECT_LE(process.deadlocks.load(), 1);
      if (process.deadlocks.load() == 0) {
        ++tally.ended;
        program.check();
      } else {
        ++tally.stuck;
      }
      process.check_end();
      EXPECT_EQ(scheduler.timers().armed(), 0U);
    }
    return tally;
  }
};

// ---- a counter under a mutex ----

struct Counting {
  Mutex mutex;
  uint64_t count = 0;  // under mutex
};

Body count_up(Thread& self, std::shared_ptr<Counting> memory, uint32_t times) {
  for (; times != 0; --times) {
    co_await lock(self, memory->mutex);
    const uint64_t seen = memory->count;
    self.process.step(self.rng);
    memory->count = seen + 1;
    unlock(self, memory->mutex);
  }
}

MakeProgram counting(uint32_t times) {
  return [times](uint64_t seed) {
    auto memory = std::make_shared<Counting>();
    Program program;
    const uint64_t threads = 1 + seed % 6;
    for (uint64_t i = 0; i < threads; ++i) {
      program.threads.emplace_back([memory, times](Thread& self) { return count_up(self, memory, times); });
    }
    program.check = [memory, threads, times] { EXPECT_EQ(memory->count, threads * times); };
    return program;
  };
}

TEST(FutexProgramTest, AMutexExcludes) { EXPECT_EQ(run_simulated(1000, counting(12)).stuck, 0U); }
TEST_F(FutexProgramThreadsTest, AMutexExcludes) { EXPECT_EQ(run(6, counting(20'000)).stuck, 0U); }

// ---- producers and consumers ----

struct Buffer {
  Mutex mutex;
  Condition filled;
  Condition drained;
  std::deque<uint32_t> items;  // under mutex, as all that follows
  size_t items_max = 1;
  uint32_t producers = 0;
  uint32_t lost_signals = 0;  // once in so many a signal is forgotten; 0: never
  uint32_t taken = 0;
  uint64_t sum = 0;
};

void tell(Thread& self, Buffer& memory, Condition& condition, uint32_t count) {
  if (memory.lost_signals == 0 || !self.rng.one_in(memory.lost_signals)) signal(self, condition, count);
}

Body produce(Thread& self, std::shared_ptr<Buffer> memory, uint32_t items) {
  for (; items != 0; --items) {
    co_await lock(self, memory->mutex);
    while (memory->items.size() == memory->items_max) (void)co_await wait(self, memory->drained, memory->mutex, kNever);
    memory->items.push_back(items);
    tell(self, *memory, memory->filled, 1);
    unlock(self, memory->mutex);
    if (self.rng.one_in(8)) co_await weft::sleep_for(std::chrono::microseconds(10));
  }
  co_await lock(self, memory->mutex);
  if (--memory->producers == 0) tell(self, *memory, memory->filled, UINT32_MAX);
  unlock(self, memory->mutex);
}

Body consume(Thread& self, std::shared_ptr<Buffer> memory, bool patient) {
  co_await lock(self, memory->mutex);
  for (;;) {
    while (memory->items.empty() && memory->producers != 0) {
      const uint64_t timeout_ns = patient ? kNever : self.rng.below(100'000);
      (void)co_await wait(self, memory->filled, memory->mutex, timeout_ns);
    }
    if (memory->items.empty()) break;
    memory->sum += memory->items.front();
    ++memory->taken;
    memory->items.pop_front();
    tell(self, *memory, memory->drained, 1);
    unlock(self, memory->mutex);
    if (self.rng.one_in(8)) co_await weft::yield();
    co_await lock(self, memory->mutex);
  }
  unlock(self, memory->mutex);
}

// `patient_share`: of how many consumers one has no time-outs; 1: all are so.
MakeProgram producing(uint32_t items, uint32_t patient_share, uint32_t lost_signals) {
  return [=](uint64_t seed) {
    base::Rng rng(seed);
    auto memory = std::make_shared<Buffer>();
    memory->items_max = 1 + rng.below(3);
    memory->producers = 1 + rng.below(3);
    memory->lost_signals = lost_signals;
    Program program;
    for (uint32_t i = 0; i < memory->producers; ++i) {
      program.threads.emplace_back([memory, items](Thread& self) { return produce(self, memory, items); });
    }
    for (uint32_t i = 1 + rng.below(3); i != 0; --i) {
      const bool patient = rng.one_in(patient_share);
      program.threads.emplace_back([memory, patient](Thread& self) { return consume(self, memory, patient); });
    }
    program.check = [memory, items, producers = memory->producers] {
      EXPECT_EQ(memory->taken, producers * items);
      EXPECT_EQ(memory->sum, uint64_t{producers} * items * (items + 1) / 2);
      EXPECT_TRUE(memory->items.empty());
    };
    return program;
  };
}

TEST(FutexProgramTest, EachItemIsTakenOnce) { EXPECT_EQ(run_simulated(1500, producing(8, 1, 0)).stuck, 0U); }
TEST(FutexProgramTest, EachItemIsTakenOnceAlsoWithTimeouts) { EXPECT_EQ(run_simulated(1500, producing(8, 3, 0)).stuck, 0U); }
TEST_F(FutexProgramThreadsTest, EachItemIsTakenOnce) { EXPECT_EQ(run(12, producing(3000, 1, 0)).stuck, 0U); }
TEST_F(FutexProgramThreadsTest, EachItemIsTakenOnceAlsoWithTimeouts) { EXPECT_EQ(run(12, producing(3000, 3, 0)).stuck, 0U); }

// A program with a bug: it forgets to signal now and then. Some runs get stuck, and all of those are found out.
TEST(FutexProgramTest, AForgottenSignalIsADeadlockOrNot) {
  const Tally tally = run_simulated(2000, producing(6, 1, 10));
  EXPECT_GT(tally.stuck, 2U);
  EXPECT_GT(tally.ended, 2U);
}
TEST_F(FutexProgramThreadsTest, AForgottenSignalIsADeadlockOrNot) {
  const Tally tally = run(300, producing(20, 1, 100));
  EXPECT_GT(tally.stuck + tally.ended, 299U);
}

// ---- random programs ----

struct Jumble {
  static constexpr uint32_t kMutexes = 3;
  static constexpr uint32_t kEvents = 3;
  Mutex mutexes[kMutexes];
  uint32_t events[kEvents] = {};
};

// Locks in any order, waits for events that may never come, with time-outs or without, and ends with what it has still locked.
Body jumble(Thread& self, std::shared_ptr<Jumble> memory, uint32_t steps) {
  bool held[Jumble::kMutexes] = {};
  for (; steps != 0; --steps) {
    const uint32_t which = self.rng.below(Jumble::kMutexes);
    uint32_t& event = memory->events[self.rng.below(Jumble::kEvents)];
    switch (self.rng.below(10)) {
      case 0:
        (void)co_await Wait(self, event, 0, kNever);
        break;
      case 1:
        (void)co_await Wait(self, event, 0, self.rng.below(200'000));
        break;
      case 2:
        if (self.rng.one_in(2)) co_await weft::sleep_for(std::chrono::microseconds(self.rng.below(50)));
        break;
      case 3:
      case 4:
        exchange(self, event, 1);
        notify(self, event, UINT32_MAX);
        break;
      case 5:
        exchange(self, event, 0);  // and does not tell anybody
        break;
      default:
        if (held[which]) {
          unlock(self, memory->mutexes[which]);
        } else {
          co_await lock(self, memory->mutexes[which]);
        }
        held[which] = !held[which];
        break;
    }
  }
  for (uint32_t i = 0; i < Jumble::kMutexes; ++i) {
    if (held[i] && !self.rng.one_in(20)) unlock(self, memory->mutexes[i]);
  }
}

Program jumbled(uint64_t seed) {
  base::Rng rng(seed);
  auto memory = std::make_shared<Jumble>();
  Program program;
  for (uint32_t i = 1 + rng.below(5); i != 0; --i) {
    program.threads.emplace_back([memory, steps = rng.below(16)](Thread& self) { return jumble(self, memory, steps); });
  }
  program.check = [] {};
  return program;
}

TEST(FutexProgramTest, ADeadlockIsReportedExactlyWhenThereIsOne) {
  const Tally tally = run_simulated(5000, jumbled);
  // Both happen, and often.
  EXPECT_GT(tally.stuck, 500U / sched::testing::kFewerSeeds);
  EXPECT_GT(tally.ended, 500U / sched::testing::kFewerSeeds);
}

TEST_F(FutexProgramThreadsTest, ADeadlockIsReportedExactlyWhenThereIsOne) {
  const Tally tally = run(3000, jumbled);
  EXPECT_GT(tally.stuck, 300U);
  EXPECT_GT(tally.ended, 300U);
}

}  // namespace
}  // namespace weft::sync
