#include "process/deadlock.hpp"

#include <fmt/format.h>

#include <atomic>
#include <string>

namespace weft::process {
namespace {

constexpr std::size_t kThreadsShownMax = 32;
constexpr std::size_t kFramesShownMax = 12;
constexpr std::uint64_t kWasmPageBytes = 64U << 10;

// A mutex of wasi-libc, which is musl's: three words in a row, of which threads wait on the second. The lock has the holder's id, in mutexes that check for
// errors or are recursive, and a constant in those of the normal kind; the top bit says that somebody waits.
constexpr std::uint32_t kTypeMask = 3;     // of the first word: 0 normal, 1 recursive, 2 error-checking
constexpr std::uint32_t kTypeBits = 0xff;  // no other bits are used in it
constexpr std::uint32_t kSomebodyWaits = 1U << 31U;
constexpr std::uint32_t kHolderMask = 0x3fffffff;
constexpr std::uint32_t kFirstThread = 0x3fffffff;  // what wasi-libc calls the thread that main runs in
constexpr std::uint32_t kBusy = 10;                 // WASI's errno `busy`: the lock of a normal mutex that is taken
constexpr std::uint32_t kWaitersSane = 1U << 20U;

std::uint32_t word_at(std::uint64_t address) {
  // Guests change it at any time.
  return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(address))
      .load(std::memory_order_relaxed);  // NOLINT(performance-no-int-to-ptr)
}

std::string thread_name(std::uint32_t thread) { return thread == 0 ? "the first thread" : fmt::format("thread {}", thread); }

std::string describe(const Frame& frame) {
  std::string text = frame.function.empty() ? fmt::format("function {}", frame.function_index) : frame.function;
  if (!frame.file.empty()) text += fmt::format(" at {}:{}", frame.file, frame.line);
  return text;
}

}  // namespace

void describe_mutex(std::uint64_t address, WaitingThread& waiting) {
  if (address == 0) return;
  waiting.value = word_at(address);
  // The words around it are looked at only where they cannot be outside of the memory.
  const std::uint64_t in_page = waiting.address % kWasmPageBytes;
  if (in_page < 4 || in_page > kWasmPageBytes - 8 || waiting.address % 4 != 0) return;
  const std::uint32_t type = word_at(address - 4);
  const std::uint32_t waiters = word_at(address + 4);
  if ((waiting.value & kSomebodyWaits) == 0 || (type & ~kTypeBits) != 0 || waiters == 0 || waiters > kWaitersSane) return;
  const std::uint32_t holder = waiting.value & kHolderMask;
  if ((type & kTypeMask) == 0) {
    if (holder == kBusy) waiting.holder = "a mutex of the normal kind, which does not say who holds it";
  } else if ((type & kTypeMask) != kTypeMask) {
    waiting.holder = fmt::format("a mutex that {} holds", thread_name(holder == kFirstThread ? 0 : holder));
  }
}

void describe_deadlock(ExitStatus& status, std::uint64_t threads) {
  status.message =
      threads == 1 ? "deadlock: its only thread waits on memory, and nothing is left that could wake it"
                   : fmt::format("deadlock: all its {} threads wait on memory, and nothing is left that could wake them", threads);
  std::size_t shown = 0;
  for (const WaitingThread& waiting : status.waiting) {
    if (shown++ == kThreadsShownMax) {
      status.detail += fmt::format("and {} more threads\n", threads - kThreadsShownMax);
      break;
    }
    status.detail += fmt::format("{} waits for {} on address {:#x}, where there is {:#x}", thread_name(waiting.thread),
                                 format_duration(waiting.waited), waiting.address, waiting.value);
    status.detail += waiting.holder.empty() ? "\n" : fmt::format(": {}\n", waiting.holder);
    for (std::size_t index = 0; index < waiting.stack.size() && index < kFramesShownMax; ++index) {
      status.detail += fmt::format("  {:>3}: {}\n", index, describe(waiting.stack[index]));
    }
    if (waiting.stack.size() > kFramesShownMax) {
      status.detail += fmt::format("       and {} more frames\n", waiting.stack.size() - kFramesShownMax);
    }
  }
}

}  // namespace weft::process
