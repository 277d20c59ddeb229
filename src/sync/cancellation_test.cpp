// Cancellation: trees are cancelled downwards only and as a whole; callbacks run once, never after their registration is gone; deadlines fire in virtual
// time and leave nothing behind; handles may be dropped in any order, from any thread; long chains and many dead children cost nothing.
#include "weft/cancellation.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "sync/cancellation.hpp"
#include "sync/testing/tasks.hpp"

namespace weft::sync {
namespace {

using namespace std::chrono_literals;
using testing::start;

class CancellationTest : public testing::TaskTest {};

TEST_F(CancellationTest, DownwardsOnlyAndOnce) {
  const CancellationSource root;
  const CancellationSource left(root.token());
  const CancellationSource right(root.token());
  const CancellationSource below(left.token());
  EXPECT_TRUE(below.cancel("first"));
  EXPECT_FALSE(left.cancelled());
  EXPECT_TRUE(left.cancel("second"));
  EXPECT_FALSE(root.cancelled());
  EXPECT_FALSE(right.cancelled());
  EXPECT_TRUE(root.cancel("third"));
  EXPECT_FALSE(root.cancel("fourth"));
  EXPECT_EQ(below.token().reason(), "first");
  EXPECT_EQ(left.token().reason(), "second");
  EXPECT_EQ(right.token().reason(), "third");
  EXPECT_EQ(root.token().reason(), "third");
  const Result<void> checked = right.token().check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(checked.error().message, "third");
  const CancellationSource late(right.token());
  EXPECT_TRUE(late.cancelled());
  EXPECT_EQ(late.token().reason(), "third");
}

TEST_F(CancellationTest, ATokenOfNothingIsNeverCancelled) {
  const CancellationToken nothing;
  EXPECT_FALSE(nothing);
  EXPECT_FALSE(nothing.cancelled());
  EXPECT_TRUE(nothing.check());
  EXPECT_EQ(nothing.cancelled_wait().block().error().kind, ErrorKind::kBadArgument);
  const CancellationCallback callback = nothing.on_cancel([] { ADD_FAILURE(); });
  const CancellationSource root(nothing);
  EXPECT_TRUE(root.cancel());
}

TEST_F(CancellationTest, CallbacksSeeTheWholeTreeCancelled) {
  const CancellationSource root;
  std::vector<CancellationSource> all;
  for (int index = 0; index < 50; ++index)
    all.emplace_back(index == 0 ? root.token() : all[static_cast<std::size_t>(index) / 2].token());
  std::vector<CancellationCallback> callbacks;
  int ran = 0;
  for (const CancellationSource& one : all) {
    callbacks.push_back(one.token().on_cancel([&] {
      ++ran;
      for (const CancellationSource& other : all) EXPECT_TRUE(other.cancelled());
    }));
  }
  root.cancel();
  EXPECT_EQ(ran, 50);
  const CancellationCallback late = root.token().on_cancel([&] { ++ran; });
  EXPECT_EQ(ran, 51);
}

TEST_F(CancellationTest, InTheOrderOfRegistrationAndNotAfterDeregistration) {
  const CancellationSource source;
  std::string order;
  CancellationCallback a = source.token().on_cancel([&] { order += 'a'; });
  CancellationCallback b = source.token().on_cancel([&] { order += 'b'; });
  CancellationCallback c = source.token().on_cancel([&] { order += 'c'; });
  b = {};
  CancellationCallback moved = std::move(a);
  source.cancel();
  EXPECT_EQ(order, "ac");
}

// A callback may drop its own registration, that of the next one, and the last handles.
TEST_F(CancellationTest, ACallbackMayDropEverything) {
  std::optional<CancellationSource> source(std::in_place);
  CancellationCallback first;
  CancellationCallback second;
  int ran = 0;
  first = source->token().on_cancel([&] {
    ++ran;
    first = {};
    second = {};
    source.reset();
  });
  second = source->token().on_cancel([] { ADD_FAILURE() << "deregistered by the one before"; });
  const CancellationSource keep = *source;
  keep.cancel();
  EXPECT_EQ(ran, 1);
}

// What the callback touches is freed right after deregistration: a sanitizer would tell of a late call, the flag does anyhow.
TEST_F(CancellationTest, NeverCalledAfterDeregistrationReturned) {
  for (int round = 0; round < 2000; ++round) {
    const CancellationSource source;
    std::atomic<bool> gone{false};
    std::atomic<bool> go{false};
    std::atomic<int> calls{0};
    CancellationCallback callback = source.token().on_cancel([&] {
      calls.fetch_add(1);
      for (int spin = 0; spin < 50; ++spin) EXPECT_FALSE(gone.load());
    });
    std::thread canceller([&] {
      while (!go.load()) std::this_thread::yield();
      source.cancel();
    });
    go.store(true);
    for (int spin = 0; spin < round % 200; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
    callback.deregister();
    gone.store(true);
    const int then = calls.load();
    canceller.join();
    EXPECT_EQ(calls.load(), then);
  }
}

Task<bool> waits(CancellationToken token) {
  const Result<void> waited = co_await token.cancelled_wait();
  co_return waited.has_value() && token.cancelled();
}
Task<void> cancels_after(CancellationSource source, Duration after) {
  co_await sleep_for(after);
  source.cancel("later");
}

TEST_F(CancellationTest, TasksWaitForIt) {
  for_each_seed(100, [](sched::SimDriver& sim) {
    const CancellationSource root;
    std::vector<JoinHandle<bool>> joins;
    for (int index = 0; index < 20; ++index)
      joins.push_back(start(sim.scheduler(), waits(CancellationSource(root.token()).token())));
    auto dropped = start(sim.scheduler(), waits(root.token()));
    sim.run_until_idle();
    dropped.cancel();
    auto canceller = start(sim.scheduler(), cancels_after(root, 1ms));
    ASSERT_TRUE(sim.run_until_empty());
    for (auto& join : joins) EXPECT_TRUE(*join.join());
    EXPECT_FALSE(dropped.join());
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U);
  });
}

Task<void> sets_deadlines(CancellationSource source, CancellationSource dropped_later) {
  source.cancel_after(5ms, "five");
  source.cancel_after(3ms, "three");
  source.cancel_after(4ms, "four");
  dropped_later.cancel_after(1h);
  co_return;
}

TEST_F(CancellationTest, TheEarliestDeadlineCounts) {
  for_each_seed(100, [](sched::SimDriver& sim) {
    const CancellationSource source;
    const CancellationSource child(source.token());
    const std::uint64_t begun_ns = sim.platform().now_ns();
    auto waiting = start(sim.scheduler(), waits(child.token()));
    auto setting = start(sim.scheduler(), sets_deadlines(source, CancellationSource()));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_TRUE(*waiting.join());
    EXPECT_GE(sim.platform().now_ns() - begun_ns, 3'000'000U);
    EXPECT_LT(sim.platform().now_ns() - begun_ns, 4'000'000U);
    EXPECT_EQ(child.token().reason(), "three");
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U) << "a cancelled or dropped source leaves no timer";
  });
}

TEST_F(CancellationTest, ADeadlineInThePastIsNow) {
  for_each_seed(1, [](sched::SimDriver& sim) {
    const CancellationSource source;
    auto body = [](CancellationSource of) -> Task<void> {
      of.cancel_after(0ns, "now");
      EXPECT_EQ(of.token().reason(), "now");
      co_return;
    };
    auto join = start(sim.scheduler(), body(source));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_TRUE(source.cancelled());
  });
}

// Recursion would overflow the stack here.
TEST_F(CancellationTest, ALongChainIsCancelledAndDropped) {
  const CancellationSource root;
  CancellationSource last(root.token());
  for (int depth = 0; depth < 200'000; ++depth) last = CancellationSource(last.token());
  root.cancel("deep");
  EXPECT_EQ(last.token().reason(), "deep");
}

// Random trees against a plain model: who is cancelled, by which reason; dropping any handle at any time changes nothing for the others.
TEST_F(CancellationTest, TreesAgainstAModel) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    struct Model {
      std::optional<CancellationSource> source;
      int parent;
      std::string reason;
    };
    std::vector<Model> nodes;
    nodes.push_back({CancellationSource(), -1, ""});
    for (int step = 0; step < 200; ++step) {
      const auto index = static_cast<std::size_t>(rng.below(static_cast<std::uint32_t>(nodes.size())));
      switch (rng.below(5)) {
        case 0:
        case 1:
        case 2:
          if (!nodes[index].source) break;
          nodes.push_back({CancellationSource(nodes[index].source->token()), static_cast<int>(index), nodes[index].reason});
          break;
        case 3:
          nodes[index].source.reset();
          break;
        default: {
          if (!nodes[index].source || rng.below(4) != 0) break;
          const std::string reason = "step " + std::to_string(step);
          EXPECT_EQ(nodes[index].source->cancel(reason), nodes[index].reason.empty());
          if (nodes[index].reason.empty()) nodes[index].reason = reason;
          // Parents come before children. A child hears it once, whether its parent's handles are there or not.
          for (std::size_t below = index + 1; below < nodes.size(); ++below) {
            const Model& parent = nodes[static_cast<std::size_t>(nodes[below].parent)];
            if (nodes[below].reason.empty() && !parent.reason.empty()) nodes[below].reason = parent.reason;
          }
        }
      }
      for (const Model& node : nodes) {
        if (node.source) {
          ASSERT_EQ(node.source->token().reason(), node.reason);
        }
      }
    }
  }
}

// Threads make children, cancel and drop, all over one tree. The sanitizers look at the rest.
TEST_F(CancellationTest, ManyThreadsAtOneTree) {
  for (int round = 0; round < 50; ++round) {
    CancellationSource root;
    std::atomic<int> heard{0};
    std::atomic<int> registered{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        std::vector<CancellationSource> mine;
        std::vector<CancellationCallback> callbacks;
        for (int step = 0; step < 200; ++step) {
          mine.emplace_back(mine.empty() || step % 3 == 0 ? root.token() : mine[mine.size() / 2].token());
          if (step % 2 == 0) {
            registered.fetch_add(1);
            callbacks.push_back(mine.back().token().on_cancel([&] { heard.fetch_add(1); }));
          }
          if (step % 7 == 6) mine.erase(mine.begin());
        }
        if (thread == 0) root.cancel();
        while (!root.cancelled()) std::this_thread::yield();
        for (const CancellationSource& source : mine) (void)source.token().cancelled_wait().block();
      });
    }
    for (std::thread& thread : threads) thread.join();
    // Each was there until the cancel had begun; some were dropped with their callbacks while it went on.
    EXPECT_LE(heard.load(), registered.load());
    EXPECT_GT(heard.load(), 0);
  }
}

}  // namespace
}  // namespace weft::sync
