// Guests that only compute: how well they use all cores, and what being preemptible costs them.
#include <algorithm>

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
  const std::uint64_t start = now_ns();
  const std::uint64_t start_cpu = cpu_ns();
  for (unsigned i = 0; i < n; ++i) processes.push_back(must(runtime.spawn(program)));
  for (const weft::Process& process : processes) join_well(process);
  return {static_cast<double>(now_ns() - start) / 1e9, static_cast<double>(cpu_ns() - start_cpu) / 1e9};
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
  const weft::Program program_with = prepare(with, options, options.guest);
  const weft::Program program_without = prepare(without, options, options.guest);
  run(with, program_with, 1);
  run(without, program_without, 1);
  // By CPU time, and of each the least: with one busy worker that is the elapsed time, less what other programs took and spoiled.
  double with_s = 0;
  double without_s = 0;
  for (unsigned i = 0; i < options.repeats; ++i) {
    const double checked_s = run(with, program_with, 1).cpu_s;
    const double plain_s = run(without, program_without, 1).cpu_s;
    with_s = i == 0 ? checked_s : std::min(with_s, checked_s);
    without_s = i == 0 ? plain_s : std::min(without_s, plain_s);
  }
  report("overhead", options.guest, 1, (with_s / without_s - 1) * 100, "%",
         "\"with_s\":" + std::to_string(with_s) + ",\"without_s\":" + std::to_string(without_s));
}

}  // namespace weft_bench
