// RuntimeTest: a fixture for tests of the public interface. Makes a runtime, compiles WebAssembly text, and at the end insists that
// nothing is left: no task, no process, no descriptor, no thread. A hang is answered by the watchdog: all tasks with reasons and
// stacks on stderr, then abort.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "support/fibers.hpp"
#include "weft/weft.hpp"

namespace weft::testing {

// Not a limit on how long a test may take: far above it. A test that gets there hangs.
inline constexpr std::chrono::seconds kHang{120};

class Watchdog {
 public:
  explicit Watchdog(Runtime runtime) : runtime_(std::move(runtime)), thread_([this] { watch(); }) {}
  ~Watchdog() {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kHang, [&] { return over_; })) return;
    std::cerr << "the test hangs; its tasks:\n" << to_text(runtime_.dump(true)) << std::endl;
    std::abort();
  }

  Runtime runtime_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

inline std::size_t entries_in(const char* directory) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

class RuntimeTest : public ::testing::Test {
 protected:
  // Override in a fixture of your own for other options.
  static RuntimeOptions usual_options() {
    RuntimeOptions options;
    options.workers = 2;
    options.cache = false;
    options.processes_max = 2000;
    options.fibers = chosen_fibers();
    return options;
  }

  Runtime& start(RuntimeOptions options = usual_options()) {
    Result<Runtime> made = Runtime::create(std::move(options));
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
    if (!made) std::abort();
    runtime_.emplace(*made);
    watchdog_.emplace(*runtime_);
    return *runtime_;
  }

  Module compile(std::string_view text) {
    Result<Module> module = runtime_->compile({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, "test.wat");
    EXPECT_TRUE(module.has_value()) << (module ? "" : module.error().message);
    return module ? *module : Module();
  }

  Process spawn(ProcessSpec spec) {
    Result<Process> process = runtime_->spawn(std::move(spec));
    EXPECT_TRUE(process.has_value()) << (process ? "" : process.error().message);
    if (!process) std::abort();
    return *process;
  }

  Process spawn(std::string_view text) { return spawn(ProcessSpec{.module = compile(text)}); }

  // Waits until a task of `process` is parked for `reason`: not a sleep, a look at the dump.
  void wait_until_parked(const Process& process, std::string_view reason) {
    while (true) {
      for (const TaskDump& task : runtime_->dump()) {
        if (task.process_id == process.id() && task.state == "parked" && task.reason == reason) return;
      }
      std::this_thread::yield();
    }
  }
  void wait_until_run(const Process& process) {
    while (true) {
      for (const TaskDump& task : runtime_->dump()) {
        if (task.process_id == process.id() && (task.state == "running" || task.preemptions > 0)) return;
      }
      std::this_thread::yield();
    }
  }

  void SetUp() override {
    warm_up();
    descriptors_ = entries_in("/proc/self/fd");
    threads_ = entries_in("/proc/self/task");
  }

  void TearDown() override {
    if (!runtime_) return;
    const ShutdownReport report = runtime_->shutdown(std::chrono::seconds(0), kHang);
    EXPECT_TRUE(report.surviving.empty()) << to_text(report.surviving);
    EXPECT_EQ(runtime_->stats().tasks, 0U);
    EXPECT_EQ(runtime_->stats().processes, 0U);
    EXPECT_EQ(runtime_->stats().timers, 0U);
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
    watchdog_.reset();
    runtime_.reset();
    EXPECT_EQ(entries_in("/proc/self/fd"), descriptors_) << "descriptors were left open";
    const auto settled_by = std::chrono::steady_clock::now() + kHang;
    while (entries_in("/proc/self/task") > threads_ && std::chrono::steady_clock::now() < settled_by) std::this_thread::yield();
    EXPECT_EQ(entries_in("/proc/self/task"), threads_) << "threads were left running";
  }

  std::optional<Runtime> runtime_;

 private:
  // The compiler's threads and whatever else is made once a program stay; they are no leak.
  static void warm_up() {
    static const bool done = [] {
      {
        const Runtime runtime = Runtime::create(usual_options()).value();
        constexpr std::string_view kText = R"((module (func (export "_start"))))";
        (void)runtime.compile({reinterpret_cast<const std::uint8_t*>(kText.data()), kText.size()}, "warm-up").value();
      }
      while (any_of_a_runtime()) std::this_thread::yield();
      return true;
    }();
    (void)done;
  }
  // The system lists threads that were joined for another moment.
  static bool any_of_a_runtime() {
    std::error_code gone;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", gone)) {
      std::string name;
      if (std::getline(std::ifstream(thread.path() / "comm"), name) && name.starts_with("weft-")) return true;
    }
    return false;
  }

  std::optional<Watchdog> watchdog_;
  std::size_t descriptors_ = 0;
  std::size_t threads_ = 0;
};

}  // namespace weft::testing
