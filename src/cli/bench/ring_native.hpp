// The ring of ring_layout.hpp between two threads of the operating system: what the guests' ring is held against.
//
//   Result<RingFigures> figures = run_native_ring({.items = 1'000'000, .slots = 1024, .batch = 128}, Start::kWarm);
//
// Any thread; it blocks until both threads have ended.
#pragma once

#include <cstdint>

#include "weft/error.hpp"

namespace weft::cli {

struct RingShape {
  std::uint64_t items = 0;
  std::uint64_t slots = 0;
  std::uint64_t batch = 1;
  bool wait = false;  // who has looked `patience` times in vain waits, instead of looking on
  std::uint64_t patience = 0;
};

enum class Start : std::uint8_t {
  kCold,  // the time begins before the threads are made, and ends when they have ended
  kWarm,  // both threads have met before the time begins, and it ends when the last item has been taken
};

struct RingFigures {
  std::uint64_t elapsed_ns = 0;
  std::uint64_t sum = 0;
  std::uint64_t prod_spins = 0;
  std::uint64_t cons_spins = 0;
  std::uint64_t prod_parks = 0;  // with RingShape::wait: how often each has waited
  std::uint64_t cons_parks = 0;
};

// kExhausted when there is no memory or no thread to be had.
Result<RingFigures> run_native_ring(const RingShape& shape, Start start);

}  // namespace weft::cli
