// The public handle: it only posts, waits and looks.
#include "weft/supervisor.hpp"

#include <algorithm>
#include <utility>

#include "supervise/executor.hpp"
#include "supervise/prepare.hpp"

namespace weft {

using supervise::Command;
using supervise::PolicyEvent;

namespace {

// A command's way back: a handle, and what completes it.
template <class T>
std::pair<JoinHandle<T>, std::function<void(Result<std::string>)>> promise() {
  auto join = std::make_shared<detail::TypedJoinState<T>>();
  JoinHandle<T> handle(join);
  return {std::move(handle), [join = std::move(join)](Result<std::string> result) {
            if constexpr (std::is_void_v<T>) {
              join->result.emplace(result ? Result<void>() : std::unexpected(std::move(result.error())));
            } else {
              join->result.emplace(std::move(result));
            }
            join->finish();
          }};
}

JoinHandle<void> command(const std::shared_ptr<Supervisor::State>& state, PolicyEvent::Kind kind, std::string_view id) {
  auto [handle, done] = promise<void>();
  state->command({.kind = kind, .id = std::string(id), .done = std::move(done)});
  return std::move(handle);
}

class Ended final : public Awaitable {
 public:
  explicit Ended(std::shared_ptr<Supervisor::State> state) : state_(std::move(state)) {}
  bool poll(detail::TaskContext& context) override { return state_->ended.poll(context); }
  SupervisorEnd await_resume() const { return state_->end(); }

 private:
  std::shared_ptr<Supervisor::State> state_;
};

}  // namespace

Result<Supervisor> Supervisor::start(const Runtime& runtime, SupervisorSpec spec) {
  const std::string name = spec.name;
  auto prepared = supervise::prepare(runtime, std::move(spec), name);
  if (!prepared) return std::unexpected(std::move(prepared.error()));
  auto on_event = (*prepared)->on_event;
  return Supervisor(State::start(std::move(*prepared), name, std::move(on_event), std::nullopt));
}

const std::string& Supervisor::name() const noexcept { return state_->path; }
bool Supervisor::running() const noexcept { return state_->running(); }
std::uint64_t Supervisor::restarts() const noexcept { return state_->restarts(); }

SupervisorEnd Supervisor::join() const {
  state_->ended.wait();
  return state_->end();
}

SupervisorResult Supervisor::join_for(Duration bound) const {
  SupervisorResult result;
  // A condition variable cannot count beyond the end of its clock.
  if (state_->ended.wait_for(std::min<Duration>(bound, std::chrono::hours(24 * 365)))) result.end = state_->end();
  result.restarts = state_->restarts();
  if (!result.end) result.pending = state_->children(true);
  return result;
}

Task<SupervisorEnd> Supervisor::ended() const {
  Ended ended(state_);
  co_return co_await ended;
}

void Supervisor::stop() const { state_->stop(); }
void Supervisor::kill(std::string_view by) const { state_->kill(by); }
std::vector<ChildInfo> Supervisor::children() const { return state_->children(false); }
std::optional<ChildInfo> Supervisor::child(std::string_view id) const { return state_->child(id); }

JoinHandle<void> Supervisor::add_child(ChildSpec child) const {
  auto [handle, done] = promise<void>();
  std::shared_ptr<Runtime::State> runtime = state_->prepared->runtime.lock();
  if (!runtime) {
    done(fail(ErrorKind::kCancelled, "the runtime is gone"));
    return std::move(handle);
  }
  auto prepared =
      supervise::prepare(Runtime(std::move(runtime)), std::move(child), state_->prepared->rules.auto_shutdown, state_->path);
  if (!prepared) {
    done(std::unexpected(std::move(prepared.error())));
    return std::move(handle);
  }
  state_->command({.kind = PolicyEvent::Kind::kAdd,
                   .child = std::make_shared<const supervise::PreparedChild>(std::move(*prepared)),
                   .done = std::move(done)});
  return std::move(handle);
}

JoinHandle<std::string> Supervisor::add_copy(std::string id, SpawnOptions options) const {
  auto [handle, done] = promise<std::string>();
  state_->command({.kind = PolicyEvent::Kind::kAdd, .id = std::move(id), .options = std::move(options), .done = std::move(done)});
  return std::move(handle);
}

JoinHandle<void> Supervisor::remove_child(std::string_view id) const { return command(state_, PolicyEvent::Kind::kRemove, id); }
JoinHandle<void> Supervisor::stop_child(std::string_view id) const { return command(state_, PolicyEvent::Kind::kStopChild, id); }
JoinHandle<void> Supervisor::restart_child(std::string_view id) const {
  return command(state_, PolicyEvent::Kind::kRestartChild, id);
}

}  // namespace weft
