// A supervisor over WebAssembly text: a worker that crashes is restarted, one that is too slow is waited for with a bound, asked again, and in the end killed.
#include <chrono>
#include <iostream>
#include <string_view>
#include <weft/weft.hpp>

namespace {

using namespace std::chrono_literals;

// Adds up `n`, `n-1`, …; traps for a negative one.
constexpr std::string_view kWorker = R"((module
  (func (export "run") (param $n i32) (result i32) (local $sum i32)
    (if (i32.lt_s (local.get $n) (i32.const 0)) (then (unreachable)))
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (local.get $n)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $again (i32.gt_s (local.get $n) (i32.const 0))))
    (local.get $sum))))";

constexpr std::string_view kEndless = R"((module (func (export "run") (loop $again (br $again)))))";

int fail(const weft::Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

void print(const weft::SupervisorEvent& event) { std::cout << weft::to_string(event) << '\n'; }

}  // namespace

int main() {
  auto runtime = weft::Runtime::create();
  if (!runtime) return fail(runtime.error());

  // Transient: the first returns, and is done; the second traps each time, until the supervisor gives up.
  auto crashing = weft::Supervisor::start(
      *runtime, {.name = "crashing",
                 .strategy = weft::Strategy::kOneForOne,
                 .max_restarts = 3,
                 .backoff = {.first = 1ms},
                 .children = {weft::child_wat("good", kWorker, {.entry = "run", .entry_text = {"1000"}}, weft::Restart::kTransient),
                              weft::child_wat("bad", kWorker, {.entry = "run", .entry_text = {"-1"}}, weft::Restart::kTransient)},
                 .on_event = print});
  if (!crashing) return fail(crashing.error());
  const weft::SupervisorEnd end = crashing->join();
  std::cout << end.message << '\n';
  if (end.reason != weft::SupervisorEndReason::kGaveUp || end.restarts != 3) return 1;

  // It ends by itself when its worker is done; this one never is.
  auto endless = weft::Supervisor::start(
      *runtime, {.name = "endless",
                 .auto_shutdown = weft::AutoShutdown::kIdle,
                 .children = {weft::child_wat("worker", kEndless, {.entry = "run"}, weft::Restart::kTemporary)},
                 .on_event = print});
  if (!endless) return fail(endless.error());
  weft::SupervisorResult result = endless->join_for(20ms);
  if (!result.timed_out()) return 1;
  // Now either wait longer, or let go (dropping `endless` detaches), or
  for (const weft::ChildInfo& child : result.pending) {
    if (child.process) child.process.kill("the operator");  // it has none yet if it is only about to start
  }
  endless->kill("the operator");
  std::cout << endless->join().message << '\n';
  return 0;
}
