// Guests that mean harm. Whatever a guest passes to WASI, wherever it exits, traps, recurses or waits: the host neither crashes nor hangs, nothing outside its
// directory is touched, nothing is left behind, and another guest beside it goes on.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <random>

#include "conformance/wasi_calls.hpp"
#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class HostileTest : public RuntimeTest {
 protected:
  void SetUp() override {
    // The compiler's threads start with the first module and stay: before the fixture counts.
    static const bool kWarm = [] {
      RuntimeOptions options = usual_options();
      const Runtime runtime = Runtime::create(std::move(options)).value();
      return runtime.compile({reinterpret_cast<const std::uint8_t*>(kReturns.data()), kReturns.size()}, "warm-up").has_value();
    }();
    ASSERT_TRUE(kWarm);
    RuntimeTest::SetUp();
    root_ = fs::path(::testing::TempDir()) / ("weft_hostile_" + std::to_string(getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_ / "inside" / "folder");
    fs::create_directories(root_ / "outside");
    write(root_ / "inside" / "file", "inside");
    write(root_ / "outside" / "secret", "secret");
    fs::create_symlink("../outside", root_ / "inside" / "escape");
    fs::create_symlink(root_ / "outside", root_ / "inside" / "absolute");
    fs::create_symlink("../outside/secret", root_ / "inside" / "to_secret");
    fs::create_symlink("loop", root_ / "inside" / "loop");
  }

  void TearDown() override {
    // What the guest could not do.
    EXPECT_EQ(read(root_ / "outside" / "secret"), "secret");
    EXPECT_EQ(entries_in((root_ / "outside").c_str()), 1U) << "something was made outside";
    EXPECT_EQ(entries_in(root_.c_str()), 2U) << "something was made outside";
    // Another guest goes on.
    if (runtime_) {
      const Process next = spawn({.module = compile(kHello), .output = Output::capture()});
      EXPECT_TRUE(next.join().success());
      EXPECT_EQ(next.captured(Stream::kOut), "hello\n");
    }
    RuntimeTest::TearDown();
    fs::remove_all(root_);
  }

  static void write(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  ProcessSpec hostile(Module module) const {
    ProcessSpec spec{.module = std::move(module), .name = "hostile"};
    spec.directories = {{(root_ / "inside").string(), "/inside", false}};
    spec.input = Input::of("input");
    spec.output = Output::capture();
    spec.limits.wall_time = 60s;  // nothing here should come near it
    spec.limits.memory_bytes = 64U << 20;
    return spec;
  }

  // A module with all calls, one page of memory, and `more`.
  std::string calls_with(std::string_view more, unsigned pages = 1) {
    return "(module " + wasi_wrappers() + "(memory (export \"memory\") " + std::to_string(pages) + ")" + std::string(more) + ")";
  }

  ExitStatus call(const Module& module, std::string entry, std::vector<Value> values = {}) {
    ProcessSpec spec = hostile(module);
    spec.entry = std::move(entry);
    spec.entry_values = std::move(values);
    return spawn(std::move(spec)).join();
  }
  ExitStatus run(std::string_view text) { return spawn(hostile(compile(text))).join(); }

  // Of a call that returned.
  static int errno_of(const ExitStatus& status) {
    EXPECT_EQ(status.kind, ExitKind::kReturned) << status.message;
    if (status.results.size() != 1) return -1;
    return std::get<std::int32_t>(status.results[0]);
  }

  fs::path root_;
};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Each call with arguments from the places where mistakes live: around 0, the ends of the memory, of 31, 32 and 63 bits, and pointers to what looks like iovecs,
// subscriptions and paths that leave the directory.
TEST_F(HostileTest, EveryCallWithEveryKindOfArgument) {
  start();
  const std::uint64_t seed = number_from("WEFT_HOSTILE_SEED", 1);
  const std::uint64_t calls_each = number_from("WEFT_HOSTILE_CALLS", 150);
  std::cout << "hostile: WEFT_HOSTILE_SEED=" << seed << " WEFT_HOSTILE_CALLS=" << calls_each << std::endl;
  const Module module = compile(calls_with(R"(
    (data (i32.const 1024) "../outside/secret") (data (i32.const 1056) "/etc/passwd") (data (i32.const 1088) "folder/../../outside/new")
    (data (i32.const 1120) "escape/secret") (data (i32.const 1152) "file") (data (i32.const 1184) "a\00b") (data (i32.const 1216) "\ff\fe")
    (data (i32.const 2048) "\00\04\00\00\11\00\00\00")                      ;; an iovec as it should be
    (data (i32.const 2056) "\00\00\ff\ff\ff\ff\ff\ff")                      ;; far outside
    (data (i32.const 2064) "\f0\ff\00\00\20\00\00\00")                      ;; over the end
    (data (i32.const 2072) "\08\08\00\00\00\10\00\00")                      ;; over itself
    (data (i32.const 4096) "\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\ff\ff\ff\ff\ff\ff\ff\7f")  ;; a sleep for ever
    (data (i32.const 4144) "\02\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00"))"));
  const std::vector<std::uint32_t> words{
      0,           1,           2,           3,           4,           5,           7,           8,          16,    17,
      48,          63,          255,         1024,        1056,        1088,        1120,        1152,       1184,  1216,
      2048,        2056,        2064,        2072,        4096,        4144,        65528,       65535,      65536, 65537,
      0x00ff'ffff, 0x0fff'ffff, 0x2000'0000, 0x7fff'ffff, 0x8000'0000, 0xffff'0000, 0xffff'fff0, 0xffff'ffff};
  const std::vector<std::uint64_t> longs{
      0, 1, 4096, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff, 0x1'0000'0000, 0x7fff'ffff'ffff'ffff, 0x8000'0000'0000'0000, ~0ULL};
  std::mt19937_64 random(seed);
  std::array<std::uint64_t, 7> ends{};
  constexpr std::size_t kTogether = 1000;  // at most, of the 2,000 that the runtime has room for
  const auto settle = [&ends](std::vector<std::pair<Process, std::string>>& running) {
    for (const auto& [process, shown] : running) {
      const ExitStatus status = process.join();
      ++ends[static_cast<std::size_t>(status.kind)];
      switch (status.kind) {
        case ExitKind::kReturned: {
          const int answer = errno_of(status);
          EXPECT_TRUE(answer >= 0 && answer <= kErrnoLast) << shown << " answered " << answer;
          break;
        }
        case ExitKind::kTrapped:
          EXPECT_FALSE(status.message.empty()) << shown;
          break;
        case ExitKind::kLimitReached:
          EXPECT_TRUE(status.limit->kind == LimitKind::kWallTime || status.limit->kind == LimitKind::kOutput)
              << shown << ": " << status.message;
          break;
        case ExitKind::kExited:
        case ExitKind::kKilled:
        case ExitKind::kFailed:
        case ExitKind::kDeadlocked:
          ADD_FAILURE() << shown << ": " << name_of(status.kind) << ": " << status.message << "\n" << status.detail;
          break;
      }
    }
    running.clear();
  };
  for (const WasiCall& wasi : wasi_calls()) {
    std::vector<std::pair<Process, std::string>> running;
    for (std::uint64_t count = 0; count < calls_each; ++count) {
      ProcessSpec spec = hostile(module);
      spec.limits.wall_time = 30ms;
      spec.entry = wasi.name;
      std::string shown = std::string(wasi.name) + "(";
      for (std::size_t index = 0; index < wasi.parameters.size(); ++index) {
        if (wasi.parameters[index] == 'i') {
          // The first is often a descriptor: mostly one that there is.
          const std::uint32_t word =
              index == 0 && random() % 2 == 0 ? static_cast<std::uint32_t>(random() % 5) : words[random() % words.size()];
          spec.entry_values.emplace_back(static_cast<std::int32_t>(word));
          shown += std::to_string(word) + ", ";
        } else {
          const std::uint64_t word = longs[random() % longs.size()];
          spec.entry_values.emplace_back(static_cast<std::int64_t>(word));
          shown += std::to_string(word) + ", ";
        }
      }
      running.emplace_back(spawn(std::move(spec)), shown + ")");
      if (running.size() == kTogether) settle(running);
    }
    settle(running);
    // What they made inside is of no interest to the next call.
    fs::remove_all(root_ / "inside");
    fs::create_directories(root_ / "inside" / "folder");
    write(root_ / "inside" / "file", "inside");
    fs::create_symlink("../outside", root_ / "inside" / "escape");
  }
  std::cout << "hostile: " << ends[0] << " returned, " << ends[2] << " trapped, " << ends[4] << " at a limit" << std::endl;
  EXPECT_GT(ends[static_cast<std::size_t>(ExitKind::kReturned)], 100U);
  EXPECT_GT(ends[static_cast<std::size_t>(ExitKind::kTrapped)], 100U);
}

// Paths that leave the directory, through every call that takes one.
TEST_F(HostileTest, NoPathLeavesTheDirectory) {
  start();
  const std::vector<std::string> paths{"../outside/secret",
                                       "..",
                                       "../..",
                                       "../../../../../../etc/passwd",
                                       "/etc/passwd",
                                       "//etc/passwd",
                                       "folder/../../outside/secret",
                                       "./../outside/secret",
                                       "folder/.././../outside/secret",
                                       "escape/secret",
                                       "escape/../secret",
                                       "absolute/secret",
                                       "escape",
                                       "escape/",
                                       "to_secret/",
                                       "folder/..//..//outside/secret",
                                       "loop",
                                       "loop/x",
                                       std::string("file\0/../../outside/secret", 27),
                                       std::string(5000, 'a'),
                                       std::string(300, 'b'),
                                       "\xff\xfe",
                                       ""};
  for (const std::string& path : paths) {
    // The path as data, escaped byte by byte.
    std::string data;
    for (const char byte : path) {
      char escaped[4];
      std::snprintf(escaped, sizeof escaped, "\\%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
      data += escaped;
    }
    const Module module = compile(
        calls_with("(data (i32.const 8192) \"" + data + "\") (data (i32.const 64) \"mine\") (data (i32.const 96) \"file\")"));
    const auto size = static_cast<std::int32_t>(path.size());
    const std::int32_t at = 8192;
    const std::int32_t directory = 3;
    const auto refused = [&](const char* entry, std::vector<Value> values) {
      const ExitStatus status = call(module, entry, std::move(values));
      if (status.kind == ExitKind::kTrapped) return;  // not UTF-8, for instance
      EXPECT_NE(errno_of(status), kErrnoSuccess) << entry << "(\"" << path << "\")";
    };
    const std::int64_t all_rights = 0x1fff'ffff;
    const std::int64_t no_rights = 0;
    const std::int32_t follow = 1;
    // Links that stay inside may be opened or replaced without following them; every path of the list leaves, or is none.
    refused("path_open", {directory, follow, at, size, 0, all_rights, all_rights, 0, 512});
    refused("path_open", {directory, follow, at, size, 1 | 8, all_rights, no_rights, 0, 512});  // create, truncate
    refused("path_filestat_get", {directory, follow, at, size, 512});
    if (path != "escape" && path != "loop") {
      refused("path_create_directory", {directory, at, size});
      refused("path_readlink", {directory, at, size, 1024, 1024, 512});
      refused("path_remove_directory", {directory, at, size});
      refused("path_unlink_file", {directory, at, size});
      refused("path_link", {directory, 0, at, size, directory, 64, 4});
      refused("path_link", {directory, 0, 96, 4, directory, at, size});
      refused("path_rename", {directory, 96, 4, directory, at, size});
      refused("path_rename", {directory, at, size, directory, 64, 4});
      refused("path_symlink", {96, 4, directory, at, size});
    }
    EXPECT_EQ(read(root_ / "inside" / "file"), "inside") << path;
    EXPECT_EQ(read(root_ / "outside" / "secret"), "secret") << path;
  }
  // A link that the guest makes itself is no way out either.
  const ExitStatus own = run(calls_with(R"(
    (data (i32.const 64) "../outside/secret") (data (i32.const 128) "mine")
    (func (export "_start")
      (drop (call $path_symlink (i32.const 64) (i32.const 17) (i32.const 3) (i32.const 128) (i32.const 4)))
      (call $exit (call $path_open (i32.const 3) (i32.const 1) (i32.const 128) (i32.const 4) (i32.const 0) (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 512)))))"));
  EXPECT_EQ(own.kind, ExitKind::kExited) << own.message;
  EXPECT_NE(own.code, kErrnoSuccess);
}

TEST_F(HostileTest, AReadOnlyDirectoryStaysAsItIs) {
  start();
  const Module module = compile(calls_with(R"((data (i32.const 64) "file") (data (i32.const 96) "new"))"));
  const auto refused = [&](const char* entry, std::vector<Value> values) {
    ProcessSpec spec = hostile(module);
    spec.directories[0].read_only = true;
    spec.entry = entry;
    spec.entry_values = std::move(values);
    EXPECT_NE(errno_of(spawn(std::move(spec)).join()), kErrnoSuccess) << entry;
  };
  const std::int64_t all_rights = 0x1fff'ffff;
  refused("path_open", {3, 1, 64, 4, 8, all_rights, all_rights, 0, 512});  // truncate
  refused("path_open", {3, 1, 96, 3, 1, all_rights, all_rights, 0, 512});  // create
  refused("path_create_directory", {3, 96, 3});
  refused("path_unlink_file", {3, 64, 4});
  refused("path_rename", {3, 64, 4, 3, 96, 3});
  refused("path_symlink", {64, 4, 3, 96, 3});
  refused("path_link", {3, 0, 64, 4, 3, 96, 3});
  refused("path_filestat_set_times", {3, 1, 64, 4, std::int64_t{0}, std::int64_t{0}, 2 | 8});
  EXPECT_EQ(read(root_ / "inside" / "file"), "inside");
  EXPECT_FALSE(fs::exists(root_ / "inside" / "new"));
}

// Streams and directories closed, moved onto each other, used the wrong way round; then the guest works on with what is left.
TEST_F(HostileTest, DescriptorsClosedAndMovedAround) {
  start();
  const ExitStatus status = run(calls_with(R"(
    (data (i32.const 0) "\00\04\00\00\10\00\00\00")
    (func $must (param $got i32) (param $want i32) (param $place i32)
      (if (i32.ne (local.get $got) (local.get $want)) (then (call $exit (i32.add (local.get $place) (i32.mul (local.get $got) (i32.const 100)))))))
    (func $must_fail (param $got i32) (param $place i32)
      (if (i32.eqz (local.get $got)) (then (call $exit (local.get $place)))))
    (func (export "_start")
      (call $must_fail (call $fd_write (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)) (i32.const 1))   ;; to its input
      (call $must_fail (call $fd_read (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)) (i32.const 2))    ;; from its output
      (call $must_fail (call $fd_read (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 16)) (i32.const 3))    ;; a directory
      (call $must_fail (call $fd_renumber (i32.const 1) (i32.const 77)) (i32.const 4))
      (call $must_fail (call $fd_renumber (i32.const -1) (i32.const 1)) (i32.const 5))
      (drop (call $fd_renumber (i32.const 0) (i32.const 0)))
      (drop (call $fd_renumber (i32.const 3) (i32.const 1)))
      (call $must_fail (call $fd_write (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 16)) (i32.const 6))
      (drop (call $fd_close (i32.const 0))) (drop (call $fd_close (i32.const 1))) (drop (call $fd_close (i32.const 2))) (drop (call $fd_close (i32.const 3)))
      (call $must (call $fd_close (i32.const 0)) (i32.const 8) (i32.const 7))
      (call $must (call $fd_close (i32.const 2)) (i32.const 8) (i32.const 8))
      (call $must (call $fd_close (i32.const -1)) (i32.const 8) (i32.const 9))
      (call $must_fail (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)) (i32.const 10))
      (call $must_fail (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)) (i32.const 11))
      (call $must_fail (call $fd_prestat_get (i32.const 3) (i32.const 16)) (i32.const 12))))"));
  EXPECT_EQ(status.kind, ExitKind::kReturned) << name_of(status.kind) << " " << status.code << " " << status.message;
}

// Opens the same file until something gives: descriptors of the host are not the guest's to use up.
TEST_F(HostileTest, FilesOpenedWithoutEnd) {
  start();
  const std::size_t before = entries_in("/proc/self/fd");
  ProcessSpec spec = hostile(compile(calls_with(R"(
    (data (i32.const 64) "file")
    (func (export "_start")
      (loop $again
        (br_if $again (i32.eqz
          (call $path_open (i32.const 3) (i32.const 1) (i32.const 64) (i32.const 4) (i32.const 0) (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 512)))))))")));
  spec.limits.wall_time = 5s;
  const ExitStatus status = spawn(std::move(spec)).join();
  EXPECT_TRUE(status.kind == ExitKind::kReturned || status.kind == ExitKind::kLimitReached || status.kind == ExitKind::kTrapped)
      << status.message;
  // Given back with the process, and the host can still open files.
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  while (entries_in("/proc/self/fd") > before && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(entries_in("/proc/self/fd"), before);
}

TEST_F(HostileTest, ExitCodesOfAllRanges) {
  start();
  const Module module = compile(R"((module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
    (func (export "exit") (param i32) (call $exit (local.get 0)) (unreachable))))");
  for (const std::int32_t code :
       {0, 1, 2, 125, 126, 127, 128, 255, 256, 257, 0x7fff'ffff, -1, -128, static_cast<std::int32_t>(0x8000'0000)}) {
    const ExitStatus status = call(module, "exit", {code});
    EXPECT_EQ(status.kind, ExitKind::kExited) << code << ": " << status.message;
    EXPECT_EQ(status.code, code);
    EXPECT_EQ(status.success(), code == 0);
  }
}

TEST_F(HostileTest, EndsInItsStartFunction) {
  start();
  EXPECT_EQ(run(R"((module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
    (func $early (call $exit (i32.const 9))) (start $early) (func (export "_start") (unreachable))))")
                .code,
            9);
  const ExitStatus trapped =
      run(R"((module (memory (export "memory") 1) (func $early (unreachable)) (start $early) (func (export "_start"))))");
  EXPECT_EQ(trapped.kind, ExitKind::kTrapped) << trapped.message;
  EXPECT_FALSE(trapped.backtrace.empty());
  EXPECT_EQ(trapped.backtrace.front().function, "early");
  ProcessSpec endless = hostile(compile(
      R"((module (memory (export "memory") 1) (func $early (loop $again (br $again))) (start $early) (func (export "_start"))))"));
  endless.limits.wall_time = 200ms;
  const ExitStatus spins = spawn(std::move(endless)).join();
  EXPECT_EQ(spins.kind, ExitKind::kLimitReached) << spins.message;
  EXPECT_EQ(spins.limit->kind, LimitKind::kWallTime);
  const ExitStatus recurses =
      run(R"((module (memory (export "memory") 1) (func $early (call $early)) (start $early) (func (export "_start"))))");
  EXPECT_EQ(recurses.kind, ExitKind::kLimitReached) << recurses.message;
  EXPECT_EQ(recurses.limit->kind, LimitKind::kStack);
  const ExitStatus grows = run(R"((module (memory (export "memory") 1)
    (func $early (loop $again (drop (memory.grow (i32.const 16))) (br $again))) (start $early) (func (export "_start"))))");
  EXPECT_EQ(grows.kind, ExitKind::kLimitReached) << grows.message;
  EXPECT_EQ(grows.limit->kind, LimitKind::kMemory);
  // An initialisation beyond the memory traps, too.
  const ExitStatus data = run(R"((module (memory (export "memory") 1) (data (i32.const 65536) "x") (func (export "_start"))))");
  EXPECT_EQ(data.kind, ExitKind::kTrapped) << name_of(data.kind) << ": " << data.message;
  // WASI in the start function, without a memory to talk about.
  const ExitStatus blind = run(R"((module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (func $early (drop (call $random (i32.const 0) (i32.const 8)))) (start $early) (func (export "_start"))))");
  EXPECT_EQ(blind.kind, ExitKind::kTrapped) << name_of(blind.kind) << ": " << blind.message;
  const ExitStatus outside = run(calls_with(
      "(func $early (drop (call $random_get (i32.const -8) (i32.const 64)))) (start $early) (func (export \"_start\"))"));
  EXPECT_EQ(outside.kind, ExitKind::kTrapped) << name_of(outside.kind) << ": " << outside.message;
}

// Not a byte more than asked for.
TEST_F(HostileTest, RandomBytesStayWhereTheyBelong) {
  start();
  const ExitStatus status = run(calls_with(R"((func (export "_start")
    (drop (call $random_get (i32.const 4096) (i32.const 300)))
    (if (i64.ne (i64.load (i32.const 4396)) (i64.const 0)) (then (unreachable)))
    (if (i64.ne (i64.load (i32.const 4088)) (i64.const 0)) (then (unreachable)))))"));
  EXPECT_EQ(status.kind, ExitKind::kReturned) << status.message;
}

TEST_F(HostileTest, EndsInItsInitialisation) {
  start();
  const auto reactor = [&](std::string_view body) {
    return compile(
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32))) (memory (export \"memory\") 1)"
        "(func (export \"_initialize\") " +
        std::string(body) + ") (func (export \"work\") (result i32) (i32.const 5)))");
  };
  EXPECT_EQ(call(reactor("nop"), "work").result_text, "5");
  EXPECT_EQ(call(reactor("(unreachable)"), "work").kind, ExitKind::kTrapped);
  EXPECT_EQ(call(reactor("(call $exit (i32.const 4))"), "work").code, 4);
  ProcessSpec endless = hostile(reactor("(loop $again (br $again))"));
  endless.entry = "work";
  endless.limits.wall_time = 200ms;
  const ExitStatus spins = spawn(std::move(endless)).join();
  EXPECT_EQ(spins.kind, ExitKind::kLimitReached) << spins.message;
}

TEST_F(HostileTest, ManyAndLongArgumentsAndVariables) {
  start();
  const Module module = compile(calls_with(""));
  ProcessSpec spec = hostile(module);
  spec.entry = "args_get";
  spec.entry_values = {std::int32_t{0}, std::int32_t{1024}};
  for (int count = 0; count < 50'000; ++count) spec.arguments.push_back("argument " + std::to_string(count));
  // More than its one page holds: its own fault.
  EXPECT_EQ(spawn(spec).join().kind, ExitKind::kTrapped);
  spec.entry = "args_sizes_get";
  spec.entry_values = {std::int32_t{0}, std::int32_t{4}};
  EXPECT_EQ(errno_of(spawn(spec).join()), kErrnoSuccess);
  ProcessSpec variables = hostile(module);
  variables.entry = "environ_get";
  variables.entry_values = {std::int32_t{0}, std::int32_t{1024}};
  variables.environment = {{"LONG", std::string(16U << 20, 'x')}, {"EMPTY", ""}};
  EXPECT_EQ(spawn(variables).join().kind, ExitKind::kTrapped);
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"", "x"}, {"A=B", "x"}, {"A", std::string("a\0b", 3)}, {std::string("A\0", 2), "x"}, {"\xff", "x"}}) {
    ProcessSpec odd = hostile(module);
    odd.environment = {{name, value}};
    odd.entry = "sched_yield";
    const Result<Process> process = runtime_->spawn(std::move(odd));
    if (process) {
      EXPECT_TRUE(process->join().success());
    } else {
      EXPECT_EQ(process.error().kind, ErrorKind::kBadArgument) << process.error().message;
    }
  }
}

TEST_F(HostileTest, GrowsToTheMaximumAndBeyond) {
  start();
  const auto no_limits = [&](std::string_view text) {
    ProcessSpec spec{.module = compile(text)};
    spec.limits.wall_time = 20s;
    return spawn(std::move(spec)).join();
  };
  // 65,536 pages are all that there can be; one more is an ordinary failure, as is a table of 2^32 - 1 elements.
  const ExitStatus memory = no_limits(R"((module (memory (export "memory") 1) (func (export "_start")
    (if (i32.ne (memory.grow (i32.const 0x7fffffff)) (i32.const -1)) (then (unreachable)))
    (if (i32.ne (memory.grow (i32.const -1)) (i32.const -1)) (then (unreachable)))
    (drop (memory.grow (i32.const 65535)))
    (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (i32.store (i32.const -4) (i32.const 1)))))))");
  EXPECT_TRUE(memory.kind == ExitKind::kReturned || memory.kind == ExitKind::kLimitReached)
      << name_of(memory.kind) << ": " << memory.message;
  const ExitStatus table = no_limits(R"((module (table 1 funcref) (memory (export "memory") 1) (func (export "_start")
    (drop (table.grow (ref.null func) (i32.const -1)))
    (drop (table.grow (ref.null func) (i32.const 0x7fffffff)))
    (loop $again (br_if $again (i32.ne (table.grow (ref.null func) (i32.const 100000)) (i32.const -1)))))))");
  EXPECT_TRUE(table.kind == ExitKind::kReturned || table.kind == ExitKind::kLimitReached)
      << name_of(table.kind) << ": " << table.message;
  // A module that asks for too much from the beginning.
  const Result<Module> large = runtime_->compile(
      std::span(
          reinterpret_cast<const std::uint8_t*>(R"((module (memory 65536) (table 10000000 funcref) (func (export "_start"))))"),
          65),
      "large");
  if (large) {
    EXPECT_NE(spawn({.module = *large}).join().kind, ExitKind::kReturned);
  } else {
    EXPECT_FALSE(large.error().message.empty());
  }
}

// The heap of garbage-collected objects counts as memory, and reaching the limit names it.
TEST_F(HostileTest, GarbageBeyondTheMemoryLimit) {
  start();
  ProcessSpec spec =
      hostile(compile(R"((module (type $list (struct (field (ref null $list)) (field i64))) (memory (export "memory") 1)
    (func (export "_start") (local $all (ref null $list))
      (loop $again (local.set $all (struct.new $list (local.get $all) (i64.const 1))) (br $again)))))"));
  spec.limits.memory_bytes = 4U << 20;
  spec.limits.wall_time = 20s;
  const ExitStatus status = spawn(std::move(spec)).join();
  ASSERT_EQ(status.kind, ExitKind::kLimitReached) << name_of(status.kind) << ": " << status.message;
  EXPECT_EQ(status.limit->kind, LimitKind::kMemory);
  EXPECT_EQ(status.limit->value, 4U << 20);
  // Garbage that nobody holds is collected instead, which lets others run in between.
  EXPECT_TRUE(run(R"((module (type $array (array (mut i64))) (memory (export "memory") 1)
    (func (export "_start") (local $times i32)
      (loop $again
        (drop (array.new $array (i64.const 7) (i32.const 10000)))
        (local.set $times (i32.add (local.get $times) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $times) (i32.const 2000)))))))")
                  .success());
}

// Host functions run on the guest's stack: called at its very end they must still have room.
TEST_F(HostileTest, CallsTheHostAtTheEndOfItsStack) {
  RuntimeOptions options = usual_options();
  options.stack_bytes = 64U << 10;
  options.host.define("env", "deep", [](Caller& caller, std::uint32_t address) -> Task<std::int32_t> {
    co_await yield();
    co_return static_cast<std::int32_t>(caller.bytes(address, 4).has_value());
  });
  start(std::move(options));
  for (
      const std::string_view body : {
          R"((drop (call $path_open (i32.const 3) (i32.const 1) (i32.const 64) (i32.const 4) (i32.const 0) (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 512)))
              (drop (call $fd_close (i32.load (i32.const 512)))))",
          R"((drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))",
          R"((drop (call $path_filestat_get (i32.const 3) (i32.const 1) (i32.const 64) (i32.const 4) (i32.const 512))))",
          R"((drop (call $fd_readdir (i32.const 3) (i32.const 1024) (i32.const 4096) (i64.const 0) (i32.const 512))))",
          R"((drop (call $random_get (i32.const 1024) (i32.const 64))))",
          R"((drop (call $deep (i32.const 64))))",
      }) {
    ProcessSpec spec = hostile(compile("(module (import \"env\" \"deep\" (func $deep (param i32) (result i32)))" + wasi_wrappers() +
                                       R"((memory (export "memory") 1)
      (data (i32.const 0) "\40\00\00\00\04\00\00\00") (data (i32.const 64) "file")
      (func $down (param i32) (result i32)
        )" + std::string(body) + R"(
        (i32.add (i32.const 1) (call $down (i32.add (local.get 0) (i32.const 1)))))
      (func (export "_start") (drop (call $down (i32.const 0))))))"));
    spec.limits.wall_time = 60s;
    const ExitStatus status = spawn(std::move(spec)).join();
    ASSERT_EQ(status.kind, ExitKind::kLimitReached) << body << ": " << name_of(status.kind) << ": " << status.message << "\n"
                                                    << status.detail;
    EXPECT_TRUE(status.limit->kind == LimitKind::kStack || status.limit->kind == LimitKind::kOutput) << status.message;
  }
}

// However a call waits or works, the limits on time end it.
TEST_F(HostileTest, TimeLimitsInsideCalls) {
  start();
  const auto loop = [](std::string_view call) {
    return "(func (export \"_start\") (loop $again (drop " + std::string(call) + ") (br $again)))";
  };
  const std::string subscriptions = R"((data (i32.const 4112) "\01\00\00\00\00\00\00\00\ff\ff\ff\ff\ff\ff\ff\7f"))";
  for (const std::string& body : {
           loop("(call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 512))"),
           loop("(call $random_get (i32.const 0) (i32.const 65536))"),
           loop("(call $fd_readdir (i32.const 3) (i32.const 1024) (i32.const 4096) (i64.const 0) (i32.const 512))"),
           loop("(call $path_filestat_get (i32.const 3) (i32.const 1) (i32.const 64) (i32.const 4) (i32.const 512))"),
           loop("(call $fd_close (i32.const 77))"),
           loop("(call $poll_oneoff (i32.const 4096) (i32.const 8192) (i32.const 1) (i32.const 512))") + subscriptions,
           // Many clocks take another way through WASI than few.
           loop("(call $poll_oneoff (i32.const 4096) (i32.const 32768) (i32.const 100) (i32.const 512))"),
           loop("(call $sched_yield)"),
       }) {
    ProcessSpec spec = hostile(compile(calls_with("(data (i32.const 64) \"file\")" + body)));
    spec.limits.wall_time = 20ms;
    const ExitStatus wall = spawn(spec).join();
    ASSERT_EQ(wall.kind, ExitKind::kLimitReached) << body << ": " << name_of(wall.kind) << ": " << wall.message;
    EXPECT_EQ(wall.limit->kind, LimitKind::kWallTime) << body;
    // What sleeps uses no time on workers: only the wall clock ends it.
    if (body.find("poll_oneoff") != std::string::npos) continue;
    spec.limits.wall_time = 60s;
    spec.limits.cpu_time = 5ms;
    const ExitStatus cpu = spawn(spec).join();
    ASSERT_EQ(cpu.kind, ExitKind::kLimitReached) << body << ": " << name_of(cpu.kind) << ": " << cpu.message;
    EXPECT_EQ(cpu.limit->kind, LimitKind::kCpuTime) << body;
  }
}

// Calls that are a lot of work in one go: the worker is the guest's for that long, but the host survives, and says no to what is beyond all measure.
TEST_F(HostileTest, EnormousCalls) {
  start();
  const Process beside = spawn(kYieldsForever);
  ProcessSpec spec = hostile(compile(calls_with("", 1024)));  // 64 MiB
  spec.limits.memory_bytes = 128U << 20;
  spec.limits.wall_time = 60s;
  struct Enormous {
    const char* entry;
    std::vector<Value> values;
  };
  const std::int32_t all = 64 << 20;
  for (const Enormous& enormous : std::vector<Enormous>{
           {"random_get", {std::int32_t{0}, all}},
           {"fd_write", {std::int32_t{1}, std::int32_t{0}, all / 8, std::int32_t{0}}},  // eight million empty iovecs
           {"fd_read", {std::int32_t{0}, std::int32_t{0}, all / 8, std::int32_t{0}}},
           {"fd_pread", {std::int32_t{3}, std::int32_t{0}, all / 8, std::int64_t{0}, std::int32_t{0}}},
           {"poll_oneoff", {std::int32_t{0}, std::int32_t{0}, all / 48, std::int32_t{0}}},  // a million clocks, over the events
           {"poll_oneoff", {std::int32_t{0}, std::int32_t{0}, std::int32_t{-1}, std::int32_t{0}}},
           {"path_open",
            {std::int32_t{3}, std::int32_t{0}, std::int32_t{0}, all, std::int32_t{0}, std::int64_t{0}, std::int64_t{0},
             std::int32_t{0}, std::int32_t{0}}},
           {"path_readlink", {std::int32_t{3}, std::int32_t{0}, all, std::int32_t{0}, all, std::int32_t{0}}},
           {"fd_readdir", {std::int32_t{3}, std::int32_t{0}, all, std::int64_t{-1}, std::int32_t{0}}},
       }) {
    spec.entry = enormous.entry;
    spec.entry_values = enormous.values;
    const ExitStatus status = spawn(spec).join();
    EXPECT_TRUE(status.kind == ExitKind::kReturned || status.kind == ExitKind::kTrapped || status.kind == ExitKind::kLimitReached)
        << enormous.entry << ": " << name_of(status.kind) << ": " << status.message;
  }
  EXPECT_TRUE(beside.running());
  const std::uint64_t before = beside.usage().switches;
  while (beside.usage().switches == before) std::this_thread::yield();
  beside.kill("the test");
}

}  // namespace
}  // namespace weft::testing
