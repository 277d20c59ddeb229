// The executor on a simulated scheduler, many seeds: trees of supervisors whose children are tasks that crash, return, wait or ignore what they are asked. At every
// step of a run something is done to it: it is stopped, killed, or its task is dropped. Whatever comes, the order of OTP holds and nothing is left.
#include "supervise/executor.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/ref.hpp"
#include "sched/sim.hpp"
#include "supervise/child.hpp"
#include "sync/coroutine.hpp"

namespace weft::supervise {
namespace {

using namespace std::chrono_literals;

#if defined(WEFT_SANITIZE)
constexpr std::uint64_t kSeeds = 6;
#else
constexpr std::uint64_t kSeeds = 40;
#endif

struct Alive {
  explicit Alive(int& of) : count(of) { ++count; }
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;
  ~Alive() { --count; }
  int& count;
};

enum class Nature : std::uint8_t { kCrashes, kReturns, kWaits, kDeaf, kQuick };

Task<> live(Nature nature, Duration span, int& alive, StopSignal stop) {
  const Alive counted(alive);
  switch (nature) {
    case Nature::kCrashes:
      co_await sleep_for(span);
      throw std::runtime_error("crash");
    case Nature::kReturns:
      co_await sleep_for(span);
      co_return;
    case Nature::kWaits:
      co_await stop.raised();
      co_await sleep_for(span);
      co_return;
    case Nature::kDeaf:
      while (true) co_await sleep_for(1h);
    case Nature::kQuick:
      throw std::runtime_error("at once");
  }
}

// One simulated run: a tree made from a seed.
class Trial {
 public:
  explicit Trial(std::uint64_t seed) : sim_(seed, {.workers = 3}), rng_(seed * 7919) {
    launch_ = [this](Task<> task, Priority priority, std::string_view name) {
      auto join = std::make_shared<detail::TypedJoinState<void>>();
      auto body = std::make_unique<detail::StartedTask<void>>(std::move(task), join);
      EXPECT_TRUE(sim_.scheduler().spawn(base::make_ref<sync::CoroutineTask>(std::move(body), join, priority, std::string(name))));
      if (!first_) first_ = join;
      return JoinHandle<void>(std::move(join));
    };
    auto prepared = supervisor("root", 2);
    on_event_ = [this](const SupervisorEvent& event) { heard(event); };
    state_ = Supervisor::State::start(prepared, "root", on_event_, std::nullopt);
  }

  // So many steps, fewer if nothing is left to do.
  void step(std::uint64_t steps) {
    for (; steps > 0 && (sim_.step() || sim_.skip_time()); --steps) {
    }
  }

  Supervisor::State& state() { return *state_; }
  void drop_task() { first_->cancel(); }
  int commands = 0;

  void command() {
    static constexpr PolicyEvent::Kind kKinds[] = {PolicyEvent::Kind::kRemove, PolicyEvent::Kind::kStopChild,
                                                   PolicyEvent::Kind::kRestartChild};
    ++commands;
    by_hand_ = true;
    state_->command({.kind = kKinds[rng_.below(3)],
                     .id = "child-" + std::to_string(rng_.below(5)),
                     .done = [this](const Result<std::string>&) { --commands; }});
  }
  void add() {
    ++commands;
    by_hand_ = true;
    state_->command({.kind = PolicyEvent::Kind::kAdd,
                     .child = std::make_shared<const PreparedChild>(child("added-" + std::to_string(commands), 0)),
                     .done = [this](const Result<std::string>&) { --commands; }});
  }
  void hard() { hard_ = true; }

  void expect_nothing_left() {
    EXPECT_TRUE(sim_.run_until_empty(2'000'000)) << "tasks are left";
    EXPECT_EQ(alive_, 0) << "children are left";
    EXPECT_FALSE(state_->running());
    EXPECT_EQ(commands, 0) << "commands were not answered";
    EXPECT_EQ(sim_.scheduler().timers().armed(), 0U);
    EXPECT_EQ(broken_, "");
  }

 private:
  PreparedChild child(std::string id, int depth) {
    PreparedChild child{
        .id = std::move(id),
        .rules = {.restart = static_cast<Restart>(rng_.below(3)), .grace = rng_.one_in(3) ? Duration(0) : Duration(20ms)}};
    if (depth > 0 && rng_.one_in(3)) {
      child.rules.grace = rng_.one_in(2) ? kForever : Duration(30ms);
      child.starter = nested_starter(supervisor(child.id, depth - 1));
      return child;
    }
    const auto nature = static_cast<Nature>(rng_.below(rng_.one_in(4) ? 5 : 4));
    const Duration span = Duration(rng_.below(20'000'000));
    const bool fails = rng_.one_in(8);
    child.starter = task_starter(
        [this, nature, span, fails](StopSignal stop) {
          if (fails && rng_.one_in(2)) throw std::runtime_error("no start today");
          return live(nature, span, alive_, std::move(stop));
        },
        kPriorityNormal, launch_);
    return child;
  }

  std::shared_ptr<const PreparedSupervisor> supervisor(const std::string& name, int depth) {
    auto made = std::make_shared<PreparedSupervisor>();
    made->name = name;
    made->rules = {.strategy = static_cast<Strategy>(rng_.below(3)),
                   .max_restarts = rng_.one_in(2) ? 3 : 8,
                   .period = 50ms,
                   .auto_shutdown = rng_.one_in(4) ? AutoShutdown::kIdle : AutoShutdown::kNever,
                   .stop_order = rng_.one_in(4) ? StopOrder::kTogether : StopOrder::kReverse};
    if (rng_.one_in(2)) made->rules.backoff = {.first = 2ms, .factor = 2, .max = 20ms, .jitter = 0.5, .stable = 30ms};
    made->seed = rng_.next();
    made->launch = launch_;
    for (std::uint32_t count = rng_.below(4) + 1, at = 0; at < count; ++at) {
      made->children.push_back(child("child-" + std::to_string(at), depth));
    }
    strategies_.emplace(made->name, made->rules);
    return made;
  }

  // The order of each supervisor, seen from outside.
  void heard(const SupervisorEvent& event) {
    std::map<std::string, bool>& alive = children_[event.supervisor];  // ids are in the order of start
    const auto broken = [&](const std::string& text) {
      if (broken_.empty()) broken_ = text + ": " + to_string(event);
    };
    const auto later_alive = [&] {
      for (auto after = alive.upper_bound(event.child); after != alive.end(); ++after) {
        if (after->second) return true;
      }
      return false;
    };
    // One below the root may begin anew: with a child, without having come to one, or being stopped while its first child, a supervisor, still begins.
    using enum SupervisorEvent::Kind;
    const bool begins = event.kind == kStarted || event.kind == kStartFailed || event.kind == kStopping || event.kind == kKilling ||
                        event.kind == kEnded;
    if (ended_[event.supervisor] && (event.supervisor == "root" || !begins)) broken("something after the end");
    ended_[event.supervisor] = false;
    switch (event.kind) {
      case SupervisorEvent::Kind::kStarted:
        if (alive[event.child]) broken("started while it runs");
        alive[event.child] = true;
        break;
      case SupervisorEvent::Kind::kExited:
        alive[event.child] = false;
        break;
      case SupervisorEvent::Kind::kStopping: {
        const auto found = strategies_.find(event.supervisor.substr(event.supervisor.rfind('/') + 1));
        // Names below the root may be used twice; then only the root is looked at.
        if (event.supervisor == "root" && found->second.stop_order == StopOrder::kReverse && !by_hand_ && !hard_ && later_alive())
          broken("asked before those after it were down");
        break;
      }
      case SupervisorEvent::Kind::kEnded:
        if (event.supervisor == "root" && !hard_) {
          for (const auto& [id, runs] : alive) {
            if (runs) broken("it ended with " + id + " alive");
          }
        }
        alive.clear();
        ended_[event.supervisor] = true;
        break;
      default:
        break;
    }
  }

  int alive_ = 0;
  sched::SimDriver sim_;
  base::Rng rng_;
  Launch launch_;
  std::shared_ptr<detail::JoinState> first_;
  std::function<void(const SupervisorEvent&)> on_event_;
  std::map<std::string, Rules> strategies_;
  std::map<std::string, std::map<std::string, bool>> children_;
  std::map<std::string, bool> ended_;
  std::string broken_;
  bool by_hand_ = false;
  bool hard_ = false;
  std::shared_ptr<Supervisor::State> state_;
};

// Runs `disturb` at every step of every seed's run, and then insists that all comes to its end.
template <class Disturb>
void at_every_step(std::uint64_t steps, std::uint64_t stride, const Disturb& disturb) {
  std::uint64_t first = 1;
  std::uint64_t last = kSeeds;
  if (const char* only = std::getenv("WEFT_SIM_SEED")) first = last = std::strtoull(only, nullptr, 10);
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    for (std::uint64_t at = 0; at < steps; at += stride) {
      SCOPED_TRACE("replay with WEFT_SIM_SEED=" + std::to_string(seed) + ", step " + std::to_string(at));
      Trial run(seed);
      run.step(at);
      disturb(run);
      run.expect_nothing_left();
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(ExecutorTest, StoppedAtEveryStep) {
  at_every_step(150, 1, [](Trial& run) { run.state().stop(); });
}

TEST(ExecutorTest, KilledAtEveryStep) {
  at_every_step(150, 1, [](Trial& run) {
    run.hard();
    run.state().kill("the test");
  });
}

TEST(ExecutorTest, ItsTaskDroppedAtEveryStep) {
  at_every_step(150, 1, [](Trial& run) {
    run.hard();
    run.drop_task();
  });
}

TEST(ExecutorTest, StoppedThenKilledAtEveryStep) {
  at_every_step(120, 3, [](Trial& run) {
    run.state().stop();
    run.step(25);
    run.hard();
    run.state().kill("the test");
  });
}

TEST(ExecutorTest, CommandsAtEveryStep) {
  at_every_step(120, 3, [](Trial& run) {
    for (int i = 0; i < 6; ++i) {
      run.command();
      run.step(3);
      if (i % 3 == 0) run.add();
    }
    run.step(40);
    run.state().stop();
  });
}

}  // namespace
}  // namespace weft::supervise
