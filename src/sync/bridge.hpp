// Caller: a thread of the host that waits for a coroutine which it has given to a scheduler. What the two share lies on that thread's stack.
//
//   sync::Caller caller(crossing);
//   scheduler.spawn(caller.make_task(sched::kPriorityNormal, "block_on"), sched::SpawnPlace::kNext);
//   caller.wait();                     // the crossing has its outcome
//
// The task tells the caller once, whatever becomes of it: when the coroutine is done, when it is cancelled, or when the task goes without having run.
// Never on a worker (detail::may_block).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ref.hpp"
#include "sched/task.hpp"
#include "sync/one_ending.hpp"
#include "sync/sleeper.hpp"
#include "weft/bridge.hpp"

namespace weft::sync {

class alignas(64) Caller {
 public:
  explicit Caller(detail::Crossing& crossing) : crossing_(crossing) {}
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // Once. The task refers to this object until it has told it: so wait() must follow.
  base::Ref<sched::Task> make_task(std::uint8_t priority, std::string_view name);
  void wait();

 private:
  friend class CrossingTask;
  detail::Crossing& crossing_;
  // Looked at again and again by the thread that waits: away from what the worker writes meanwhile.
  OneEnding<ThreadParker> ending_;
};

}  // namespace weft::sync
