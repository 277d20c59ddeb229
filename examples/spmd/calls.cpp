// Thousands of calls of one exported function at once, in one process, over one memory: each on a strand, with a stack of its own. All of
// them wait, in the middle of the guest's code, for an answer of the host's. The library itself knows nothing of strands.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <span>
#include <string_view>
#include <vector>
#include <weft/weft.hpp>

namespace {

// Adds to what all calls share, and counts how many of them wait at the same time. One of them runs at a time, so it needs no locks.
constexpr std::string_view kLibrary = R"((module
  (import "map" "distance" (func $distance (param i32) (result i32)))
  (memory (export "memory") 1)  ;; at 0 the sum of all distances, at 8 how many wait, at 12 how many did at most
  (func (export "visit") (param $stop i32) (result i32)
    (local $distance i32)
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (if (i32.gt_u (i32.load (i32.const 8)) (i32.load (i32.const 12)))
      (then (i32.store (i32.const 12) (i32.load (i32.const 8)))))
    (local.set $distance (call $distance (local.get $stop)))  ;; others run meanwhile
    (i32.store (i32.const 8) (i32.sub (i32.load (i32.const 8)) (i32.const 1)))
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.extend_i32_s (local.get $distance))))
    (local.get $distance))
  (func (export "summary") (result i64 i32) (i64.load (i32.const 0)) (i32.load (i32.const 12)))))";

int fail(const weft::Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

}  // namespace

int main() {
  constexpr std::int32_t kCalls = 5000;
  weft::RuntimeOptions options;
  options.strands = true;
  options.host.define("map", "distance", [](weft::Caller&, std::int32_t stop) -> weft::Task<std::int32_t> {
    co_await weft::sleep_for(std::chrono::milliseconds(100));
    co_return stop * 2;
  });
  auto runtime = weft::Runtime::create(std::move(options));
  if (!runtime) return fail(runtime.error());
  auto module = runtime->compile(std::span(reinterpret_cast<const std::uint8_t*>(kLibrary.data()), kLibrary.size()), "library");
  if (!module) return fail(module.error());
  auto process = runtime->spawn({.module = *module, .resident = true});  // nothing runs in it yet
  if (!process) return fail(process.error());

  const auto began = std::chrono::steady_clock::now();
  std::vector<weft::JoinHandle<std::vector<weft::Value>>> calls;
  for (std::int32_t stop = 0; stop < kCalls; ++stop) {
    const weft::Value argument = stop;
    auto call = process->spawn_strand("visit", {&argument, 1});
    if (!call) return fail(call.error());
    calls.push_back(std::move(*call));
  }
  std::int64_t sum = 0;
  for (auto& call : calls) {  // one by one; in a Task: co_await std::move(call)
    const auto distance = call.join();
    if (!distance) return fail(distance.error());
    sum += std::get<std::int32_t>(distance->at(0));
  }
  const auto took = std::chrono::steady_clock::now() - began;

  auto summary = process->spawn_strand("summary");
  if (!summary) return fail(summary.error());
  const auto values = summary->join();
  if (!values) return fail(values.error());
  process->finish_strands();
  const weft::ExitStatus status = process->join();

  const auto sum_inside = std::get<std::int64_t>(values->at(0));
  const auto most = std::get<std::int32_t>(values->at(1));
  std::cout << kCalls << " calls, of which " << most << " waited at once, took " << weft::format_duration(took)
            << "; the distances add up to " << sum_inside << '\n';
  return status.success() && sum == sum_inside && sum == std::int64_t{kCalls} * (kCalls - 1) && most > 1 ? 0 : 1;
}
