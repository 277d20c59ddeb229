// What it costs to take a worker from one process and give it to the next: by yield, by preemption, and from birth to death.
#include <algorithm>
#include <thread>

#include "benchmarks.hpp"
#include "measure.hpp"

namespace weft_bench {

namespace {

std::vector<weft::Process> spawn_all(const weft::Runtime& runtime, const weft::Program& program, unsigned n) {
  std::vector<weft::Process> processes;
  processes.reserve(n);
  for (unsigned i = 0; i < n; ++i) processes.push_back(must(runtime.spawn(program)));
  return processes;
}

void sleep_seconds(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// Spawns from a task, so that spawning costs the worker's time, too, and only that.
weft::Task<> spawner(weft::Runtime runtime, weft::Program program, unsigned batches, unsigned batch) {
  std::vector<weft::Process> processes(batch);
  for (unsigned i = 0; i < batches; ++i) {
    for (weft::Process& process : processes) process = must(runtime.spawn(program));
    for (weft::Process& process : processes) {
      const weft::ExitStatus status = co_await process.exited();
      if (!status.success()) fail("a guest " + std::string(weft::name_of(status.kind)) + ": " + status.message);
    }
  }
}

}  // namespace

void bench_switch(const Options& options) {
  auto reports = std::make_shared<GuestReports>();
  reports->expected = options.n;
  reports->iterations = options.iterations;
  const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, 1, options.n, reports)));
  const weft::Program program = prepare(runtime, options, "yield");
  const std::vector<weft::Process> processes = spawn_all(runtime, program, options.n);
  std::uint64_t switches = 0;
  for (const weft::Process& process : processes) switches += join_well(process).usage.switches;
  const double yields = static_cast<double>(options.n) * static_cast<double>(options.iterations);
  const double elapsed_ns = static_cast<double>(reports->end_ns.load() - reports->start_ns.load());
  const double cpu = static_cast<double>(reports->end_cpu_ns.load() - reports->start_cpu_ns.load());
  // A yield that did not leave the worker is no switch: bench/run looks at this.
  const std::string extra = "\"cpu\":" + std::to_string(cpu / yields) +
                            ",\"switches_per_yield\":" + std::to_string(static_cast<double>(switches) / yields);
  report("switch", options.trace ? "traced" : "yield", options.n, elapsed_ns / yields, "ns", extra);
}

void bench_preempt(const Options& options) {
  auto reports = std::make_shared<GuestReports>();
  const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, 1, options.n, reports)));
  const weft::Program program = prepare(runtime, options, "tick");
  const std::vector<weft::Process> processes = spawn_all(runtime, program, options.n);
  sleep_seconds(options.seconds);
  reports->stop.store(true);
  for (const weft::Process& process : processes) join_well(process);
  const double base = quantile(reports->same_ns, 0.5);
  const std::string extra =
      "\"samples\":" + std::to_string(reports->gap_ns.size()) + ",\"call_ns\":" + std::to_string(static_cast<unsigned>(base));
  report("switch", "preempt", options.n, quantile(reports->gap_ns, 0.5) - base, "ns", extra);
}

void bench_spawn(const Options& options) {
  constexpr unsigned kBatch = 64;
  const unsigned workers = std::max(options.workers, 1U);
  auto reports = std::make_shared<GuestReports>();
  const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, workers, workers * kBatch * 2, reports)));
  const weft::Program program = prepare(runtime, options, "empty");
  const unsigned batches = std::max(1U, options.count / (workers * kBatch));
  const std::uint64_t start = now_ns();
  const std::uint64_t start_cpu = cpu_ns();
  std::vector<weft::JoinHandle<void>> spawners;
  for (unsigned i = 0; i < workers; ++i) spawners.push_back(runtime.start(spawner(runtime, program, batches, kBatch)));
  for (weft::JoinHandle<void>& one : spawners) {
    if (const weft::Result<void> ended = one.join(); !ended) fail(ended.error().message);
  }
  const double elapsed_us = static_cast<double>(now_ns() - start) / 1000;
  const double cpu_us = static_cast<double>(cpu_ns() - start_cpu) / 1000;
  // Time of one worker: the elapsed time times the workers, shared out among all processes.
  report("spawn", "empty", workers, elapsed_us / static_cast<double>(batches * kBatch), "us",
         "\"cpu\":" + std::to_string(cpu_us / static_cast<double>(batches * kBatch * workers)));
}

}  // namespace weft_bench
