// What tests of schedulers share: tasks that are counted, so that a leak fails the test; a watchdog that says what hangs; seeds.
//
//   class QueueTest : public sched::testing::SchedulerTest {};
//   TEST_F(QueueTest, …) {
//     Scheduler& scheduler = make({.workers = 4});
//     …
//   }
//
// Header for tests only; needs gtest.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "platform/platform.hpp"
#include "sched/scheduler.hpp"

namespace weft::sched::testing {

// How long the watchdog lets a test run: far more than any needs, also under sanitizers on a busy machine. It decides no test, it only
// turns a hang into a report.
inline constexpr std::chrono::seconds kWatchdog{120};

// What random tests divide their number of seeds by. ThreadSanitizer has little to find in one thread, and takes long over it.
#if defined(__SANITIZE_THREAD__)
inline constexpr uint64_t kFewerSeeds = 30;
#elif defined(__has_feature)
inline constexpr uint64_t kFewerSeeds = __has_feature(thread_sanitizer) ? 30 : 1;
#else
inline constexpr uint64_t kFewerSeeds = 1;
#endif

// The seed that WEFT_SIM_SEED names, to replay one failure; else all of them.
inline bool replay_seed(uint64_t& seed) {
  const char* const text = std::getenv("WEFT_SIM_SEED");
  if (text == nullptr) return false;
  seed = std::strtoull(text, nullptr, 0);
  return true;
}

inline std::string to_text(const TaskInfo& info) {
  std::string text = "task " + std::to_string(info.id) + " " + info.kind + " " + info.name + ": " + state_name(info.state);
  if (info.state == State::kParked) text += std::string(" (") + info.park.reason + ")";
  return text + ", priority " + std::to_string(info.priority) + ", " + std::to_string(info.switches) + " switches, " +
         std::to_string(info.wakes) + " wakes, cpu " + std::to_string(info.cpu_ns) + " ns, since " + std::to_string(info.since_ns) +
         " ns";
}

// All tasks with their reasons on standard error.
inline void dump(const Scheduler& scheduler) {
  std::fprintf(stderr, "%llu tasks, now %llu ns\n", static_cast<unsigned long long>(scheduler.task_count()),
               static_cast<unsigned long long>(scheduler.now_ns()));
  scheduler.for_each_task(
      [](Task& task) { std::fprintf(stderr, "  %s %s\n", to_text(task.info()).c_str(), task.describe().c_str()); });
}

// A task that is counted. Derive test tasks from it.
class CountedTask : public Task {
 public:
  explicit CountedTask(TaskConfig config) : Task(std::move(config)) { ++alive(); }
  static std::atomic<int64_t>& alive() {
    static std::atomic<int64_t> count{0};
    return count;
  }

 protected:
  ~CountedTask() override { --alive(); }
};

// A task from a function.
class FunctionTask final : public CountedTask {
 public:
  using Function = std::function<Poll(RunContext&)>;
  explicit FunctionTask(Function function, TaskConfig config = {.kind = "test"})
      : CountedTask(std::move(config)), function_(std::move(function)) {}
  Poll run(RunContext& context) override { return function_(context); }
  void on_done() override { function_ = nullptr; }

 private:
  Function function_;
};

inline base::Ref<FunctionTask> make_task(FunctionTask::Function function, TaskConfig config = {.kind = "test"}) {
  return base::make_ref<FunctionTask>(std::move(function), std::move(config));
}

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() : alive_before_(CountedTask::alive()), watchdog_([this] { watch(); }) {}
  ~SchedulerTest() override {
    scheduler_.reset();
    EXPECT_EQ(CountedTask::alive(), alive_before_) << "tasks leaked";
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    watchdog_.join();
  }

  // The scheduler of this test, started, on the machine's own platform. A second call replaces the first.
  Scheduler& make(SchedulerConfig config = {}) {
    config.platform = &platform::host();
    auto fresh = std::make_unique<Scheduler>(std::move(config));
    const Result<void> started = fresh->start();
    EXPECT_TRUE(started) << started.error().message;
    const std::lock_guard lock(mutex_);
    scheduler_ = std::move(fresh);
    return *scheduler_;
  }
  // Ends it now, and checks what is left.
  void destroy() {
    std::unique_ptr<Scheduler> doomed;
    {
      const std::lock_guard lock(mutex_);
      doomed = std::move(scheduler_);
    }
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kWatchdog, [this] { return over_; })) return;
    std::fprintf(stderr, "the test hangs; what its scheduler does:\n");
    if (scheduler_) dump(*scheduler_);
    std::abort();
  }

  const int64_t alive_before_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::unique_ptr<Scheduler> scheduler_;
  std::thread watchdog_;
};

}  // namespace weft::sched::testing
