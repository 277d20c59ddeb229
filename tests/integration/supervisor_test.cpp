// Supervisors over real guests, through the public interface: restarts, giving up, order, escalation, nesting, commands, and that nothing is left afterwards.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

// Asks the host what to do: 0 trap, 1 return, 2 spin for ever, 3 exit(3).
constexpr std::string_view kObeys = R"((module
  (import "env" "fate" (func $fate (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $what i32)
    (local.set $what (call $fate))
    (if (i32.eqz (local.get $what)) (then (unreachable)))
    (if (i32.eq (local.get $what) (i32.const 2)) (then (loop $again (br $again))))
    (if (i32.eq (local.get $what) (i32.const 3)) (then (call $exit (i32.const 3)))))))";

class SupervisorTest : public RuntimeTest {
 protected:
  using Kind = SupervisorEvent::Kind;

  Supervisor supervise(SupervisorSpec spec) {
    if (!spec.on_event) {
      spec.on_event = [this](const SupervisorEvent& event) {
        std::lock_guard lock(mutex_);
        events_.push_back(event);
      };
    }
    Result<Supervisor> made = Supervisor::start(*runtime_, std::move(spec));
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
    if (!made) std::abort();
    return *made;
  }
  // "started a, exited a, …", of the kinds asked for.
  std::string heard(std::vector<Kind> kinds) {
    std::lock_guard lock(mutex_);
    std::string text;
    for (const SupervisorEvent& event : events_) {
      if (std::ranges::find(kinds, event.kind) == kinds.end()) continue;
      text += (text.empty() ? "" : ", ") + std::string(name_of(event.kind)) + " " + event.child;
    }
    return text;
  }
  static void wait_for(const Supervisor& supervisor, std::string_view id, ChildState state) {
    while (true) {
      const std::optional<ChildInfo> child = supervisor.child(id);
      if (child && child->state == state) return;
      std::this_thread::yield();
    }
  }
  static SupervisorEnd stop(const Supervisor& supervisor) {
    supervisor.stop();
    return supervisor.join();
  }
  ChildSpec sleeper(std::string id, Duration grace = 0ns) {
    ChildSpec child = child_wat(std::move(id), kSleeps);
    child.grace = grace;
    return child;
  }

  void TearDown() override {
    events_.clear();  // they hold processes, which keep what they ran in
    RuntimeTest::TearDown();
  }

  std::mutex mutex_;
  std::vector<SupervisorEvent> events_;
};

TEST_F(SupervisorTest, ACrashedChildRunsAgainUntilTheSupervisorGivesUp) {
  start();
  const Supervisor supervisor = supervise({.name = "shop", .max_restarts = 2, .children = {sleeper("a"), child_wat("b", kTraps)}});
  const SupervisorEnd end = supervisor.join();
  EXPECT_EQ(end.reason, SupervisorEndReason::kGaveUp);
  EXPECT_EQ(end.child, "b");
  EXPECT_EQ(end.restarts, 2U);
  EXPECT_NE(end.message.find("unreachable"), std::string::npos) << end.message;
  EXPECT_EQ(heard({Kind::kStarted, Kind::kExited, Kind::kGaveUp, Kind::kEnded}),
            "started a, started b, exited b, started b, exited b, started b, exited b, gave up b, exited a, ended ");
  EXPECT_FALSE(supervisor.running());
  EXPECT_EQ(runtime_->stats().processes, 0U);
  for (const ChildInfo& child : supervisor.children()) EXPECT_EQ(child.state, ChildState::kStopped);
}

TEST_F(SupervisorTest, RestartPoliciesLookAtHowItEnded) {
  start();
  const Supervisor supervisor = supervise({.max_restarts = -1,
                                           .auto_shutdown = AutoShutdown::kIdle,
                                           .children = {child_wat("returns", kReturns, {}, Restart::kTransient),
                                                        child_wat("exits", kExits42, {}, Restart::kTemporary)}});
  const SupervisorEnd end = supervisor.join();
  EXPECT_EQ(end.reason, SupervisorEndReason::kAutoShutdown) << end.message;
  EXPECT_EQ(end.restarts, 0U);
  EXPECT_FALSE(supervisor.child("exits").has_value()) << "a temporary child is forgotten";
  ASSERT_TRUE(supervisor.child("returns").has_value());
  EXPECT_EQ(supervisor.child("returns")->last_end, "returned");
}

TEST_F(SupervisorTest, ATransientChildThatExitsWithAnErrorRunsAgain) {
  RuntimeOptions options = usual_options();
  auto lives = std::make_shared<std::atomic<int>>(0);
  options.host.define("env", "fate", [lives](Caller&) -> std::int32_t { return ++*lives < 3 ? 3 : 1; });
  start(std::move(options));
  const Supervisor supervisor = supervise(
      {.max_restarts = 5, .auto_shutdown = AutoShutdown::kIdle, .children = {child_wat("job", kObeys, {}, Restart::kTransient)}});
  EXPECT_EQ(supervisor.join().restarts, 2U);
  EXPECT_EQ(lives->load(), 3);
}

// The seed's supervisor_run: join with a bound gives the children that still run, as live handles.
TEST_F(SupervisorTest, ABoundedJoinGivesLiveHandles) {
  start();
  ChildSpec child = child_wat("worker", kSpins, {}, Restart::kTransient);
  const Supervisor supervisor = supervise({.max_restarts = 3, .auto_shutdown = AutoShutdown::kIdle, .children = {child}});
  wait_for(supervisor, "worker", ChildState::kRunning);
  const SupervisorResult result = supervisor.join_for(20ms);
  ASSERT_TRUE(result.timed_out());
  EXPECT_EQ(result.restarts, 0U);
  ASSERT_EQ(result.pending.size(), 1U);
  const Process process = result.pending[0].process;
  EXPECT_TRUE(process.running()) << "a time-out kills nobody";
  process.kill("the test");  // what the seed could not do
  EXPECT_EQ(process.join().kind, ExitKind::kKilled);
  // Killed by somebody else is no normal end: it runs again.
  while (supervisor.restarts() == 0) std::this_thread::yield();
  wait_for(supervisor, "worker", ChildState::kRunning);
  supervisor.kill("the test");
  EXPECT_EQ(supervisor.join().reason, SupervisorEndReason::kKilled);
  EXPECT_TRUE(supervisor.join_for(0ns).end.has_value());
}

TEST_F(SupervisorTest, OneForAllStopsInReverseAndStartsInOrder) {
  start();
  const Supervisor supervisor =
      supervise({.strategy = Strategy::kOneForAll, .max_restarts = 1, .children = {sleeper("a"), sleeper("b"), sleeper("c")}});
  wait_for(supervisor, "c", ChildState::kRunning);
  supervisor.child("b")->process.kill("the test");
  while (supervisor.restarts() == 0) std::this_thread::yield();
  wait_for(supervisor, "c", ChildState::kRunning);
  EXPECT_EQ(stop(supervisor).reason, SupervisorEndReason::kStopped);
  EXPECT_EQ(heard({Kind::kStarted, Kind::kExited}),
            "started a, started b, started c, exited b, exited c, exited a, started a, started b, started c, exited c, exited b, "
            "exited a");
}

TEST_F(SupervisorTest, RestForOneLeavesThoseBefore) {
  start();
  const Supervisor supervisor =
      supervise({.strategy = Strategy::kRestForOne, .max_restarts = 1, .children = {sleeper("a"), sleeper("b"), sleeper("c")}});
  wait_for(supervisor, "c", ChildState::kRunning);
  const ProcessId a = supervisor.child("a")->process.id();
  supervisor.child("b")->process.kill("the test");
  while (supervisor.restarts() == 0) std::this_thread::yield();
  wait_for(supervisor, "c", ChildState::kRunning);
  EXPECT_EQ(supervisor.child("a")->process.id(), a);
  EXPECT_EQ(supervisor.child("a")->restarts, 0U);
  EXPECT_EQ(supervisor.child("b")->restarts, 1U);
  EXPECT_EQ(supervisor.child("c")->restarts, 1U);
  stop(supervisor);
}

// One that never stops is killed when its grace is over; one that listens is not.
TEST_F(SupervisorTest, AskingEscalatesToKilling) {
  start();
  constexpr std::string_view kListens = R"((module
    (import "weft" "stop_requested" (func $stop (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (memory (export "memory") 1)
    (func (export "_start") (loop $again (drop (call $yield)) (br_if $again (i32.eqz (call $stop)))))))";
  ChildSpec deaf = child_wat("deaf", kSpins);
  deaf.grace = 30ms;
  ChildSpec listens = child_wat("listens", kListens);
  listens.grace = kForever;
  const Supervisor supervisor = supervise({.name = "shop", .children = {listens, deaf}});
  wait_for(supervisor, "deaf", ChildState::kRunning);
  const Process stubborn = supervisor.child("deaf")->process;
  const Process polite = supervisor.child("listens")->process;
  EXPECT_EQ(stop(supervisor).reason, SupervisorEndReason::kStopped);
  EXPECT_EQ(stubborn.join().kind, ExitKind::kKilled);
  EXPECT_GE(stubborn.join().usage.wall_time, 30ms);
  EXPECT_EQ(polite.join().kind, ExitKind::kReturned);
  EXPECT_EQ(heard({Kind::kStopping, Kind::kKilling, Kind::kExited}),
            "stopping deaf, killing deaf, exited deaf, stopping listens, exited listens");
}

TEST_F(SupervisorTest, WhatCannotBeStartedIsSaidBeforeAnythingRuns) {
  start();
  const auto error = [&](SupervisorSpec spec) {
    const Result<Supervisor> made = Supervisor::start(*runtime_, std::move(spec));
    EXPECT_FALSE(made.has_value());
    return made ? Error{} : made.error();
  };
  const Error missing = error({.name = "shop", .children = {child_file("cart", "/no/such/file.wasm")}});
  EXPECT_EQ(missing.kind, ErrorKind::kNotFound);
  EXPECT_NE(missing.message.find("shop/cart"), std::string::npos) << missing.message;
  EXPECT_EQ(error({.children = {child_wat("a", "(module")}}).kind, ErrorKind::kInvalidModule);
  EXPECT_EQ(error({.children = {child_wat("a", "(module)")}}).kind, ErrorKind::kNoEntryPoint);
  EXPECT_EQ(error({.children = {sleeper("a"), sleeper("a")}}).kind, ErrorKind::kBadArgument);
  EXPECT_EQ(error({.children = {ChildSpec{.id = "a"}}}).kind, ErrorKind::kBadArgument);
  EXPECT_EQ(error({.period = 0ns}).kind, ErrorKind::kBadArgument);
  EXPECT_EQ(error({.backoff = {.factor = 0.5}}).kind, ErrorKind::kBadArgument);
  EXPECT_EQ(error({.backoff = {.jitter = 2}}).kind, ErrorKind::kBadArgument);
  EXPECT_EQ(error({.strategy = Strategy::kSimpleOneForOne}).kind, ErrorKind::kBadArgument);
  ChildSpec significant = sleeper("a");
  significant.significant = true;
  EXPECT_EQ(error({.auto_shutdown = AutoShutdown::kAnySignificant, .children = {significant}}).kind, ErrorKind::kBadArgument);
  EXPECT_EQ(error({.children = {child_supervisor("deep", {.children = {child_wat("a", "(module")}})}}).kind,
            ErrorKind::kInvalidModule);
  EXPECT_EQ(runtime_->stats().tasks, 0U);
}

TEST_F(SupervisorTest, AChildThatCannotBeStartedEndsABeginningSupervisor) {
  start();
  ChildSpec fails = child_function("fails", [](const Runtime&) -> Result<Process> { return fail(ErrorKind::kIo, "no luck"); });
  const SupervisorEnd end = supervise({.children = {sleeper("a"), fails, sleeper("c")}}).join();
  EXPECT_EQ(end.reason, SupervisorEndReason::kStartFailed);
  EXPECT_EQ(end.child, "fails");
  EXPECT_NE(end.message.find("no luck"), std::string::npos);
  EXPECT_EQ(heard({Kind::kStarted, Kind::kStartFailed, Kind::kExited}), "started a, start failed fails, exited a");
}

// Once it runs, a start that fails is tried again, and counts.
TEST_F(SupervisorTest, AFailedRestartIsTriedAgainUntilItGivesUp) {
  start();
  const Module module = compile(kTraps);
  auto starts = std::make_shared<std::atomic<int>>(0);
  ChildSpec child = child_function("fails", [module, starts](const Runtime& runtime) -> Result<Process> {
    if (++*starts > 1) return fail(ErrorKind::kIo, "no luck");
    return runtime.spawn({.module = module});
  });
  const SupervisorEnd end = supervise({.max_restarts = 3, .children = {child}}).join();
  EXPECT_EQ(end.reason, SupervisorEndReason::kGaveUp);
  EXPECT_EQ(starts->load(), 4);
}

TEST_F(SupervisorTest, BackoffGrows) {
  start();
  const SupervisorEnd end = supervise({.max_restarts = 4,
                                       .backoff = {.first = 2ms, .factor = 3, .max = 10ms, .jitter = 0},
                                       .children = {child_wat("a", kTraps)}})
                                .join();
  EXPECT_EQ(end.reason, SupervisorEndReason::kGaveUp);
  std::vector<Duration> delays;
  for (const SupervisorEvent& event : events_) {
    if (event.kind == Kind::kRestarting) delays.push_back(event.delay);
  }
  EXPECT_EQ(delays, (std::vector<Duration>{2ms, 6ms, 10ms, 10ms}));
}

TEST_F(SupervisorTest, AGroupBelowThatGivesUpIsStartedAnewUntilTheOneAboveGivesUp) {
  start();
  const Supervisor top =
      supervise({.name = "top",
                 .max_restarts = 2,
                 .children = {sleeper("a"),
                              child_supervisor("group", {.max_restarts = 1, .children = {sleeper("b"), child_wat("c", kTraps)}})}});
  const SupervisorEnd end = top.join();
  EXPECT_EQ(end.reason, SupervisorEndReason::kGaveUp);
  EXPECT_EQ(end.child, "group");
  int gave_up = 0;
  int crashes = 0;
  for (const SupervisorEvent& event : events_) {
    if (event.kind == Kind::kGaveUp && event.supervisor == "top/group") ++gave_up;
    if (event.kind == Kind::kExited && event.child == "c") ++crashes;
  }
  EXPECT_EQ(gave_up, 3);
  EXPECT_EQ(crashes, 6);
  EXPECT_EQ(runtime_->stats().processes, 0U);
}

TEST_F(SupervisorTest, ATreeStopsAndIsKilledFromTheTop) {
  start();
  for (const bool hard : {false, true}) {
    SupervisorSpec spec{.name = "leaf", .children = {sleeper("x"), sleeper("y")}};
    for (int depth = 0; depth < 40; ++depth) {
      SupervisorSpec above{.name = "level"};
      above.children.push_back(sleeper("before"));
      above.children.push_back(child_supervisor("below", std::move(spec)));
      spec = std::move(above);
    }
    const Supervisor top = supervise(std::move(spec));
    while (runtime_->stats().processes != 42) std::this_thread::yield();
    wait_for(top, "below", ChildState::kRunning);
    EXPECT_TRUE(top.child("below")->supervisor.running());
    if (hard) {
      top.kill("the test");
    } else {
      top.stop();
    }
    EXPECT_EQ(top.join().reason, hard ? SupervisorEndReason::kKilled : SupervisorEndReason::kStopped);
    EXPECT_EQ(runtime_->stats().processes, 0U);
  }
}

TEST_F(SupervisorTest, TasksAreChildrenToo) {
  start();
  auto lives = std::make_shared<std::atomic<int>>(0);
  ChildSpec crashes = child_task(
      "crashes",
      [lives](StopSignal) -> Task<> {
        ++*lives;
        co_await sleep_for(1ms);
        throw std::runtime_error("the task's own words");
      },
      Restart::kTransient);
  ChildSpec waits = child_task("waits", [](StopSignal stop) -> Task<> { co_await stop.raised(); });
  ChildSpec deaf = child_task("deaf", [](StopSignal) -> Task<> { co_await sleep_for(1h); });
  deaf.grace = 5ms;
  const SupervisorEnd end = supervise({.max_restarts = 2, .children = {waits, deaf, crashes}}).join();
  EXPECT_EQ(end.reason, SupervisorEndReason::kGaveUp);
  EXPECT_NE(end.message.find("the task's own words"), std::string::npos) << end.message;
  EXPECT_EQ(lives->load(), 3);
  EXPECT_EQ(heard({Kind::kStopping, Kind::kKilling}), "stopping deaf, killing deaf, stopping waits");
}

TEST_F(SupervisorTest, ChildrenComeAndGoByHand) {
  start();
  const Supervisor supervisor = supervise({.name = "shop", .children = {sleeper("a")}});
  EXPECT_TRUE(supervisor.add_child(sleeper("b")).join().has_value());
  EXPECT_EQ(supervisor.child("b")->state, ChildState::kRunning);
  EXPECT_EQ(supervisor.add_child(sleeper("b")).join().error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(supervisor.add_child(child_wat("c", "(module")).join().error().kind, ErrorKind::kInvalidModule);
  EXPECT_EQ(supervisor.add_child(child_function("d", [](const Runtime&) -> Result<Process> { return fail(ErrorKind::kIo, "no"); }))
                .join()
                .error()
                .kind,
            ErrorKind::kIo);
  EXPECT_FALSE(supervisor.child("d").has_value());

  const ProcessId before = supervisor.child("a")->process.id();
  EXPECT_TRUE(supervisor.restart_child("a").join().has_value());
  EXPECT_NE(supervisor.child("a")->process.id(), before);
  EXPECT_EQ(supervisor.child("a")->restarts, 0U) << "by hand does not count";
  EXPECT_TRUE(supervisor.stop_child("a").join().has_value());
  EXPECT_EQ(supervisor.child("a")->state, ChildState::kStopped);
  EXPECT_EQ(runtime_->stats().processes, 1U);
  EXPECT_TRUE(supervisor.restart_child("a").join().has_value());
  EXPECT_TRUE(supervisor.remove_child("a").join().has_value());
  EXPECT_EQ(supervisor.remove_child("a").join().error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(supervisor.children().size(), 1U);
  EXPECT_EQ(supervisor.add_copy("x").join().error().kind, ErrorKind::kBadArgument);
  stop(supervisor);
  EXPECT_EQ(supervisor.restart_child("b").join().error().kind, ErrorKind::kCancelled);
}

TEST_F(SupervisorTest, RemovedWhileItWaitsToBeRestarted) {
  start();
  const Supervisor supervisor = supervise({.max_restarts = 9,
                                           .backoff = {.first = 1h, .max = 1h, .jitter = 0},
                                           .children = {child_wat("a", kTraps), child_wat("b", kTraps)}});
  wait_for(supervisor, "a", ChildState::kWaiting);
  wait_for(supervisor, "b", ChildState::kWaiting);
  EXPECT_EQ(supervisor.join_for(0ns).pending.size(), 2U);
  EXPECT_TRUE(supervisor.remove_child("a").join().has_value());
  EXPECT_FALSE(supervisor.child("a").has_value());
  EXPECT_TRUE(supervisor.restart_child("b").join().has_value()) << "by hand there is no waiting";
  wait_for(supervisor, "b", ChildState::kWaiting);
  EXPECT_EQ(stop(supervisor).reason, SupervisorEndReason::kStopped);
}

// Somebody kills it again and again while it is being restarted; all the while children are added and removed.
TEST_F(SupervisorTest, KilledWhileRestartingAndChangedWhileRunning) {
  start();
  const Supervisor supervisor = supervise({.max_restarts = -1, .children = {sleeper("a"), sleeper("b")}});
  std::atomic<bool> over{false};
  std::thread killer([&] {
    while (!over) {
      const std::optional<ChildInfo> child = supervisor.child("a");
      if (child && child->process) child->process.kill("the test");
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 100; ++round) {
    EXPECT_TRUE(supervisor.add_child(sleeper("extra")).join().has_value());
    const Result<void> again = supervisor.restart_child("a").join();
    EXPECT_TRUE(again.has_value()) << again.error().message;
    EXPECT_TRUE(supervisor.remove_child("extra").join().has_value());
  }
  over = true;
  killer.join();
  EXPECT_GT(supervisor.restarts(), 0U);
  EXPECT_EQ(stop(supervisor).reason, SupervisorEndReason::kStopped);
}

TEST_F(SupervisorTest, CopiesOfOneTemplate) {
  start();
  const Supervisor supervisor =
      supervise({.strategy = Strategy::kSimpleOneForOne, .max_restarts = -1, .children = {sleeper("worker", 5s)}});
  EXPECT_TRUE(supervisor.children().empty());
  EXPECT_EQ(supervisor.add_copy().join().value(), "worker-1");
  EXPECT_EQ(supervisor.add_copy("mine", {.name = "called"}).join().value(), "mine");
  EXPECT_EQ(supervisor.child("mine")->process.name(), "called");
  EXPECT_EQ(supervisor.add_copy("mine").join().error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(supervisor.add_child(sleeper("x")).join().error().kind, ErrorKind::kBadArgument);
  supervisor.child("worker-1")->process.kill("the test");
  while (supervisor.restarts() == 0) std::this_thread::yield();
  wait_for(supervisor, "worker-1", ChildState::kRunning);
  supervisor.kill("the test");
  supervisor.join();
}

TEST_F(SupervisorTest, AThousandChildrenCrashAtOnce) {
  start();
  const Program program = runtime_->prepare({.module = compile(kSleeps)}).value();
  SupervisorSpec spec{.max_restarts = -1, .stop_order = StopOrder::kTogether, .on_event = [](const SupervisorEvent&) {}};
  for (int i = 0; i < 1000; ++i) {
    spec.children.push_back(child_program(std::to_string(i), program));
    spec.children.back().grace = 0ns;
  }
  const Supervisor supervisor = supervise(std::move(spec));
  wait_for(supervisor, "999", ChildState::kRunning);
  for (const ChildInfo& child : supervisor.children()) child.process.kill("the test");
  while (supervisor.restarts() != 1000) std::this_thread::yield();
  while (runtime_->stats().processes != 1000) std::this_thread::yield();
  for (const ChildInfo& child : supervisor.children()) EXPECT_EQ(child.restarts, 1U);
  EXPECT_EQ(stop(supervisor).reason, SupervisorEndReason::kStopped);
  EXPECT_EQ(runtime_->stats().processes, 0U);
}

TEST_F(SupervisorTest, ADroppedHandleDetachesAndTheShutdownEndsAll) {
  start();
  std::optional<Supervisor> dropped = supervise({.max_restarts = -1, .children = {sleeper("a"), child_wat("b", kSpins)}});
  const Supervisor kept = supervise({.children = {sleeper("c")}});
  const JoinHandle<void> asked = kept.stop_child("nobody");
  dropped.reset();
  while (runtime_->stats().processes != 3) std::this_thread::yield();
  (void)runtime_->shutdown(0s, kHang);
  EXPECT_EQ(kept.join().reason, SupervisorEndReason::kCancelled);
  const Result<Supervisor> late = Supervisor::start(*runtime_, {.children = {sleeper("d")}});
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->join().reason, SupervisorEndReason::kCancelled);
}

TEST_F(SupervisorTest, AwaitedInATask) {
  start();
  const Supervisor supervisor = supervise({.children = {sleeper("a")}});
  JoinHandle<SupervisorEnd> waiting = runtime_->start([](Supervisor of) -> Task<SupervisorEnd> {
    of.stop();
    co_return co_await of.ended();
  }(supervisor));
  const Result<SupervisorEnd> end = waiting.join();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->reason, SupervisorEndReason::kStopped);
}

}  // namespace
}  // namespace weft::testing
