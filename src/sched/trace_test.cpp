// The recorder loses nothing until its rings are full, then the oldest, and counts them; and what it records of a real run is consistent:
// runs alternate with their ends on each worker, and each task's events make sense in order.
#include "sched/trace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "sched/testing/fixture.hpp"

namespace weft::sched {
namespace {

using testing::make_task;

std::vector<TraceEvent> all_of(const Recorder& recorder) {
  std::vector<TraceEvent> events;
  recorder.collect([&events](const TraceEvent& event) { events.push_back(event); });
  return events;
}

TEST(RecorderTest, KeepsTheNewestAndCountsTheRest) {
  Recorder recorder(1, 8);
  for (uint64_t i = 0; i < 20; ++i) recorder.record(0, TraceKind::kPark, 1000 + i, i, "reason");
  const std::vector<TraceEvent> events = all_of(recorder);
  ASSERT_EQ(events.size(), 8U);
  for (uint64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(events[i].time_ns, 1012 + i);
    EXPECT_EQ(events[i].task_id, 12 + i);
    EXPECT_EQ(events[i].kind, TraceKind::kPark);
    EXPECT_STREQ(events[i].reason, "reason");
  }
  EXPECT_EQ(recorder.dropped(), 12U);
}

// The time of each event is a function of its id: an event mixed from two would show.
TEST(RecorderTest, CollectingWhileOthersRecordSeesWholeEventsOnly) {
  Recorder recorder(1, 64);
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (uint64_t i = 1; !over; ++i) recorder.record(0, TraceKind::kRun, i * 3, i);
  });
  uint64_t seen = 0;
  while (seen < 100'000) {
    uint64_t last = 0;
    recorder.collect([&](const TraceEvent& event) {
      ++seen;
      ASSERT_EQ(event.time_ns, event.task_id * 3);
      ASSERT_GT(event.task_id, last);
      last = event.task_id;
    });
  }
  over = true;
  writer.join();
}

class TraceTest : public testing::SchedulerTest {};

TEST_F(TraceTest, ARunIsRecordedConsistently) {
  constexpr uint32_t kWorkers = 3;
  Recorder recorder(kWorkers, 1U << 16U);
  Scheduler& scheduler = make({.workers = kWorkers, .recorder = &recorder});
  struct Traced final : testing::CountedTask {
    Traced() : CountedTask({.kind = "traced"}) { timer.borrow_task(*this); }
    Poll run(RunContext& context) override {
      if (turn++ == 30) return Poll::kDone;
      if (turn % 3 == 0) {
        timer.clear();
        context.scheduler().timers().arm(timer, context.now_ns() + 50'000);
        context.park("sleep");
      } else {
        context.yield(turn % 2 == 0 ? YieldKind::kAsked : YieldKind::kPreempted);
      }
      return Poll::kPending;
    }
    TaskTimer timer;
    int turn = 0;
  };
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(scheduler.spawn(base::make_ref<Traced>()));
  ASSERT_TRUE(scheduler.drain(kNever));
  destroy();
  std::vector<TraceEvent> events = all_of(recorder);
  EXPECT_EQ(recorder.dropped(), 0U);

  // On each worker: a run begins, and ends before the next begins; times never go back.
  std::map<uint32_t, uint64_t> running;
  std::map<uint32_t, uint64_t> time_ns;
  std::map<TraceKind, int> counts;
  for (const TraceEvent& event : events) {
    ++counts[event.kind];
    if (event.worker == TraceEvent::kOutside) continue;
    ASSERT_LT(event.worker, kWorkers);
    ASSERT_GE(event.time_ns, time_ns[event.worker]);
    time_ns[event.worker] = event.time_ns;
    uint64_t& current = running[event.worker];
    switch (event.kind) {
      case TraceKind::kRun:
        ASSERT_EQ(current, 0U);
        current = event.task_id;
        break;
      case TraceKind::kYield:
      case TraceKind::kPreempt:
      case TraceKind::kPark:
      case TraceKind::kExit:
        ASSERT_EQ(current, event.task_id);
        current = 0;
        if (event.kind == TraceKind::kPark) {
          EXPECT_STREQ(event.reason, "sleep");
        }
        break;
      default:
        break;
    }
  }
  EXPECT_EQ(counts[TraceKind::kSpawn], 50);
  EXPECT_EQ(counts[TraceKind::kExit], 50);
  EXPECT_EQ(counts[TraceKind::kPark], 50 * 10);
  EXPECT_EQ(counts[TraceKind::kWake], 50 * 10);
  EXPECT_EQ(counts[TraceKind::kRun], 50 * 31);
  EXPECT_EQ(counts[TraceKind::kYield] + counts[TraceKind::kPreempt], 50 * 20);

  // Of each task, by time: it is spawned first and exits last.
  std::stable_sort(events.begin(), events.end(), [](const auto& one, const auto& two) { return one.time_ns < two.time_ns; });
  std::map<uint64_t, std::vector<TraceKind>> by_task;
  for (const TraceEvent& event : events) {
    if (event.kind != TraceKind::kSteal) by_task[event.task_id].push_back(event.kind);
  }
  EXPECT_EQ(by_task.size(), 50U);
  for (const auto& [id, kinds] : by_task) EXPECT_EQ(kinds.back(), TraceKind::kExit) << "task " << id;
}

}  // namespace
}  // namespace weft::sched
