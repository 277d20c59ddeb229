// What tests of the task manager share: guests that obey, acknowledge and report, and a fixture that submits and looks.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string_view>
#include <thread>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"
#include "weft/task_manager.hpp"

namespace weft::testing {

// Ends as soon as it is asked to.
inline constexpr std::string_view kObeys = R"((module
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (drop (call $yield)) (br_if $again (i32.eqz (call $stop)))))))";

// Acknowledges when asked, and goes on for ever.
inline constexpr std::string_view kAcknowledges = R"((module
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "weft" "acknowledge_stop" (func $acknowledge))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again (drop (call $yield)) (br_if $again (i32.eqz (call $stop))))
    (call $acknowledge)
    (loop $on (drop (call $yield)) (br $on)))))";

// Reports 0.25 "a quarter", then a number out of bounds, and waits to be stopped.
inline constexpr std::string_view kReports = R"((module
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "weft" "progress" (func $progress (param f64 i32 i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "a quarter")
  (func (export "_start")
    (call $progress (f64.const 7) (i32.const 0) (i32.const 0))
    (call $progress (f64.const 0.25) (i32.const 16) (i32.const 9))
    (loop $again (drop (call $yield)) (br_if $again (i32.eqz (call $stop)))))))";

inline constexpr std::string_view kReportsOutside = R"((module
  (import "weft" "progress" (func $progress (param f64 i32 i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $progress (f64.const 0.5) (i32.const 65530) (i32.const 100)))))";

class TaskManagerTest : public RuntimeTest {
 protected:
  TaskManager build(const TaskManager::Builder& builder) {
    Result<TaskManager> manager = builder.build();
    EXPECT_TRUE(manager) << (manager ? "" : manager.error().message);
    if (!manager) std::abort();
    return *manager;
  }
  TaskManager::Builder builder() { return TaskManager::builder(*runtime_); }
  Program program(std::string_view text) {
    Result<Program> made = runtime_->prepare({.module = compile(text)});
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made ? *made : Program();
  }
  static TaskHandle must(Result<TaskHandle> task) {
    EXPECT_TRUE(task) << (task ? "" : task.error().message);
    if (!task) std::abort();
    return *task;
  }
  // A look, not a sleep.
  template <class Condition>
  static void wait_until(const Condition& condition) {
    while (!condition()) std::this_thread::yield();
  }
  void wait_until_it_runs(const TaskHandle& task) {
    wait_until([&] { return task.process().has_value(); });
    wait_until_run(*task.process());
  }
};

}  // namespace weft::testing
