// Rng: a small seeded random generator (xoshiro256** by Blackman and Vigna, seeded through splitmix64 by Steele et al.).
// For choices that need speed and replay, never for secrets. One thread at a time.
//
//   base::Rng rng(seed);
//   size_t victim = rng.below(workers);
#pragma once

#include <bit>
#include <cstdint>

namespace weft::base {

// One step of splitmix64: turns any 64 bits, also 0 and small counters, into well mixed ones.
constexpr uint64_t splitmix64(uint64_t& state) {
  uint64_t z = (state += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

class Rng {
 public:
  explicit constexpr Rng(uint64_t seed) {
    for (uint64_t& word : state_) word = splitmix64(seed);
  }
  constexpr uint64_t next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // 0 … bound-1 (bound > 0), by Lemire's multiplication; its bias is below 2^-32 for the bounds used here.
  constexpr uint32_t below(uint32_t bound) { return static_cast<uint32_t>(((next() >> 32U) * bound) >> 32U); }
  // True once in `n` on average.
  constexpr bool one_in(uint32_t n) { return below(n) == 0; }

 private:
  uint64_t state_[4];
};

}  // namespace weft::base
