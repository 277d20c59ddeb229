// An hour in the life of a tree of supervisors, in virtual time: nested ones of all four strategies, children of all three kinds with mailboxes, a lock, a channel and a topic
// between them, and something that goes wrong ten times a second: a child is killed, a supervisor, who holds the lock, who waits for a message; one that never stops has to be
// stopped; a start fails. Every event is held against the rules of OTP (soak_rules.hpp), every message, turn and event of the children against a ledger (soak_commons.hpp),
// and at the end nothing may be left.
//
//   WEFT_SIM_SEED=7 build/dev/tests/supervise_test --gtest_filter='Soak*'          one seed
//   WEFT_SOAK_SEEDS=200 WEFT_SOAK_MINUTES=60 …                                     many (make soak-sim)
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "sched/sim.hpp"
#include "supervise/child.hpp"
#include "supervise/executor.hpp"
#include "supervise/soak_commons.hpp"
#include "supervise/soak_rules.hpp"
#include "sync/coroutine.hpp"

namespace weft::supervise {
namespace {

using namespace std::chrono_literals;
using soak::Commons;
using soak::Role;
using soak::Watch;

#if defined(WEFT_SANITIZE)
constexpr std::uint64_t kSeeds = 1;
constexpr std::uint64_t kMinutes = 5;
#else
constexpr std::uint64_t kSeeds = 3;
constexpr std::uint64_t kMinutes = 60;
#endif

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Soak {
 public:
  explicit Soak(std::uint64_t seed) : rng_(seed * 104'729), sim_(seed, {.workers = 3}) {
    launch_ = [this](Task<> task, Priority priority, std::string_view name) {
      auto join = std::make_shared<detail::TypedJoinState<void>>();
      auto body = std::make_unique<detail::StartedTask<void>>(std::move(task), join);
      EXPECT_TRUE(sim_.scheduler().spawn(base::make_ref<sync::CoroutineTask>(std::move(body), join, priority, std::string(name))));
      tasks_[std::string(name)] = join;
      return JoinHandle<void>(std::move(join));
    };
    auto root = supervisor("root", "root", 2);
    on_event_ = [this](const SupervisorEvent& event) { heard(event); };
    state_ = Supervisor::State::start(root, "root", on_event_, std::nullopt);
  }

  void run(Duration how_long) {
    Duration next = 1s;  // all have been started by then
    while (now() < how_long && commons_.broken.empty()) {
      if (now() >= next) {
        fault();
        next = now() + std::chrono::milliseconds(20 + rng_.below(160));
      }
      // Time moves from one event to the next; there is always one before long.
      if (!sim_.step() && !sim_.skip_time()) break;
    }
  }

  void expect_the_end() {
    EXPECT_EQ(commons_.broken, "") << before();
    if (!commons_.broken.empty()) return;
    EXPECT_TRUE(state_->running()) << before();
    ends("root", false);
    state_->stop();
    EXPECT_TRUE(sim_.run_until_empty(20'000'000)) << "tasks are left";
    EXPECT_EQ(commons_.broken, "") << before();
    EXPECT_FALSE(state_->running());
    for (const auto& [id, count] : commons_.running) EXPECT_EQ(count, 0) << id;
    EXPECT_EQ(sim_.scheduler().timers().armed(), 0U);
    EXPECT_EQ(commons_.lock->stats().free, 1U);
    EXPECT_EQ(commons_.lock->stats().waiting, 0U);
    EXPECT_TRUE(commons_.boxes.empty());
    EXPECT_EQ(commons_.topic->publish(0, Bytes()), 0U) << "subscriptions are left";
    while (const ChannelResult<Bytes> bytes = commons_.receiver.try_receive()) soak::came_from_channel(commons_, *bytes);
    EXPECT_EQ(commons_.channel.missing(), 0U) << "messages were lost in the channel";
    EXPECT_EQ(commons_.sender.stats().senders, 1U);
    EXPECT_EQ(commons_.sender.stats().receivers, 1U);
    EXPECT_EQ(commons_.broken, "");
  }

  // The last events.
  std::string before() const {
    std::string text;
    for (const std::string& line : last_) text += line + "\n";
    return text;
  }
  std::uint64_t faults() const { return faults_; }
  std::uint64_t events() const { return events_; }
  std::uint64_t deeds() const { return commons_.deeds; }
  std::uint64_t steps() const { return sim_.steps(); }

 private:
  Duration now() { return Duration(static_cast<std::int64_t>(sim_.scheduler().now_ns())); }

  // ---- the tree ----

  PreparedChild child(const std::string& path, int depth, bool nested, bool copied, Watch::Child& watched) {
    PreparedChild child{.id = (nested ? "s" : "c") + std::to_string(++last_id_)};
    if (nested) {
      child.rules = {.restart = Restart::kPermanent, .grace = rng_.one_in(3) ? Duration(2s) : kForever};
      child.starter = nested_starter(supervisor(child.id, path + "/" + child.id, depth - 1));
    } else {
      child.rules = {.restart = rng_.one_in(2) ? Restart::kPermanent : static_cast<Restart>(rng_.below(3)),
                     .grace = rng_.one_in(4) ? Duration(0) : Duration(300ms)};
      const auto role = static_cast<Role>(rng_.below(soak::kRoles));
      child.starter = task_starter(
          [this, id = child.id, copied, role, seed = rng_.next()](StopSignal stop) {
            if (failing_starts_ != 0 && rng_.one_in(2)) {
              --failing_starts_;
              throw std::runtime_error("no start today");
            }
            // Copies of one template run at the same time.
            return soak::live(commons_, copied ? id + "~" + std::to_string(++copies_) : id, role, seed, std::move(stop));
          },
          kPriorityNormal, launch_);
    }
    watched = {.rules = child.rules, .supervisor = nested};
    return child;
  }

  std::shared_ptr<const PreparedSupervisor> supervisor(const std::string& name, const std::string& path, int depth) {
    auto made = std::make_shared<PreparedSupervisor>();
    const bool root = path == "root";
    made->name = name;
    made->rules = {.strategy = root ? Strategy::kOneForOne : static_cast<Strategy>(strategies_++ % 4),
                   .max_restarts = root ? -1 : static_cast<std::int64_t>(2 + rng_.below(6)),
                   .period = std::chrono::seconds(1 + rng_.below(3)),
                   .auto_shutdown = !root && rng_.one_in(5) ? AutoShutdown::kIdle : AutoShutdown::kNever,
                   .stop_order = rng_.one_in(4) ? StopOrder::kTogether : StopOrder::kReverse};
    // What was killed with a supervisor is gone before that begins anew.
    made->rules.backoff = {.first = 10ms, .factor = 2, .max = 200ms, .jitter = 0.5, .stable = 1s};
    made->seed = rng_.next();
    made->launch = launch_;
    const bool simple = made->rules.strategy == Strategy::kSimpleOneForOne;
    std::vector<std::pair<std::string, Watch::Child>> watched;
    const std::uint32_t count = simple ? 1 : root ? 6 : 3 + rng_.below(4);
    for (std::uint32_t at = 0; at < count; ++at) {
      Watch::Child one;
      made->children.push_back(child(path, depth, !simple && (root || (depth > 0 && at == 1)), simple, one));
      watched.emplace_back(made->children.back().id, one);
    }
    watches_.emplace(path, Watch(made->rules, std::move(watched)));
    return made;
  }

  // ---- what goes wrong ----

  // The states of all supervisors that run, the topmost first.
  void supervisors(const Supervisor::State& of, std::vector<std::shared_ptr<Supervisor::State>>& into) {
    for (const ChildInfo& info : of.children(false)) {
      if (!info.supervisor || !info.supervisor.state()->running()) continue;
      into.push_back(info.supervisor.state());
      supervisors(*into.back(), into);
    }
  }
  std::shared_ptr<Supervisor::State> any_supervisor() {
    std::vector<std::shared_ptr<Supervisor::State>> all;
    supervisors(*state_, all);
    return all.empty() ? nullptr : all[rng_.below(static_cast<std::uint32_t>(all.size()))];
  }
  void ends(const std::string& path, bool hard) { watches_.at(path).ends(hard, now()); }
  bool drop(const std::string& child) {
    const auto found = tasks_.find(child);
    if (found == tasks_.end()) return false;
    const std::shared_ptr<detail::JoinState> join = found->second.lock();
    if (!join || join->done()) return false;
    join->cancel();
    return true;
  }
  void drop_any() {
    std::erase_if(tasks_, [](const auto& one) { return one.second.expired(); });
    std::vector<std::string> ids;
    for (const auto& [id, task] : tasks_) {
      if (id.starts_with('c')) ids.push_back(id);
    }
    if (!ids.empty()) (void)drop(ids[rng_.below(static_cast<std::uint32_t>(ids.size()))]);
  }

  void fault() {
    ++faults_;
    const std::uint32_t kind = rng_.below(20);
    if (kind < 9) {
      drop_any();
    } else if (kind < 12) {
      if (!drop(commons_.holder)) drop_any();
    } else if (kind < 14) {
      failing_starts_ = 1 + rng_.below(3);
    } else if (const std::shared_ptr<Supervisor::State> one = any_supervisor()) {
      if (kind < 15) {
        ends(one->path, true);
        one->kill("chance");
      } else if (kind < 16) {
        ends(one->path, true);
        (void)drop(one->path);
      } else if (kind < 17) {
        ends(one->path, false);
        one->stop();
      } else if (one->prepared->rules.strategy == Strategy::kSimpleOneForOne && one->children(false).size() < 5) {
        one->command({.kind = PolicyEvent::Kind::kAdd});
      } else {
        drop_any();
      }
    }
  }

  void heard(const SupervisorEvent& event) {
    ++events_;
    if (!commons_.broken.empty()) return;
    last_.push_back(format_duration(now()) + " " + to_string(event));
    if (last_.size() > 40) last_.pop_front();
    const auto found = watches_.find(event.supervisor);
    if (found == watches_.end()) return commons_.rule(false, "a supervisor that nobody knows: " + to_string(event));
    const std::string wrong = found->second.hear(event, now());
    if (!wrong.empty()) commons_.rule(false, wrong + ": " + to_string(event) + " at " + format_duration(now()));
    using enum SupervisorEvent::Kind;
    // A supervisor whose task was dropped kills what is below it without a word.
    if (event.kind == kEnded) {
      for (auto& [each, watch] : watches_) {
        if (each.starts_with(event.supervisor + "/")) watch.ends(true, now());
      }
    }
    const std::string below = event.supervisor + "/" + event.child;
    if (!watches_.contains(below)) return;
    if (event.kind == kStopping) ends(below, false);
    if (event.kind == kKilling) ends(below, true);
  }

  base::Rng rng_;
  Commons commons_;
  std::map<std::string, Watch> watches_;                           // by path
  std::map<std::string, std::weak_ptr<detail::JoinState>> tasks_;  // by name, the last that was started
  std::uint32_t strategies_ = 0;
  std::uint64_t last_id_ = 0;
  std::uint64_t copies_ = 0;
  std::uint64_t faults_ = 0;
  std::uint64_t events_ = 0;
  std::uint32_t failing_starts_ = 0;
  std::deque<std::string> last_;
  Launch launch_;
  std::function<void(const SupervisorEvent&)> on_event_;
  sched::SimDriver sim_;  // what it still has at its end uses all of the above
  std::shared_ptr<Supervisor::State> state_;
};

TEST(SoakTest, AnHourOfFaults) {
  std::uint64_t first = 1;
  std::uint64_t last = number_of("WEFT_SOAK_SEEDS", kSeeds);
  if (std::getenv("WEFT_SIM_SEED") != nullptr) first = last = number_of("WEFT_SIM_SEED", 1);
  const auto minutes = std::chrono::minutes(number_of("WEFT_SOAK_MINUTES", kMinutes));
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("replay with WEFT_SIM_SEED=" + std::to_string(seed));
    Soak soak(seed);
    soak.run(minutes);
    soak.expect_the_end();
    std::printf("seed %llu: %llu faults, %llu events, %llu deeds, %llu steps\n", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(soak.faults()), static_cast<unsigned long long>(soak.events()),
                static_cast<unsigned long long>(soak.deeds()), static_cast<unsigned long long>(soak.steps()));
    if (HasFailure()) return;
    EXPECT_GT(soak.faults(), static_cast<std::uint64_t>(minutes.count()) * 300) << "more than five a second";
    EXPECT_GT(soak.deeds(), soak.faults());
  }
}

}  // namespace
}  // namespace weft::supervise
