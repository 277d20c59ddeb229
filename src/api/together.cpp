// Locks, regions and topics as the host sees them: what the process room has, by way of the Runtime.
#include "api/runtime_state.hpp"
#include "process/together/lock.hpp"
#include "process/together/region.hpp"
#include "process/together/society.hpp"
#include "process/together/topic.hpp"

namespace weft {

Result<ProcessLock> open_lock(const Runtime& runtime, std::string_view name, std::uint32_t permits) {
  auto opened = runtime.state()->environment->society.open_lock(name, permits);
  if (!opened) return std::unexpected(std::move(opened.error()));
  return ProcessLock(std::move(*opened));
}

Result<SharedRegion> open_region(const Runtime& runtime, std::string_view name, std::uint64_t bytes) {
  auto opened = runtime.state()->environment->society.open_region(name, bytes);
  if (!opened) return std::unexpected(std::move(opened.error()));
  return SharedRegion(std::move(*opened));
}

std::size_t publish(const Runtime& runtime, std::string_view topic, const Bytes& bytes) {
  return runtime.state()->environment->society.publish(topic, 0, bytes);
}

Result<Subscription> subscribe(const Runtime& runtime, std::string_view topic, TopicOptions options) {
  auto made = runtime.state()->environment->society.subscribe(topic, options);
  if (!made) return std::unexpected(std::move(made.error()));
  return Subscription(std::move(*made));
}

}  // namespace weft
