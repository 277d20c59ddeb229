// Guests that only compute: how well they use all cores, and what being preemptible costs them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "benchmarks.hpp"
#include "measure.hpp"

namespace weft_bench {

namespace {

struct Spent {
  double elapsed_s = 0;
  double cpu_s = 0;  // of the whole program: the guests, and whatever the runtime does beside them
};

// What n copies take, side by side.
Spent run(const weft::Runtime& runtime, const weft::Program& program, unsigned n) {
  std::vector<weft::Process> processes;
  processes.reserve(n);
  const std::uint64_t start = now_ns();
  const std::uint64_t start_cpu = cpu_ns();
  for (unsigned i = 0; i < n; ++i) processes.push_back(must(runtime.spawn(program)));
  for (const weft::Process& process : processes) join_well(process);
  return {static_cast<double>(now_ns() - start) / 1e9, static_cast<double>(cpu_ns() - start_cpu) / 1e9};
}

struct Compared {
  double with_s = std::numeric_limits<double>::infinity();
  double without_s = std::numeric_limits<double>::infinity();
};

struct Side {
  const weft::Runtime& runtime;
  weft::Program program;
};

// In turn. By CPU time, and of each the least: with one busy worker that is the elapsed time, less what other programs took and spoiled.
Compared compare(const Side& with, const Side& without, unsigned repeats) {
  run(with.runtime, with.program, 1);
  run(without.runtime, without.program, 1);
  Compared least;
  for (unsigned i = 0; i < repeats; ++i) {
    least.with_s = std::min(least.with_s, run(with.runtime, with.program, 1).cpu_s);
    least.without_s = std::min(least.without_s, run(without.runtime, without.program, 1).cpu_s);
  }
  return least;
}

}  // namespace

void bench_scaling(const Options& options) {
  auto reports = std::make_shared<GuestReports>();
  reports->rounds = options.rounds;
  const unsigned workers = options.workers;
  const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, workers, workers, reports)));
  const weft::Program program = prepare(runtime, options, "sort");
  run(runtime, program, workers);
  for (unsigned i = 0; i < options.repeats; ++i) {
    const double one = run(runtime, program, 1).elapsed_s;
    const double many = run(runtime, program, workers).elapsed_s;
    report("scaling", "throughput", workers, one * workers / many, "x",
           "\"one_s\":" + std::to_string(one) + ",\"many_s\":" + std::to_string(many));
  }
}

void bench_overhead(const Options& options) {
  auto reports = std::make_shared<GuestReports>();
  reports->rounds = options.rounds;
  weft::RuntimeOptions settings = runtime_options(options, 1, 1, reports);
  const weft::Runtime with = must(weft::Runtime::create(settings));
  settings.preemption = false;
  const weft::Runtime without = must(weft::Runtime::create(settings));
  const Compared least =
      compare({with, prepare(with, options, options.guest)}, {without, prepare(without, options, options.guest)}, options.repeats);
  report("overhead", options.guest, 1, (least.with_s / least.without_s - 1) * 100, "%",
         "\"with_s\":" + std::to_string(least.with_s) + ",\"without_s\":" + std::to_string(least.without_s));
}

void bench_kernels(const Options& options) {
  constexpr const char* kKernels[] = {"fib", "sieve", "matmul", "sha256", "qsort"};
  auto reports = std::make_shared<GuestReports>();
  weft::RuntimeOptions settings = runtime_options(options, 1, 1, reports);
  const weft::Runtime with = must(weft::Runtime::create(settings));
  // Code without any checks: there is none on continuations, where they are part of what makes a guest a fiber.
  settings.fibers = weft::Fibers::kAsync;
  settings.preemption = false;
  const weft::Runtime without = must(weft::Runtime::create(settings));
  double logarithms = 0;
  std::string extra;
  for (const char* kernel : kKernels) {
    const Compared least = compare({with, prepare(with, options, options.guest, kernel)},
                                   {without, prepare(without, options, options.guest, kernel)}, options.repeats);
    const double ratio = least.with_s / least.without_s;
    logarithms += std::log(ratio);
    extra += (extra.empty() ? "\"" : ",\"") + std::string(kernel) + "\":" + std::to_string((ratio - 1) * 100);
  }
  report("kernels", "mean", 1, (std::exp(logarithms / std::size(kKernels)) - 1) * 100, "%", extra);
}

}  // namespace weft_bench
