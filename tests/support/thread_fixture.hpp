// ThreadsTest: a fixture for guests with threads (thread_guests.hpp). Guests may import `env.until_parked`, which waits until so many threads of the calling
// process wait on memory, so that a test can say "when all of them wait" without sleeping.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "support/runtime_fixture.hpp"
#include "support/thread_guests.hpp"

namespace weft::testing {

#if defined(WEFT_SANITIZE_THREAD)
// ThreadSanitizer has little room for memories, of which each guest thread may have some.
inline constexpr unsigned kFewerThreads = 100;
inline constexpr unsigned kThreadsMax = 100;
#elif defined(WEFT_SANITIZE)
inline constexpr unsigned kFewerThreads = 20;
inline constexpr unsigned kThreadsMax = 12'000;
#else
inline constexpr unsigned kFewerThreads = 1;
inline constexpr unsigned kThreadsMax = 12'000;
#endif

inline constexpr std::string_view kWait32 = "memory.atomic.wait32";
inline constexpr std::string_view kWait64 = "memory.atomic.wait64";
inline constexpr std::string_view kUntilParked = R"((import "env" "until_parked" (func $until_parked (param i32))))";

class ThreadsTest : public RuntimeTest {
 protected:
  RuntimeOptions options_with_host() {
    RuntimeOptions options = usual_options();
    options.workers = 3;
    options.processes_max = 200;
    options.threads_max = kThreadsMax;
    options.host.define("env", "until_parked", [this](Caller& caller, std::uint32_t threads) -> Task<void> {
      while (parked(caller.process_id()) < threads) co_await sleep_for(std::chrono::microseconds(100));
    });
    return options;
  }

  Runtime& start_threads() { return start(options_with_host()); }

  // How many threads of a process are parked on memory.
  unsigned parked(ProcessId process) {
    unsigned count = 0;
    for (const TaskDump& task : runtime_->dump()) {
      const bool waits = task.state == "parked" && (task.reason == kWait32 || task.reason == kWait64);
      if (task.process_id == process && waits) ++count;
    }
    return count;
  }

  void wait_until_threads_park(const Process& process, unsigned count) {
    while (parked(process.id()) < count) std::this_thread::yield();
  }

  // The threads of a process, by their ids.
  std::vector<TaskDump> threads_of(const Process& process, bool stacks = false) {
    std::vector<TaskDump> threads;
    for (TaskDump& task : runtime_->dump(stacks, kHang)) {
      if (task.process_id == process.id()) threads.push_back(std::move(task));
    }
    std::ranges::sort(threads, {}, &TaskDump::thread_id);
    return threads;
  }

  // A guest that checks itself.
  void expect_good(const ExitStatus& status) {
    EXPECT_EQ(status.kind, ExitKind::kReturned)
        << name_of(status.kind) << ": " << status.message << "\n"
        << status.detail << "check " << status.code / 1000 << " got " << status.code % 1000 << ", in thread " << status.thread;
  }

  void expect_good(std::string_view guest) { expect_good(spawn(guest).join()); }
};

}  // namespace weft::testing
