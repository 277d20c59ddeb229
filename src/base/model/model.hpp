// A model checker for small concurrent algorithms: runs the closures of a scenario under every interleaving of their atomic accesses and
// reports the first that breaks a check, with the schedule that led there.
//
//   model::Outcome outcome = model::explore({}, [](model::Scenario& run) {
//     auto flag = std::make_shared<base::atomic<int>>(0);
//     run.thread([flag] { flag->store(1); });
//     run.thread([flag] { model::check(flag->load() < 2, "a value nobody stored"); });
//     run.at_end([flag] { model::check(flag->load() == 1, "the store was lost"); });
//   });
//   EXPECT_TRUE(outcome.passed) << outcome.failure;
//
// For programs compiled with WEFT_MODEL, where base::atomic and base::Mutex are these. Depth-first over the choices, each run from the
// start, one thread of the operating system, each modelled thread on a stack of its own. The memory model is sequential consistency: what
// it proves is the protocol; that the weaker orders suffice is argued at each of them, and left to ThreadSanitizer.
// A loop must make progress by itself: one that spins until another thread acts is reported as endless (use Parker or Mutex).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace weft::base::model {

// ThreadSanitizer makes each switch a hundred times slower, and has nothing to find where there is one thread: tests bound themselves there.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kUnderThreadSanitizer = true;
#elif defined(__has_feature)
inline constexpr bool kUnderThreadSanitizer = __has_feature(thread_sanitizer);
#else
inline constexpr bool kUnderThreadSanitizer = false;
#endif

struct Options {
  // How often a thread that could go on may be made to wait within one run; -1: no bound, all interleavings. Most bugs need two.
  int preemptions_max = -1;
  // Gives up (passed, but not exhaustive) after so many runs.
  uint64_t runs_max = 20'000'000;
  // A run of more accesses than this is endless.
  uint32_t steps_max = 2'000;
  // Threads that are parked when nobody can go on are no deadlock: at_end looks whether they should be.
  bool parked_is_fine = false;
};

struct Outcome {
  bool passed = false;
  bool exhaustive = false;  // every interleaving within the bound was run
  uint64_t runs = 0;
  std::string failure;  // what broke, and the threads in the order in which they moved
};

// One scenario, built anew for each run.
class Scenario {
 public:
  void thread(std::function<void()> body);
  // After all threads; on the explorer's own stack, where accesses are no choices.
  void at_end(std::function<void()> body);
};

Outcome explore(const Options& options, const std::function<void(Scenario&)>& scenario);

// Ends this run as failed.
void check(bool condition, const char* what);

// A place where another thread may go first. Atomics call it; call it yourself to make a plain step of a protocol visible.
void point();

// Blocks the thread until `ready` says true; it is asked whenever another thread has moved.
void wait_until(const std::function<bool()>& ready, bool parked);

template <class T>
class Atomic {
 public:
  Atomic() = default;
  constexpr Atomic(T value) : value_(value) {}  // NOLINT(google-explicit-constructor): as std::atomic
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order = std::memory_order_seq_cst) const {
    point();
    return value_;
  }
  void store(T value, std::memory_order = std::memory_order_seq_cst) {
    point();
    value_ = value;
  }
  T exchange(T value, std::memory_order = std::memory_order_seq_cst) {
    point();
    return std::exchange(value_, value);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) {
    point();
    if (value_ == expected) {
      value_ = desired;
      return true;
    }
    expected = value_;
    return false;
  }
  // Never fails without cause here: a spurious failure is one more turn of a loop that has none of its own effects.
  bool compare_exchange_weak(T& expected, T desired, std::memory_order one = std::memory_order_seq_cst,
                             std::memory_order two = std::memory_order_seq_cst) {
    return compare_exchange_strong(expected, desired, one, two);
  }
  T fetch_add(T by, std::memory_order = std::memory_order_seq_cst) {
    point();
    return std::exchange(value_, static_cast<T>(value_ + by));
  }
  T fetch_sub(T by, std::memory_order = std::memory_order_seq_cst) {
    point();
    return std::exchange(value_, static_cast<T>(value_ - by));
  }

 private:
  T value_{};
};

// base::Mutex in a model build.
class ModelMutex {
 public:
  void lock() {
    wait_until([this] { return !locked_; }, false);
    locked_ = true;
  }
  bool try_lock() {
    point();
    return !std::exchange(locked_, true);
  }
  void unlock() {
    point();
    locked_ = false;
  }

 private:
  bool locked_ = false;
};

// platform::Parker in a model: one token.
class Parker {
 public:
  void park() {
    wait_until([this] { return token_; }, true);
    token_ = false;
  }
  void unpark() {
    point();
    token_ = true;
  }

 private:
  bool token_ = false;
};

}  // namespace weft::base::model
