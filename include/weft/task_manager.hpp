// A task manager: runs at most so many tasks at once, keeps a bounded number of others waiting by priority, knows how each is doing, and cancels each in the way
// its type asks for. Tasks are processes (a Program or a ProcessSpec) or coroutines of the host.
//
//   weft::Result<weft::TaskManager> manager = weft::TaskManager::builder(runtime)
//                                                 .max_tasks(1024)
//                                                 .queue_max(4096)
//                                                 .cancellation("render", weft::CancellationStrategy::graceful(std::chrono::seconds(2)))
//                                                 .build();
//   weft::Result<weft::TaskHandle> task = manager->try_submit(program, {.type = "render", .name = "page 7", .priority = 2});
//   weft::Result<weft::TaskHandle> other = co_await manager->submit(program);                        // waits for room
//   task->cancel("the page is closed");
//   weft::TaskStatus status = task->join();
//
// Both classes are counted handles: copy them freely, any function from any thread unless it says otherwise. Dropping the last TaskManager lets everything
// that was accepted go on to its end, the queue too; dropping a TaskHandle lets its task go on. To end everything: cancel_all(), then wait_idle().
// A manager does not keep its runtime alive: when that shuts down, what runs is ended, and what waits is cancelled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weft/cancellation.hpp"
#include "weft/error.hpp"
#include "weft/fuel_pool.hpp"
#include "weft/limits.hpp"
#include "weft/process.hpp"
#include "weft/runtime.hpp"
#include "weft/task.hpp"
#include "weft/units.hpp"
#include "weft/waitable.hpp"

namespace weft {

namespace process {
class ManagedTask;
class TaskManagerState;
}  // namespace process

using TaskId = std::uint64_t;  // unique within a manager, counted from 1

// How a running task is cancelled. (One that still waits in the queue is just taken out.)
struct CancellationStrategy {
  enum class Kind : std::uint8_t {
    kImmediate,    // a process is killed, a coroutine dropped where it waits
    kGraceful,     // asked first; killed or dropped if it has not ended after the grace
    kCooperative,  // asked only, never forced: over when it ends or acknowledges
  };
  Kind kind = Kind::kGraceful;
  Duration grace = std::chrono::seconds(5);

  static CancellationStrategy immediate() { return {Kind::kImmediate, Duration::zero()}; }
  static CancellationStrategy graceful(Duration grace) { return {Kind::kGraceful, grace}; }
  static CancellationStrategy cooperative() { return {Kind::kCooperative, Duration::zero()}; }
};

// What one task is told about itself, besides what it does.
struct TaskSpec {
  std::string type{};                  // decides how it is cancelled; free words
  std::string name{};                  // for people; empty: the program's, or the type
  std::optional<Priority> priority{};  // of its turn and, as a process or coroutine, of its runs; unset: the middle one
  std::optional<Limits> limits{};  // of a process: instead of its spec's. Of a coroutine only memory_bytes, as what it counts for
  CancellationToken token{};       // the task is cancelled with it
};

// All that a manager's tasks may take together.
struct TaskResources {
  // Sum of the memory limits of the tasks that run. A process without one counts as RuntimeOptions::memory_bytes_max. Unset: no bound.
  std::optional<std::uint64_t> memory_bytes{};
};

enum class TaskState : std::uint8_t {
  kQueued,
  kRunning,
  kCancelling,  // asked to end, and has not yet
  kDone,
};
enum class TaskEnd : std::uint8_t {
  kNone,       // it has not ended
  kSucceeded,  // returned, exit(0)
  kFailed,     // anything else that nobody asked for: a trap, an exit code, a limit, an exception, or it could not be started
  kCancelled,  // ended after it was cancelled, or acknowledged, or never began
};
std::string_view name_of(TaskState state) noexcept;  // "queued", "running", …
std::string_view name_of(TaskEnd end) noexcept;      // "none", "succeeded", …

// How a task ended.
struct TaskStatus {
  TaskEnd end = TaskEnd::kNone;
  std::string message{};             // one line: why it failed, or what cancel() was told; empty when all is well
  bool forced = false;               // it was killed or dropped
  bool acknowledged = false;         // it has acknowledged; it may still be cleaning up
  std::optional<ExitStatus> exit{};  // of a process that was started and has ended
};

// One task at one moment.
struct TaskInfo {
  TaskId id = 0;
  std::string type{};
  std::string name{};
  Priority priority = kPriorityNormal;
  TaskState state = TaskState::kQueued;
  TaskEnd end = TaskEnd::kNone;
  std::string message{};                 // as in TaskStatus; while it is being cancelled: what cancel() was told
  double progress = 0;                   // 0 … 1, as the task reports it
  std::string progress_text{};           // the same in words
  Usage usage{};                         // of a process; of a coroutine CPU time only
  ProcessId process_id = 0;              // 0: a coroutine, or not begun
  std::uint64_t memory_limit_bytes = 0;  // what it counts for
};

struct TaskManagerStats {
  // Now:
  std::uint64_t queued = 0;
  std::uint64_t running = 0;     // takes one of max_tasks; with those that are being cancelled
  std::uint64_t cancelling = 0;  // of these
  std::uint64_t submitting = 0;  // submit() that waits for room
  std::uint64_t memory_limit_bytes = 0;
  // In all:
  std::uint64_t submitted = 0;  // accepted
  std::uint64_t refused = 0;    // for want of room or fuel
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t forced = 0;  // of these
};

// What a coroutine that is a task gets of itself. Any thread; it may outlive the task, and does nothing then.
class TaskControl {
 public:
  explicit TaskControl(std::shared_ptr<process::ManagedTask> task) : task_(std::move(task)) {}
  TaskId id() const noexcept;
  // Cancelled when the task is to end.
  CancellationToken token() const;
  // 0 … 1 (cut to that; what is no number is 0) and a text (cut to 256 bytes). The last report is what others see.
  void set_progress(double fraction, std::string_view text = {}) const;
  // It has heard that it is cancelled: joins return now. It keeps its place among the running until it ends. Before it is cancelled: nothing.
  void acknowledge() const;

 private:
  std::shared_ptr<process::ManagedTask> task_;
};

// What a task does.
class TaskWork {
 public:
  using Body = std::function<Task<void>(TaskControl)>;
  TaskWork(Program program) : what_(std::move(program)) {}  // NOLINT(google-explicit-constructor): any work is a TaskWork
  TaskWork(ProcessSpec spec) : what_(std::make_unique<ProcessSpec>(std::move(spec))) {}  // NOLINT(google-explicit-constructor)
  TaskWork(Task<void> coroutine) : what_(std::move(coroutine)) {}                        // NOLINT(google-explicit-constructor)
  // Called on a worker when the task begins; lives as long as the coroutine that it makes.
  template <class F>
    requires std::is_invocable_r_v<Task<void>, F&, TaskControl>
  TaskWork(F body) : what_(Body(std::move(body))) {}  // NOLINT(google-explicit-constructor)

  // A spec by pointer: it is large, and soon a program.
  using What = std::variant<Program, std::unique_ptr<ProcessSpec>, Task<void>, Body>;
  What& what() noexcept { return what_; }

 private:
  What what_;
};

class TaskHandle {
 public:
  TaskHandle() = default;
  explicit TaskHandle(std::shared_ptr<process::ManagedTask> task) : task_(std::move(task)) {}
  explicit operator bool() const noexcept { return task_ != nullptr; }

  TaskId id() const noexcept;
  const std::string& name() const noexcept;
  TaskState state() const;
  TaskInfo info() const;

  // Asks for its end by the strategy of its type; returns at once. The first call counts; after the end it does nothing.
  void cancel(std::string reason = "cancelled") const;
  // Cancelled with it, when it is cancelled: for what belongs to the task.
  CancellationToken token() const;

  // Ready once it has ended, or has acknowledged that it is cancelled.
  Waitable when_done() const;
  // Parks a task until then.
  Task<TaskStatus> done() const;
  // Blocks a thread of the host until then; never on a worker (asserted).
  TaskStatus join() const;
  std::optional<TaskStatus> join_for(Duration bound) const;
  // If it has.
  std::optional<TaskStatus> try_join() const;

  // Of a task that is a process, from its start to its end.
  std::optional<Process> process() const;

 private:
  std::shared_ptr<process::ManagedTask> task_;
};

class TaskManager {
 public:
  class Builder {
   public:
    Builder& max_tasks(std::uint64_t most);     // running at once; 1 … 1,000,000; 1024 if not said
    Builder& queue_max(std::uint64_t most);     // accepted beyond those; 0 … 1,000,000; 256 if not said
    Builder& priority_levels(unsigned levels);  // 1 … 8; 8 if not said. Tasks have priorities 0 (most urgent) … levels - 1
    Builder& ageing(std::uint32_t picks);       // a priority that is passed over so often is next; 1 … 1,000,000; 32 if not said
    Builder& resource_limits(TaskResources most);
    Builder& cancellation(std::string type, CancellationStrategy strategy);
    Builder& default_cancellation(CancellationStrategy strategy);  // of all other types; graceful with 5 s if not said
    // Each task pays for its spawn (by the size of the stack) and its join. OnExhausted::kWait: when its turn comes, and until it can, the
    // queue waits; kFail: when it is submitted, or it is refused. A process goes on to draw from the pool (SpawnOptions::fuel).
    Builder& fuel(FuelPool pool);
    // kBadArgument: what makes no sense; it names itself.
    Result<TaskManager> build() const;

   private:
    friend class TaskManager;
    explicit Builder(const Runtime& runtime) : runtime_(runtime.state()) {}
    std::weak_ptr<Runtime::State> runtime_;
    std::uint64_t max_tasks_ = 1024;
    std::uint64_t queue_max_ = 256;
    unsigned priority_levels_ = 8;
    std::uint32_t ageing_ = 32;
    TaskResources resources_;
    std::vector<std::pair<std::string, CancellationStrategy>> strategies_;
    CancellationStrategy default_strategy_;
    FuelPool fuel_;
  };
  static Builder builder(const Runtime& runtime) { return Builder(runtime); }

  // Accepts it or says why not; never waits. kExhausted: max_tasks and queue_max are both taken up, or the fuel is (OnExhausted::kFail). kBadArgument: no
  // work, no such priority, a memory limit that never fits; what prepare() says of a ProcessSpec. kCancelled: TaskSpec::token is, or the
  // runtime shuts down.
  Result<TaskHandle> try_submit(TaskWork work, TaskSpec spec = {}) const;
  // The same, but while there is no room it waits its turn: kTimedOut when the bound has passed first. co_await it in a task. GCC 12 destroys a TaskSpec (or a
  // lambda that captures) twice that is written inside a co_await expression: name it first, or the call: auto submitted = manager.submit(…); co_await std::move(submitted).
  Task<Result<TaskHandle>> submit(TaskWork work, TaskSpec spec, Duration bound = Duration::max()) const;
  Task<Result<TaskHandle>> submit(TaskWork work) const { return submit(std::move(work), TaskSpec()); }
  // The same on a thread of the host. Never on a worker (asserted).
  Result<TaskHandle> submit_blocking(TaskWork work, TaskSpec spec = {}, Duration bound = Duration::max()) const;

  // Accepted and not ended, in the order of their ids.
  std::vector<TaskInfo> list() const;
  // The last that ended, the latest first; at most 256.
  std::vector<TaskInfo> history() const;
  // One that was accepted and has not ended.
  std::optional<TaskHandle> find(TaskId id) const;
  TaskManagerStats stats() const;

  // Cancels all that were accepted so far, or those of one type.
  void cancel_all(const std::string& reason = "cancelled") const;
  void cancel_type(std::string_view type, const std::string& reason = "cancelled") const;
  // Blocks a thread of the host until nothing is accepted any more; false: the bound has passed. Never on a worker (asserted).
  bool wait_idle(Duration bound = Duration::max()) const;

 private:
  explicit TaskManager(std::shared_ptr<process::TaskManagerState> state, std::weak_ptr<Runtime::State> runtime)
      : state_(std::move(state)), runtime_(std::move(runtime)) {}
  Result<void> prepare(TaskWork& work, const TaskSpec& spec) const;
  std::shared_ptr<process::TaskManagerState> state_;
  std::weak_ptr<Runtime::State> runtime_;
};

}  // namespace weft
