// Processes that wait: what they weigh, that they cost nothing while they do, and how soon they run again when others are busy.
#include <thread>

#include "benchmarks.hpp"
#include "measure.hpp"

namespace weft_bench {

namespace {

using std::chrono::milliseconds;

// Spawns n sleepers and waits until each has come to its sleep. A spawn that is refused ends the program with the error.
std::vector<weft::Process> park(const weft::Runtime& runtime, const weft::Program& program, GuestReports& reports, unsigned n) {
  std::vector<weft::Process> processes;
  processes.reserve(n);
  const auto first_failure = [&] {
    for (const weft::Process& process : processes) {
      if (const std::optional<weft::ExitStatus> status = process.try_join()) {
        fail(std::to_string(reports.arrived.load()) + " of " + std::to_string(n) + " processes alive, then: " + status->message);
      }
    }
  };
  for (unsigned i = 0; i < n; ++i) {
    weft::Result<weft::Process> process = runtime.spawn(program);
    if (!process) fail(std::to_string(i) + " of " + std::to_string(n) + " processes alive, then: " + process.error().message);
    processes.push_back(std::move(*process));
  }
  for (unsigned waited_ms = 0; reports.arrived.load() < n || runtime.stats().timers < n; waited_ms += 5) {
    std::this_thread::sleep_for(milliseconds(5));
    if (waited_ms % 1000 == 0) first_failure();
    if (waited_ms > 300'000) fail("only " + std::to_string(runtime.stats().timers) + " of " + std::to_string(n) + " sleep");
  }
  first_failure();
  return processes;
}

}  // namespace

void bench_parked(const Options& options) {
  const Memory before = memory();
  const std::uint64_t start = now_ns();
  auto reports = std::make_shared<GuestReports>();
  const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, options.workers, options.n, reports)));
  const weft::Program program = prepare(runtime, options, "sleep");
  const std::vector<weft::Process> processes = park(runtime, program, *reports, options.n);
  const double seconds = static_cast<double>(now_ns() - start) / 1e9;
  const Memory after = memory();
  const double n = static_cast<double>(options.n);
  const std::string extra = "\"alive\":" + std::to_string(runtime.stats().processes) +
                            ",\"page_tables_kib\":" + std::to_string((after.tables_kib - before.tables_kib) / n) +
                            ",\"maps\":" + std::to_string(maps()) + ",\"seconds\":" + std::to_string(seconds);
  report("parked", "memory", options.n, (after.resident_kib - before.resident_kib) / n, "KiB", extra);

  const std::uint64_t killing = now_ns();
  for (const weft::Process& process : processes) process.kill("the benchmark");
  for (const weft::Process& process : processes) {
    if (process.join().kind != weft::ExitKind::kKilled) fail("a parked process did not end by its kill");
  }
  report("parked", "kill", options.n, static_cast<double>(now_ns() - killing) / 1000 / n, "us");
}

void bench_idle(const Options& options) {
  auto reports = std::make_shared<GuestReports>();
  const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, options.workers, options.n, reports)));
  const weft::Program program = prepare(runtime, options, "sleep");
  const std::vector<weft::Process> processes = park(runtime, program, *reports, options.n);
  // Workers spin a little before they sleep: that belongs to the parking, not to the idling.
  std::this_thread::sleep_for(milliseconds(200));
  const std::uint64_t before = cpu_ns();
  const long switches = context_switches();
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
  const double spent_ms = static_cast<double>(cpu_ns() - before) / 1e6;
  // One of these is this thread's own sleep.
  const std::string extra =
      "\"seconds\":" + std::to_string(options.seconds) + ",\"context_switches\":" + std::to_string(context_switches() - switches);
  report("idle", "cpu", options.n, spent_ms, "ms", extra);
  for (const weft::Process& process : processes) process.kill("the benchmark");
}

void bench_fairness(const Options& options) {
  const unsigned loops = 4 * options.workers;
  auto reports = std::make_shared<GuestReports>();
  const weft::RuntimeOptions settings = runtime_options(options, options.workers, loops + 1, reports);
  const weft::Runtime runtime = must(weft::Runtime::create(settings));
  const weft::Program spin = prepare(runtime, options, "spin");
  const weft::Program wake = prepare(runtime, options, "wake");
  std::vector<weft::Process> spinning;
  for (unsigned i = 0; i < loops; ++i) spinning.push_back(must(runtime.spawn(spin)));
  while (reports->arrived.load() < loops) std::this_thread::sleep_for(milliseconds(1));
  const weft::Process waking = must(runtime.spawn(wake));
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
  reports->stop.store(true);
  join_well(waking);
  for (const weft::Process& process : spinning) process.kill("the benchmark");
  for (const weft::Process& process : spinning) process.join();
  const auto at_ms = [&](double q) { return quantile(reports->late_ns, q) / 1e6; };
  const double quantum_ms = std::chrono::duration<double, std::milli>(settings.quantum).count();
  const std::string extra = "\"p50_ms\":" + std::to_string(at_ms(0.5)) + ",\"max_ms\":" + std::to_string(at_ms(1)) +
                            ",\"samples\":" + std::to_string(reports->late_ns.size()) +
                            ",\"quantum_ms\":" + std::to_string(quantum_ms);
  report("fairness", "late_p99", options.workers, at_ms(0.99), "ms", extra);
}

}  // namespace weft_bench
