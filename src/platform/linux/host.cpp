#include "platform/linux/host.hpp"

#include <sched.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <fstream>

#include "platform/cycles.hpp"

namespace weft::platform {
namespace {

uint64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// The clock and the cycle count at one moment: the pair of readings that lie closest together out of several, since this thread may be
// descheduled in between.
struct Moment {
  uint64_t ns = 0;
  uint64_t cycles = 0;
  uint64_t error_cycles = UINT64_MAX;
};

Moment read_both() {
  Moment best;
  for (int i = 0; i < 16; ++i) {
    const uint64_t before = read_cycles();
    const uint64_t ns = read_clock(CLOCK_MONOTONIC);
    const uint64_t after = read_cycles();
    if (after - before < best.error_cycles) best = {ns, before + (after - before) / 2, after - before};
  }
  return best;
}

// Half a millisecond against CLOCK_MONOTONIC: the error of the two ends (some 50 ns) makes 100 parts in a million, that is 100 ns in the
// millisecond for which a FastClock trusts it.
CycleCounter calibrate() {
  // The kernel checks at boot and ever after that the counter runs at one rate, on all CPUs alike; if it lost trust, so do we.
  if (first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource") != "tsc") return {};
  constexpr uint64_t kSpanNs = 500'000;
  const Moment start = read_both();
  while (read_clock(CLOCK_MONOTONIC) - start.ns < kSpanNs) {
  }
  const Moment end = read_both();
  const uint64_t cycles = end.cycles - start.cycles;
  const uint64_t span_ns = end.ns - start.ns;
  // Any span below 4 s keeps the shift within 64 bits; whoever was away for longer, or has no counter, goes without. So does
  // whoever never got two readings within 2 us of each other.
  if (cycles == 0 || span_ns >= 1'000'000'000) return {};
  const uint64_t cycles_per_ms = cycles * 1'000'000 / span_ns;
  if (start.error_cycles + end.error_cycles > cycles_per_ms / 500) return {};
  return {.multiplier = (span_ns << 32U) / cycles, .cycles_per_ms = cycles_per_ms};
}

class LinuxPlatform final : public Platform {
 public:
  uint64_t now_ns() const override { return read_clock(CLOCK_MONOTONIC); }
  uint64_t wall_ns() const override { return read_clock(CLOCK_REALTIME); }

  CycleCounter cycle_counter() const override {
    static const CycleCounter counter = calibrate();
    return counter;
  }

  std::unique_ptr<Parker> make_parker() override { return make_futex_parker(); }

  Result<std::unique_ptr<Thread>> start_thread(std::string name, std::function<void()> body) override {
    return start_posix_thread(std::move(name), std::move(body));
  }

  uint32_t cpus() const override {
    uint32_t count = 1;
    // More CPUs than fit make the call fail: then try a larger set.
    for (size_t cpus = 1024; cpus <= size_t{1} << 20U; cpus *= 2) {
      cpu_set_t* const set = CPU_ALLOC(cpus);
      if (set == nullptr) break;
      const size_t size = CPU_ALLOC_SIZE(cpus);
      const bool known = sched_getaffinity(0, size, set) == 0;
      if (known) count = static_cast<uint32_t>(std::max(1, CPU_COUNT_S(size, set)));
      CPU_FREE(set);
      if (known) break;
    }
    if (const uint64_t milli = control_group_cpu_milli(); milli != 0) {
      count = std::min(count, static_cast<uint32_t>(std::max<uint64_t>(1, (milli + 999) / 1000)));
    }
    return count;
  }

  MemoryFacts memory() const override {
    MemoryFacts facts;
    struct sysinfo machine{};
    if (sysinfo(&machine) == 0) facts.physical_bytes = static_cast<uint64_t>(machine.totalram) * machine.mem_unit;
    facts.limit_bytes = std::min(facts.physical_bytes, control_group_memory_bytes());
    facts.page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const std::string maps_max = first_line("/proc/sys/vm/max_map_count");
    std::from_chars(maps_max.data(), maps_max.data() + maps_max.size(), facts.maps_max);
    std::ifstream maps("/proc/self/maps");
    std::string line;
    while (std::getline(maps, line)) ++facts.maps_now;
    return facts;
  }

  uint64_t random_seed() override {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != static_cast<ssize_t>(sizeof seed)) seed = now_ns();
    return seed;
  }
};

}  // namespace

Platform& host() {
  static LinuxPlatform platform;
  return platform;
}

}  // namespace weft::platform
