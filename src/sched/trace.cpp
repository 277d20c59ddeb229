#include "sched/trace.hpp"

#include <bit>

#include "base/assert.hpp"

namespace weft::sched {

Recorder::Recorder(uint32_t workers, uint32_t events_per_worker)
    : workers_(workers), rings_(std::make_unique<Ring[]>(size_t{workers} + 1)) {
  const uint64_t slots = std::bit_ceil(static_cast<uint64_t>(events_per_worker < 2 ? 2 : events_per_worker));
  for (uint32_t i = 0; i <= workers; ++i) {
    // Not value-initialized: pages that are never written cost nothing.
    rings_[i].slots = std::make_unique_for_overwrite<Slot[]>(slots);
    rings_[i].mask = slots - 1;
  }
}

Recorder::~Recorder() = default;

void Recorder::record_outside(TraceKind kind, uint64_t time_ns, uint64_t task_id) {
  base::Lock lock(outside_mutex_);
  rings_[workers_].push(kind, time_ns, task_id, nullptr);
}

void Recorder::collect(const std::function<void(const TraceEvent&)>& each) const {
  for (uint32_t i = 0; i <= workers_; ++i) {
    const Ring& ring = rings_[i];
    // Acquire: all slots below are complete. Fixed now, or a worker that records as fast as we read would keep us for ever.
    const uint64_t end = ring.next.load(std::memory_order_acquire);
    const uint64_t size = ring.mask + 1;
    for (uint64_t position = end > size ? end - size : 0; position < end; ++position) {
      const Slot& slot = ring.slots[position & ring.mask];
      TraceEvent event;
      event.time_ns = slot.time.load(std::memory_order_acquire);
      const uint64_t task_and_kind = slot.task_and_kind.load(std::memory_order_acquire);
      event.reason = slot.reason.load(std::memory_order_acquire);
      // Claimed by a later lap: what was read may be of it.
      if (ring.claimed.load(std::memory_order_acquire) > position + size) continue;
      event.task_id = task_and_kind >> 3U;
      event.kind = static_cast<TraceKind>(task_and_kind & 7U);
      event.worker = i == workers_ ? TraceEvent::kOutside : i;
      each(event);
    }
  }
}

uint64_t Recorder::dropped() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i <= workers_; ++i) {
    const uint64_t next = rings_[i].next.load(std::memory_order_acquire);
    if (next > rings_[i].mask + 1) sum += next - rings_[i].mask - 1;
  }
  return sum;
}

}  // namespace weft::sched
