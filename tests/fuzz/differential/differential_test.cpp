// Random modules do the same under Weft as under plain Wasmtime: results bit for bit, all of their state, and how they trap. Under Weft they run
// in many copies at once, beside endless loops and with the shortest quantum, so that they are preempted and migrate between workers; and beside copies that are
// killed at random moments, so that they start in slots whose previous guest ended badly.
//
// Input: tests/fuzz/differential/generate writes it; WEFT_DIFFERENTIAL_DIRECTORY says where it is. A failure names the module's file, whose name is its seed.
#include <gtest/gtest.h>

#include <deque>
#include <iostream>
#include <vector>

#include "support/guests.hpp"
#include "support/outcomes.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

constexpr unsigned kCopies = 3;                    // of each function that run to their end
constexpr std::size_t kAliveMax = 96;              // at once
constexpr std::uint64_t kMemoryBytes = 32U << 20;  // as in tests/fuzz/reference
constexpr std::size_t kModulesPerRuntime = 50;
constexpr std::size_t kDifferencesShown = 20;

struct Figures {
  std::uint64_t modules = 0;
  std::uint64_t functions = 0;
  std::uint64_t runs = 0;
  std::uint64_t killed = 0;
  std::uint64_t returned = 0;
  std::uint64_t trapped = 0;
  std::uint64_t atomics = 0;  // trapped in an instruction on shared memory: such modules are rewritten
  std::uint64_t stack_dependent = 0;
  std::uint64_t preempted = 0;  // runs that were, at least once
  std::uint64_t preemptions = 0;
  std::uint64_t steals = 0;
};

class Differential {
 public:
  explicit Differential(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // The functions of up to kModulesPerRuntime modules, in a runtime of their own.
  void run(std::span<const Expected> functions) {
    RuntimeOptions options;
    options.fibers = testing::chosen_fibers();
    options.workers = 2;
    options.quantum = std::chrono::microseconds(10);
    options.processes_max = 500;
    options.cache = false;
    Result<Runtime> made = Runtime::create(std::move(options));
    ASSERT_TRUE(made.has_value()) << made.error().message;
    Runtime runtime = *made;
    const Watchdog watchdog(runtime);
    const auto text = [](std::string_view words) {
      return std::span(reinterpret_cast<const std::uint8_t*>(words.data()), words.size());
    };
    const Result<Program> spins = runtime.prepare({.module = runtime.compile(text(kSpins), "spins").value()});
    std::vector<Process> spinning;
    for (int count = 0; count < 4; ++count) spinning.push_back(runtime.spawn(*spins).value());

    std::string file;
    Module module;
    for (const Expected& expected : functions) {
      if (expected.module != file) {
        file = expected.module;
        const std::vector<std::uint8_t> bytes = read_bytes(directory_ / file);
        const Result<Module> compiled = runtime.compile(bytes, file);
        ASSERT_TRUE(compiled.has_value()) << file << ": " << compiled.error().message << "\n" << compiled.error().detail;
        module = *compiled;
        ++figures.modules;
      }
      ++figures.functions;
      const Result<Program> program =
          runtime.prepare({.module = module, .entry = expected.function, .limits = {.memory_bytes = kMemoryBytes}});
      ASSERT_TRUE(program.has_value()) << file << ": " << program.error().message;
      for (unsigned copy = 0; copy <= kCopies; ++copy) {
        const bool victim = copy == kCopies;
        const Result<Process> process = runtime.spawn(*program);
        ASSERT_TRUE(process.has_value()) << file << ": " << process.error().message;
        alive_.push_back({*process, &expected, victim});
        if (victim) process->kill("the test");
      }
      while (alive_.size() > kAliveMax) collect();
    }
    while (!alive_.empty()) collect();
    for (const Process& process : spinning) process.kill("the test");
    for (const Process& process : spinning) EXPECT_EQ(process.join().kind, ExitKind::kKilled);
    const RuntimeStats stats = runtime.stats();
    figures.preemptions += stats.preemptions;
    figures.steals += stats.steals;
    EXPECT_TRUE(runtime.shutdown(kHang).surviving.empty());
  }

  Figures figures;
  std::size_t differences = 0;

 private:
  struct Alive {
    Process process;
    const Expected* expected;
    bool victim;
  };

  void collect() {
    const Alive oldest = std::move(alive_.front());
    alive_.pop_front();
    const ExitStatus status = oldest.process.join();
    if (oldest.victim && status.kind == ExitKind::kKilled) {
      ++figures.killed;
      return;
    }
    ++figures.runs;
    if (status.usage.preemptions > 0) ++figures.preempted;
    const std::string& expected = oldest.expected->outcome;
    const std::string found = show(status);
    // Frames are larger with checks for preemption: who overflows the stack in one may not in the other.
    if (expected == "stack-overflow" || found == "stack-overflow") {
      ++figures.stack_dependent;
      return;
    }
    ++(status.kind == ExitKind::kReturned ? figures.returned : figures.trapped);
    if (expected.contains("atomic")) ++figures.atomics;
    if (found == expected || ++differences > kDifferencesShown) return;
    ADD_FAILURE() << (directory_ / oldest.expected->module) << ", " << oldest.expected->function << ":\n  Wasmtime: " << expected
                  << "\n  Weft:     " << found;
  }

  const std::filesystem::path directory_;
  std::deque<Alive> alive_;
};

TEST(DifferentialTest, RandomModulesDoTheSameAsUnderPlainWasmtime) {
  const char* directory = std::getenv("WEFT_DIFFERENTIAL_DIRECTORY");
  ASSERT_NE(directory, nullptr) << "set WEFT_DIFFERENTIAL_DIRECTORY to what tests/fuzz/differential/generate wrote";
  const std::vector<Expected> expected = read_expected(std::filesystem::path(directory) / "expected.txt");
  ASSERT_FALSE(expected.empty()) << "nothing in " << directory;
  Differential differential(directory);
  for (std::size_t begin = 0; begin < expected.size();) {
    std::size_t end = begin;
    for (std::size_t modules = 0; end < expected.size(); ++end) {
      if (end == begin || expected[end].module != expected[end - 1].module) ++modules;
      if (modules > kModulesPerRuntime) break;
    }
    ASSERT_NO_FATAL_FAILURE(differential.run(std::span(expected).subspan(begin, end - begin)));
    begin = end;
    if (differential.figures.modules % 1000 == 0)
      std::cout << "differential: " << differential.figures.modules << " modules so far" << std::endl;
  }
  const Figures& figures = differential.figures;
  std::cout << "differential: " << figures.modules << " modules, " << figures.functions << " functions, " << figures.runs
            << " runs (" << figures.returned << " returned, " << figures.trapped << " trapped, " << figures.stack_dependent
            << " at the end of a stack), " << figures.killed << " killed, " << figures.preempted << " preempted runs, "
            << figures.preemptions << " preemptions, " << figures.steals << " steals, " << differential.differences
            << " differences" << std::endl;
  EXPECT_EQ(differential.differences, 0U);
  // Otherwise the test shows nothing. A single module, to look into a difference, is exempt.
  if (figures.modules < 50) return;
  EXPECT_GT(figures.returned, 50U);
  EXPECT_GT(figures.trapped, 50U);
  EXPECT_GT(figures.atomics, 10U);
  EXPECT_GT(figures.preempted, 50U);
  EXPECT_GT(figures.killed, 50U);
  EXPECT_LT(figures.stack_dependent * 20, figures.runs) << "too many modules end at the end of their stack";
}

}  // namespace
}  // namespace weft::testing
