// The cache of compiled code: shared by runtimes and by processes of the system at once; damaged in every way; on a directory that cannot be written, or is full. Whatever
// is wrong with it costs a compilation, never a failure, and never runs code that is not what was compiled.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>
#include <thread>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): not every <unistd.h> has it

namespace weft::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEntrySuffix = ".code";

// Large enough to take a while to compile; exits with 42.
std::string large_module() {
  std::string text =
      R"((module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1))";
  for (int number = 0; number < 300; ++number) {
    text += "(func (export \"f" + std::to_string(number) +
            "\") (param i32 i32) (result i32) (i32.add (i32.mul (local.get 0) (i32.const " + std::to_string(number) +
            ")) (i32.div_u (local.get 1) (i32.add (i32.load (local.get 0)) (i32.const 3)))))";
  }
  return text + "(func (export \"_start\") (call $exit (i32.const 42))))";
}

RuntimeOptions options_with(const fs::path& directory) {
  RuntimeOptions options;
  options.fibers = testing::chosen_fibers();
  options.workers = 2;
  options.processes_max = 20;
  options.cache = true;
  options.cache_directory = directory;
  return options;
}

// Compiles and runs the large module with a cache there. Returns the runtime's warnings.
std::vector<std::string> compile_and_run(const fs::path& directory) {
  const Result<Runtime> runtime = Runtime::create(options_with(directory));
  if (!runtime) {
    ADD_FAILURE() << runtime.error().message;
    return {};
  }
  const std::string text = large_module();
  const Result<Module> module = runtime->compile({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, "large");
  EXPECT_TRUE(module.has_value()) << (module ? "" : module.error().message);
  if (module) {
    const ExitStatus status = runtime->spawn({.module = *module}).value().join();
    EXPECT_EQ(status.code, 42) << status.message;
  }
  return runtime->warnings();
}

class CacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(::testing::TempDir()) / ("weft_cache_" + std::to_string(getpid()));
    fs::remove_all(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::vector<fs::path> entries() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(directory_)) found.push_back(entry.path());
    return found;
  }
  // The only entry; nothing else may be there.
  fs::path entry() const {
    const std::vector<fs::path> found = entries();
    EXPECT_EQ(found.size(), 1U);
    if (found.size() != 1) return {};
    EXPECT_EQ(found[0].extension(), kEntrySuffix) << "left behind";
    return found[0];
  }

  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  static void write(const fs::path& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  // Changes when the entry is written anew: entries come by rename.
  static ino_t number_of(const fs::path& path) {
    struct stat facts{};
    EXPECT_EQ(stat(path.c_str(), &facts), 0);
    return facts.st_ino;
  }

  // Runs a test of this program in another process of the system, with the directory in the environment.
  pid_t start_elsewhere(const char* test, const char* more = "X=") const {
    std::string program = fs::read_symlink("/proc/self/exe").string();
    std::string filter = std::string("--gtest_filter=") + test;
    std::string disabled = "--gtest_also_run_disabled_tests";
    std::string brief = "--gtest_brief=1";
    char* arguments[] = {program.data(), filter.data(), disabled.data(), brief.data(), nullptr};
    std::string where = "WEFT_TEST_CACHE=" + directory_.string();
    std::string extra = more;
    std::vector<char*> variables{where.data(), extra.data()};
    for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
    variables.push_back(nullptr);
    pid_t child = 0;
    EXPECT_EQ(posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, variables.data()), 0);
    return child;
  }
  static void wait_for(pid_t child) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }

  fs::path directory_;
};

// Not tests of their own: what start_elsewhere() runs.
TEST(CacheElsewhere, DISABLED_CompilesAndRuns) {
  const char* directory = std::getenv("WEFT_TEST_CACHE");
  ASSERT_NE(directory, nullptr);
  (void)compile_and_run(directory);
}
TEST(CacheElsewhere, DISABLED_CompilesAndRunsWithoutRoom) {
  const char* directory = std::getenv("WEFT_TEST_CACHE");
  ASSERT_NE(directory, nullptr);
  // No file beyond 4 KiB: the write fails half-way, as on a full disk.
  ASSERT_NE(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  const rlimit limit{4096, 4096};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  (void)compile_and_run(directory);
}

TEST_F(CacheTest, TheSecondRuntimeUsesWhatTheFirstKept) {
  EXPECT_TRUE(compile_and_run(directory_).empty());
  const ino_t first = number_of(entry());
  EXPECT_TRUE(compile_and_run(directory_).empty());
  EXPECT_EQ(number_of(entry()), first) << "it was compiled again";
}

TEST_F(CacheTest, ManyProcessesCompileTheSameAtOnce) {
  for (int round = 0; round < 3; ++round) {
    fs::remove_all(directory_);
    std::vector<pid_t> children;
    for (int count = 0; count < 6; ++count) children.push_back(start_elsewhere("CacheElsewhere.DISABLED_CompilesAndRuns"));
    for (const pid_t child : children) wait_for(child);
    (void)entry();
  }
}

TEST_F(CacheTest, RuntimesOfOneProgramShareIt) {
  std::vector<std::thread> threads;
  for (int count = 0; count < 4; ++count) {
    threads.emplace_back([this] {
      for (int round = 0; round < 3; ++round) EXPECT_TRUE(compile_and_run(directory_).empty());
    });
  }
  for (std::thread& thread : threads) thread.join();
  (void)entry();
}

TEST_F(CacheTest, DamageCostsACompilation) {
  (void)compile_and_run(directory_);
  const fs::path path = entry();
  const std::string whole = read(path);
  ASSERT_GT(whole.size(), 4096U);
  const auto damaged = [&](const std::string& bytes, const std::string& how) {
    SCOPED_TRACE(how);
    write(path, bytes);
    (void)compile_and_run(directory_);
    EXPECT_TRUE(read(entry()) == whole) << "it was not compiled anew";
  };
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{8}, std::size_t{55}, std::size_t{56}, std::size_t{57},
                                 whole.size() / 2, whole.size() - 1}) {
    damaged(whole.substr(0, size), "cut to " + std::to_string(size));
  }
  damaged(whole + "x", "one byte more");
  damaged(std::string(whole.size(), '\0'), "zeros");
  damaged("garbage", "garbage");
  std::mt19937_64 random(1);
  for (int count = 0; count < 40; ++count) {
    std::string flipped = whole;
    // Half of them in the header, where every field has its own meaning.
    const std::size_t position = random() % (count % 2 == 0 ? 56 : flipped.size());
    // Two of the header's fields carry nothing: a format's number that is not ours, and reserved bytes, are damage all the same.
    flipped[position] = static_cast<char>(flipped[position] ^ (1 << (random() % 8)));
    damaged(flipped, "bit flipped at " + std::to_string(position));
  }
  // A size beyond the file, and beyond the machine.
  for (const char byte : {'\x01', '\x7f', '\xff'}) {
    std::string huge = whole;
    huge.replace(16, 8, std::string(8, byte));
    damaged(huge, "a size of " + std::to_string(byte));
  }
}

TEST_F(CacheTest, AnEntryThatIsNoFile) {
  (void)compile_and_run(directory_);
  const fs::path path = entry();
  fs::remove(path);
  fs::create_directory(path);
  (void)compile_and_run(directory_);
  fs::remove_all(path);
  fs::create_symlink("/dev/zero", path);
  (void)compile_and_run(directory_);
  fs::remove(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  // Opening a pipe that nobody writes to would wait for ever.
  pid_t child = start_elsewhere("CacheElsewhere.DISABLED_CompilesAndRuns");
  wait_for(child);
}

TEST_F(CacheTest, APlaceThatCannotBeUsed) {
  write(directory_, "a file");
  EXPECT_EQ(compile_and_run(directory_).size(), 1U) << "it should say what it does without";
  EXPECT_EQ(compile_and_run(directory_ / "below").size(), 1U);
  EXPECT_EQ(compile_and_run("/proc/weft").size(), 1U);
  fs::remove(directory_);
  // Where everybody may write, everybody could leave code to run.
  fs::create_directory(directory_);
  fs::permissions(directory_, fs::perms::all);
  EXPECT_EQ(compile_and_run(directory_).size(), 1U);
  EXPECT_TRUE(entries().empty());
}

TEST_F(CacheTest, ADirectoryThatCannotBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  (void)compile_and_run(directory_);
  const fs::path path = entry();
  write(path, "damaged");
  fs::permissions(directory_, fs::perms::owner_read | fs::perms::owner_exec);
  (void)compile_and_run(directory_);
  fs::permissions(directory_, fs::perms::owner_all);
}

TEST_F(CacheTest, WithoutRoomForAFile) {
  wait_for(start_elsewhere("CacheElsewhere.DISABLED_CompilesAndRunsWithoutRoom"));
  EXPECT_TRUE(entries().empty()) << "half an entry was left";
  // And with room again it is kept.
  (void)compile_and_run(directory_);
  (void)entry();
}

TEST_F(CacheTest, OnAFullDisk) {
  fs::create_directories(directory_);
  if (mount("weft", directory_.c_str(), "tmpfs", 0, "size=64k,mode=0700") != 0)
    GTEST_SKIP() << "this system does not let us mount a small file system";
  (void)compile_and_run(directory_);
  EXPECT_TRUE(entries().empty()) << "half an entry was left";
  EXPECT_EQ(umount(directory_.c_str()), 0);
}

}  // namespace
}  // namespace weft::testing
