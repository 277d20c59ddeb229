// SimPlatform: virtual time, no threads, one seed. What runs on it runs alike each time, and an hour passes in no time.
//
//   platform::SimPlatform sim(seed);
//   sim.advance_to(sim.now_ns() + 5'000'000);
//
// One thread. Who steps what, and when time moves, is the business of the driver (sched/sim.hpp).
#pragma once

#include <vector>

#include "platform/platform.hpp"

namespace weft::platform {

// A parker whose owner never sleeps: the driver looks at the token and steps the owner when it is there or its deadline has come.
class SimParker final : public Parker {
 public:
  bool park_until(uint64_t) override {
    const bool had = token_;
    token_ = false;
    return had;
  }
  void unpark() override { token_ = true; }
  bool has_token() const { return token_; }

 private:
  bool token_ = false;
};

class SimPlatform final : public Platform {
 public:
  explicit SimPlatform(uint64_t seed, uint32_t cpus = 4) : seed_(seed), cpus_(cpus) {}

  uint64_t now_ns() const override { return now_ns_; }
  uint64_t wall_ns() const override { return kEpochNs + now_ns_; }
  std::unique_ptr<Parker> make_parker() override { return std::make_unique<SimParker>(); }
  Result<std::unique_ptr<Thread>> start_thread(std::string name, std::function<void()>) override {
    return fail(ErrorKind::kExhausted, "the sim platform has no threads (asked for " + name + ")");
  }
  uint32_t cpus() const override { return cpus_; }
  MemoryFacts memory() const override {
    return {.physical_bytes = 16ULL << 30U, .limit_bytes = 16ULL << 30U, .maps_max = 65'530, .maps_now = 100};
  }
  uint64_t random_seed() override { return seed_; }
  bool threaded() const override { return false; }

  // Time never goes back; an earlier time changes nothing.
  void advance_to(uint64_t now_ns) {
    if (now_ns > now_ns_) now_ns_ = now_ns;
  }

 private:
  // Virtual time starts somewhat above zero, so that 0 stays free to mean "none", and in the year 2000 on the wall.
  static constexpr uint64_t kEpochNs = 946'684'800'000'000'000;
  uint64_t now_ns_ = 1'000'000;
  const uint64_t seed_;
  const uint32_t cpus_;
};

}  // namespace weft::platform
