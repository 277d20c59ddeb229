// Ten thousand processes alive at once, each with its own memory and its own stack. All of them sleep: that costs no thread and no CPU
// time. Then all of them are killed.
#include <cstdint>
#include <iostream>
#include <span>
#include <string_view>
#include <vector>
#include <weft/weft.hpp>

namespace {

// Sleeps for an hour.
constexpr std::string_view kSleeper = R"((module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))              ;; the monotonic clock,
    (i64.store (i32.const 24) (i64.const 3600000000000))  ;; nanoseconds from now
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))))";

int fail(const weft::Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

}  // namespace

int main() {
  constexpr std::size_t kProcesses = 10'000;
  weft::RuntimeOptions options;
  options.processes_max = kProcesses;
  auto runtime = weft::Runtime::create(std::move(options));
  if (!runtime) return fail(runtime.error());
  auto module = runtime->compile(std::span(reinterpret_cast<const std::uint8_t*>(kSleeper.data()), kSleeper.size()), "sleeper");
  if (!module) return fail(module.error());
  auto program = runtime->prepare({.module = *module});
  if (!program) return fail(program.error());

  std::vector<weft::Process> sleepers;
  for (std::size_t count = 0; count < kProcesses; ++count) {
    auto sleeper = runtime->spawn(*program);
    if (!sleeper) return fail(sleeper.error());
    sleepers.push_back(*sleeper);
  }
  std::cout << runtime->stats().processes << " processes alive on " << runtime->stats().workers << " workers\n";
  for (const weft::Process& sleeper : sleepers) sleeper.kill("the end of the example");
  std::size_t killed = 0;
  for (const weft::Process& sleeper : sleepers) killed += sleeper.join().kind == weft::ExitKind::kKilled ? 1U : 0U;
  std::cout << killed << " killed\n";
  return killed == kProcesses ? 0 : 1;
}
