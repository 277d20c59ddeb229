// The task manager, processes and guest threads that draw from a pool of fuel: what is paid when, who waits, who is refused.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "support/task_manager_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

TEST_F(TaskManagerTest, FuelIsWaitedFor) {
  start();
  auto time = std::make_shared<std::atomic<std::uint64_t>>(1);
  const FuelPool pool = FuelPool::create({.capacity = 250,
                                          .regeneration_per_second = 110,
                                          .rates = {.spawn = 100, .spawn_per_stack_page = 0, .join = 10},
                                          .clock = [time] { return time->load(); }})
                            .value();
  const TaskManager manager = build(builder().fuel(pool));
  const Program returns = program(kReturns);
  std::vector<TaskHandle> tasks;
  for (int index = 0; index < 4; ++index) tasks.push_back(must(manager.try_submit(returns)));
  EXPECT_EQ(tasks[0].join().end, TaskEnd::kSucceeded);
  EXPECT_EQ(tasks[1].join().end, TaskEnd::kSucceeded);
  wait_until([&] { return pool.stats().waiting == 1; });
  EXPECT_EQ(tasks[2].state(), TaskState::kQueued);
  time->fetch_add(1'000'000'000);
  pool.refresh();
  EXPECT_EQ(tasks[2].join().end, TaskEnd::kSucceeded);
  wait_until([&] { return pool.stats().waiting == 1; });
  EXPECT_EQ(tasks[3].state(), TaskState::kQueued);
  tasks[3].cancel();
  EXPECT_EQ(tasks[3].join().end, TaskEnd::kCancelled);
  // Nobody is left who needs it: what waited for it goes, and takes nothing.
  wait_until([&] { return pool.stats().waiting == 0 && runtime_->stats().tasks == 0; });
  EXPECT_EQ(pool.stats().taken, 330U);
}

TEST_F(TaskManagerTest, FuelRunsOutWithAnError) {
  start();
  const FuelPool pool =
      FuelPool::create(
          {.capacity = 150, .rates = {.spawn = 100, .spawn_per_stack_page = 0, .join = 10}, .on_exhausted = OnExhausted::kFail})
          .value();
  const TaskManager manager = build(builder().max_tasks(1).fuel(pool));
  const TaskHandle obeys = must(manager.try_submit(program(kObeys)));
  const Result<TaskHandle> refused = manager.try_submit(program(kReturns));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_NE(refused.error().message.find("110 were asked for, 40 are there"), std::string::npos) << refused.error().message;
  pool.give_back(70);
  const TaskHandle queued = must(manager.try_submit(program(kReturns)));
  EXPECT_EQ(pool.available(), 0);
  queued.cancel();
  EXPECT_EQ(pool.available(), 110) << "what never began is not paid for";
  obeys.cancel();
  ASSERT_TRUE(manager.wait_idle(kHang));
  const FuelPool tiny = FuelPool::create({.capacity = 5}).value();
  EXPECT_EQ(build(builder().fuel(tiny)).try_submit(program(kReturns)).error().kind, ErrorKind::kBadArgument);
}

TEST_F(TaskManagerTest, AProcessDrawsFromItsPool) {
  start();
  const FuelPool pool =
      FuelPool::create({.capacity = 1000, .rates = {.spawn = 600, .spawn_per_stack_page = 0, .context_switch = 1}}).value();
  const Process process = runtime_->spawn(program(kReturns), {.fuel = pool}).value();
  EXPECT_TRUE(process.join().success());
  EXPECT_EQ(pool.available(), 1000 - 600 - 1);
  const Result<Process> refused = runtime_->spawn(program(kReturns), {.fuel = pool});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
}

// A guest whose threads are to be paid for: it gets as many as the fuel is for, and is told of the rest.
TEST_F(TaskManagerTest, GuestThreadsDrawFromItToo) {
  start();
  const FuelPool pool =
      FuelPool::create(
          {.capacity = 1000, .initial = 350, .rates = {.spawn = 100, .spawn_per_stack_page = 0, .synchronization = {}}})
          .value();
  const Result<Process> process = runtime_->spawn(program(R"((module
    (import "env" "memory" (memory 1 1 shared))
    (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (func (export "wasi_thread_start") (param i32 i32))
    (func (export "_start") (local $i i32) (local $n i32)
      (loop $again
        (if (i32.gt_s (call $spawn (i32.const 0)) (i32.const 0)) (then (local.set $n (i32.add (local.get $n) (i32.const 1)))))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
      (call $exit (local.get $n)))))"),
                                                  {.fuel = pool});
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_EQ(process->join().code, 2);
  EXPECT_EQ(pool.available(), 50);
}

}  // namespace
}  // namespace weft::testing
