// Strands: what it costs to switch between fibers of one process, to make them, and to have many.
#include <thread>

#include "benchmarks.hpp"
#include "measure.hpp"

namespace weft_bench {

namespace {

// A runtime and a program whose process is told to make options.n strands.
struct OneProcess {
  std::shared_ptr<GuestReports> reports = std::make_shared<GuestReports>();
  weft::Runtime runtime;
  weft::Program program;

  OneProcess(const Options& options, const char* guest)
      : runtime(must(weft::Runtime::create(runtime_options(options, 1, 1, reports)))), program(prepare(runtime, options, guest)) {
    reports->expected = options.n;
  }
};

}  // namespace

void bench_strand_yield(const Options& options) {
  const OneProcess one(options, "strand_yield");
  one.reports->iterations = options.iterations;
  join_well(must(one.runtime.spawn(one.program)));
  const double yields = static_cast<double>(options.n) * static_cast<double>(options.iterations);
  const double elapsed_ns = static_cast<double>(one.reports->end_ns.load() - one.reports->start_ns.load());
  const double cpu = static_cast<double>(one.reports->end_cpu_ns.load() - one.reports->start_cpu_ns.load());
  report("switch", "strand", options.n, elapsed_ns / yields, "ns", "\"cpu\":" + std::to_string(cpu / yields));
}

void bench_strand_spawn(const Options& options) {
  const OneProcess one(options, "strand_spawn");
  const unsigned rounds = std::max(1U, options.count / options.n);
  one.reports->rounds = rounds;
  const std::uint64_t start = now_ns();
  const std::uint64_t start_cpu = cpu_ns();
  join_well(must(one.runtime.spawn(one.program)));
  const double strands = static_cast<double>(rounds) * static_cast<double>(options.n);
  const double cpu = static_cast<double>(cpu_ns() - start_cpu);
  report("spawn", "strand", options.n, static_cast<double>(now_ns() - start) / strands, "ns",
         "\"cpu\":" + std::to_string(cpu / strands));
}

void bench_strand_parked(const Options& options) {
  const OneProcess one(options, "strand_park");
  const Memory before = memory();
  const std::uint64_t start = now_ns();
  const weft::Process process = must(one.runtime.spawn(one.program));
  while (one.reports->arrived.load() < options.n) {
    if (const std::optional<weft::ExitStatus> status = process.try_join()) {
      fail(std::to_string(one.reports->arrived.load()) + " of " + std::to_string(options.n) +
           " strands alive, then: " + status->message);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const double seconds = static_cast<double>(now_ns() - start) / 1e9;
  const Memory after = memory();
  const double n = static_cast<double>(options.n);
  const std::string extra = "\"alive\":" + std::to_string(options.n) +
                            ",\"page_tables_kib\":" + std::to_string((after.tables_kib - before.tables_kib) / n) +
                            ",\"maps\":" + std::to_string(maps()) + ",\"seconds\":" + std::to_string(seconds);
  report("parked", "strand", options.n, (after.resident_kib - before.resident_kib) / n, "KiB", extra);

  const std::uint64_t killing = now_ns();
  process.kill("the benchmark");
  if (const weft::ExitStatus status = process.join(); status.kind != weft::ExitKind::kKilled) {
    fail("the process with the strands " + std::string(weft::name_of(status.kind)) + " instead of being killed: " + status.message);
  }
  report("parked", "strand_kill", options.n, static_cast<double>(now_ns() - killing) / 1000 / n, "us");
}

}  // namespace weft_bench
