// What shared regions cost: copies beside memcpy, of the same size and between the same two places (the ratio is what counts); a word; a notify that finds nobody.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "weft/shared_region.hpp"

namespace {

constexpr std::int64_t kSmall = 64;
constexpr std::int64_t kLarge = 64 << 20;

void finish(benchmark::State& state) { state.SetBytesProcessed(state.iterations() * state.range(0)); }

void copy_by_memcpy(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<std::byte> from(size, std::byte{1});
  std::vector<std::byte> to(size);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), size);
    benchmark::ClobberMemory();
  }
  finish(state);
}

void read(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  const weft::SharedRegion region = weft::make_shared_region(size).value();
  std::vector<std::byte> to(size, std::byte{1});
  (void)region.write(0, to);
  for (auto _ : state) {
    (void)region.read(0, to);
    benchmark::ClobberMemory();
  }
  finish(state);
}

void write(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  const weft::SharedRegion region = weft::make_shared_region(size).value();
  const std::vector<std::byte> from(size, std::byte{1});
  for (auto _ : state) {
    (void)region.write(0, from);
    benchmark::ClobberMemory();
  }
  finish(state);
}

void add(benchmark::State& state) {
  static const weft::SharedRegion region = weft::make_shared_region(64).value();
  for (auto _ : state) benchmark::DoNotOptimize(region.add<std::uint32_t>(0, 1));
}

void notify_nobody(benchmark::State& state) {
  static const weft::SharedRegion region = weft::make_shared_region(64).value();
  for (auto _ : state) benchmark::DoNotOptimize(region.notify(0));
}

BENCHMARK(copy_by_memcpy)->Range(kSmall, kLarge);
BENCHMARK(read)->Range(kSmall, kLarge);
BENCHMARK(write)->Range(kSmall, kLarge);
BENCHMARK(add)->ThreadRange(1, 4);
BENCHMARK(notify_nobody);

}  // namespace
