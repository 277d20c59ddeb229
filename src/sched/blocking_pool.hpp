// BlockingPool: threads for host work that blocks, so that no worker ever does. Elastic: threads are started when work waits and none
// is idle, up to a bound, and leave after some idle time. The queue is bounded too: at the bound submit() fails at once.
//
//   auto accepted = scheduler.blocking().submit([this] { result_ = read_file(path_); }, base::Ref<Task>(this));
//   if (!accepted) return accepted.error();
//   context.park("blocking call");
//
// Any thread may submit. The work runs on a thread of the pool, exactly once unless submit() failed; afterwards the task, if
// given, is woken: everything the work wrote is visible to the run that follows. Work must not throw.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/ref.hpp"
#include "sched/task.hpp"
#include "weft/error.hpp"

namespace weft::platform {
class Platform;
}

namespace weft::sched {

struct BlockingPoolConfig {
  uint32_t threads_max = 64;
  uint32_t queue_max = 4096;
  uint64_t idle_exit_ns = 5'000'000'000;
};

struct BlockingPoolStatistics {
  uint32_t threads = 0;  // now
  uint32_t idle = 0;     // of these, waiting for work
  uint32_t queued = 0;
  uint64_t finished = 0;
};

class BlockingPool {
 public:
  using Work = std::move_only_function<void()>;

  virtual ~BlockingPool() = default;
  // Fails with kExhausted when the queue is full or no thread can be started, with kCancelled when the pool is stopping.
  virtual Result<void> submit(Work work, base::Ref<Task> wake_after) = 0;
  virtual BlockingPoolStatistics statistics() const = 0;
  // Runs all accepted work to its end, then ends the threads. Submissions fail from now on. Not from the pool's own threads.
  virtual void stop() = 0;
};

// The real one. `platform` outlives it.
std::unique_ptr<BlockingPool> make_blocking_pool(platform::Platform& platform, BlockingPoolConfig config);

}  // namespace weft::sched
