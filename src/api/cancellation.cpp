#include "weft/cancellation.hpp"

#include <utility>

#include "api/runtime_state.hpp"
#include "sync/cancellation.hpp"

namespace weft {

void CancellationSource::cancel_after(const Runtime& runtime, Duration after, std::string reason) const {
  sched::Scheduler& scheduler = runtime.state()->environment->scheduler();
  cancel_at(scheduler, sync::deadline_after(scheduler.now_ns(), after), std::move(reason));
}

}  // namespace weft
