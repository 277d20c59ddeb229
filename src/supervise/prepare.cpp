#include "supervise/prepare.hpp"

#include <cmath>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace weft::supervise {
namespace {

constexpr Duration kGrace = std::chrono::seconds(5);

Error named(Error error, const std::string& path) {
  error.message = path + ": " + error.message;
  return error;
}

// One compilation for all the children of a supervisor that are made from the same file.
using Files = std::unordered_map<std::string, Module>;

Result<void> check(const SupervisorSpec& spec, const std::string& path) {
  const auto bad = [&](const std::string& message) { return fail(ErrorKind::kBadArgument, path + ": " + message); };
  if (spec.name.empty()) return bad("a supervisor needs a name");
  if (spec.period <= Duration::zero()) return bad("the period of the restart intensity has to be longer than 0");
  const Backoff& backoff = spec.backoff;
  if (backoff.first < Duration::zero() || backoff.max < backoff.first || backoff.stable < Duration::zero()) {
    return bad("the back-off makes no sense: 0 <= first <= max, 0 <= stable");
  }
  if (!std::isfinite(backoff.factor) || backoff.factor < 1) return bad("the factor of the back-off has to be 1 or more");
  if (!(backoff.jitter >= 0 && backoff.jitter <= 1)) return bad("the jitter of the back-off has to be between 0 and 1");
  if (spec.priority > kPriorityLowest) return bad("priority " + std::to_string(spec.priority) + " does not exist: 0 to 7");
  if (spec.strategy == Strategy::kSimpleOneForOne && spec.children.size() != 1) {
    return bad("simple_one_for_one needs exactly one child, the template, and has " + std::to_string(spec.children.size()));
  }
  std::unordered_set<std::string_view> ids;
  for (const ChildSpec& child : spec.children) {
    if (!ids.insert(child.id).second) return bad("two children are called '" + child.id + "'");
  }
  return {};
}

Result<ChildRules> rules_of(const ChildSpec& spec, AutoShutdown auto_shutdown, const std::string& path) {
  const auto bad = [&](const std::string& message) { return fail(ErrorKind::kBadArgument, path + ": " + message); };
  if (spec.id.empty()) return bad("a child needs an id");
  if (spec.grace && *spec.grace < Duration::zero()) return bad("the grace is negative");
  // As OTP has it: such a combination could only be a mistake.
  if (spec.significant && spec.restart == Restart::kPermanent) return bad("a permanent child cannot be significant: it never ends");
  if (spec.significant && auto_shutdown != AutoShutdown::kAnySignificant && auto_shutdown != AutoShutdown::kAllSignificant) {
    return bad("a significant child means nothing with this auto_shutdown");
  }
  const bool supervisor = std::holds_alternative<std::shared_ptr<const SupervisorSpec>>(spec.body) ||
                          std::holds_alternative<StartSupervisor>(spec.body);
  return ChildRules{
      .restart = spec.restart, .grace = spec.grace.value_or(supervisor ? kForever : kGrace), .significant = spec.significant};
}

class Preparation {
 public:
  Preparation(const Runtime& runtime, std::string path, Files& files) : runtime_(runtime), path_(std::move(path)), files_(files) {}

  Result<std::shared_ptr<const Starter>> operator()(std::monostate&) const {
    return fail(ErrorKind::kBadArgument, path_ + ": it is nothing yet: set ChildSpec::body");
  }
  Result<std::shared_ptr<const Starter>> operator()(ProcessSpec& spec) const {
    Result<Program> program = runtime_.prepare(std::move(spec));
    if (!program) return std::unexpected(named(std::move(program.error()), path_));
    return (*this)(*program);
  }
  Result<std::shared_ptr<const Starter>> operator()(Program& program) const {
    if (!program) return fail(ErrorKind::kBadArgument, path_ + ": an empty program cannot be spawned: prepare() one");
    return program_starter(std::move(program), runtime_.state());
  }
  Result<std::shared_ptr<const Starter>> operator()(ModuleFile& file) const {
    Module& module = files_[file.path.string()];
    if (!module) {
      Result<Module> loaded = runtime_.load(file.path);
      if (!loaded) return std::unexpected(named(std::move(loaded.error()), path_));
      module = std::move(*loaded);
    }
    file.process.module = module;
    return (*this)(file.process);
  }
  Result<std::shared_ptr<const Starter>> operator()(ModuleBytes& bytes) const {
    Result<Module> module = runtime_.compile(bytes.bytes, bytes.name);
    if (!module) return std::unexpected(named(std::move(module.error()), path_));
    bytes.process.module = std::move(*module);
    return (*this)(bytes.process);
  }
  Result<std::shared_ptr<const Starter>> operator()(StartProcess& start) const {
    if (!start) return fail(ErrorKind::kBadArgument, path_ + ": the function is empty");
    return function_starter(std::move(start), runtime_.state());
  }
  Result<std::shared_ptr<const Starter>> operator()(StartTask& start) const;
  Result<std::shared_ptr<const Starter>> operator()(std::shared_ptr<const SupervisorSpec>& spec) const {
    if (!spec) return fail(ErrorKind::kBadArgument, path_ + ": there is no SupervisorSpec");
    auto prepared = prepare(runtime_, *spec, path_);
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    return nested_starter(std::move(*prepared));
  }
  Result<std::shared_ptr<const Starter>> operator()(StartSupervisor& start) const {
    if (!start) return fail(ErrorKind::kBadArgument, path_ + ": the function is empty");
    return nested_function_starter([start = std::move(start), path = path_,
                                    weak = std::weak_ptr(runtime_.state())]() -> Result<std::shared_ptr<const PreparedSupervisor>> {
      std::shared_ptr<Runtime::State> alive = weak.lock();
      if (!alive) return fail(ErrorKind::kCancelled, "the runtime is gone");
      Result<SupervisorSpec> spec = start();
      if (!spec) return std::unexpected(std::move(spec.error()));
      return prepare(Runtime(std::move(alive)), std::move(*spec), path);
    });
  }

 private:
  const Runtime& runtime_;
  const std::string path_;
  Files& files_;
};

Result<PreparedChild> prepare_child(const Runtime& runtime, ChildSpec spec, AutoShutdown auto_shutdown,
                                    const std::string& supervisor, Files& files) {
  const std::string path = supervisor + "/" + spec.id;
  Result<ChildRules> rules = rules_of(spec, auto_shutdown, path);
  if (!rules) return std::unexpected(std::move(rules.error()));
  Result<std::shared_ptr<const Starter>> starter = std::visit(Preparation(runtime, path, files), spec.body);
  if (!starter) return std::unexpected(std::move(starter.error()));
  return PreparedChild{.id = std::move(spec.id), .rules = *rules, .starter = std::move(*starter)};
}

// A supervisor does not keep its runtime alive: once that is gone, nothing more is started.
Launch launch_on(const Runtime& runtime) {
  return [weak = std::weak_ptr(runtime.state())](Task<> task, Priority priority, std::string_view name) {
    if (std::shared_ptr<Runtime::State> alive = weak.lock())
      return Runtime(std::move(alive)).start(std::move(task), priority, name);
    task = {};
    auto join = std::make_shared<detail::TypedJoinState<void>>();
    join->result.emplace(fail(ErrorKind::kCancelled, "the runtime is gone"));
    join->finish();
    return JoinHandle<void>(std::move(join));
  };
}

Result<std::shared_ptr<const Starter>> Preparation::operator()(StartTask& start) const {
  if (!start) return fail(ErrorKind::kBadArgument, path_ + ": the function is empty");
  return task_starter(std::move(start), kPriorityNormal, launch_on(runtime_));
}

}  // namespace

Result<std::shared_ptr<const PreparedSupervisor>> prepare(const Runtime& runtime, SupervisorSpec spec, const std::string& path) {
  if (Result<void> checked = check(spec, path); !checked) return std::unexpected(std::move(checked.error()));
  auto prepared = std::make_shared<PreparedSupervisor>();
  Files files;
  for (ChildSpec& child : spec.children) {
    Result<PreparedChild> made = prepare_child(runtime, std::move(child), spec.auto_shutdown, path, files);
    if (!made) return std::unexpected(std::move(made.error()));
    prepared->children.push_back(std::move(*made));
  }
  prepared->name = std::move(spec.name);
  prepared->rules = {.strategy = spec.strategy,
                     .max_restarts = spec.max_restarts,
                     .period = spec.period,
                     .backoff = spec.backoff,
                     .auto_shutdown = spec.auto_shutdown,
                     .stop_order = spec.stop_order};
  prepared->priority = spec.priority;
  prepared->seed = spec.seed;
  prepared->on_event = std::move(spec.on_event);
  prepared->launch = launch_on(runtime);
  prepared->runtime = runtime.state();
  return prepared;
}

Result<PreparedChild> prepare(const Runtime& runtime, ChildSpec spec, AutoShutdown auto_shutdown, const std::string& path) {
  Files files;
  return prepare_child(runtime, std::move(spec), auto_shutdown, path, files);
}

}  // namespace weft::supervise
