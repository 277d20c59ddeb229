// The blocking pool runs what it accepted, wakes who waits, grows to its bound and not beyond, refuses beyond its queue, shrinks again, and
// ends with its work done.
#include "sched/blocking_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <thread>

#include "platform/platform.hpp"
#include "sched/testing/fixture.hpp"

namespace weft::sched {
namespace {

using testing::make_task;

TEST(BlockingPoolTest, RunsWorkOnThreadsOfItsOwn) {
  const auto pool = make_blocking_pool(platform::host(), {});
  std::promise<std::thread::id> where;
  ASSERT_TRUE(pool->submit([&where] { where.set_value(std::this_thread::get_id()); }, nullptr));
  EXPECT_NE(where.get_future().get(), std::this_thread::get_id());
  pool->stop();
  EXPECT_EQ(pool->statistics().finished, 1U);
  EXPECT_EQ(pool->statistics().threads, 0U);
}

TEST(BlockingPoolTest, GrowsToItsBoundAndThenQueuesAndThenRefuses) {
  constexpr uint32_t kThreads = 3;
  constexpr uint32_t kQueue = 2;
  std::latch all_inside(kThreads);
  std::promise<void> gate;
  const std::shared_future<void> open = gate.get_future().share();
  std::atomic<int> ran{0};
  const auto pool = make_blocking_pool(platform::host(), {.threads_max = kThreads, .queue_max = kQueue});
  for (uint32_t i = 0; i < kThreads; ++i) {
    ASSERT_TRUE(pool->submit(
        [&] {
          all_inside.count_down();
          open.wait();
          ++ran;
        },
        nullptr));
  }
  all_inside.wait();  // all of them run at once: it did grow
  EXPECT_EQ(pool->statistics().threads, kThreads);
  for (uint32_t i = 0; i < kQueue; ++i) ASSERT_TRUE(pool->submit([&] { ++ran; }, nullptr));
  const Result<void> refused = pool->submit([&] { ran = -1000; }, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_NE(refused.error().message.find("queue is full (2 waiting, 3 threads"), std::string::npos) << refused.error().message;
  EXPECT_EQ(pool->statistics().queued, kQueue);
  gate.set_value();
  pool->stop();
  EXPECT_EQ(ran, static_cast<int>(kThreads + kQueue));
}

TEST(BlockingPoolTest, IdleThreadsLeave) {
  const auto pool = make_blocking_pool(platform::host(), {.idle_exit_ns = 1'000'000});
  std::promise<void> done;
  ASSERT_TRUE(pool->submit([&] { done.set_value(); }, nullptr));
  done.get_future().wait();
  while (pool->statistics().threads != 0) std::this_thread::yield();
  // And it starts anew.
  std::promise<void> again;
  ASSERT_TRUE(pool->submit([&] { again.set_value(); }, nullptr));
  again.get_future().wait();
}

TEST(BlockingPoolTest, AfterStopNothingIsAccepted) {
  const auto pool = make_blocking_pool(platform::host(), {});
  pool->stop();
  const Result<void> refused = pool->submit([] {}, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kCancelled);
}

class BlockingTest : public testing::SchedulerTest {};

TEST_F(BlockingTest, WorkWakesTheTaskThatWaits) {
  Scheduler& scheduler = make({.workers = 2, .blocking = {.threads_max = 4}});
  struct Caller final : testing::CountedTask {
    Caller() : CountedTask({.kind = "caller"}) {}
    Poll run(RunContext& context) override {
      if (answer != 0) {
        EXPECT_EQ(answer, 42);
        return Poll::kDone;
      }
      if (!asked) {
        asked = true;
        EXPECT_TRUE(context.scheduler().blocking().submit([this] { answer = 42; }, base::Ref<Task>(this)));
      }
      context.park("blocking call");
      return Poll::kPending;
    }
    int answer = 0;  // no atomic: the wake publishes it
    bool asked = false;
  };
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(scheduler.spawn(base::make_ref<Caller>()));
  ASSERT_TRUE(scheduler.drain(kNever));
}

}  // namespace
}  // namespace weft::sched
