// Links, monitors and names under faults, in virtual time: tasks stand for processes, which link, unlink, watch, trap exits, take names and end in all ways there are, while they
// and others are killed at any moment. After each deed the code is held against a plain model of Erlang's rules: abnormal ends travel along links, with the first cause; normal ones
// kill nobody; who traps exits gets a message instead; a monitor tells once; after unlink and demonitor nothing comes any more; a name has one process, and goes with it.
//
//   WEFT_SIM_SEED=7 build/dev/tests/process_test --gtest_filter='Kinship*'          one seed
//   WEFT_SOAK_SEEDS=10000 …                                                         many
#include "process/together/kinship.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "sync/testing/tasks.hpp"

namespace weft::process {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNotices = 6;
constexpr std::size_t kNames = 8;

struct SimProcess;
using SimRef = std::shared_ptr<SimProcess>;

struct SimTable {
  std::map<ProcessId, SimRef> alive;
  SimRef find(ProcessId id) const {
    const auto found = alive.find(id);
    return found == alive.end() ? nullptr : found->second;
  }
};

// As Process::State, with a coroutine in place of a guest.
struct SimProcess {
  explicit SimProcess(ProcessId of) : id(of), name("p" + std::to_string(of)) {
    of_limits.mailbox = {.messages = 4, .notices = kNotices};
  }

  const ProcessId id;
  const std::string name;
  Limits of_limits;
  Peer own{MailboxLimits{.messages = 4, .notices = kNotices}};
  std::optional<JoinHandle<ExitStatus>> body;
  std::string stopped_by;  // the first cause
  std::optional<ExitStatus> status;
  std::vector<std::function<void(const ExitStatus&)>> listeners;

  const Limits& limits() const { return of_limits; }
  Peer* peer() { return &own; }
  void stop(std::string_view by) {
    if (!stopped_by.empty()) return;
    stopped_by = by;
    if (body) body->cancel();
  }
  void on_end(std::function<void(const ExitStatus&)> listener) {
    if (status) return listener(*status);
    listeners.push_back(std::move(listener));
  }
  Mailbox mailbox() {
    own.mailbox->retain();
    return Mailbox(own.mailbox.get());
  }
};

struct SimProcesses {
  using Member = SimProcess;
  using Table = SimTable;
  static void kill(SimProcess& process, std::string_view by) { process.stop(by); }
  static Process handle_of(const SimRef&) { return {}; }
};

// ---- the rules ----

struct Notice {
  MessageKind kind;
  ProcessId sender;
  MonitorId monitor;
  std::optional<ExitStatus> status;  // none: there was no process
  std::uint64_t told = 0;            // what one end has to say may come in any order, but before what the next one has
};

struct Known {
  bool in_table = true;
  bool ended = false;
  bool traps = false;
  std::set<ProcessId> links;
  std::map<MonitorId, ProcessId> monitors;
  std::set<MonitorId> watched_by;  // of processes, and of the host
  std::vector<Notice> owed;        // that have to come
  std::string stopped_by;          // the first cause
};
struct HostMonitor {
  ProcessId target = 0;
  bool may_come = true;
  int told = 0;
};

class World {
 public:
  World(sched::SimDriver& sim, std::uint64_t seed) : sim_(sim), rng_(seed * 7919) {}

  void run() {
    for (int i = 0; i < 6; ++i) (void)spawn();
    auto fate = sync::testing::start(sim_.scheduler(), faults());
    ASSERT_TRUE(sim_.run_until_empty());
    for (const auto& [id, known] : known_) ASSERT_TRUE(known.ended) << id;
    for (const auto& [id, one] : host_) ASSERT_EQ(one->told, one->may_come ? 1 : 0) << "monitor " << id << " of the host";
    ASSERT_EQ(kin_.names(), 0U);
    ASSERT_GT(told_, 0U);
  }
  std::uint64_t told() const { return told_; }
  std::uint64_t killed_by_link() const { return killed_by_link_; }

 private:
  SimRef spawn() {
    const ProcessId id = ++last_;
    auto process = std::make_shared<SimProcess>(id);
    table_.alive.emplace(id, process);
    all_.emplace(id, process);
    known_[id];
    process->body = sync::testing::start(sim_.scheduler(), live(process));
    bury_.push_back(sync::testing::start(sim_.scheduler(), bury(process)));
    return process;
  }
  // Somebody, who may have ended.
  ProcessId anybody() { return 1 + rng_.below(static_cast<std::uint32_t>(last_)); }
  ProcessId recent() {
    return rng_.one_in(5) ? anybody() : last_ - rng_.below(static_cast<std::uint32_t>(std::min<ProcessId>(last_, 8)));
  }
  Duration span() { return std::chrono::microseconds(1 + rng_.below(3000)); }

  // ---- deeds, each with what it means ----

  bool has_room(SimProcess& process) { return process.own.mailbox->stats().reserved < kNotices; }

  void link(SimProcess& one, SimProcess& other) {
    Known& a = known_[one.id];
    Known& b = known_[other.id];
    const bool have_room = (a.links.contains(other.id) || has_room(one)) && (b.links.contains(one.id) || has_room(other));
    const bool may = one.id == other.id || (!a.ended && !b.ended && have_room);
    ASSERT_EQ(kin_.link(one, other).has_value(), may);
    if (!may || one.id == other.id) return;
    a.links.insert(other.id);
    b.links.insert(one.id);
  }
  void unlink(SimProcess& one, ProcessId other) {
    Known& a = known_[one.id];
    Known& b = known_[other];
    const bool was = !a.ended && one.id != other && a.links.erase(other) != 0;
    ASSERT_EQ(kin_.unlink(one, other), was);
    if (was && b.in_table) b.links.erase(one.id);
  }
  void trap_exits(SimProcess& process, bool traps) {
    kin_.trap_exits(process, traps);
    known_[process.id].traps = traps;
  }
  void monitor(SimProcess& watcher, ProcessId target) {
    Known& a = known_[watcher.id];
    const bool may = !a.ended && has_room(watcher);
    const Result<MonitorId> made = kin_.monitor(watcher, target);
    ASSERT_EQ(made.has_value(), may);
    if (!may || target == watcher.id) return;
    Known& b = known_[target];
    if (b.in_table && !b.ended) {
      a.monitors.emplace(*made, target);
      b.watched_by.insert(*made);
    } else {
      a.owed.push_back({MessageKind::kDown, target, *made, std::nullopt, ++tells_});
    }
  }
  void demonitor(SimProcess& watcher, MonitorId id, bool flush) {
    Known& a = known_[watcher.id];
    const bool was = a.monitors.contains(id);
    if (was) {
      ASSERT_FALSE(kin_.demonitor_host(*all_[a.monitors[id]], id)) << "it is not the host's";
    }
    ASSERT_EQ(kin_.demonitor(watcher, id, flush), was);
    if (was) {
      forget_watcher(a.monitors[id], id);
      a.monitors.erase(id);
    } else if (flush) {
      std::erase_if(a.owed, [id](const Notice& one) { return one.kind == MessageKind::kDown && one.monitor == id; });
    }
  }
  // One that is about to leave is not reached any more; what it tells then finds nobody.
  void forget_watcher(ProcessId target, MonitorId id) {
    if (known_[target].in_table) known_[target].watched_by.erase(id);
  }
  void monitor_for_host(const SimRef& target) {
    // The number is not there yet when it is told at once.
    auto told = std::make_shared<HostMonitor>();
    told->target = target->id;
    const MonitorId id = kin_.monitor(target, {.process = 0, .told = [this, told](const Process&, const ExitReason& reason) {
                                                 ++told->told;
                                                 ++told_;
                                                 expect_reason(reason, all_[told->target]->status);
                                               }});
    host_.emplace(id, told);
    if (!known_[target->id].ended) known_[target->id].watched_by.insert(id);
  }
  void demonitor_for_host(MonitorId id) {
    HostMonitor& one = *host_.at(id);
    const bool was = known_[one.target].watched_by.erase(id) != 0;
    ASSERT_EQ(kin_.demonitor_host(*all_[one.target], id), was);
    if (was) one.may_come = false;
  }
  void register_name(const std::string& name, SimProcess& process) {
    const auto found = names_.find(name);
    const bool may = found != names_.end() ? found->second == process.id : !known_[process.id].ended;
    bool taken = false;
    ASSERT_EQ(kin_.register_name(name, process, &taken).has_value(), may);
    ASSERT_EQ(taken, found != names_.end() && !may);
    if (may) names_[name] = process.id;
  }
  void unregister_name(const std::string& name, ProcessId owner) {
    const auto found = names_.find(name);
    const bool was = found != names_.end() && (owner == 0 || found->second == owner);
    ASSERT_EQ(kin_.unregister_name(name, owner), was);
    if (was) names_.erase(found);
  }

  // ---- ends ----

  static bool normal(const ExitStatus& status) { return status.success(); }
  // What is said of it to those who die of it.
  static std::string cause(const SimProcess& ended) {
    const ExitStatus& status = *ended.status;
    if (status.kind == ExitKind::kKilled && status.killed_by.starts_with("linked process")) return status.killed_by;
    const std::string who = "linked process " + std::to_string(ended.id) + " (" + ended.name + ") ";
    if (status.kind == ExitKind::kExited) return who + "exited with " + std::to_string(status.code);
    if (status.kind == ExitKind::kTrapped) return who + "trapped: " + status.message;
    return who + status.message;
  }

  Task<> bury(SimRef process) {
    JoinHandle<ExitStatus> body = *process->body;
    Result<ExitStatus> outcome = co_await std::move(body);
    Known& known = known_[process->id];
    ExitStatus status;
    if (outcome) {
      status = std::move(*outcome);
    } else {
      status.kind = ExitKind::kKilled;
      status.killed_by = process->stopped_by;
      status.message = "killed by " + process->stopped_by;
      EXPECT_EQ(process->stopped_by, known.stopped_by);
      if (status.killed_by.starts_with("linked")) ++killed_by_link_;
    }
    // As Process::State::publish, and others are quick.
    known.in_table = false;
    table_.alive.erase(process->id);
    if (rng_.one_in(2)) co_await sleep_for(span());
    Bereaved bereaved = kin_.leave(*process);
    known.ended = true;
    std::erase_if(names_, [&](const auto& one) { return one.second == process->id; });
    const std::set<ProcessId> linked = std::exchange(known.links, {});
    const std::map<MonitorId, ProcessId> monitors = std::exchange(known.monitors, {});
    const std::set<MonitorId> watched_by = std::exchange(known.watched_by, {});
    check();
    if (rng_.one_in(2)) co_await sleep_for(span());
    process->status = status;
    for (const auto& listener : std::exchange(process->listeners, {})) listener(status);
    if (rng_.one_in(2)) co_await sleep_for(span());
    ++tells_;
    // First what has to come of it: those who are told may be gone by the time they look.
    for (const auto& [id, target] : monitors) forget_watcher(target, id);
    for (const ProcessId other : linked) {
      Known& b = known_[other];
      if (!b.in_table || b.ended || b.links.erase(process->id) == 0) continue;
      if (b.traps) {
        b.owed.push_back({MessageKind::kExit, process->id, 0, status, tells_});
      } else if (!normal(status) && b.stopped_by.empty()) {
        b.stopped_by = cause(*process);
      }
    }
    for (const MonitorId id : watched_by) {
      for (auto& [watcher, b] : known_) {
        if (b.in_table && !b.ended && b.monitors.erase(id) != 0)
          b.owed.push_back({MessageKind::kDown, process->id, id, status, tells_});
      }
    }
    kin_.tell(process, std::move(bereaved), status);
    check();
    co_return;
  }

  // ---- a life ----

  Task<ExitStatus> live(SimRef process) {
    SimProcess& self = *process;
    const Mailbox mailbox = self.mailbox();
    for (int deeds = 4 + static_cast<int>(rng_.below(40)); deeds > 0; --deeds) {
      co_await sleep_for(span());
      Known& known = known_[self.id];
      switch (rng_.below(10)) {
        case 0:
        case 1:
          link(self, *all_[recent()]);
          break;
        case 2:
          unlink(self, !known.links.empty() && rng_.one_in(2) ? *known.links.begin() : recent());
          break;
        case 3:
          trap_exits(self, rng_.one_in(2));
          break;
        case 4:
          monitor(self, recent());
          break;
        case 5:
          if (!known.monitors.empty()) demonitor(self, known.monitors.begin()->first, rng_.one_in(2));
          if (!known.owed.empty() && known.owed.front().kind == MessageKind::kDown)
            demonitor(self, known.owed.front().monitor, true);
          break;
        case 6:
          register_name(a_name(), self);
          break;
        case 7:
          unregister_name(a_name(), rng_.one_in(2) ? self.id : 0);
          break;
        default: {
          MessageFilter any;
          Mailbox::Receive receive = mailbox.receive(std::move(any), rng_.one_in(3) ? Duration::zero() : span());
          const MailResult<Message> message = co_await receive;
          if (message) received(self, *message);
        }
      }
      check();
    }
    // What was owed has come, unless it is killed before it looks.
    for (;;) {
      MailResult<Message> message = mailbox.try_receive();
      if (!message) break;
      received(self, *message);
    }
    EXPECT_TRUE(known_[self.id].owed.empty()) << "a notice has not come to " << self.id;
    check();
    ExitStatus status;
    switch (rng_.below(4)) {
      case 0:
        break;
      case 1:
        status.kind = ExitKind::kExited;
        break;
      case 2:
        status.kind = ExitKind::kExited;
        status.code = 3;
        status.message = "exited with 3";
        break;
      default:
        status.kind = ExitKind::kTrapped;
        status.message = "unreachable";
    }
    co_return status;
  }

  void received(SimProcess& self, const Message& message) {
    Known& known = known_[self.id];
    ASSERT_FALSE(known.owed.empty()) << "nobody owes " << self.id << " anything";
    const auto found = std::ranges::find_if(known.owed, [&](const Notice& one) {
      return one.kind == message.kind && one.sender == message.sender && one.monitor == message.monitor;
    });
    ASSERT_NE(found, known.owed.end()) << "nobody owes that to " << self.id;
    ASSERT_EQ(found->told, known.owed.front().told) << "out of order";
    const Notice due = *found;
    known.owed.erase(found);
    ASSERT_TRUE(message.reason);
    expect_reason(*message.reason, due.status);
    ++told_;
  }
  static void expect_reason(const ExitReason& reason, const std::optional<ExitStatus>& status) {
    ASSERT_EQ(reason.no_process, !status.has_value());
    if (!status) return;
    ASSERT_EQ(reason.kind, status->kind);
    ASSERT_EQ(reason.code, status->code);
    ASSERT_EQ(reason.message, status->message);
  }

  // ---- fate ----

  Task<> faults() {
    for (int i = 0; i < 300 && !::testing::Test::HasFailure(); ++i) {
      co_await sleep_for(span());
      const ProcessId who = recent();
      const SimRef process = all_[who];
      switch (rng_.below(7)) {
        case 0:
          if (known_[who].stopped_by.empty()) known_[who].stopped_by = "fate";
          process->stop("fate");
          break;
        case 1:
          link(*process, *all_[recent()]);
          break;
        case 2:
          monitor_for_host(process);
          break;
        case 3:
          if (!host_.empty()) {
            auto one = host_.begin();
            std::advance(one, rng_.below(static_cast<std::uint32_t>(host_.size())));
            demonitor_for_host(one->first);
          }
          break;
        case 4:
          register_name(a_name(), *process);
          break;
        default:
          if (table_.alive.size() < 12) (void)spawn();
      }
      check();
    }
    for (const auto& [id, process] : std::map<ProcessId, SimRef>(table_.alive)) {
      Known& known = known_[id];
      if (known.stopped_by.empty()) known.stopped_by = "the end";
      process->stop("the end");
    }
  }
  std::string a_name() { return "name" + std::to_string(rng_.below(kNames)); }

  // What the code knows is what the model knows.
  void check() {
    if (::testing::Test::HasFailure()) return;
    for (const auto& [id, process] : all_) {
      const Known& known = known_[id];
      Peer& peer = process->own;
      base::Lock lock(peer.mutex);
      ASSERT_EQ(peer.ended, known.ended) << id;
      ASSERT_EQ((std::set<ProcessId>(peer.links.begin(), peer.links.end())), known.links) << "links of " << id;
      ASSERT_EQ((std::map<MonitorId, ProcessId>(peer.monitors.begin(), peer.monitors.end())), known.monitors)
          << "monitors of " << id;
      ASSERT_EQ(peer.watchers.size(), known.watched_by.size()) << "watchers of " << id;
      ASSERT_EQ(process->stopped_by, known.stopped_by) << "what ends " << id;
      const MailboxStats stats = peer.mailbox->stats();
      ASSERT_EQ(stats.closed, known.ended) << id;
      ASSERT_EQ(stats.reserved, known.links.size() + known.monitors.size() + stats.notices) << "places of " << id;
      ASSERT_TRUE(known.ended || stats.notices <= known.owed.size()) << id;
    }
    ASSERT_EQ(kin_.names(), names_.size());
    for (std::size_t i = 0; i < kNames; ++i) {
      const std::string name = "name" + std::to_string(i);
      const auto found = names_.find(name);
      ASSERT_EQ(kin_.whereis(name), found == names_.end() ? 0 : found->second) << name;
    }
  }

  sched::SimDriver& sim_;
  base::Rng rng_;
  SimTable table_;
  Kinship<SimProcesses> kin_{table_};
  ProcessId last_ = 0;
  std::map<ProcessId, SimRef> all_;
  std::map<ProcessId, Known> known_;
  std::map<std::string, ProcessId> names_;
  std::map<MonitorId, std::shared_ptr<HostMonitor>> host_;
  std::vector<JoinHandle<void>> bury_;
  std::uint64_t tells_ = 0;
  std::uint64_t told_ = 0;
  std::uint64_t killed_by_link_ = 0;
};

class KinshipTest : public sync::testing::TaskTest {};

TEST_F(KinshipTest, KeepsErlangsRulesUnderFaults) {
  std::uint64_t killed_by_link = 0;
  const char* const seeds = std::getenv("WEFT_SOAK_SEEDS");
  for_each_seed(seeds == nullptr ? 60 : std::strtoull(seeds, nullptr, 10), [&](sched::SimDriver& sim) {
    World world(sim, sim.rng().below(UINT32_MAX));
    world.run();
    killed_by_link += world.killed_by_link();
  });
  EXPECT_GT(killed_by_link, 0U);
}

}  // namespace
}  // namespace weft::process
