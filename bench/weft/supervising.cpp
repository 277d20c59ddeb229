// Restarting: a child of a supervisor traps; how long until its next incarnation runs, with n other children beside it?
#include <algorithm>
#include <span>
#include <thread>

#include "benchmarks.hpp"
#include "measure.hpp"

namespace weft_bench {

namespace {

constexpr std::string_view kSleeps = R"((module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 3600000000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))))";

// Says that it runs, and then, after a last word, traps, or returns when there have been enough of it.
constexpr std::string_view kCrashes = R"((module
  (import "bench" "runs" (func $runs (result i32)))
  (import "bench" "traps" (func $traps))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (call $runs) (then (call $traps) (unreachable))))))";

// One incarnation at a time writes; read once the supervisor has ended.
struct Lives {
  std::uint64_t trapped_ns = 0;
  unsigned left = 0;
  std::vector<std::uint64_t> down_ns;
};

weft::Program compiled(const weft::Runtime& runtime, std::string_view text, const char* name) {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  return must(runtime.prepare({.module = must(runtime.compile(bytes, name))}));
}

}  // namespace

void bench_restart(const Options& options) {
  // Where a developer's shell sets RUST_BACKTRACE, the engine takes a backtrace of itself at every trap: 15 us that nobody else pays.
  setenv("RUST_LIB_BACKTRACE", "0", 1);
  auto lives = std::make_shared<Lives>();
  lives->left = options.count;
  auto reports = std::make_shared<GuestReports>();
  weft::RuntimeOptions runtime_of = runtime_options(options, std::max(options.workers, 1U), options.n + 2, reports);
  runtime_of.host.define("bench", "runs", [lives](weft::Caller&) -> std::int32_t {
    if (lives->trapped_ns != 0) lives->down_ns.push_back(now_ns() - lives->trapped_ns);
    return lives->left-- > 0 ? 1 : 0;
  });
  runtime_of.host.define("bench", "traps", [lives](weft::Caller&) { lives->trapped_ns = now_ns(); });
  const weft::Runtime runtime = must(weft::Runtime::create(std::move(runtime_of)));

  const weft::Program sleeps = compiled(runtime, kSleeps, "sleeps");
  weft::SupervisorSpec spec{.name = "bench",
                            .max_restarts = -1,
                            .auto_shutdown = weft::AutoShutdown::kAnySignificant,
                            .stop_order = weft::StopOrder::kTogether};
  for (unsigned i = 0; i < options.n; ++i) {
    spec.children.push_back(weft::child_program("sleeper-" + std::to_string(i), sleeps));
    spec.children.back().grace = weft::Duration(0);
  }
  const weft::Supervisor supervisor = must(weft::Supervisor::start(runtime, std::move(spec)));
  while (runtime.stats().processes < options.n) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // The others are all asleep before the first one falls.
  while (runtime.stats().timers < options.n) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  weft::ChildSpec crashes = weft::child_program("crashes", compiled(runtime, kCrashes, "crashes"), weft::Restart::kTransient);
  crashes.significant = true;  // its return ends the supervisor
  if (const weft::Result<void> added = supervisor.add_child(std::move(crashes)).join(); !added) fail(added.error().message);
  const weft::SupervisorEnd end = supervisor.join();
  if (end.restarts != options.count) fail("it ended after " + std::to_string(end.restarts) + " restarts: " + end.message);
  const double median = quantile(lives->down_ns, 0.5) / 1000;
  report("restart", "trap", options.n, median, "us", "\"p99_us\":" + std::to_string(quantile(lives->down_ns, 0.99) / 1000));
}

}  // namespace weft_bench
