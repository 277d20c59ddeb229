// The policy against a plain model of OTP's supervisor, over all sequences of events up to a depth: who is stopped and started, in which order, and when it gives
// up. Here every start and stop is over at once, as it is in OTP, where the supervisor waits for it; policy_async_test.cpp has what happens when they take time.
#include "supervise/policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "supervise/delay.hpp"

namespace weft::supervise {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kStepNs = 4'000'000'000;  // between two events: two of them lie within the period, three do not
constexpr Duration kPeriod = 5s;

// OTP's supervisor.erl, as plainly as it can be said: a list, and loops over it.
struct Model {
  struct Child {
    ChildKey key;
    Restart restart;
    bool runs = false;
  };
  Strategy strategy;
  std::int64_t max_restarts;
  std::vector<Child> children{};
  std::vector<std::uint64_t> restarts{};
  std::vector<std::string> log{};
  int failures = 0;  // so many of the next starts fail
  bool ended = false;
  std::uint64_t now_ns = 0;

  bool start(Child& child) {
    child.runs = failures == 0;
    log.push_back((child.runs ? "start " : "fail ") + std::to_string(child.key));
    if (!child.runs) --failures;
    return child.runs;
  }
  void stop(Child& child) {
    if (child.runs) log.push_back("stop " + std::to_string(child.key));
    child.runs = false;
  }
  void end(const std::string& reason) {
    for (std::size_t i = children.size(); i-- > 0;) stop(children[i]);
    log.push_back(reason);
    ended = true;
  }
  std::size_t find(ChildKey key) const {
    return static_cast<std::size_t>(std::ranges::find(children, key, &Child::key) - children.begin());
  }
  void begin() {
    for (Child& child : children) {
      if (!start(child)) return end("start failed");
    }
  }
  void again(ChildKey key) {
    restarts.push_back(now_ns);
    std::erase_if(restarts, [&](std::uint64_t at) { return now_ns - at > static_cast<std::uint64_t>(kPeriod.count()); });
    if (max_restarts >= 0 && restarts.size() > static_cast<std::size_t>(max_restarts)) return end("gave up");
    if (strategy == Strategy::kOneForOne) {
      if (!start(children[find(key)])) again(key);
      return;
    }
    const std::size_t from = strategy == Strategy::kOneForAll ? 0 : find(key);
    for (std::size_t i = children.size(); i-- > from;) {
      stop(children[i]);
      if (children[i].restart == Restart::kTemporary) children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (std::size_t i = from; i < children.size(); ++i) {
      if (!start(children[i])) return again(children[i].key);
    }
  }
  void exit(ChildKey key, bool normal) {
    const std::size_t at = find(key);
    children[at].runs = false;
    const Restart restart = children[at].restart;
    if (restart == Restart::kPermanent || (restart == Restart::kTransient && !normal)) return again(key);
    if (restart == Restart::kTemporary) children.erase(children.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void stop_by_hand(ChildKey key, bool forget) {
    const std::size_t at = find(key);
    stop(children[at]);
    if (forget || children[at].restart == Restart::kTemporary) children.erase(children.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void restart_by_hand(ChildKey key) {
    Child& child = children[find(key)];
    stop(child);
    start(child);
  }
  void add(ChildKey key, Restart restart) {
    children.push_back({key, restart});
    if (!start(children.back())) children.pop_back();
  }
};

// The policy, with a world in which all that is asked for happens at once.
struct Real {
  Policy policy;
  std::vector<std::string> log{};
  int failures = 0;
  std::uint64_t now_ns = 0;
  std::uint64_t answered = 0;  // commands

  void tell(PolicyEvent event) {
    event.now_ns = now_ns;
    std::vector<Action> actions;
    policy.on(event, actions);
    for (const Action& action : actions) {
      const std::string key = std::to_string(action.child);
      switch (action.kind) {
        case Action::Kind::kStart:
          log.push_back((failures == 0 ? "start " : "fail ") + key);
          if (failures != 0) --failures;
          tell({.kind = log.back()[0] == 'f' ? PolicyEvent::Kind::kStartFailed : PolicyEvent::Kind::kStarted,
                .child = action.child,
                .incarnation = action.incarnation});
          break;
        case Action::Kind::kAsk:
          log.push_back("stop " + key);
          tell({.kind = PolicyEvent::Kind::kExited, .child = action.child, .incarnation = action.incarnation, .normal = true});
          break;
        case Action::Kind::kSetTimer:
          // Only starts that failed are waited for here.
          if (policy.knows(action.child) && policy.state_of(action.child) != Policy::State::kWaiting) break;
          now_ns = std::max(now_ns, action.deadline_ns);
          tell({.kind = PolicyEvent::Kind::kTimer, .child = action.child, .timer = action.timer});
          break;
        case Action::Kind::kEnd:
          log.emplace_back(action.reason == SupervisorEndReason::kGaveUp        ? "gave up"
                           : action.reason == SupervisorEndReason::kStartFailed ? "start failed"
                                                                                : "stopped");
          break;
        case Action::Kind::kAnswer:
          ++answered;
          break;
        default:
          break;
      }
    }
  }
};

struct Both {
  Model model;
  Real real;
  std::uint64_t commands = 0;
  ChildKey last = 0;
  std::string path{};

  Both(Strategy strategy, std::int64_t max_restarts, const std::vector<Restart>& kinds)
      : model{.strategy = strategy, .max_restarts = max_restarts},
        real{.policy = Policy({.strategy = strategy, .max_restarts = max_restarts, .period = kPeriod}, 1)} {
    for (const Restart kind : kinds) {
      model.children.push_back({++last, kind});
      real.tell({.kind = PolicyEvent::Kind::kAdd, .child = last, .rules = {.restart = kind}});
    }
  }
  void begin() {
    model.begin();
    real.tell({.kind = PolicyEvent::Kind::kBegin});
  }
  // They have done the same, and know the same.
  bool same() const {
    if (model.log != real.log || model.ended != real.policy.ended() || commands != real.answered) return false;
    if (model.ended) return true;
    for (ChildKey key = 1; key <= last; ++key) {
      const bool known = model.find(key) != model.children.size();
      if (known != real.policy.knows(key)) return false;
      if (!known) continue;
      if (real.policy.state_of(key) != (model.children[model.find(key)].runs ? Policy::State::kRunning : Policy::State::kDown))
        return false;
    }
    return true;
  }
  std::string text() const {
    std::string text = path + "\nmodel: ";
    for (const std::string& line : model.log) text += line + ", ";
    text += "\nreal:  ";
    for (const std::string& line : real.log) text += line + ", ";
    return text;
  }
};

enum class Step : std::uint8_t { kCrash, kReturn, kStopChild, kRemove, kRestart, kAdd, kFailNext, kFailTwice, kStop };
constexpr const char* kStepNames[] = {"crash", "return",    "stop child", "remove", "restart",
                                      "add",   "fail next", "fail twice", "stop"};

// Does it to both; false: it makes no sense now.
bool take(Both& both, Step step, ChildKey key) {
  Model& model = both.model;
  const std::size_t at = model.find(key);
  const bool known = at != model.children.size();
  const bool runs = known && model.children[at].runs;
  model.now_ns += kStepNs;
  both.real.now_ns = std::max(both.real.now_ns, model.now_ns);
  const auto end = [&](bool normal) {
    if (!runs) return false;
    model.exit(key, normal);
    // Its incarnation: how often it was started.
    const std::string start = "start " + std::to_string(key);
    const std::string fail = "fail " + std::to_string(key);
    const auto starts = std::ranges::count(both.real.log, start) + std::ranges::count(both.real.log, fail);
    both.real.tell(
        {.kind = PolicyEvent::Kind::kExited, .child = key, .incarnation = static_cast<std::uint64_t>(starts), .normal = normal});
    return true;
  };
  const auto command = [&](PolicyEvent::Kind kind, ChildKey child, Restart restart = Restart::kPermanent) {
    both.real.tell({.kind = kind, .child = child, .command = ++both.commands, .rules = {.restart = restart}});
    return true;
  };
  switch (step) {
    case Step::kCrash:
      return end(false);
    case Step::kReturn:
      return end(true);
    case Step::kStopChild:
      if (known) model.stop_by_hand(key, false);
      return known && command(PolicyEvent::Kind::kStopChild, key);
    case Step::kRemove:
      if (known) model.stop_by_hand(key, true);
      return command(PolicyEvent::Kind::kRemove, key);
    case Step::kRestart:
      if (known) model.restart_by_hand(key);
      return known && command(PolicyEvent::Kind::kRestartChild, key);
    case Step::kAdd:
      if (both.last >= 4) return false;
      model.add(++both.last, Restart::kTransient);
      return command(PolicyEvent::Kind::kAdd, both.last, Restart::kTransient);
    case Step::kFailNext:
    case Step::kFailTwice:
      if (model.failures != 0) return false;
      model.failures = both.real.failures = step == Step::kFailNext ? 1 : 2;
      return true;
    case Step::kStop:
      model.end("stopped");
      both.real.tell({.kind = PolicyEvent::Kind::kStop});
      return true;
  }
  return false;
}

// All sequences from here on. Answers how many there were.
std::uint64_t explore(const Both& before, const std::vector<Step>& steps, ChildKey keys, int depth) {
  if (depth == 0 || before.model.ended) return 1;
  std::uint64_t sequences = 0;
  for (const Step step : steps) {
    const bool of_a_child = step <= Step::kRestart;
    for (ChildKey key = 1; key <= (of_a_child ? keys : 1); ++key) {
      Both both = before;
      if (!take(both, step, key)) continue;
      both.path += std::string(kStepNames[static_cast<int>(step)]) + (of_a_child ? " " + std::to_string(key) : "") + "; ";
      if (!both.same()) {
        ADD_FAILURE() << both.text();
        return sequences;
      }
      sequences += explore(both, steps, keys, depth - 1);
      if (::testing::Test::HasFailure()) return sequences;
    }
  }
  return sequences;
}

constexpr Strategy kStrategies[] = {Strategy::kOneForOne, Strategy::kOneForAll, Strategy::kRestForOne};
constexpr Restart kKinds[] = {Restart::kPermanent, Restart::kTransient, Restart::kTemporary};

template <class Body>
void for_all_kinds(std::size_t children, const Body& body) {
  std::size_t combinations = 1;
  for (std::size_t i = 0; i < children; ++i) combinations *= 3;
  for (const Strategy strategy : kStrategies) {
    for (std::size_t combination = 0; combination < combinations; ++combination) {
      std::vector<Restart> kinds;
      for (std::size_t rest = combination, i = 0; i < children; ++i, rest /= 3) kinds.push_back(kKinds[rest % 3]);
      body(strategy, kinds);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(PolicyTest, DoesAsOtpDoesOverAllEndsOfThreeChildren) {
  std::uint64_t sequences = 0;
  for_all_kinds(3, [&](Strategy strategy, const std::vector<Restart>& kinds) {
    for (const std::int64_t max_restarts : {1, 2}) {
      Both both(strategy, max_restarts, kinds);
      both.begin();
      ASSERT_TRUE(both.same()) << both.text();
      sequences += explore(both, {Step::kCrash, Step::kReturn, Step::kFailNext}, 3, 5);
    }
  });
  EXPECT_GT(sequences, 100'000U);
  RecordProperty("sequences", std::to_string(sequences));
}

TEST(PolicyTest, DoesAsOtpDoesWithCommandsByHand) {
  std::uint64_t sequences = 0;
  for_all_kinds(2, [&](Strategy strategy, const std::vector<Restart>& kinds) {
    Both both(strategy, 2, kinds);
    both.begin();
    sequences += explore(
        both,
        {Step::kCrash, Step::kReturn, Step::kStopChild, Step::kRemove, Step::kRestart, Step::kAdd, Step::kFailTwice, Step::kStop},
        3, 4);
  });
  EXPECT_GT(sequences, 100'000U);
  RecordProperty("sequences", std::to_string(sequences));
}

TEST(PolicyTest, ANegativeLimitIsNone) {
  for_all_kinds(2, [&](Strategy strategy, const std::vector<Restart>& kinds) {
    Both both(strategy, -1, kinds);
    both.begin();
    for (int round = 0; round < 200 && !both.model.ended; ++round) {
      if (!take(both, Step::kCrash, 1)) break;
      ASSERT_TRUE(both.same()) << both.text();
    }
    EXPECT_FALSE(both.model.ended);
  });
}

TEST(PolicyTest, AChildThatCannotBeStartedAtTheBeginningStopsTheOthersInReverse) {
  for (const Strategy strategy : kStrategies) {
    Real real{.policy = Policy({.strategy = strategy, .max_restarts = 5}, 1)};
    for (ChildKey key = 1; key <= 3; ++key) real.tell({.kind = PolicyEvent::Kind::kAdd, .child = key});
    std::vector<Action> actions;
    const auto tell = [&](PolicyEvent event) {
      actions.clear();
      real.policy.on(event, actions);
    };
    tell({.kind = PolicyEvent::Kind::kBegin});
    tell({.kind = PolicyEvent::Kind::kStarted, .child = 1, .incarnation = 1});
    tell({.kind = PolicyEvent::Kind::kStarted, .child = 2, .incarnation = 1});
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(actions[0].child, 3U);
    tell({.kind = PolicyEvent::Kind::kStartFailed, .child = 3, .incarnation = 1});
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(actions[0].kind, Action::Kind::kAsk);
    EXPECT_EQ(actions[0].child, 2U);
    tell({.kind = PolicyEvent::Kind::kExited, .child = 2, .incarnation = 1});
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(actions[0].child, 1U);
    tell({.kind = PolicyEvent::Kind::kExited, .child = 1, .incarnation = 1});
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(actions[0].kind, Action::Kind::kEnd);
    EXPECT_EQ(actions[0].reason, SupervisorEndReason::kStartFailed);
    EXPECT_EQ(actions[0].child, 3U);
  }
}

TEST(PolicyTest, SignificantChildrenEndTheSupervisor) {
  // Of the children 1 and 2 both are significant, 3 is not.
  const auto after = [](AutoShutdown mode, Restart restart, const std::vector<std::pair<ChildKey, bool>>& ends) {
    Real real{.policy = Policy({.max_restarts = 9, .auto_shutdown = mode}, 1)};
    for (ChildKey key = 1; key <= 3; ++key) {
      const bool significant = key != 3;
      real.tell({.kind = PolicyEvent::Kind::kAdd,
                 .child = key,
                 .rules = {.restart = significant ? restart : Restart::kTemporary, .significant = significant}});
    }
    real.tell({.kind = PolicyEvent::Kind::kBegin});
    for (const auto& [key, normal] : ends)
      real.tell({.kind = PolicyEvent::Kind::kExited, .child = key, .incarnation = 1, .normal = normal});
    return real.policy.ended();
  };
  using enum AutoShutdown;
  EXPECT_TRUE(after(kAnySignificant, Restart::kTransient, {{2, true}}));
  EXPECT_FALSE(after(kAnySignificant, Restart::kTransient, {{2, false}})) << "it is restarted";
  EXPECT_TRUE(after(kAnySignificant, Restart::kTemporary, {{2, false}}));
  EXPECT_FALSE(after(kAnySignificant, Restart::kTransient, {{3, true}}));
  EXPECT_FALSE(after(kAllSignificant, Restart::kTransient, {{2, true}}));
  EXPECT_TRUE(after(kAllSignificant, Restart::kTransient, {{2, true}, {1, true}}));
  EXPECT_FALSE(after(kAllSignificant, Restart::kTransient, {{2, true}, {1, false}}));
  EXPECT_FALSE(after(kNever, Restart::kTemporary, {{1, true}, {2, true}, {3, true}}));
  EXPECT_FALSE(after(kIdle, Restart::kTemporary, {{1, true}, {2, true}}));
  EXPECT_TRUE(after(kIdle, Restart::kTemporary, {{1, true}, {2, true}, {3, true}}));
}

TEST(PolicyTest, ASimpleOneForOneForgetsWhatHasEnded) {
  Real real{.policy = Policy({.strategy = Strategy::kSimpleOneForOne, .max_restarts = 9}, 1)};
  real.tell({.kind = PolicyEvent::Kind::kBegin});
  for (ChildKey key = 1; key <= 3; ++key)
    real.tell({.kind = PolicyEvent::Kind::kAdd, .child = key, .command = key, .rules = {.restart = Restart::kTransient}});
  real.tell({.kind = PolicyEvent::Kind::kExited, .child = 1, .incarnation = 1, .normal = true});
  EXPECT_FALSE(real.policy.knows(1));
  real.tell({.kind = PolicyEvent::Kind::kExited, .child = 2, .incarnation = 1, .normal = false});
  EXPECT_EQ(real.policy.state_of(2), Policy::State::kRunning);
  real.tell({.kind = PolicyEvent::Kind::kStopChild, .child = 2, .command = 4});
  EXPECT_FALSE(real.policy.knows(2));
  EXPECT_EQ(real.policy.alive(), 1U);
}

TEST(IntensityTest, CountsWhatLiesWithinThePeriod) {
  Intensity two(2, Duration(100));
  EXPECT_TRUE(two.add(0));
  EXPECT_TRUE(two.add(50));
  EXPECT_FALSE(two.add(100)) << "one that lies exactly a period back still counts";
  Intensity later(2, Duration(100));
  EXPECT_TRUE(later.add(0));
  EXPECT_TRUE(later.add(50));
  EXPECT_TRUE(later.add(101));
  EXPECT_FALSE(later.add(150));
  Intensity none(0, Duration(100));
  EXPECT_FALSE(none.add(7));
  Intensity unlimited(-1, Duration(100));
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(unlimited.add(7));
}

TEST(DelayTest, GrowsToItsMostAndStaysThere) {
  base::Rng random(1);
  const Backoff plain{.first = 10ms, .factor = 2, .max = 75ms, .jitter = 0};
  EXPECT_EQ(delay_of(plain, 0, random), 10ms);
  EXPECT_EQ(delay_of(plain, 1, random), 20ms);
  EXPECT_EQ(delay_of(plain, 2, random), 40ms);
  EXPECT_EQ(delay_of(plain, 3, random), 75ms);
  EXPECT_EQ(delay_of(plain, UINT32_MAX, random), 75ms);
  EXPECT_EQ(delay_of({.first = 10ms, .factor = 1, .jitter = 0}, UINT32_MAX, random), 10ms);
  EXPECT_EQ(delay_of({}, 5, random), 0ms);
  EXPECT_LE(delay_of({.first = kForever, .factor = 1e300, .max = kForever, .jitter = 1}, 7, random), kForever);
}

TEST(DelayTest, JitterSpreadsWithinItsBounds) {
  base::Rng random(7);
  const Backoff backoff{.first = 100ms, .factor = 2, .max = 10s, .jitter = 0.25};
  Duration least = kForever;
  Duration most{0};
  Duration sum{0};
  for (int i = 0; i < 4000; ++i) {
    const Duration delay = delay_of(backoff, 1, random);
    least = std::min(least, delay);
    most = std::max(most, delay);
    sum += delay;
  }
  EXPECT_GE(least, 150ms);
  EXPECT_LE(least, 155ms);
  EXPECT_LE(most, 250ms);
  EXPECT_GE(most, 245ms);
  EXPECT_NEAR(static_cast<double>((sum / 4000).count()), 200e6, 2e6);
}

}  // namespace
}  // namespace weft::supervise
