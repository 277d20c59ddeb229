// The ends of a process and of its threads as something to wait for among other things.
#include "process/guest_task.hpp"
#include "process/state.hpp"

namespace weft {

Waitable Process::when_exited() const {
  if (state_ == nullptr) return {};
  base::Ref<sync::FlagSource> source;
  bool first = false;
  {
    std::lock_guard lock(state_->mutex);
    first = !state_->exit_source;
    if (first) state_->exit_source = base::make_ref<sync::FlagSource>("process end");
    source = state_->exit_source;
  }
  // Called at once if it has ended.
  if (first) state_->on_end([source](const ExitStatus&) { source->set(); });
  return sync::to_waitable(std::move(source));
}

Waitable Process::State::when_thread_ended(std::uint64_t thread) {
  {
    std::lock_guard lock(mutex);
    if (!threads_ || !threads_->ids.given(thread)) return {};
    const auto found = threads_->alive.find(static_cast<std::uint32_t>(thread));
    if (found != threads_->alive.end()) {
      Thread& alive = found->second;
      if (!alive.end) alive.end = base::make_ref<sync::FlagSource>("thread end", static_cast<const sched::Task*>(alive.task.get()));
      return sync::to_waitable(alive.end);
    }
  }
  auto has_ended = base::make_ref<sync::FlagSource>("thread end");
  has_ended->set();
  return sync::to_waitable(std::move(has_ended));
}

Waitable Process::when_thread_ended(std::uint32_t thread) const {
  if (thread == 0) return when_exited();
  return state_ ? state_->when_thread_ended(thread) : Waitable();
}

}  // namespace weft
