// Platform: the one face of the operating system. Clocks, parking, threads, and facts about the machine; what a scheduler needs to run on
// a real machine (platform::host()) or in virtual time on one thread (sim::SimPlatform).
//
//   platform::Platform& os = platform::host();
//   uint64_t deadline_ns = os.now_ns() + 5'000'000;
//   auto parker = os.make_parker();
//   parker->park_until(deadline_ns);
//
// Any thread, unless said otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "weft/error.hpp"

namespace weft::platform {

inline constexpr uint64_t kNever = UINT64_MAX;

// Puts one thread to sleep. It holds at most one token: unpark() leaves it, park takes it or waits for it. So an unpark before the
// park is not lost, and several unparks are one.
class Parker {
 public:
  virtual ~Parker() = default;
  // The owning thread only. Returns when the token was there or came. (On sim: takes the token if it is there; the driver waits.)
  void park() { (void)park_until(kNever); }
  // As park, but gives up at the deadline (on Platform::now_ns's clock): false then.
  virtual bool park_until(uint64_t deadline_ns) = 0;
  // Any thread. What it wrote before is visible to the thread that parks.
  virtual void unpark() = 0;
};

// A started thread, to be joined exactly once.
class Thread {
 public:
  virtual ~Thread() = default;
  virtual void join() = 0;
};

// How cycles become nanoseconds; zeros when the counter is absent or does not run at a constant rate. See fast_clock.hpp.
struct CycleCounter {
  uint64_t multiplier = 0;  // nanoseconds per cycle, 32 bits behind the point
  uint64_t cycles_per_ms = 0;
};

struct MemoryFacts {
  uint64_t physical_bytes = 0;  // of the machine
  uint64_t limit_bytes = 0;     // what this process may use: the control group's limit, else physical_bytes
  uint64_t maps_max = 0;        // vm.max_map_count; 0: there is no such bound
  uint64_t maps_now = 0;        // mappings this process has
  uint64_t page_bytes = 4096;
};

class Platform {
 public:
  virtual ~Platform() = default;

  // Never goes back; deadlines are on it.
  virtual uint64_t now_ns() const = 0;
  // Nanoseconds since 1970.
  virtual uint64_t wall_ns() const = 0;
  virtual CycleCounter cycle_counter() const { return {}; }
  virtual std::unique_ptr<Parker> make_parker() = 0;
  // `name` is for people (cut to 15 bytes by Linux). kExhausted when the system refuses; on sim always.
  virtual Result<std::unique_ptr<Thread>> start_thread(std::string name, std::function<void()> body) = 0;
  // CPUs that this process may use: its affinity, cut by the control group's quota (rounded up). At least 1.
  virtual uint32_t cpus() const = 0;
  virtual MemoryFacts memory() const = 0;
  // For choices that only have to be different each time; sim gives its seed's.
  virtual uint64_t random_seed() = 0;
  // Whether threads exist here. False on sim: the driver steps everything.
  virtual bool threaded() const { return true; }
};

// The machine we run on. One object for the whole program, without state that matters.
Platform& host();

// Whether the calling thread is one of Weft's own: started by start_thread, or by adopt_thread() declared to be. Such a thread must not wait for the end of
// a runtime, which may be its own.
bool on_own_thread() noexcept;
void adopt_thread() noexcept;

}  // namespace weft::platform
