// Parking by futex: one word, no system call unless somebody really sleeps.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/atomic.hpp"
#include "platform/linux/host.hpp"

namespace weft::platform {
namespace {

constexpr uint32_t kEmpty = 0;
constexpr uint32_t kToken = 1;
constexpr uint32_t kSleeping = 2;

class FutexParker final : public Parker {
 public:
  bool park_until(uint64_t deadline_ns) override {
    // Empty → sleeping, or a token → empty. The acquire of each exchange partners with the release in unpark().
    if (word_.exchange(kEmpty, std::memory_order_acquire) == kToken) return true;
    uint32_t expected = kEmpty;
    if (!word_.compare_exchange_strong(expected, kSleeping, std::memory_order_acquire)) {
      word_.exchange(kEmpty, std::memory_order_acquire);
      return true;
    }
    timespec until{};
    if (deadline_ns != kNever) {
      until.tv_sec = static_cast<time_t>(deadline_ns / 1'000'000'000);
      until.tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000);
    }
    for (;;) {
      // BITSET, since that takes an absolute deadline on CLOCK_MONOTONIC: no drift when a wait is interrupted.
      const long result = syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET_PRIVATE, kSleeping, deadline_ns == kNever ? nullptr : &until,
                                  nullptr, FUTEX_BITSET_MATCH_ANY);
      const bool timed_out = result != 0 && errno == ETIMEDOUT;
      if (word_.load(std::memory_order_relaxed) != kSleeping || timed_out) break;
    }
    return word_.exchange(kEmpty, std::memory_order_acquire) == kToken;
  }

  void unpark() override {
    if (word_.exchange(kToken, std::memory_order_release) == kSleeping) {
      syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
  }

 private:
  // Writers: the owner (empty, sleeping) and any thread (token). A token publishes what the unparking thread wrote before.
  base::atomic<uint32_t> word_{kEmpty};
  static_assert(sizeof(base::atomic<uint32_t>) == sizeof(uint32_t), "the kernel looks at the word itself");
};

}  // namespace

std::unique_ptr<Parker> make_futex_parker() { return std::make_unique<FutexParker>(); }

}  // namespace weft::platform
