// ManagedTask: one task of a task manager, from its submission to its end. TaskManagerState (task_manager.hpp) moves it along; this file has what it does when it
// runs, is asked to end, or is made to.
//
//   new ──> queued ──> running ──────────────> done          every field below "under the manager's mutex" moves with the state;
//     │       │           └──> cancelling ──────^            what calls out (spawn, kill, wake) does so outside of it
//     └───────┴─────────────────────────────────^  (cancelled before it began)
//
// Cancellation always comes through the task's own token, a child of TaskSpec::token: its callback calls cancelled(), once. So a handle, the tree above and
// cancel_all() are one path.
//
// References: the registry of the manager holds it from submission to end, handles hold it, and so do the end listener of its process and the body of
// its coroutine. It holds the manager's state. The circle is open once it has ended.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "base/intrusive_list.hpp"
#include "base/ref.hpp"
#include "process/process_observer.hpp"
#include "sched/task.hpp"
#include "sched/timer.hpp"
#include "sync/waitable.hpp"
#include "weft/task_manager.hpp"

namespace weft::process {

class TaskManagerState;

class ManagedTask final : public ProcessObserver,
                          public base::ListHook<struct TaskQueueLink>,
                          public std::enable_shared_from_this<ManagedTask> {
 public:
  ManagedTask(std::shared_ptr<TaskManagerState> manager, TaskWork work, TaskSpec spec, std::uint64_t memory_bytes);
  ~ManagedTask() override;

  // By the manager, outside its mutex, once the state is kRunning.
  void start();
  // By the manager, outside its mutex: asks, or forces, as the strategy has it. After start() has set it going.
  void ask_to_end();
  // By the callback of its token.
  void cancelled();
  // It was cancelled before it began.
  void never_began();

  void progress(double fraction, std::string_view text) noexcept override;
  void acknowledged() noexcept override;

  TaskInfo info() const;
  TaskInfo info_locked() const;  // under the mutex; without the usage of what runs
  Waitable when_done();
  TaskStatus status() const;

  const std::shared_ptr<TaskManagerState> manager;
  const std::string type;
  const std::string name;
  const Priority priority;
  const std::uint64_t memory_bytes;  // what it counts for
  const CancellationStrategy strategy;
  const CancellationSource source;

  // Under the manager's mutex:
  TaskId id = 0;
  enum class Phase : std::uint8_t { kNew, kQueued, kRunning, kCancelling, kDone };
  Phase phase = Phase::kNew;
  bool starting = false;         // whoever starts it will look for the next one afterwards
  bool under_way = false;        // start() has set it going: there is something to ask or to kill
  bool cancelled_early = false;  // before it was queued
  bool forced = false;
  std::uint64_t paid = 0;                  // fuel, taken when it was submitted
  std::unique_ptr<TaskStatus> ended_with;  // null until it is published: it is large
  CancellationCallback callback;
  TaskWork work;
  Process process;                   // while it runs
  base::Ref<sched::Task> coroutine;  // while it runs
  double fraction = 0;
  std::string text;
  Usage usage;  // once it has ended
  ProcessId process_id = 0;
  base::Ref<sync::FlagSource> flag;  // once somebody has asked
  class Grace;
  std::unique_ptr<Grace> grace;  // while it lasts

 private:
  friend class CoroutineOfTask;
  void start_process();
  void start_coroutine();
  void request_end();
  void force_end();
  void ended(TaskStatus status, Usage usage_in_all);
};

}  // namespace weft::process
