// Recorder: what each worker ran when, as small binary events in bounded rings, cheap enough to leave on.
//
//   sched::Recorder recorder(workers, events_per_worker);
//   Scheduler scheduler({.recorder = &recorder, …});
//   …
//   recorder.collect([](const TraceEvent& event) { … });    // by time within each worker, worker after worker
//
// Each worker writes its own ring without locks; other threads (a wake from outside) share one ring under a lock. When a ring is full its
// oldest events are overwritten and counted as dropped. collect() may run at any time, also while workers record; it sees the
// events that were complete when it began and were not overwritten under its eyes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/atomic.hpp"
#include "base/cache_line.hpp"
#include "base/mutex.hpp"

namespace weft::sched {

enum class TraceKind : uint8_t { kSpawn, kRun, kYield, kPreempt, kPark, kWake, kSteal, kExit };

struct TraceEvent {
  static constexpr uint32_t kOutside = 0xffff'ffff;  // as `worker`: a thread that is no worker

  uint64_t time_ns = 0;
  uint64_t task_id = 0;
  uint32_t worker = 0;
  TraceKind kind = TraceKind::kRun;
  // kPark: the static text of the reason. A kSteal is of the task that the thief runs next; those it took along are not recorded.
  const char* reason = nullptr;
};

class Recorder {
 public:
  // `events_per_worker` is rounded up to a power of two; 24 bytes each, allocated now (the system gives pages on first use).
  Recorder(uint32_t workers, uint32_t events_per_worker);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Only the thread that is worker `worker` at the moment.
  void record(uint32_t worker, TraceKind kind, uint64_t time_ns, uint64_t task_id, const char* reason = nullptr) {
    rings_[worker].push(kind, time_ns, task_id, reason);
  }
  // Any thread.
  void record_outside(TraceKind kind, uint64_t time_ns, uint64_t task_id);

  // Calls `each` for every event that is still there, worker after worker, those from outside last. Any thread.
  void collect(const std::function<void(const TraceEvent&)>& each) const;
  // How many events have been overwritten so far. Any thread.
  uint64_t dropped() const;
  uint32_t workers() const { return workers_; }

 private:
  // A slot is three words. Writer: the ring's owner. Readers: collect(), which throws away what may have been overwritten
  // meanwhile: it compares positions before and after. Stores release the claim before them, collect() acquires it.
  struct Slot {
    base::atomic<uint64_t> time;
    base::atomic<uint64_t> task_and_kind;  // id << 3 | kind
    base::atomic<const char*> reason;
  };
  struct alignas(base::kCacheLinePair) Ring {
    void push(TraceKind kind, uint64_t time_ns, uint64_t task_id, const char* reason) {
      const uint64_t position = next.load(std::memory_order_relaxed);
      Slot& slot = slots[position & mask];
      // Claimed before it is written: a reader that acquires any of the new words then sees the claim too.
      claimed.store(position + 1, std::memory_order_relaxed);
      slot.time.store(time_ns, std::memory_order_release);
      slot.task_and_kind.store(task_id << 3U | static_cast<uint64_t>(kind), std::memory_order_release);
      slot.reason.store(reason, std::memory_order_release);
      next.store(position + 1, std::memory_order_release);
    }

    std::unique_ptr<Slot[]> slots;
    uint64_t mask = 0;
    // Writer: the owner; reader: collect(). `next` publishes the slots below it; `claimed` warns of the one being overwritten.
    base::atomic<uint64_t> next{0};
    base::atomic<uint64_t> claimed{0};
  };

  const uint32_t workers_;
  std::unique_ptr<Ring[]> rings_;  // one a worker, then the one for outside
  mutable base::Mutex outside_mutex_;
};

}  // namespace weft::sched
