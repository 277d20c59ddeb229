// What all of Weft's benchmarks share: the command line, the figures, and what guests tell the benchmark.
// Plain values, except GuestReports, whose comment says who may touch what.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/weft.hpp"

namespace weft_bench {

struct Options {
  std::string bench;
  std::filesystem::path guests = "bench/guests";
  std::string guest = "sort";  // overhead: which one; kernels: the module
  weft::Fibers fibers = weft::Fibers::kAsync;
  unsigned n = 1000;           // processes, or strands
  unsigned iterations = 1000;  // yields of each
  unsigned workers = 1;
  unsigned count = 10'000;  // processes or strands to spawn, all together
  double seconds = 1.0;
  unsigned rounds = 10;  // of work of each guest
  unsigned repeats = 1;
  bool trace = false;

  static Options parse(int argc, char** argv);  // prints what is wrong and exits
};

// One JSON object a line. `extra` is the inside of an object, or empty.
void report(std::string_view bench, std::string_view name, unsigned n, double value, std::string_view unit,
            std::string_view extra = {});

[[noreturn]] void fail(const std::string& message);

// The value, or the end of the program with the error's message.
template <class T>
T must(weft::Result<T> result) {
  if (!result) fail(result.error().message);
  return std::move(*result);
}

// Sorts; 0.0 is the least, 1.0 the greatest. Zero when there are no values.
double quantile(std::vector<std::uint64_t>& values, double q);

std::uint64_t now_ns();
std::uint64_t cpu_ns();   // of this program, all threads
long context_switches();  // times a thread of this program went to sleep: how often something woke one

struct Memory {
  double resident_kib = 0;
  double tables_kib = 0;  // of the page tables, which RSS leaves out
};
Memory memory();
std::size_t maps();  // mappings of this program

// What guests import from "bench", and what they have said. The host functions run on workers; everything that more than one worker
// may touch at once is atomic or locked. Read the plain fields only after the processes have been joined.
struct GuestReports {
  std::uint32_t expected = 0;  // processes, or strands of one, that must be there before any passes ready()
  std::uint32_t iterations = 0;
  std::uint32_t rounds = 0;
  std::atomic<std::uint32_t> arrived{0};
  std::atomic<std::uint32_t> done{0};
  std::atomic<std::uint32_t> numbers{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> start_ns{0};
  std::atomic<std::uint64_t> end_ns{0};
  std::atomic<std::uint64_t> start_cpu_ns{0};
  std::atomic<std::uint64_t> end_cpu_ns{0};

  // Of wake.wat: one process writes.
  std::vector<std::uint64_t> late_ns;

  // Of tick.wat, on one worker: how far apart two calls in a row are, from one process and from two.
  std::uint64_t last_ns = 0;
  std::int32_t last_number = 0;
  std::vector<std::uint64_t> same_ns;
  std::vector<std::uint64_t> gap_ns;

  static weft::HostFunctions functions(const std::shared_ptr<GuestReports>& reports);
};

// What all benchmarks of this program ask of a runtime; the rest stays as Weft's defaults have it.
weft::RuntimeOptions runtime_options(const Options& options, unsigned workers, unsigned processes,
                                     const std::shared_ptr<GuestReports>& reports);

// `guest`: a name in the directory of guests, or the path of a module. `entry`: as in ProcessSpec.
weft::Program prepare(const weft::Runtime& runtime, const Options& options, const std::filesystem::path& guest,
                      const std::string& entry = {});

// Joins and ends the program when a guest did not end well: a benchmark of failing guests measures nothing.
weft::ExitStatus join_well(const weft::Process& process);

}  // namespace weft_bench
