// Children that are tasks of the host.
#include <exception>
#include <mutex>
#include <utility>

#include "supervise/child.hpp"

namespace weft {

namespace {

class Raised final : public Awaitable {
 public:
  explicit Raised(std::shared_ptr<detail::JoinState> state) : state_(std::move(state)) {}
  bool poll(detail::TaskContext& context) override { return state_->poll(context); }
  void await_resume() const noexcept {}

 private:
  std::shared_ptr<detail::JoinState> state_;
};

}  // namespace

Task<> StopSignal::raised() const {
  Raised raised(state_);
  co_await raised;
}

namespace supervise {
namespace {

// What the starter, the handle and the task itself share.
struct Life {
  std::mutex mutex;
  // Under mutex:
  bool launched = false;  // the starter has seen it off
  bool dropped = false;   // before that, without having run
  std::string killed_by{};
};

// Tells of the end of a task, however it comes: a task that is dropped says nothing itself.
class Report {
 public:
  Report(Port port, std::shared_ptr<Life> life) : port_(std::move(port)), life_(std::move(life)) {}
  Report(Report&& other) noexcept : port_(other.port_), life_(std::move(other.life_)) {}
  Report& operator=(Report&&) = delete;
  ~Report() {
    if (!life_) return;
    ExitStatus status;
    {
      std::lock_guard lock(life_->mutex);
      life_->dropped = !life_->launched;
      if (life_->dropped) return;  // the starter says so
      status.killed_by = life_->killed_by.empty() ? "shutdown" : life_->killed_by;
    }
    status.kind = ExitKind::kKilled;
    status.message = "killed by " + status.killed_by;
    port_.exited(std::move(status), false);
  }
  void begins() {
    std::lock_guard lock(life_->mutex);
    life_->launched = true;
  }
  void ended(const std::exception_ptr& failure) {
    life_.reset();
    ExitStatus status;
    if (failure) {
      status.kind = ExitKind::kFailed;
      status.message = detail::error_of(failure).message;
    }
    port_.exited(std::move(status), !failure);
  }

 private:
  Port port_;
  std::shared_ptr<Life> life_;  // null: said already, or moved away
};

Task<> reported(Task<> body, Report report) {
  report.begins();
  std::exception_ptr failure;
  try {
    co_await std::move(body);
  } catch (...) {
    failure = std::current_exception();
  }
  body = {};  // its frames go before anybody hears of the end
  report.ended(failure);
}

class RunningTask final : public Running {
 public:
  RunningTask(JoinHandle<void> handle, std::shared_ptr<detail::JoinState> stop, std::shared_ptr<Life> life)
      : handle_(std::move(handle)), stop_(std::move(stop)), life_(std::move(life)) {}
  void request_stop() override { stop_->finish(); }
  void kill(std::string_view by) override {
    {
      std::lock_guard lock(life_->mutex);
      life_->killed_by = by;
    }
    handle_.cancel();
  }

 private:
  JoinHandle<void> handle_;
  std::shared_ptr<detail::JoinState> stop_;
  std::shared_ptr<Life> life_;
};

class TaskStarter final : public Starter {
 public:
  TaskStarter(StartTask start, Priority priority, Launch launch)
      : start_(std::move(start)), priority_(priority), launch_(std::move(launch)) {}

  Result<std::unique_ptr<Running>> start(const Start& start) const override {
    auto stop = std::make_shared<detail::JoinState>();
    auto life = std::make_shared<Life>();
    Task<> body = start_(StopSignal(stop));
    if (!body) return fail(ErrorKind::kBadArgument, "the function has made no task");
    JoinHandle<void> handle = launch_(reported(std::move(body), Report(start.port, life)), priority_, start.id);
    {
      std::lock_guard lock(life->mutex);
      if (life->dropped) return fail(ErrorKind::kCancelled, "the runtime is shutting down");
      life->launched = true;
    }
    return std::make_unique<RunningTask>(std::move(handle), std::move(stop), std::move(life));
  }

 private:
  const StartTask start_;
  const Priority priority_;
  const Launch launch_;
};

}  // namespace

std::shared_ptr<const Starter> task_starter(StartTask start, Priority priority, Launch launch) {
  return std::make_shared<TaskStarter>(std::move(start), priority, std::move(launch));
}

}  // namespace supervise
}  // namespace weft
