// Children that are processes.
#include <utility>

#include "process/state.hpp"
#include "supervise/child.hpp"

namespace weft::supervise {
namespace {

class RunningProcess final : public Running {
 public:
  explicit RunningProcess(Process process) : process_(std::move(process)) {}
  void request_stop() override { process_.request_stop(); }
  void kill(std::string_view by) override { process_.kill(by); }
  Process process() const override { return process_; }

 private:
  const Process process_;
};

class ProcessStarter : public Starter {
 public:
  explicit ProcessStarter(std::weak_ptr<Runtime::State> runtime) : runtime_(std::move(runtime)) {}

  Result<std::unique_ptr<Running>> start(const Start& start) const override {
    std::shared_ptr<Runtime::State> runtime = runtime_.lock();
    if (!runtime) return fail(ErrorKind::kCancelled, "the runtime is gone");
    Result<Process> process = spawn(Runtime(std::move(runtime)), start);
    if (!process) return std::unexpected(std::move(process.error()));
    if (!*process) return fail(ErrorKind::kBadArgument, "the function has started no process");
    process->state()->on_end([port = start.port](const ExitStatus& status) { port.exited(status, status.success()); });
    return std::make_unique<RunningProcess>(std::move(*process));
  }

 protected:
  virtual Result<Process> spawn(const Runtime& runtime, const Start& start) const = 0;

 private:
  const std::weak_ptr<Runtime::State> runtime_;
};

class ProgramStarter final : public ProcessStarter {
 public:
  ProgramStarter(Program program, std::weak_ptr<Runtime::State> runtime)
      : ProcessStarter(std::move(runtime)), program_(std::move(program)) {}

 protected:
  Result<Process> spawn(const Runtime& runtime, const Start& start) const override {
    SpawnOptions options = start.options;
    if (!options.name) options.name = start.id;
    options.next = true;  // the supervisor soon waits: a child that fell runs again here, and nobody has to be woken for it
    return runtime.spawn(program_, std::move(options));
  }

 private:
  const Program program_;
};

class FunctionStarter final : public ProcessStarter {
 public:
  FunctionStarter(StartProcess start, std::weak_ptr<Runtime::State> runtime)
      : ProcessStarter(std::move(runtime)), start_(std::move(start)) {}

 protected:
  Result<Process> spawn(const Runtime& runtime, const Start&) const override { return start_(runtime); }

 private:
  const StartProcess start_;
};

}  // namespace

std::shared_ptr<const Starter> program_starter(Program program, std::weak_ptr<Runtime::State> runtime) {
  return std::make_shared<ProgramStarter>(std::move(program), std::move(runtime));
}

std::shared_ptr<const Starter> function_starter(StartProcess start, std::weak_ptr<Runtime::State> runtime) {
  return std::make_shared<FunctionStarter>(std::move(start), std::move(runtime));
}

}  // namespace weft::supervise
