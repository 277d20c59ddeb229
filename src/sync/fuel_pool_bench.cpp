// What it costs to pay for an operation: alone, with gains over time (a look at the clock), and from several threads at once.
#include <benchmark/benchmark.h>

#include "weft/fuel_pool.hpp"

namespace {

weft::FuelPool make(std::uint64_t regeneration) {
  return weft::FuelPool::create({.capacity = std::uint64_t{1} << 53U, .regeneration_per_second = regeneration}).value();
}

void take_without_gains(benchmark::State& state) {
  static const weft::FuelPool pool = make(0);
  for (auto _ : state) benchmark::DoNotOptimize(pool.try_take(weft::FuelOperation::synchronization(weft::SyncOperation::kChannel)));
}
void take_with_gains(benchmark::State& state) {
  static const weft::FuelPool pool = make(1'000'000);
  for (auto _ : state) benchmark::DoNotOptimize(pool.try_take(weft::FuelOperation::spawn(512 << 10)));
}
void owe_with_gains(benchmark::State& state) {
  static const weft::FuelPool pool = make(1'000'000);
  for (auto _ : state) pool.owe(weft::FuelOperation::synchronization(weft::SyncOperation::kNotify));
}

BENCHMARK(take_without_gains);
BENCHMARK(take_with_gains)->ThreadRange(1, 4);
BENCHMARK(owe_with_gains);

}  // namespace
