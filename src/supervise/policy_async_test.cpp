// The policy where starting and stopping take time: every order in which starts succeed or fail, children end, graces and delays pass and commands come, up to a depth
// and then at random for long. There is no model here but rules that hold at every step (World::check) and at rest (World::settle).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "supervise/policy.hpp"

namespace weft::supervise {
namespace {

using namespace std::chrono_literals;

struct World {
  struct Child {
    Restart restart = Restart::kPermanent;
    bool starting = false;
    bool runs = false;
    bool asked = false;
    bool killed = false;
    std::uint64_t incarnation = 0;
    bool alive() const { return starting || runs; }
  };

  Rules rules;
  Policy policy;
  std::map<ChildKey, Child> children{};
  std::map<TimerId, std::pair<std::uint64_t, ChildKey>> timers{};
  std::vector<std::uint64_t> restarts_ns{};
  std::set<CommandId> commands{};
  std::uint64_t now_ns = 1000;
  CommandId last_command = 0;
  ChildKey last_key = 0;
  bool by_hand = false;  // a command has come: order is no longer certain
  bool stopping = false;
  bool hard = false;
  std::optional<SupervisorEndReason> end{};
  std::vector<std::string> broken{};
  std::string path{};

  World(Rules given, const std::vector<ChildRules>& kinds) : rules(given), policy(given, 5) {
    for (const ChildRules& kind : kinds) add(kind, 0);
    tell({.kind = PolicyEvent::Kind::kBegin});
  }

  void rule(bool holds, const std::string& text) {
    if (!holds) broken.push_back(text);
  }
  bool group() const { return rules.strategy == Strategy::kOneForAll || rules.strategy == Strategy::kRestForOne; }
  bool any_alive_after(ChildKey key) const {
    return std::any_of(children.upper_bound(key), children.end(), [](const auto& each) { return each.second.alive(); });
  }

  void add(ChildRules kind, CommandId command) {
    children[++last_key].restart = kind.restart;
    tell({.kind = PolicyEvent::Kind::kAdd, .child = last_key, .command = command, .rules = kind});
  }

  void tell(PolicyEvent event) {
    event.now_ns = now_ns;
    std::vector<Action> actions;
    const std::uint64_t restarts = policy.restarts();
    policy.on(event, actions);
    for (const Action& action : actions) check(action);
    rule(policy.restarts() <= restarts + 1, "two restarts were counted for one event");
    if (!end) {
      const auto alive =
          static_cast<std::uint64_t>(std::ranges::count_if(children, [](const auto& each) { return each.second.alive(); }));
      rule(policy.alive() == alive, "the policy has lost count");
    }
  }

  // What must hold of each action when it comes.
  void check(const Action& action) {
    rule(!end.has_value() || action.kind == Action::Kind::kAnswer, "an action after the end");
    Child& child = children[action.child];
    switch (action.kind) {
      case Action::Kind::kStart:
        rule(!child.alive(), "a child was started that has not ended");
        rule(!policy.ending(), "a child was started while the supervisor ends");
        // supervisor(3): in order, the rest of the group being down.
        if (group() && !by_hand) rule(!any_alive_after(action.child), "a child was started before those after it were down");
        child = {.restart = child.restart, .starting = true, .incarnation = action.incarnation};
        break;
      case Action::Kind::kAsk:
        rule(child.alive() && !child.asked && !child.killed, "a child was asked that does not run, or twice");
        rule(action.incarnation == child.incarnation, "another incarnation was asked");
        if (!by_hand && rules.stop_order == StopOrder::kReverse && !hard)
          rule(!any_alive_after(action.child), "a child was asked before those after it were down");
        child.asked = true;
        break;
      case Action::Kind::kKill:
        rule(child.alive() && !child.killed, "a child was killed that does not run, or twice");
        rule(action.incarnation == child.incarnation, "another incarnation was killed");
        child.killed = true;
        break;
      case Action::Kind::kSetTimer:
        rule(action.deadline_ns > now_ns, "a timer in the past");
        rule(!timers.contains(action.timer), "a timer was set twice");
        timers[action.timer] = {action.deadline_ns, action.child};
        break;
      case Action::Kind::kCancelTimer:
        rule(timers.erase(action.timer) == 1, "a timer was cancelled that is not set");
        break;
      case Action::Kind::kRestarting:
        rule(!stopping, "a restart while the supervisor ends");
        restarts_ns.push_back(now_ns);
        rule(within() <= static_cast<std::size_t>(rules.max_restarts), "more restarts than allowed");
        break;
      case Action::Kind::kGaveUp:
        rule(within() == static_cast<std::size_t>(rules.max_restarts), "it gave up too early");
        stopping = true;
        break;
      case Action::Kind::kForget:
        rule(!child.alive(), "a child was forgotten that runs");
        children.erase(action.child);
        break;
      case Action::Kind::kAnswer:
        rule(commands.erase(action.command) == 1, "a command was answered twice");
        break;
      case Action::Kind::kUp:
        break;
      case Action::Kind::kEnd:
        for (const auto& [key, each] : children) rule(!each.alive(), "a child outlives its supervisor");
        rule(timers.empty(), "a timer outlives the supervisor");
        end = action.reason;
        break;
    }
    if (action.child == 0) children.erase(0);
  }

  std::size_t within() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        restarts_ns, [&](std::uint64_t at) { return now_ns - at <= static_cast<std::uint64_t>(rules.period.count()); }));
  }

  void fire(TimerId id) {
    const auto [deadline_ns, key] = timers.at(id);
    now_ns = std::max(now_ns, deadline_ns);
    timers.erase(id);
    tell({.kind = PolicyEvent::Kind::kTimer, .child = key, .timer = id});
  }

  // What could happen next: each choice with its number, taken by `take`.
  enum class Step : std::uint8_t {
    kStarted,
    kStartFailed,
    kCrash,
    kReturn,
    kFire,
    kLater,
    kStop,
    kKill,
    kRemove,
    kStopChild,
    kRestart,
    kAdd
  };
  struct Choice {
    Step step;
    std::uint64_t subject = 0;
  };
  std::vector<Choice> choices(bool commands_too) const {
    std::vector<Choice> list;
    for (const auto& [key, child] : children) {
      if (child.starting) {
        list.push_back({Step::kStarted, key});
        list.push_back({Step::kStartFailed, key});
      }
      if (child.runs) list.push_back({Step::kCrash, key});
      if (child.runs && child.restart == Restart::kTransient && !child.asked && !child.killed) list.push_back({Step::kReturn, key});
    }
    if (!timers.empty()) {
      list.push_back(
          {Step::kFire, std::ranges::min_element(timers, {}, [](const auto& each) { return each.second.first; })->first});
    } else {
      list.push_back({Step::kLater});
    }
    if (!stopping) list.push_back({Step::kStop});
    if (!hard) list.push_back({Step::kKill});
    if (!commands_too) return list;
    for (const auto& [key, child] : children) {
      list.push_back({Step::kRemove, key});
      list.push_back({Step::kStopChild, key});
      list.push_back({Step::kRestart, key});
    }
    if (last_key < 4) list.push_back({Step::kAdd});
    return list;
  }

  void take(Choice choice) {
    static constexpr const char* kNames[] = {"started", "start failed", "crash",  "return",     "fire",    "later",
                                             "stop",    "kill",         "remove", "stop child", "restart", "add"};
    path += std::string(kNames[static_cast<int>(choice.step)]) + " " + std::to_string(choice.subject) + "; ";
    const auto command = [&](PolicyEvent::Kind kind) {
      by_hand = true;
      commands.insert(++last_command);
      tell({.kind = kind, .child = choice.subject, .command = last_command});
    };
    switch (choice.step) {
      case Step::kStarted:
      case Step::kStartFailed: {
        Child& child = children[choice.subject];
        child.starting = false;
        child.runs = choice.step == Step::kStarted;
        tell({.kind = child.runs ? PolicyEvent::Kind::kStarted : PolicyEvent::Kind::kStartFailed,
              .child = choice.subject,
              .incarnation = child.incarnation});
        break;
      }
      case Step::kCrash:
      case Step::kReturn: {
        Child& child = children[choice.subject];
        child.runs = false;
        tell({.kind = PolicyEvent::Kind::kExited,
              .child = choice.subject,
              .incarnation = child.incarnation,
              .normal = choice.step == Step::kReturn});
        break;
      }
      case Step::kFire:
        fire(choice.subject);
        break;
      case Step::kLater:
        now_ns += static_cast<std::uint64_t>(rules.period.count()) + 1;
        break;
      case Step::kStop:
        stopping = true;
        tell({.kind = PolicyEvent::Kind::kStop});
        break;
      case Step::kKill:
        stopping = hard = true;
        tell({.kind = PolicyEvent::Kind::kKill});
        break;
      case Step::kRemove:
        command(PolicyEvent::Kind::kRemove);
        break;
      case Step::kStopChild:
        command(PolicyEvent::Kind::kStopChild);
        break;
      case Step::kRestart:
        command(PolicyEvent::Kind::kRestartChild);
        break;
      case Step::kAdd:
        by_hand = true;
        commands.insert(++last_command);
        add({.restart = Restart::kTransient, .grace = 5s}, last_command);
        break;
    }
  }

  // From here on all goes well: starts succeed, who was asked ends. It must come to rest, with all there that should be.
  void settle() {
    for (int step = 0; step < 1000 && !end; ++step) {
      const auto found = std::ranges::find_if(children, [](const auto& each) {
        return each.second.starting || (each.second.runs && (each.second.asked || each.second.killed));
      });
      if (found != children.end()) {
        take({found->second.starting ? Step::kStarted : Step::kCrash, found->first});
      } else if (!timers.empty()) {
        take({Step::kFire, timers.begin()->first});
      } else {
        break;
      }
    }
    rule(commands.empty(), "a command was never answered");
    rule(timers.empty(), "a timer is left at rest");
    if (end) return;
    rule(!policy.sweeping(), "a sweep does not come to its end");
    rule(!stopping, "the supervisor was to end, and does not");
    for (const auto& [key, child] : children) {
      rule(policy.knows(key), "a child was forgotten without a word");
      if (!by_hand && child.restart == Restart::kPermanent) rule(child.runs, "a permanent child is down");
    }
  }

  // At rest and after a stop: it ends, in order, and says so.
  bool good() {
    World rest = *this;
    rest.settle();
    if (rest.broken.empty() && !rest.end) {
      rest.take({Step::kStop});
      rest.settle();
      rest.rule(rest.end == SupervisorEndReason::kStopped, "it was stopped, and has not ended so");
    }
    if (rest.broken.empty()) return true;
    ADD_FAILURE() << rest.broken.front() << "\nafter: " << rest.path;
    return false;
  }
};

std::uint64_t explore(World& before, bool commands, int depth) {
  if (!before.good()) return 0;
  if (depth == 0 || before.end) return 1;
  std::uint64_t sequences = 0;
  for (const World::Choice choice : before.choices(commands)) {
    World world = before;
    world.take(choice);
    sequences += explore(world, commands, depth - 1);
    if (::testing::Test::HasFailure()) return sequences;
  }
  return sequences;
}

constexpr Strategy kStrategies[] = {Strategy::kOneForOne, Strategy::kOneForAll, Strategy::kRestForOne};

std::vector<ChildRules> three_kinds() {
  return {{.restart = Restart::kPermanent, .grace = 5s},
          {.restart = Restart::kTransient, .grace = 0s},
          {.restart = Restart::kTemporary, .grace = kForever}};
}

Rules rules_of(Strategy strategy, bool delayed) {
  Rules rules{.strategy = strategy, .max_restarts = 2, .period = 10s};
  if (delayed) rules.backoff = {.first = 100ms, .factor = 2, .max = 1s, .jitter = 0.5, .stable = 20s};
  return rules;
}

TEST(PolicyAsyncTest, TheRulesHoldOverAllSequences) {
  std::uint64_t sequences = 0;
  for (const Strategy strategy : kStrategies) {
    for (const bool delayed : {false, true}) {
      World world(rules_of(strategy, delayed), three_kinds());
      sequences += explore(world, false, 6);
      // Also from where all of them run.
      World all(rules_of(strategy, delayed), three_kinds());
      for (ChildKey key = 1; key <= 3; ++key) all.take({World::Step::kStarted, key});
      sequences += explore(all, false, 6);
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(sequences, 50'000U);
}

TEST(PolicyAsyncTest, TheRulesHoldOverAllSequencesWithCommands) {
  std::uint64_t sequences = 0;
  for (const Strategy strategy : kStrategies) {
    for (const bool delayed : {false, true}) {
      World all(rules_of(strategy, delayed),
                {{.restart = Restart::kPermanent, .grace = 5s}, {.restart = Restart::kTemporary, .grace = 1s}});
      for (ChildKey key = 1; key <= 2; ++key) all.take({World::Step::kStarted, key});
      sequences += explore(all, true, 4);
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(sequences, 30'000U);
}

TEST(PolicyAsyncTest, TheRulesHoldForLongAtRandom) {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    Rules rules = rules_of(kStrategies[rng.below(3)], rng.one_in(2));
    rules.max_restarts = rng.one_in(3) ? 2 : 1000;
    rules.stop_order = rng.one_in(3) ? StopOrder::kTogether : StopOrder::kReverse;
    std::vector<ChildRules> kinds;
    for (std::uint32_t count = rng.below(7); count > 0; --count) {
      kinds.push_back({.restart = static_cast<Restart>(rng.below(3)), .grace = rng.one_in(3) ? 0s : Duration(5s)});
    }
    World world(rules, kinds);
    for (int step = 0; step < 60 && !world.end; ++step) {
      const std::vector<World::Choice> choices = world.choices(rng.one_in(3));
      const World::Choice choice = choices[rng.below(static_cast<std::uint32_t>(choices.size()))];
      // The end comes soon enough.
      if ((choice.step == World::Step::kStop || choice.step == World::Step::kKill) && !rng.one_in(10)) continue;
      world.take(choice);
      ASSERT_TRUE(world.broken.empty()) << world.broken.front() << "\nafter: " << world.path;
    }
    ASSERT_TRUE(world.good());
  }
}

// What a policy says next: "start 1", "ask 3", …, without what is only to be told.
std::string next(Policy& policy, const PolicyEvent& event) {
  std::vector<Action> actions;
  policy.on(event, actions);
  std::string text;
  for (const Action& action : actions) {
    const char* const what = action.kind == Action::Kind::kStart    ? "start "
                             : action.kind == Action::Kind::kAsk    ? "ask "
                             : action.kind == Action::Kind::kAnswer ? "answer "
                                                                    : nullptr;
    if (what == nullptr) continue;
    text += (text.empty() ? "" : ", ") + std::string(what) +
            std::to_string(action.kind == Action::Kind::kAnswer ? action.command : action.child);
  }
  return text;
}

Policy three_running() {
  Policy policy({.strategy = Strategy::kOneForAll, .max_restarts = 5}, 1);
  for (ChildKey key = 1; key <= 3; ++key) next(policy, {.kind = PolicyEvent::Kind::kAdd, .child = key});
  next(policy, {.kind = PolicyEvent::Kind::kBegin});
  for (ChildKey key = 1; key <= 3; ++key) next(policy, {.kind = PolicyEvent::Kind::kStarted, .child = key, .incarnation = 1});
  return policy;
}

TEST(PolicyAsyncTest, AChildStoppedByHandDuringARestartOfAllStaysDown) {
  Policy policy = three_running();
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 1, .incarnation = 1}), "ask 3");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kStopChild, .child = 2, .command = 7}), "ask 2");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 2, .incarnation = 1}), "answer 7");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 3, .incarnation = 1}), "start 1");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kStarted, .child = 1, .incarnation = 2}), "start 3");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kStarted, .child = 3, .incarnation = 2}), "");
  EXPECT_EQ(policy.state_of(2), Policy::State::kDown);
  // The next restart of all takes it along.
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 1, .incarnation = 2}), "ask 3");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 3, .incarnation = 2}), "start 1");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kStarted, .child = 1, .incarnation = 3}), "start 2");
}

TEST(PolicyAsyncTest, AChildRestartedByHandDuringARestartOfAllWaitsForItsTurn) {
  Policy policy = three_running();
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 1, .incarnation = 1}), "ask 3");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kRestartChild, .child = 2, .command = 7}), "ask 2");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 2, .incarnation = 1}), "")
      << "3 and 1 are down, or going down";
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 3, .incarnation = 1}), "start 1");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kStarted, .child = 1, .incarnation = 2}), "start 2");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kStarted, .child = 2, .incarnation = 2}), "answer 7, start 3");
}

// Whoever hears that a command is done finds it done.
TEST(PolicyAsyncTest, ACommandIsAnsweredAfterWhatItWasAbout) {
  for (const PolicyEvent::Kind kind : {PolicyEvent::Kind::kRemove, PolicyEvent::Kind::kStopChild}) {
    Policy policy({.max_restarts = 5}, 1);
    next(policy, {.kind = PolicyEvent::Kind::kBegin});
    next(policy, {.kind = PolicyEvent::Kind::kAdd, .child = 1, .rules = {.restart = Restart::kTemporary}});
    next(policy, {.kind = PolicyEvent::Kind::kStarted, .child = 1, .incarnation = 1});
    next(policy, {.kind = kind, .child = 1, .command = 7});
    std::vector<Action> actions;
    policy.on({.kind = PolicyEvent::Kind::kExited, .child = 1, .incarnation = 1}, actions);
    ASSERT_EQ(actions.size(), 2U);
    EXPECT_EQ(actions[0].kind, Action::Kind::kForget);
    EXPECT_EQ(actions[1].kind, Action::Kind::kAnswer);
  }
}

TEST(PolicyAsyncTest, AChildThatFallsBeforeItsTurnToBeStoppedIsNotCounted) {
  Policy policy = three_running();
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 1, .incarnation = 1}), "ask 3");
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 2, .incarnation = 1}), "");
  EXPECT_EQ(policy.restarts(), 1U);
  EXPECT_EQ(next(policy, {.kind = PolicyEvent::Kind::kExited, .child = 3, .incarnation = 1}), "start 1");
}

// Ten thousand children, and each of them falls: what is said of the others is nothing.
TEST(PolicyAsyncTest, OneForOneTouchesNobodyElse) {
  Policy policy({.strategy = Strategy::kOneForOne, .max_restarts = -1}, 1);
  std::vector<Action> actions;
  constexpr ChildKey kChildren = 10'000;
  for (ChildKey key = 1; key <= kChildren; ++key) policy.on({.kind = PolicyEvent::Kind::kAdd, .child = key}, actions);
  policy.on({.kind = PolicyEvent::Kind::kBegin}, actions);
  for (ChildKey key = 1; key <= kChildren; ++key)
    policy.on({.kind = PolicyEvent::Kind::kStarted, .child = key, .incarnation = 1}, actions);
  EXPECT_TRUE(policy.up());
  for (ChildKey key = 1; key <= kChildren; ++key) {
    actions.clear();
    policy.on({.kind = PolicyEvent::Kind::kExited, .now_ns = key, .child = key, .incarnation = 1}, actions);
    ASSERT_EQ(actions.size(), 2U);
    EXPECT_EQ(actions[0].kind, Action::Kind::kRestarting);
    EXPECT_EQ(actions[1].kind, Action::Kind::kStart);
    EXPECT_EQ(actions[1].child, key);
  }
}

}  // namespace
}  // namespace weft::supervise
