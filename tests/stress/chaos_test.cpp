// Chaos: processes of every kind are spawned, killed, timed out, exhausted, watched and forgotten at random from several threads and from coroutines, until the
// runtime is shut down at a random moment. Every process ends in a way that it may end in, and at the end nothing is left: no task, process, timer, thread,
// descriptor or mapping, and every slot of the pool can be used again.
//
// WEFT_CHAOS_SEED repeats the decisions of a run (not the interleaving of its threads); WEFT_CHAOS_ROUNDS makes it longer: `ctest -L soak` does.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <random>
#include <thread>
#include <vector>

#include "stress/chaos_guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kThreads = 3;
constexpr unsigned kActions = 250;  // of each thread, a round
constexpr int kWarmUpRounds = 2;    // allocators, thread caches and the engine's compiler threads settle

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::size_t lines_in(const char* path) {
  std::ifstream file(path);
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t chances) { return below(chances) == 0; }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

 private:
  std::mt19937_64 random_;
};

HostFunctions host_functions() {
  HostFunctions host;
  host.define("env", "add", [](Caller&, std::int32_t a, std::int32_t b) { return a + b; });
  host.define("env", "nap", [](Caller&, std::int64_t microseconds) -> Task<std::int32_t> {
    co_await sleep_for(std::chrono::microseconds(microseconds));
    co_await yield();
    co_return static_cast<std::int32_t>(microseconds);
  });
  host.define("env", "work", [](Caller&, std::int32_t number) -> Task<std::int32_t> {
    co_return co_await blocking([number] { return number * 2; });
  });
  host.define("env", "throws", [](Caller&) { throw std::runtime_error("chaos"); });
  host.define("env", "throws_later", [](Caller&) -> Task<void> {
    co_await sleep_for(50us);
    throw std::runtime_error("chaos later");
  });
  host.define("env", "forever", [](Caller&) -> Task<void> { co_await sleep_for(24h); });
  return host;
}

// A spawned process, and what it may come to.
struct Known {
  Process process;
  const ChaosGuest* guest;
  Limits limits;
  bool captured;
};

class Round {
 public:
  explicit Round(std::uint64_t seed) : seed_(seed) {
    Dice dice(seed);
    RuntimeOptions options;
    options.fibers = testing::chosen_fibers();
    options.workers = static_cast<unsigned>(1 + dice.below(4));
    options.quantum = std::chrono::microseconds(10 + dice.below(1000));
    options.processes_max = static_cast<unsigned>(20 + dice.below(100));
    options.stack_bytes = dice.one_in(2) ? 64U << 10 : 512U << 10;
    options.blocking_threads_max = static_cast<unsigned>(1 + dice.below(4));
    options.fuel = dice.one_in(3);
    options.trace = dice.one_in(3);
    options.cache = false;
    options.host = host_functions();
    processes_max_ = options.processes_max;
    fuel_ = options.fuel;
    traced_ = options.trace;
    Result<Runtime> made = Runtime::create(std::move(options));
    if (!made) ADD_FAILURE() << made.error().message;
    runtime_ = made.value();
    for (const ChaosGuest& guest : chaos_guests()) {
      const auto bytes = std::span(reinterpret_cast<const std::uint8_t*>(guest.text.data()), guest.text.size());
      Result<Module> module = runtime_.compile(bytes, std::string(guest.name));
      if (!module) ADD_FAILURE() << guest.name << ": " << module.error().message;
      modules_.push_back(module.value());
    }
  }

  void run() {
    const Watchdog watchdog(runtime_);
    Dice dice(seed_ ^ 0x5eed);
    // Shut down in the middle in every other round; else let things end, and see that the pool is whole.
    const bool in_the_middle = dice.one_in(2);
    acting_ = kThreads;
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread) threads.emplace_back([this, thread] { act(thread); });
    if (in_the_middle) {
      while (runtime_.stats().processes_spawned < 100 && acting_.load() > 0) std::this_thread::yield();
      shut_down(dice);
    }
    for (std::thread& thread : threads) thread.join();
    if (!in_the_middle) {
      end_all();
      fill_every_slot();
      shut_down(dice);
    }
    for (const Known& known : known_) check(known);
    const RuntimeStats stats = runtime_.stats();
    EXPECT_EQ(stats.tasks, 0U);
    EXPECT_EQ(stats.processes, 0U);
    EXPECT_EQ(stats.timers, 0U);
    EXPECT_EQ(runtime_.dump().size(), 0U);
  }

  std::uint64_t spawned() const { return runtime_.stats().processes_spawned; }
  std::uint64_t ended(ExitKind kind) const { return ended_[static_cast<std::size_t>(kind)]; }

 private:
  void shut_down(Dice& dice) {
    const Duration drain = dice.one_in(2) ? Duration(0) : Duration(2ms);
    const ShutdownReport report = runtime_.shutdown(drain, kHang);
    EXPECT_TRUE(report.surviving.empty()) << to_text(report.surviving);
    const Result<Process> late = runtime_.spawn({.module = modules_[0]});
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(late.error().kind, ErrorKind::kCancelled) << late.error().message;
  }

  void act(unsigned thread) {
    Dice dice(seed_ * kThreads + thread);
    for (unsigned action = 0; action < kActions; ++action) {
      switch (dice.below(16)) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
        case 5:
          spawn(dice);
          break;
        case 6:
        case 7:
          with_any(dice, [&](const Known& known) { known.process.kill("chaos"); });
          break;
        case 8:
          with_any(dice, [](const Known& known) { known.process.request_stop(); });
          break;
        case 9:
          with_any(dice, [&](const Known& known) {
            const bool over = known.process.join_for(std::chrono::microseconds(dice.below(300))).has_value();
            EXPECT_TRUE(!over || !known.process.running());
          });
          break;
        case 10:
          with_any(dice, [&](const Known& known) {
            known.process.set_priority(static_cast<Priority>(dice.below(10)));
            (void)known.process.usage();
            (void)known.process.captured(Stream::kOut);
          });
          break;
        case 11:
          forget(dice);
          break;
        case 12:
        case 13:
          start_coroutine(dice);
          break;
        case 14:
          end_coroutine(dice);
          break;
        default:
          look(dice);
          break;
      }
    }
    {
      std::lock_guard lock(mutex_);
      coroutines_.clear();  // detaches what is left
    }
    --acting_;
  }

  void spawn(Dice& dice) {
    const std::size_t which = dice.below(modules_.size());
    const ChaosGuest& guest = chaos_guests()[which];
    ProcessSpec spec{.module = modules_[which], .name = std::string(guest.name)};
    spec.priority = static_cast<Priority>(dice.below(8));
    spec.input = dice.one_in(2) ? Input::of("to be echoed\n") : Input::empty();
    bool captured = false;
    switch (dice.below(4)) {
      case 0:
        spec.output = Output::discard();
        break;
      case 1:
        spec.output = Output::capture();
        captured = true;
        break;
      case 2:
        spec.output = Output::to([](ProcessId, Stream, std::string_view) { throw std::runtime_error("a receiver throws"); }, true);
        break;
      default:
        spec.output = Output::to([](ProcessId, Stream, std::string_view) { std::this_thread::sleep_for(20us); }, dice.one_in(2));
        break;
    }
    spec.limits.output_bytes = 1 + dice.below(100'000);
    if (dice.one_in(4)) spec.limits.wall_time = std::chrono::microseconds(1 + dice.below(5000));
    if (dice.one_in(4)) spec.limits.cpu_time = std::chrono::microseconds(1 + dice.below(5000));
    if (dice.one_in(4)) spec.limits.memory_bytes = (64U << 10) * (1 + dice.below(8));
    if (dice.one_in(4)) spec.limits.table_elements = 1 + dice.below(2000);
    if (dice.one_in(8)) spec.limits.instances = 1;
    if (fuel_ && dice.one_in(4)) spec.limits.fuel = 1 + dice.below(1'000'000);
    const Limits limits = spec.limits;
    const Result<Process> process = runtime_.spawn(std::move(spec));
    if (!process) {
      EXPECT_TRUE(process.error().kind == ErrorKind::kExhausted || process.error().kind == ErrorKind::kCancelled)
          << process.error().message;
      // Make room: otherwise endless guests would fill the runtime, and nothing would happen any more.
      if (process.error().kind == ErrorKind::kExhausted)
        with_any(dice, [](const Known& known) { known.process.kill("chaos, for room"); });
      return;
    }
    std::lock_guard lock(mutex_);
    known_.push_back({*process, &guest, limits, captured});
  }

  template <class F>
  void with_any(Dice& dice, F function) {
    Known known;
    {
      std::lock_guard lock(mutex_);
      if (known_.empty()) return;
      // Mostly a recent one: the old ones have ended.
      const std::size_t back = std::min<std::size_t>(known_.size(), dice.one_in(4) ? known_.size() : 20);
      known = known_[known_.size() - 1 - dice.below(back)];
    }
    function(known);
  }

  // Drops a handle: the process goes on, unless it would do so for ever.
  void forget(Dice& dice) {
    Known known;
    {
      std::lock_guard lock(mutex_);
      if (known_.empty()) return;
      const std::size_t which = dice.below(known_.size());
      known = std::move(known_[which]);
      known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(which));
    }
    if (!known.guest->alone) known.process.kill("chaos, before it is forgotten");
  }

  // What the coroutines do. They hold no copy of the runtime: whoever holds the last one shuts it down.
  static Task<int> waits_for(Process process) { co_return static_cast<int>((co_await process.exited()).kind); }
  static Task<int> kills(Process process, Duration after) {
    co_await sleep_for(after);
    process.kill("a coroutine");
    const ExitStatus status = co_await process.exited();
    co_return static_cast<int>(status.kind);
  }
  static Task<int> works(unsigned times) {
    int sum = 0;
    for (unsigned time = 0; time < times; ++time) {
      try {
        sum += co_await blocking([time]() -> int {
          if (time == 3) throw std::runtime_error("chaos at work");
          return static_cast<int>(time);
        });
      } catch (const std::exception&) {
        --sum;
      }
      co_await yield();
    }
    co_return sum;
  }
  static Task<int> throws_after(Duration after) {
    co_await sleep_for(after);
    throw std::runtime_error("chaos in a coroutine");
  }
  static Task<int> sleeps_long() {
    co_await sleep_for(24h);
    co_return 0;
  }

  void start_coroutine(Dice& dice) {
    const auto after = std::chrono::microseconds(dice.below(1000));
    const auto priority = static_cast<Priority>(dice.below(8));
    Task<int> task;
    switch (dice.below(5)) {
      case 0:
        with_any(dice, [&](const Known& known) { task = waits_for(known.process); });
        break;
      case 1:
        with_any(dice, [&](const Known& known) { task = kills(known.process, after); });
        break;
      case 2:
        task = works(static_cast<unsigned>(dice.below(6)));
        break;
      case 3:
        task = throws_after(after);
        break;
      default:
        task = sleeps_long();
        break;
    }
    if (!task) return;
    JoinHandle<int> handle = runtime_.start(std::move(task), priority, "chaos");
    std::lock_guard lock(mutex_);
    coroutines_.push_back(std::move(handle));
  }

  void end_coroutine(Dice& dice) {
    JoinHandle<int> handle;
    {
      std::lock_guard lock(mutex_);
      if (coroutines_.empty()) return;
      const std::size_t which = dice.below(coroutines_.size());
      handle = std::move(coroutines_[which]);
      coroutines_.erase(coroutines_.begin() + static_cast<std::ptrdiff_t>(which));
    }
    if (dice.one_in(3)) return;  // detached
    handle.cancel();
    const Result<int> result = handle.join();
    if (!result && result.error().kind != ErrorKind::kCancelled) {
      EXPECT_NE(result.error().message.find("chaos"), std::string::npos) << result.error().message;
    }
  }

  void look(Dice& dice) {
    switch (dice.below(4)) {
      case 0:
        (void)to_json(runtime_.dump(true, 1ms));
        break;
      case 1:
        (void)to_text(runtime_.dump());
        break;
      case 2:
        if (traced_ && dice.one_in(4)) {
          EXPECT_GT(runtime_.trace().workers, 0U);
        }
        break;
      default:
        EXPECT_LE(runtime_.stats().processes, processes_max_);
        break;
    }
  }

  void end_all() {
    std::vector<Known> known;
    {
      std::lock_guard lock(mutex_);
      known = known_;
    }
    for (const Known& one : known) one.process.kill("chaos, at the end");
    for (const Known& one : known) (void)one.process.join();
    // Forgotten ones end by themselves.
    while (runtime_.stats().processes > 0) std::this_thread::yield();
  }

  void fill_every_slot() {
    std::vector<Process> all;
    const std::size_t sleeps = 4;
    ASSERT_EQ(chaos_guests()[sleeps].name, "sleeps");
    for (unsigned count = 0; count < processes_max_; ++count) {
      const Result<Process> process = runtime_.spawn({.module = modules_[sleeps]});
      ASSERT_TRUE(process.has_value()) << "slot " << count << " of " << processes_max_ << ": " << process.error().message;
      all.push_back(*process);
    }
    const Result<Process> one_more = runtime_.spawn({.module = modules_[sleeps]});
    ASSERT_FALSE(one_more.has_value());
    EXPECT_EQ(one_more.error().kind, ErrorKind::kExhausted);
    for (std::size_t parked = 0; parked < all.size();) {
      parked = 0;
      for (const TaskDump& task : runtime_.dump()) parked += task.state == "parked" && task.reason == "wasi poll_oneoff" ? 1U : 0U;
      for (const Process& process : all) {
        if (const auto status = process.try_join()) FAIL() << "a slot is lost: " << status->message << "\n" << status->detail;
      }
      std::this_thread::yield();
    }
    for (const Process& process : all) process.kill("chaos, slot by slot");
    for (const Process& process : all) EXPECT_EQ(process.join().kind, ExitKind::kKilled);
  }

  // After the shutdown: every process has ended, in a way that it may end in.
  void check(const Known& known) {
    ASSERT_FALSE(known.process.running());
    const ExitStatus status = known.process.join();
    ++ended_[static_cast<std::size_t>(status.kind)];
    const std::string what = std::string(known.guest->name) + ": " + std::string(name_of(status.kind)) + ": " + status.message;
    EXPECT_LE(status.usage.memory_bytes, status.usage.memory_bytes_max) << what;
    EXPECT_EQ(status.kind == ExitKind::kLimitReached, status.limit.has_value()) << what;
    if (status.kind == ExitKind::kKilled) {
      EXPECT_FALSE(status.killed_by.empty()) << what;
      return;
    }
    if (status.kind == ExitKind::kLimitReached) {
      const Limits& limits = known.limits;
      switch (status.limit->kind) {
        case LimitKind::kMemory:
          EXPECT_TRUE(limits.memory_bytes.has_value()) << what;
          break;
        case LimitKind::kTableElements:
          EXPECT_TRUE(limits.table_elements.has_value()) << what;
          break;
        case LimitKind::kInstances:
          EXPECT_TRUE(limits.instances.has_value()) << what;
          break;
        case LimitKind::kCpuTime:
          EXPECT_TRUE(limits.cpu_time.has_value()) << what;
          break;
        case LimitKind::kWallTime:
          EXPECT_TRUE(limits.wall_time.has_value()) << what;
          break;
        case LimitKind::kFuel:
          EXPECT_TRUE(limits.fuel.has_value()) << what;
          break;
        case LimitKind::kStack:
          EXPECT_EQ(known.guest->name, "recurses") << what;
          break;
        case LimitKind::kOutput:
          EXPECT_TRUE(known.captured) << what;
          break;
        case LimitKind::kThreads:
          ADD_FAILURE() << what << ": a guest is told of this one, and goes on";
          break;
      }
      EXPECT_LE(status.usage.memory_bytes_max, known.limits.memory_bytes.value_or(~0ULL)) << what;
      return;
    }
    EXPECT_TRUE(known.guest->ends.contains(status.kind)) << what << "\n" << status.detail;
  }

  const std::uint64_t seed_;
  unsigned processes_max_ = 0;
  bool fuel_ = false;
  bool traced_ = false;
  Runtime runtime_{nullptr};
  std::vector<Module> modules_;
  std::mutex mutex_;
  std::vector<Known> known_;                 // under mutex_
  std::vector<JoinHandle<int>> coroutines_;  // under mutex_
  std::atomic<unsigned> acting_{0};          // threads that have not finished
  std::array<std::uint64_t, 7> ended_{};
};

TEST(ChaosTest, NothingIsLeft) {
  const std::uint64_t seed = number_from("WEFT_CHAOS_SEED", 1);
  const int rounds = static_cast<int>(number_from("WEFT_CHAOS_ROUNDS", 30));
  std::cout << "chaos: WEFT_CHAOS_SEED=" << seed << " WEFT_CHAOS_ROUNDS=" << rounds << std::endl;
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  [[maybe_unused]] std::size_t mappings = 0;
  std::uint64_t spawned = 0;
  std::array<std::uint64_t, 7> ended{};
  for (int number = 0; number < rounds + kWarmUpRounds; ++number) {
    SCOPED_TRACE("round with WEFT_CHAOS_SEED=" + std::to_string(seed + static_cast<std::uint64_t>(number)) +
                 " WEFT_CHAOS_ROUNDS=1");
    {
      Round round(seed + static_cast<std::uint64_t>(number));
      round.run();
      spawned += round.spawned();
      for (std::size_t kind = 0; kind < ended.size(); ++kind) ended[kind] += round.ended(static_cast<ExitKind>(kind));
    }
    if (::testing::Test::HasFailure()) return;
    if (number < kWarmUpRounds) {
      descriptors = entries_in("/proc/self/fd");
      threads = entries_in("/proc/self/task");
      mappings = lines_in("/proc/self/maps");
      continue;
    }
    ASSERT_EQ(entries_in("/proc/self/fd"), descriptors) << "descriptors were left open";
    ASSERT_EQ(entries_in("/proc/self/task"), threads) << "threads were left running";
    // The allocator's arenas come and go in small numbers; a leaked runtime is thousands. Sanitizers map more and more for their own use.
#ifndef WEFT_SANITIZE
    ASSERT_LE(lines_in("/proc/self/maps"), mappings + 100) << "mappings were left";
#endif
  }
  std::cout << "chaos: " << spawned << " processes;";
  for (std::size_t kind = 0; kind < ended.size(); ++kind)
    std::cout << " " << name_of(static_cast<ExitKind>(kind)) << " " << ended[kind];
  std::cout << std::endl;
  // Otherwise the test shows nothing.
  if (rounds < 10) return;
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kReturned)], 100U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kExited)], 20U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kTrapped)], 100U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kKilled)], 100U);
  EXPECT_GT(ended[static_cast<std::size_t>(ExitKind::kLimitReached)], 100U);
  EXPECT_EQ(ended[static_cast<std::size_t>(ExitKind::kFailed)], 0U);
}

}  // namespace
}  // namespace weft::testing
