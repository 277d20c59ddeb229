// What a process may use, and what it has used. Plain data, any thread.
//
//   weft::Limits limits;
//   limits.memory_bytes = 64 << 20;
//   limits.wall_time = std::chrono::seconds(10);
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "weft/units.hpp"

namespace weft {

enum class LimitKind : std::uint8_t {
  kMemory,         // bytes of linear memory, all memories of the process together
  kTableElements,  // elements, all tables together
  kInstances,      // instances in the process (a component may hold several)
  kCpuTime,        // time on workers
  kWallTime,       // time since the spawn
  kFuel,           // instructions, roughly: Wasmtime's fuel
  kStack,          // bytes of the guest's stack; set for the whole runtime (RuntimeOptions::stack_bytes)
  kOutput,         // bytes of captured output (streamed output is held back instead)
  kThreads,        // guest threads; the guest is told, and the process goes on
};

std::string_view name_of(LimitKind kind) noexcept;  // "memory", "table elements", "cpu time", …
std::string_view flag_of(LimitKind kind) noexcept;  // the command-line flag that raises it: "--max-memory", …

// What becomes of a message to a full mailbox.
enum class FullMailbox : std::uint8_t {
  kHoldsBack,    // its sender waits
  kDropsNewest,  // it is forgotten; its sender is not told
  kDropsOldest,  // it takes the place of the oldest
};

// Of one process: see weft/mailbox.hpp.
struct MailboxLimits {
  std::size_t messages = 1024;
  std::uint64_t bytes = 1U << 20;  // of all messages together; each counts for its size, but for at least 64
  // Links and monitors of the process, and messages about ends that it has not received yet, all together.
  std::size_t notices = 1024;
  FullMailbox when_full = FullMailbox::kHoldsBack;
};

// An unset field means: no limit but those of the runtime and the machine. A process that reaches a limit ends with
// ExitKind::kLimitReached, which names the limit, its value and what was asked for.
struct Limits {
  std::optional<std::uint64_t> memory_bytes{};
  std::optional<std::uint64_t> table_elements{};
  std::optional<std::uint64_t> instances{};
  std::optional<Duration> cpu_time{};     // checked at every preemption tick: overrun is at most about one quantum
  std::optional<Duration> wall_time{};    // starts at the spawn, also while the process is queued or parked
  std::optional<std::uint64_t> fuel{};    // needs RuntimeOptions::fuel
  std::uint64_t output_bytes = 1U << 20;  // output that may wait to be written, or that may be captured
  // Guest threads at once, the first included. At the limit the guest's thread-spawn answers with an error.
  std::optional<std::uint64_t> threads{};
  MailboxLimits mailbox{};
  // Of shared regions that it has made and that still exist, each with 4 KiB for itself. At the limit the guest is told.
  std::uint64_t region_bytes = 64U << 20;
  // Of channels that it has made and that still exist, wherever their ends are: what they may hold, each with 4 KiB for itself. At the limit the guest is told.
  std::uint64_t channel_bytes = 64U << 20;
};

struct Usage {
  Duration cpu_time{0};                // on workers
  Duration wall_time{0};               // from spawn to exit, or to now
  std::uint64_t memory_bytes = 0;      // linear memory now (at the exit, once it is over)
  std::uint64_t memory_bytes_max = 0;  // linear memory at most
  std::uint64_t switches = 0;          // times a worker left the process, for any reason but its end
  std::uint64_t preemptions = 0;       // of these, times its quantum was over
  std::uint64_t host_calls = 0;        // calls from the guest into the host
  std::uint64_t fuel = 0;              // consumed; 0 without RuntimeOptions::fuel
  std::uint64_t threads = 0;           // guest threads now, the first included; 0 once it is over
  std::uint64_t threads_max = 0;       // guest threads at most, at once
  std::uint64_t threads_started = 0;   // guest threads in all
};

}  // namespace weft
