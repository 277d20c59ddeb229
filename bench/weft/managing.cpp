// What managing costs: a task of the task manager from its submission to its end, and what it keeps while it waits; an operation paid from a pool of fuel; a
// crossing of the bridge from a thread of the host, with a worker awake and with all of them asleep, and from a task to work that blocks.
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "benchmarks.hpp"
#include "measure.hpp"

namespace weft_bench {

namespace {

void succeed(const weft::Result<void>& result) {
  if (!result) fail(result.error().message);
}

weft::Task<void> nothing() { co_return; }
weft::Task<int> one() { co_return 1; }
weft::Task<void> yields() {
  for (;;) co_await weft::yield();
}
// Waits for work that takes no time: what is left is the way to the pool and back.
weft::Task<void> blocks(unsigned count, std::vector<std::uint64_t>& ns) {
  for (unsigned i = 0; i < count; ++i) {
    const std::uint64_t start = now_ns();
    auto work = [] {};
    co_await weft::blocking(std::move(work));
    ns.push_back(now_ns() - start);
  }
}
weft::Task<void> waits(weft::CancellationToken token) { (void)co_await token.cancelled_wait(); }

// Submits from a task, as a server would, and waits for all.
weft::Task<void> submits(weft::TaskManager manager, weft::Program program, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    weft::TaskWork work = program ? weft::TaskWork(program) : weft::TaskWork(nothing());
    must(co_await manager.submit(std::move(work)));
  }
}

void managed(const Options& options, const weft::Runtime& runtime, const weft::Program& program, const char* name) {
  const weft::TaskManager manager = must(weft::TaskManager::builder(runtime).max_tasks(256).queue_max(256).build());
  const std::uint64_t start = now_ns();
  const std::uint64_t start_cpu = cpu_ns();
  succeed(weft::block_on(runtime, submits(manager, program, options.count)));
  if (!manager.wait_idle()) fail("the task manager did not become idle");
  const auto per_task = [&](std::uint64_t ns) { return static_cast<double>(ns) / 1000 / options.count; };
  report("manage", name, options.workers, per_task(now_ns() - start), "us",
         "\"cpu\":" + std::to_string(per_task(cpu_ns() - start_cpu)));
}

}  // namespace

void bench_manage(const Options& options) {
  auto reports = std::make_shared<GuestReports>();
  const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, options.workers, 2000, reports)));
  managed(options, runtime, {}, "coroutine");
  managed(options, runtime, prepare(runtime, options, "empty"), "process");

  // Coroutines that wait, by themselves and as tasks of a manager: the difference is the manager's.
  const weft::CancellationSource gate;
  const auto kib_each = [&](const auto& start_one) {
    const double before = memory().resident_kib;
    for (unsigned i = 0; i < options.n; ++i) start_one();
    while (runtime.stats().tasks != options.n) std::this_thread::yield();
    return (memory().resident_kib - before) / options.n;
  };
  const double alone = kib_each([&] { (void)runtime.start(waits(gate.token())); });
  const weft::TaskManager manager = must(weft::TaskManager::builder(runtime).max_tasks(options.n).queue_max(0).build());
  const double before = memory().resident_kib;
  for (unsigned i = 0; i < options.n; ++i) (void)must(manager.try_submit(waits(gate.token())));
  while (runtime.stats().tasks != 2U * options.n) std::this_thread::yield();
  const double with = (memory().resident_kib - before) / options.n;
  manager.cancel_all();
  gate.cancel();
  if (!manager.wait_idle()) fail("the task manager did not become idle");
  report("manage", "kib_each", options.n, with - alone, "KiB",
         "\"with\":" + std::to_string(with) + ",\"alone\":" + std::to_string(alone));
}

void bench_fuel(const Options& options) {
  const weft::FuelPool pool =
      must(weft::FuelPool::create({.capacity = std::uint64_t{1} << 53U, .regeneration_per_second = 1'000'000'000}));
  const weft::FuelOperation operation = weft::FuelOperation::synchronization(weft::SyncOperation::kChannel);
  std::vector<std::uint64_t> ns;
  constexpr unsigned kBatch = 1000;
  for (unsigned i = 0; i < std::max(10U, options.count / 10); ++i) {
    const std::uint64_t start = now_ns();
    for (unsigned step = 0; step < kBatch; ++step) succeed(pool.try_take(operation));
    ns.push_back(now_ns() - start);
  }
  report("fuel", "take", 1, static_cast<double>(quantile(ns, 0.5)) / kBatch, "ns");
}

void bench_bridge(const Options& options) {
  auto reports = std::make_shared<GuestReports>();
  std::vector<std::uint64_t> ns;
  const auto crosses = [&](const weft::Runtime& runtime) {
    const std::uint64_t start = now_ns();
    (void)must(weft::block_on(runtime, one()));
    ns.push_back(now_ns() - start);
  };
  const auto say = [&](const char* name, unsigned workers) {
    const double median = quantile(ns, 0.5);
    report("bridge", name, workers, median, "ns",
           "\"p10\":" + std::to_string(quantile(ns, 0.1)) + ",\"p90\":" + std::to_string(quantile(ns, 0.9)));
    ns.clear();
  };
  {
    // The only worker has something to do all the time, so nobody has to be woken.
    const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, 1, 10, reports)));
    const weft::JoinHandle<void> busy = runtime.start(yields());
    for (unsigned i = 0; i < options.count; ++i) crosses(runtime);
    busy.cancel();
    say("awake", 1);
  }
  const weft::Runtime runtime = must(weft::Runtime::create(runtime_options(options, options.workers, 10, reports)));
  for (unsigned i = 0; i < options.count; ++i) crosses(runtime);
  say("in_a_row", options.workers);
  for (unsigned i = 0; i < std::max(10U, options.count / 100); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // long enough for the workers to fall asleep
    crosses(runtime);
  }
  say("asleep", options.workers);
  // The other way: a task waits for work that blocks.
  succeed(weft::block_on(runtime, blocks(std::max(10U, options.count / 10), ns)));
  say("blocking", options.workers);
}

}  // namespace weft_bench
