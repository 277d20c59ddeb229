// Processes through the public interface: how they start, how they end, and that nothing keeps them from being ended.
#include <gtest/gtest.h>

#include <vector>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

class ProcessTest : public RuntimeTest {};

TEST_F(ProcessTest, ReturnsAndReportsWhatItUsed) {
  start();
  const ExitStatus status = spawn(kReturns).join();
  EXPECT_EQ(status.kind, ExitKind::kReturned);
  EXPECT_TRUE(status.success());
  EXPECT_EQ(status.message, "");
  EXPECT_GT(status.usage.wall_time, 0ns);
  EXPECT_EQ(status.usage.memory_bytes_max, 64U << 10);
}

TEST_F(ProcessTest, ExitsWithItsCode) {
  start();
  const ExitStatus status = spawn(kExits42).join();
  EXPECT_EQ(status.kind, ExitKind::kExited);
  EXPECT_EQ(status.code, 42);
  EXPECT_FALSE(status.success());
  EXPECT_EQ(status.usage.host_calls, 1U);
}

TEST_F(ProcessTest, TrapsWithABacktrace) {
  start();
  const ExitStatus status = spawn(kTraps).join();
  EXPECT_EQ(status.kind, ExitKind::kTrapped);
  EXPECT_NE(status.message.find("unreachable"), std::string::npos) << status.message;
  ASSERT_EQ(status.backtrace.size(), 3U);
  EXPECT_EQ(status.backtrace[0].function, "inner");
  EXPECT_EQ(status.backtrace[1].function, "middle");
  EXPECT_EQ(status.backtrace[0].module, "test.wat");
}

TEST_F(ProcessTest, CallsAnExportedFunctionWithValues) {
  start();
  const Module module = compile(R"((module (func (export "add") (param i32 i64) (result i64)
    (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))))");
  const ExitStatus values = spawn({.module = module, .entry = "add", .entry_values = {std::int32_t{-2}, std::int64_t{44}}}).join();
  ASSERT_EQ(values.results.size(), 1U) << values.message;
  EXPECT_EQ(std::get<std::int64_t>(values.results[0]), 42);
  const ExitStatus text = spawn({.module = module, .entry = "add", .entry_text = {"40", "2"}}).join();
  EXPECT_EQ(text.result_text, "42") << text.message;
}

TEST_F(ProcessTest, WrongArgumentsAreRefusedBeforeAnythingRuns) {
  start();
  const Module module = compile(R"((module (func (export "add") (param i32 i32) (result i32) (i32.const 0))))");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{}, {"1"}, {"1", "2", "3"}, {"1", "x"}, {"1", "99999999999"}}) {
    const Result<Process> process = runtime_->spawn({.module = module, .entry = "add", .entry_text = arguments});
    ASSERT_FALSE(process.has_value());
    EXPECT_EQ(process.error().kind, ErrorKind::kBadArgument) << process.error().message;
  }
  EXPECT_EQ(runtime_->spawn({.module = module}).error().kind, ErrorKind::kNoEntryPoint);
  EXPECT_EQ(runtime_->spawn({.module = module, .entry = "nothing"}).error().kind, ErrorKind::kNoEntryPoint);
  EXPECT_EQ(runtime_->spawn(ProcessSpec{}).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(runtime_->stats().processes, 0U);
}

TEST_F(ProcessTest, KilledInATightLoop) {
  start();
  const Process process = spawn(kSpins);
  wait_until_run(process);
  process.kill("the test");
  const ExitStatus status = process.join();
  EXPECT_EQ(status.kind, ExitKind::kKilled);
  EXPECT_EQ(status.killed_by, "the test");
  EXPECT_EQ(status.message, "killed by the test");
}

// The kill may come before the guest has armed its first check: no moment is safe from it.
TEST_F(ProcessTest, KilledAtAnyMomentOfItsStart) {
  start();
  const Result<Program> program = runtime_->prepare({.module = compile(kSpins)});
  ASSERT_TRUE(program.has_value());
  for (int round = 0; round < 300; ++round) {
    const Process process = runtime_->spawn(*program).value();
    for (int spin = 0; spin < round * 20; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
    process.kill("the test");
    ASSERT_EQ(process.join().kind, ExitKind::kKilled);
  }
}

TEST_F(ProcessTest, KilledWhileItSleeps) {
  start();
  const Process process = spawn(kSleeps);
  wait_until_parked(process, "wasi poll_oneoff");
  process.kill("the test");
  EXPECT_EQ(process.join().kind, ExitKind::kKilled);
}

TEST_F(ProcessTest, KilledWhileItYields) {
  start();
  const Process process = spawn(kYieldsForever);
  wait_until_run(process);
  process.kill("the test");
  EXPECT_EQ(process.join().kind, ExitKind::kKilled);
}

TEST_F(ProcessTest, KilledInsideASlowHostCall) {
  RuntimeOptions options = usual_options();
  auto destroyed = std::make_shared<std::atomic<int>>(0);
  struct Guard {
    std::shared_ptr<std::atomic<int>> count;
    ~Guard() { ++*count; }
  };
  options.host.define("env", "slow", [destroyed](Caller&) -> Task<void> {
    const Guard guard{destroyed};
    co_await sleep_for(1h);
  });
  start(std::move(options));
  const Process process = spawn(R"((module (import "env" "slow" (func $slow)) (func (export "_start") (call $slow))))");
  wait_until_parked(process, "env.slow");
  process.kill("the test");
  EXPECT_EQ(process.join().kind, ExitKind::kKilled);
  EXPECT_EQ(destroyed->load(), 1) << "the host function's frame was not unwound";
}

TEST_F(ProcessTest, TheFirstKillCountsAndTheEndIsFinal) {
  start();
  const Process process = spawn(kSpins);
  process.kill("one");
  process.kill("two");
  EXPECT_EQ(process.join().killed_by, "one");
  process.kill("three");
  EXPECT_EQ(process.join().killed_by, "one");
  EXPECT_FALSE(process.running());
  const Process done = spawn(kReturns);
  (void)done.join();
  done.kill("late");
  EXPECT_EQ(done.join().kind, ExitKind::kReturned);
}

TEST_F(ProcessTest, JoinWithABound) {
  start();
  const Process process = spawn(kSleeps);
  EXPECT_FALSE(process.join_for(10ms).has_value());
  EXPECT_FALSE(process.try_join().has_value());
  EXPECT_TRUE(process.running());
  process.kill("the test");
  EXPECT_TRUE(process.join_for(kHang).has_value());
  EXPECT_TRUE(process.try_join().has_value());
}

TEST_F(ProcessTest, ADroppedHandleDetaches) {
  start();
  const ProcessId id = spawn(kSleeps).id();
  bool alive = false;
  for (const TaskDump& task : runtime_->dump()) alive = alive || task.process_id == id;
  EXPECT_TRUE(alive);
  // TearDown ends it, and insists that it is gone.
}

TEST_F(ProcessTest, AHandleOutlivesTheRuntime) {
  Process process;
  {
    Result<Runtime> other = Runtime::create(usual_options());
    ASSERT_TRUE(other.has_value());
    const auto bytes = std::span(reinterpret_cast<const std::uint8_t*>(kSpins.data()), kSpins.size());
    process = other->spawn({.module = other->compile(bytes, "spins").value()}).value();
  }
  const ExitStatus status = process.join();
  EXPECT_EQ(status.kind, ExitKind::kKilled);
  EXPECT_EQ(status.killed_by, "shutdown");
  process.kill("nobody");
  EXPECT_EQ(process.usage().switches, status.usage.switches);
}

TEST_F(ProcessTest, OutputIsCaptured) {
  start();
  const Process process = spawn({.module = compile(kHello), .output = Output::capture()});
  EXPECT_TRUE(process.join().success());
  EXPECT_EQ(process.captured(Stream::kOut), "hello\n");
  EXPECT_EQ(process.captured(Stream::kErr), "");
}

TEST_F(ProcessTest, OutputReachesAReceiverBeforeTheEndIsReported) {
  start();
  std::string received;  // only the output thread writes it, before the join returns
  for (int round = 0; round < 50; ++round) {
    received.clear();
    const Process process = spawn(
        {.module = compile(kHello), .output = Output::to([&](ProcessId, Stream, std::string_view text) { received += text; })});
    EXPECT_TRUE(process.join().success());
    ASSERT_EQ(received, "hello\n");
  }
}

TEST_F(ProcessTest, ASlowReceiverHoldsTheGuestBackAndDoesNotKeepItAlive) {
  start();
  // Shared with the receiver: it may still be on its way out when the test is over.
  struct Gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;
    std::atomic<std::uint64_t> bytes{0};
  };
  auto gate = std::make_shared<Gate>();
  ProcessSpec spec{.module = compile(kFloods), .output = Output::to([gate](ProcessId, Stream, std::string_view text) {
                                                 gate->bytes += text.size();
                                                 std::unique_lock lock(gate->mutex);
                                                 gate->opened.wait(lock, [&] { return gate->open; });
                                               })};
  spec.limits.output_bytes = 64 << 10;
  const Process process = spawn(std::move(spec));
  wait_until_parked(process, "wasi fd_write");
  EXPECT_LE(gate->bytes.load(), 64U << 10);
  process.kill("the test");
  EXPECT_EQ(process.join().kind, ExitKind::kKilled) << "the end must not wait for the receiver";
  {
    std::lock_guard lock(gate->mutex);
    gate->open = true;
  }
  gate->opened.notify_all();
}

TEST_F(ProcessTest, InputComesFromText) {
  start();
  std::string text;
  for (int line = 0; line < 5000; ++line) text += "line " + std::to_string(line) + "\n";
  const Process process = spawn({.module = compile(kEchoes), .input = Input::of(text), .output = Output::capture()});
  EXPECT_TRUE(process.join().success());
  EXPECT_EQ(process.captured(Stream::kOut), text);
}

TEST_F(ProcessTest, ArgumentsEnvironmentAndDirectoriesAreChecked) {
  start();
  const Module module = compile(kReturns);
  EXPECT_FALSE(runtime_->prepare({.module = module, .arguments = {std::string("a\0b", 3)}}).has_value());
  const Result<Program> missing =
      runtime_->prepare({.module = module, .directories = {{.host = "/no/such/directory", .guest = "/"}}});
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(missing.error().message.find("/no/such/directory"), std::string::npos) << missing.error().message;
  EXPECT_EQ(runtime_->prepare({.module = module, .priority = 8}).error().kind, ErrorKind::kBadArgument);
}

TEST_F(ProcessTest, StopRequestsAreSeenByTheGuest) {
  start();
  const Process process = spawn(R"((module
    (import "weft" "stop_requested" (func $stop (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start")
      (loop $again (br_if $again (i32.eqz (call $stop))))
      (call $exit (i32.const 3)))))");
  wait_until_run(process);
  process.request_stop();
  EXPECT_EQ(process.join().code, 3);
}

TEST_F(ProcessTest, AThousandAtOnce) {
  start();
  const Result<Program> program = runtime_->prepare({.module = compile(kSleeps)});
  ASSERT_TRUE(program.has_value());
  std::vector<Process> processes;
  for (int count = 0; count < 1000; ++count) processes.push_back(runtime_->spawn(*program).value());
  for (const Process& process : processes) wait_until_parked(process, "wasi poll_oneoff");
  EXPECT_EQ(runtime_->stats().processes, 1000U);
  for (const Process& process : processes) process.kill("the test");
  for (const Process& process : processes) EXPECT_EQ(process.join().kind, ExitKind::kKilled);
  EXPECT_EQ(runtime_->stats().processes, 0U);
}

TEST_F(ProcessTest, TheBoundOnProcessesIsAnErrorAndLosesNothing) {
  RuntimeOptions options = usual_options();
  options.processes_max = 3;
  start(std::move(options));
  const Result<Program> program = runtime_->prepare({.module = compile(kSleeps)});
  std::vector<Process> processes;
  for (int count = 0; count < 3; ++count) processes.push_back(runtime_->spawn(*program).value());
  const Result<Process> refused = runtime_->spawn(*program);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_NE(refused.error().message.find('3'), std::string::npos);
  processes[0].kill("the test");
  (void)processes[0].join();
  EXPECT_TRUE(runtime_->spawn(*program).has_value());
}

// Several times as many endless loops as workers: all of them get their share, and a sleeper beside them is woken.
TEST_F(ProcessTest, EndlessLoopsShareTheWorkers) {
  start();
  std::vector<Process> spinners;
  for (int count = 0; count < 8; ++count) spinners.push_back(spawn(kSpins));
  for (const Process& process : spinners) {
    while (process.usage().preemptions < 3) std::this_thread::yield();
  }
  for (const Process& process : spinners) process.kill("the test");
  for (const Process& process : spinners) {
    const ExitStatus status = process.join();
    EXPECT_GE(status.usage.preemptions, 3U);
    EXPECT_GE(status.usage.switches, status.usage.preemptions);
    EXPECT_GT(status.usage.cpu_time, 0ns);
  }
}

TEST_F(ProcessTest, BeatsAreCounted) {
  start();
  const Process process = spawn(R"((module
    (import "weft" "alive" (func $alive))
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $alive) (call $alive) (call $alive) (loop $again (drop (call $yield)) (br $again)))))");
  while (process.heartbeat().beats < 3) std::this_thread::yield();
  const Heartbeat beat = process.heartbeat();
  EXPECT_EQ(beat.beats, 3U);
  while (process.heartbeat().silent <= beat.silent) std::this_thread::yield();
  process.kill("the test");
  (void)process.join();
  EXPECT_EQ(process.heartbeat().beats, 3U);
  const Process silent = spawn(kReturns);
  (void)silent.join();
  EXPECT_EQ(silent.heartbeat().beats, 0U);
  EXPECT_GT(silent.heartbeat().silent, 0ns) << "since its spawn";
}

TEST_F(ProcessTest, PrioritiesCanBeChangedWhileItRuns) {
  start();
  const Process process = spawn({.module = compile(kYieldsForever), .priority = kPriorityLowest});
  process.set_priority(kPriorityHighest);
  while (true) {
    const std::vector<TaskDump> tasks = runtime_->dump();
    if (!tasks.empty() && tasks[0].priority == kPriorityHighest) break;
    std::this_thread::yield();
  }
  process.kill("the test");
  (void)process.join();
}

}  // namespace
}  // namespace weft::testing
