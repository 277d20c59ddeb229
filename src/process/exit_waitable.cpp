// A process's end as something to wait for among other things.
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

}  // namespace weft
