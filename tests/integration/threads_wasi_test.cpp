// What the threads of a process share of WASI: descriptors, the environment, clocks, standard input and output. A thread that waits for input keeps none of the
// others from anything.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "support/guests.hpp"
#include "support/thread_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::string_view kMoreWasi = R"(
  (import "env" "until_parked" (func $until_parked (param i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
)";

// $area is 256 bytes of the calling thread: at 0 an iovec, at 8 how much it was, at 16 what a call answers. The name "file" is put behind it.
constexpr std::string_view kFileFunctions = R"(
  (func $open (param $area i32) (param $how i32) (result i32)
    (i32.store offset=32 (local.get $area) (i32.const 0x656c6966))
    (call $is (call $path_open (i32.const 3) (i32.const 0) (i32.add (local.get $area) (i32.const 32)) (i32.const 4) (local.get $how)
      (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.add (local.get $area) (i32.const 16))) (i32.const 0) (i32.const 90))
    (i32.load offset=16 (local.get $area)))
  (func $transfer (param $area i32) (param $fd i32) (param $at i32) (param $size i32) (param $write i32) (result i32)
    (i32.store (local.get $area) (local.get $at))
    (i32.store offset=4 (local.get $area) (local.get $size))
    (if (result i32) (local.get $write)
      (then (call $fd_write (local.get $fd) (local.get $area) (i32.const 1) (i32.add (local.get $area) (i32.const 8))))
      (else (call $fd_read (local.get $fd) (local.get $area) (i32.const 1) (i32.add (local.get $area) (i32.const 8))))))
)";

class ThreadsWasiTest : public ThreadsTest {
 protected:
  // Standard input of this program is a pipe, for as long as the test lasts.
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    stdin_before_ = dup(0);
    ASSERT_EQ(dup2(ends[0], 0), 0);
    close(ends[0]);
    input_ = ends[1];
    ThreadsTest::SetUp();
    directory_ = fs::path(::testing::TempDir()) / ("weft_threads_" + std::to_string(getpid()));
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }

  void TearDown() override {
    ThreadsTest::TearDown();
    close(input_);
    dup2(stdin_before_, 0);
    close(stdin_before_);
    fs::remove_all(directory_);
  }

  void type(std::string_view text) { ASSERT_EQ(::write(input_, text.data(), text.size()), static_cast<ssize_t>(text.size())); }
  // The descriptor stays: the fixture counts them.
  void end_input() const {
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, input_);
    close(nothing);
  }

  ProcessSpec spec_of(std::string_view body) {
    ProcessSpec spec{.module = compile(thread_guest(std::string(kFileFunctions) + std::string(body), "2 64", kMoreWasi))};
    spec.environment = {{"ONE", "1"}, {"TWO", "22"}};
    spec.arguments = {"app", "argument"};
    spec.directories = {{directory_.string(), "/data", false}};
    spec.input = Input::inherit();
    spec.output = Output::capture();
    return spec;
  }

  fs::path directory_;

 private:
  int input_ = -1;
  int stdin_before_ = -1;
};

// A thread opens a file and writes it; the first reads it through the same descriptor, and closes it; then the thread has it no more.
TEST_F(ThreadsWasiTest, Descriptors) {
  start_threads();
  expect_good(spawn(spec_of(R"(
    (func (export "_start") (local $fd i32)
      (drop (call $spawn (i32.const 0)))
      (call $await (i32.const 1028) (i32.const 1))
      (local.set $fd (i32.load (i32.const 1032)))
      (call $is (call $fd_seek (local.get $fd) (i64.const 0) (i32.const 0) (i32.const 4096)) (i32.const 0) (i32.const 1))
      (call $is (call $transfer (i32.const 4096) (local.get $fd) (i32.const 8192) (i32.const 16) (i32.const 0)) (i32.const 0) (i32.const 2))
      (call $is (i32.load (i32.const 4104)) (i32.const 4) (i32.const 3))
      (call $is (i32.load (i32.const 8192)) (i32.const 0x64636261) (i32.const 4))
      (call $is (call $fd_close (local.get $fd)) (i32.const 0) (i32.const 5))
      (call $tell (i32.const 1036))
      (call $await (i32.const 1028) (i32.const 2)))
    (func (export "wasi_thread_start") (param i32 i32) (local $fd i32)
      (local.set $fd (call $open (i32.const 5120) (i32.const 9)))
      (i32.store (i32.const 6144) (i32.const 0x64636261))
      (call $is (call $transfer (i32.const 5120) (local.get $fd) (i32.const 6144) (i32.const 4) (i32.const 1)) (i32.const 0) (i32.const 11))
      (i32.store (i32.const 1032) (local.get $fd))
      (call $tell (i32.const 1028))
      (call $await (i32.const 1036) (i32.const 1))
      (call $is (call $transfer (i32.const 5120) (local.get $fd) (i32.const 6144) (i32.const 4) (i32.const 1)) (i32.const 8) (i32.const 12))
      (call $tell (i32.const 1028))))"))
                  .join());
  std::ifstream file(directory_ / "file");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "abcd");
}

// Eight threads open, write, read and close files for themselves, all at once.
constexpr std::string_view kManyFiles = R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (drop (call $spawn (local.tee $i (i32.add (local.get $i) (i32.const 1)))))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 8))))
      (call $await (i32.const 1028) (i32.const 8)))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32) (local $area i32) (local $fd i32) (local $i i32)
      (local.set $area (i32.mul (local.get $argument) (i32.const 4096)))
      (loop $again
        (i32.store8 offset=36 (local.get $area) (i32.add (local.get $argument) (i32.const 0x30)))
        (i32.store offset=32 (local.get $area) (i32.const 0x656c6966))
        (call $is (call $path_open (i32.const 3) (i32.const 0) (i32.add (local.get $area) (i32.const 32)) (i32.const 5) (i32.const 9)
          (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.add (local.get $area) (i32.const 16))) (i32.const 0) (i32.const 1))
        (local.set $fd (i32.load offset=16 (local.get $area)))
        (i32.store offset=64 (local.get $area) (local.get $argument))
        (call $is (call $transfer (local.get $area) (local.get $fd) (i32.add (local.get $area) (i32.const 64)) (i32.const 4) (i32.const 1)) (i32.const 0) (i32.const 2))
        (call $is (call $fd_seek (local.get $fd) (i64.const 0) (i32.const 0) (i32.add (local.get $area) (i32.const 24))) (i32.const 0) (i32.const 3))
        (i32.store offset=64 (local.get $area) (i32.const 0))
        (call $is (call $transfer (local.get $area) (local.get $fd) (i32.add (local.get $area) (i32.const 64)) (i32.const 4) (i32.const 0)) (i32.const 0) (i32.const 4))
        (call $is (i32.load offset=64 (local.get $area)) (local.get $argument) (i32.const 5))
        (call $is (call $fd_close (local.get $fd)) (i32.const 0) (i32.const 6))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))
      (call $tell (i32.const 1028))))";

// The one table of descriptors mixes nothing up.
TEST_F(ThreadsWasiTest, ManyDescriptorsAtOnce) {
  start_threads();
  expect_good(spawn(spec_of(kManyFiles)).join());
  EXPECT_EQ(entries_in(directory_.c_str()), 8U);
}

// Killed while some use the table and others wait for it: all ends, and no file stays open.
TEST_F(ThreadsWasiTest, KilledAmongDescriptors) {
  start_threads();
  const Result<Program> program = runtime_->prepare(spec_of(kManyFiles));
  ASSERT_TRUE(program.has_value());
  for (unsigned round = 0; round < std::max(200 / kFewerThreads, 20U); ++round) {
    const Process process = runtime_->spawn(*program).value();
    for (unsigned spin = 0; spin < round * 500; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
    process.kill("the test");
    const ExitStatus status = process.join();
    if (status.kind != ExitKind::kKilled) expect_good(status);
    EXPECT_EQ(runtime_->stats().guest_threads, 0U);
  }
}

TEST_F(ThreadsWasiTest, EnvironmentArgumentsAndClocks) {
  start_threads();
  expect_good(spawn(spec_of(R"(
    (func $look (param $area i32)
      (call $is (call $environ_sizes_get (local.get $area) (i32.add (local.get $area) (i32.const 4))) (i32.const 0) (i32.const 1))
      (call $is (i32.load (local.get $area)) (i32.const 2) (i32.const 2))
      (call $is (i32.load offset=4 (local.get $area)) (i32.const 13) (i32.const 3))
      (call $is (call $environ_get (local.get $area) (i32.add (local.get $area) (i32.const 16))) (i32.const 0) (i32.const 4))
      (call $is (i32.load offset=16 (local.get $area)) (i32.const 0x3d454e4f) (i32.const 5))
      (call $is (call $args_sizes_get (local.get $area) (i32.add (local.get $area) (i32.const 4))) (i32.const 0) (i32.const 6))
      (call $is (i32.load (local.get $area)) (i32.const 2) (i32.const 7))
      (call $is (call $random_get (local.get $area) (i32.const 64)) (i32.const 0) (i32.const 8))
      (call $is (call $clock_time_get (i32.const 0) (i64.const 0) (local.get $area)) (i32.const 0) (i32.const 9))
      (call $is (i64.gt_u (i64.load (local.get $area)) (i64.const 1700000000000000000)) (i32.const 1) (i32.const 10))
      (call $is (call $clock_time_get (i32.const 1) (i64.const 0) (local.get $area)) (i32.const 0) (i32.const 11)))
    (func (export "_start")
      (call $look (i32.const 4096))
      (drop (call $spawn (i32.const 8192)))
      (call $await (i32.const 1028) (i32.const 1))
      ;; One clock for all: what came later is not earlier.
      (call $is (i64.le_u (i64.load (i32.const 4096)) (i64.load (i32.const 8192))) (i32.const 1) (i32.const 20))
      (call $look (i32.const 4096))
      (call $is (i64.le_u (i64.load (i32.const 8192)) (i64.load (i32.const 4096))) (i32.const 1) (i32.const 21)))
    (func (export "wasi_thread_start") (param $id i32) (param $area i32) (call $look (local.get $area)) (call $tell (i32.const 1028))))"))
                  .join());
}

// A thread waits for input, which comes only when the first thread has done everything that a program does meanwhile.
TEST_F(ThreadsWasiTest, AReaderKeepsNobodyWaiting) {
  start_threads();
  const Process process = spawn(spec_of(R"(
    (func (export "_start") (local $fd i32)
      (drop (call $spawn (i32.const 0)))
      (call $await (i32.const 1028) (i32.const 1))
      (local.set $fd (call $open (i32.const 4096) (i32.const 9)))
      (call $is (call $transfer (i32.const 4096) (local.get $fd) (i32.const 0) (i32.const 8) (i32.const 1)) (i32.const 0) (i32.const 1))
      (call $is (call $fd_close (local.get $fd)) (i32.const 0) (i32.const 2))
      (call $is (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 4096)) (i32.const 0) (i32.const 3))
      (call $is (call $random_get (i32.const 4096) (i32.const 8)) (i32.const 0) (i32.const 4))
      (call $is (call $environ_sizes_get (i32.const 4096) (i32.const 4100)) (i32.const 0) (i32.const 5))
      (call $is (call $fd_fdstat_get (i32.const 0) (i32.const 4096)) (i32.const 0) (i32.const 6))
      (call $nap (i32.const 4096) (i64.const 1000000))
      (i32.store (i32.const 8192) (i32.const 0x0a796261))
      (call $is (call $transfer (i32.const 4096) (i32.const 1) (i32.const 8192) (i32.const 4) (i32.const 1)) (i32.const 0) (i32.const 7))
      (call $await (i32.const 1032) (i32.const 1))
      (call $is (i32.load (i32.const 6144)) (i32.const 0x65766966) (i32.const 8)))
    (func (export "wasi_thread_start") (param i32 i32)
      (call $tell (i32.const 1028))
      (call $is (call $transfer (i32.const 5120) (i32.const 0) (i32.const 6144) (i32.const 100) (i32.const 0)) (i32.const 0) (i32.const 10))
      (call $is (i32.load (i32.const 5128)) (i32.const 5) (i32.const 11))
      (call $tell (i32.const 1032))))"));
  wait_until_parked(process, "wasi fd_read");
  // When the first thread waits for the other, it has done its work.
  while (process.captured(Stream::kOut) != "aby\n") std::this_thread::yield();
  wait_until_parked(process, kWait32);
  type("five\n");
  expect_good(process.join());
}

// A thread in fd_read is no deadlock, though all others wait for it; it ends with the process, and with the end of the input.
TEST_F(ThreadsWasiTest, AReaderIsNoDeadlock) {
  start_threads();
  constexpr std::string_view kGuest = R"(
    (func (export "_start")
      (drop (call $spawn (i32.const 0)))
      (call $await (i32.const 1028) (i32.const 1)))
    (func (export "wasi_thread_start") (param i32 i32)
      (call $is (call $transfer (i32.const 5120) (i32.const 0) (i32.const 6144) (i32.const 100) (i32.const 0)) (i32.const 0) (i32.const 10))
      (i32.store (i32.const 1032) (i32.load (i32.const 5128)))
      (call $tell (i32.const 1028))))";
  const auto start_waiting = [&] {
    Process process = spawn(spec_of(kGuest));
    wait_until_parked(process, "wasi fd_read");
    wait_until_threads_park(process, 1);
    EXPECT_TRUE(process.running());
    return process;
  };
  const Process stopped = start_waiting();
  stopped.request_stop();
  expect_good(stopped.join());
  const Process killed = start_waiting();
  killed.kill("the test");
  EXPECT_EQ(killed.join().kind, ExitKind::kKilled);
  const Process told = start_waiting();
  type("x");
  expect_good(told.join());
  const Process ended = start_waiting();
  end_input();
  expect_good(ended.join());
}

// The first thread returns while others read, poll, and wait for a descriptor that a third one uses.
TEST_F(ThreadsWasiTest, TheFirstThreadsReturnEndsReaders) {
  start_threads();
  const Process process = spawn(spec_of(R"(
    (func (export "_start")
      (drop (call $spawn (i32.const 0))) (drop (call $spawn (i32.const 1))) (drop (call $spawn (i32.const 2)))
      (call $await (i32.const 1028) (i32.const 3))
      (call $nap (i32.const 4096) (i64.const 1000000)))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
      (call $tell (i32.const 1028))
      (drop (call $transfer (i32.add (i32.const 5120) (i32.mul (i32.const 64) (local.get $argument))) (i32.const 0) (i32.const 6144)
        (i32.const 100) (i32.const 0)))
      (call $exit (i32.const 5))))"));
  expect_good(process.join());
}

// Whoever was ended while it waited for input is forgotten: it does not keep the runtime, and its threads, when that goes.
TEST_F(ThreadsWasiTest, AnEndedReaderLeavesNothing) {
  start_threads();
  const Process alone = spawn({.module = compile(kEchoes), .input = Input::inherit()});
  wait_until_parked(alone, "wasi fd_read");
  alone.kill("the test");
  EXPECT_EQ(alone.join().kind, ExitKind::kKilled);
  // One more is ended by the shutdown. TearDown looks for what is left.
  wait_until_parked(spawn({.module = compile(kEchoes), .input = Input::inherit()}), "wasi fd_read");
}

// Two threads poll standard input, one with a time-out that comes first; then both get what was typed, a byte each.
TEST_F(ThreadsWasiTest, TwoThreadsPollAndRead) {
  start_threads();
  const Process process = spawn(spec_of(R"(
    ;; Waits for input, at most so long; answers 1 for input, 0 for the time.
    (func $poll (param $area i32) (param $ns i64) (result i32)
      (i64.store (local.get $area) (i64.const 1))
      (i32.store8 offset=8 (local.get $area) (i32.const 1))    ;; fd_read
      (i32.store offset=16 (local.get $area) (i32.const 0))
      (i64.store offset=48 (local.get $area) (i64.const 0))
      (i32.store8 offset=56 (local.get $area) (i32.const 0))   ;; clock
      (i32.store offset=64 (local.get $area) (i32.const 1))
      (i64.store offset=72 (local.get $area) (local.get $ns))
      (i64.store offset=80 (local.get $area) (i64.const 0))
      (i64.store offset=88 (local.get $area) (i64.const 0))
      (call $is (call $poll_oneoff (local.get $area) (i32.add (local.get $area) (i32.const 128)) (i32.const 2)
        (i32.add (local.get $area) (i32.const 120))) (i32.const 0) (i32.const 80))
      (call $is (i32.load offset=120 (local.get $area)) (i32.const 1) (i32.const 81))
      (i32.load offset=128 (local.get $area)))
    (func $get (param $area i32)
      (call $is (call $poll (local.get $area) (i64.const 3600000000000)) (i32.const 1) (i32.const 1))
      (call $is (call $transfer (local.get $area) (i32.const 0) (i32.add (local.get $area) (i32.const 512)) (i32.const 1) (i32.const 0)) (i32.const 0) (i32.const 2))
      (call $is (i32.load offset=8 (local.get $area)) (i32.const 1) (i32.const 3)))
    (func (export "_start")
      (drop (call $spawn (i32.const 0)))
      (call $is (call $poll (i32.const 4096) (i64.const 2000000)) (i32.const 0) (i32.const 10))
      (call $tell (i32.const 1036))
      (call $get (i32.const 4096))
      (call $await (i32.const 1028) (i32.const 1))
      (call $is (i32.add (i32.load8_u (i32.const 4608)) (i32.load8_u (i32.const 8704))) (i32.const 0xc3) (i32.const 11)))
    (func (export "wasi_thread_start") (param i32 i32)
      (call $get (i32.const 8192))
      (call $tell (i32.const 1028))))"));
  const auto polling = [&] {
    return std::ranges::count_if(threads_of(process), [](const TaskDump& task) {
      return task.state == "parked" && task.reason == "wasi poll_oneoff" && task.since >= 0ns;
    });
  };
  // Host calls of the first one: spawn, poll, notify, and it is in its second poll.
  while (!(polling() == 2 && process.usage().host_calls >= 5)) std::this_thread::yield();
  EXPECT_TRUE(process.running());
  type("ab");
  expect_good(process.join());
}

// Eight threads write three hundred lines each, in two pieces a line.
constexpr std::string_view kLines = R"(
    (func (export "_start") (local $i i32)
      (loop $again
        (drop (call $spawn (local.tee $i (i32.add (local.get $i) (i32.const 1)))))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 8))))
      (call $await (i32.const 1028) (i32.const 8)))
    (func (export "wasi_thread_start") (param $id i32) (param $argument i32) (local $area i32) (local $i i32)
      (local.set $area (i32.mul (local.get $argument) (i32.const 4096)))
      (memory.fill (i32.add (local.get $area) (i32.const 1024)) (i32.add (local.get $argument) (i32.const 0x60)) (i32.const 40))
      (i32.store8 offset=1064 (local.get $area) (i32.const 10))
      ;; In two pieces.
      (i32.store (local.get $area) (i32.add (local.get $area) (i32.const 1024)))
      (i32.store offset=4 (local.get $area) (i32.const 25))
      (i32.store offset=8 (local.get $area) (i32.add (local.get $area) (i32.const 1049)))
      (i32.store offset=12 (local.get $area) (i32.const 16))
      (loop $again
        (call $is (call $fd_write (i32.const 1) (local.get $area) (i32.const 2) (i32.add (local.get $area) (i32.const 16))) (i32.const 0) (i32.const 1))
        (call $is (i32.load offset=16 (local.get $area)) (i32.const 41) (i32.const 2))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 300))))
      (call $tell (i32.const 1028))))";

// A line that is written with one call stays a line, as long as there is room.
TEST_F(ThreadsWasiTest, LinesOfManyThreads) {
  start_threads();
  std::string received;  // only the output thread writes it, before the join returns
  ProcessSpec spec = spec_of(kLines);
  spec.output = Output::to([&](ProcessId, Stream, std::string_view text) { received += text; });
  expect_good(spawn(std::move(spec)).join());
  std::map<std::string, int> lines;
  std::istringstream all(received);
  for (std::string line; std::getline(all, line);) ++lines[line];
  EXPECT_EQ(lines.size(), 8U);
  for (char letter = 'a'; letter < 'i'; ++letter) EXPECT_EQ(lines[std::string(40, letter)], 300) << letter;
}

// Where there is not, writers wait, and nothing is lost or doubled.
TEST_F(ThreadsWasiTest, WritersWaitForRoom) {
  start_threads();
  std::map<char, int> letters;  // as above
  ProcessSpec spec = spec_of(kLines);
  spec.output = Output::to([&](ProcessId, Stream, std::string_view text) {
    for (const char letter : text) ++letters[letter];
  });
  spec.limits.output_bytes = 100;
  expect_good(spawn(std::move(spec)).join());
  EXPECT_EQ(letters.size(), 9U);
  EXPECT_EQ(letters['\n'], 8 * 300);
  for (char letter = 'a'; letter < 'i'; ++letter) EXPECT_EQ(letters[letter], 40 * 300) << letter;
}

// Standard descriptors can be closed and moved about under threads that use them.
TEST_F(ThreadsWasiTest, StandardDescriptorsMove) {
  start_threads();
  const Process process = spawn(spec_of(R"(
    (func $say (param $area i32) (param $fd i32) (param $word i32) (result i32)
      (i32.store offset=64 (local.get $area) (local.get $word))
      (call $transfer (local.get $area) (local.get $fd) (i32.add (local.get $area) (i32.const 64)) (i32.const 4) (i32.const 1)))
    (func (export "_start") (local $fd i32)
      (drop (call $spawn (i32.const 0)))
      (call $await (i32.const 1028) (i32.const 1))
      ;; The thread has closed standard output, and put a file in its place.
      (call $is (call $say (i32.const 4096) (i32.const 1) (i32.const 0x0a656c69)) (i32.const 0) (i32.const 1))
      (call $is (call $say (i32.const 4096) (i32.const 2) (i32.const 0x0a727265)) (i32.const 0) (i32.const 2))
      (call $is (call $say (i32.const 4096) (i32.const 0) (i32.const 0x0a727265)) (i32.const 8) (i32.const 3))
      (call $is (call $transfer (i32.const 4096) (i32.const 2) (i32.const 8192) (i32.const 4) (i32.const 0)) (i32.const 8) (i32.const 4))
      ;; Standard error becomes 1; 2 is gone.
      (call $is (call $fd_renumber (i32.const 2) (i32.const 1)) (i32.const 0) (i32.const 5))
      (call $is (call $say (i32.const 4096) (i32.const 1) (i32.const 0x0a6f7774)) (i32.const 0) (i32.const 6))
      (call $is (call $say (i32.const 4096) (i32.const 2) (i32.const 0x0a6f7774)) (i32.const 8) (i32.const 7))
      (call $is (call $fd_close (i32.const 0)) (i32.const 0) (i32.const 8))
      (call $is (call $transfer (i32.const 4096) (i32.const 0) (i32.const 8192) (i32.const 4) (i32.const 0)) (i32.const 8) (i32.const 9)))
    (func (export "wasi_thread_start") (param i32 i32) (local $fd i32)
      (call $is (call $say (i32.const 5120) (i32.const 1) (i32.const 0x0a74756f)) (i32.const 0) (i32.const 20))
      (call $is (call $fd_close (i32.const 1)) (i32.const 0) (i32.const 21))
      (call $is (call $say (i32.const 5120) (i32.const 1) (i32.const 0x0a74756f)) (i32.const 8) (i32.const 22))
      (local.set $fd (call $open (i32.const 5120) (i32.const 9)))
      (if (i32.ne (local.get $fd) (i32.const 1))
        (then (call $is (call $fd_renumber (local.get $fd) (i32.const 1)) (i32.const 0) (i32.const 23))))
      (call $tell (i32.const 1028))))"));
  expect_good(process.join());
  EXPECT_EQ(process.captured(Stream::kOut), "out\n");
  EXPECT_EQ(process.captured(Stream::kErr), "err\ntwo\n");
  std::ifstream file(directory_ / "file");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "ile\n");
}

}  // namespace
}  // namespace weft::testing
