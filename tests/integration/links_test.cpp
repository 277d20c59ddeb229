// Links, monitors and names, from the host: who is killed and by what words, who is told, what comes after an end; circles of 10,000 links; kills, links,
// monitors and names at random from several threads, after which nothing is left.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

// Waits for the host, then traps.
constexpr std::string_view kTrapsWhenTold = R"((module
  (import "env" "gate" (func $gate))
  (memory (export "memory") 1)
  (func (export "_start") (call $gate) (unreachable))))";

class LinksTest : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    RuntimeOptions options = usual_options();
    options.host.define("env", "gate", [gate = gate_](Caller&) -> Task<void> { (void)co_await gate.when_set().wait(); });
    options.names_max = 40;
    start(std::move(options));
    sleeps_ = compile(kSleeps);
  }
  void TearDown() override {
    sleeps_ = {};  // it keeps what the runtime is made of
    RuntimeTest::TearDown();
  }
  Process sleeper(std::string name = "sleeper") { return spawn(ProcessSpec{.module = sleeps_, .name = std::move(name)}); }
  static Message down(const Process& watcher) {
    MailResult<Message> message = watcher.mailbox().receive().block();
    EXPECT_TRUE(message.has_value());
    return message ? *message : Message{};
  }

  Event gate_;
  Module sleeps_;
};

TEST_F(LinksTest, ATrapKillsTheLinkedAndNamesTheFirst) {
  const Process first = spawn(ProcessSpec{.module = compile(kTrapsWhenTold), .name = "worker"});
  const Process second = sleeper();
  const Process third = sleeper();
  ASSERT_TRUE(link(first, second).has_value());
  ASSERT_TRUE(link(second, third).has_value());
  ASSERT_TRUE(link(second, first).has_value()) << "again is no error";
  gate_.set();
  EXPECT_EQ(first.join().kind, ExitKind::kTrapped);
  const std::string by = "linked process " + std::to_string(first.id()) + " (worker) trapped: " + first.join().message;
  for (const Process& other : {second, third}) {
    const ExitStatus status = other.join();
    EXPECT_EQ(status.kind, ExitKind::kKilled);
    EXPECT_EQ(status.killed_by, by);
  }
}

TEST_F(LinksTest, ANormalEndKillsNobody) {
  constexpr std::string_view kReturnsWhenTold = R"((module (import "env" "gate" (func $gate)) (memory (export "memory") 1)
    (func (export "_start") (call $gate))))";
  const Process first = spawn(kReturnsWhenTold);
  const Process second = sleeper();
  const Process trapping = sleeper();
  trap_exits(trapping, true);
  ASSERT_TRUE(link(first, second).has_value());
  ASSERT_TRUE(link(first, trapping).has_value());
  gate_.set();
  EXPECT_TRUE(first.join().success());
  const Message message = down(trapping);
  EXPECT_EQ(message.kind, MessageKind::kExit);
  EXPECT_TRUE(message.reason->normal());
  EXPECT_TRUE(second.running());
  // The place of the link is given back, when its turn to be told comes.
  while (second.mailbox().stats().reserved != 0) std::this_thread::yield();
  second.kill("test");
  trapping.kill("test");
}

TEST_F(LinksTest, WhoTrapsExitsGetsAMessage) {
  const Process first = sleeper("first");
  const Process second = sleeper();
  trap_exits(second, true);
  ASSERT_TRUE(link(first, second).has_value());
  first.kill("the test");
  const Message message = down(second);
  EXPECT_EQ(message.kind, MessageKind::kExit);
  EXPECT_EQ(message.sender, first.id());
  EXPECT_EQ(message.reason->kind, ExitKind::kKilled);
  EXPECT_EQ(message.bytes.text(), "killed by the test");
  EXPECT_TRUE(second.running());
  second.kill("test");
}

TEST_F(LinksTest, UnlinkedIsForgotten) {
  const Process first = sleeper();
  const Process second = sleeper();
  ASSERT_TRUE(link(first, second).has_value());
  EXPECT_TRUE(unlink(second, first));
  EXPECT_FALSE(unlink(first, second));
  EXPECT_EQ(first.mailbox().stats().reserved + second.mailbox().stats().reserved, 0U);
  first.kill("test");
  (void)first.join();
  // Whatever the end tells it has told before this.
  (void)first.when_exited().wait().block();
  EXPECT_TRUE(second.running());
  second.kill("test itself");
  EXPECT_EQ(second.join().killed_by, "test itself");
}

TEST_F(LinksTest, TheDeadCannotBeLinked) {
  const Process first = sleeper();
  const Process second = sleeper();
  first.kill("test");
  (void)first.join();
  EXPECT_EQ(link(first, second).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(link(second, first).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(second.running());
  EXPECT_EQ(link(second, Process()).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(first.mailbox().try_send({}).error().failure, MailFailure::kClosed);
  second.kill("test");
}

// 500 processes in circles, 10,000 links: each ends once, and by the first.
TEST_F(LinksTest, CirclesEndEachOnce) {
  constexpr std::size_t kProcesses = 500;
  constexpr std::size_t kChords = 20;
  std::vector<Process> all;
  std::atomic<unsigned> ends{0};
  for (std::size_t i = 0; i < kProcesses; ++i) {
    all.push_back(sleeper());
    ASSERT_NE(monitor(all.back(), [&ends](const Process&, const ExitReason&) { ends.fetch_add(1); }), 0U);
  }
  for (std::size_t chord = 1; chord <= kChords; ++chord) {
    for (std::size_t i = 0; i < kProcesses; ++i) ASSERT_TRUE(link(all[i], all[(i + chord) % kProcesses]).has_value());
  }
  all[123].kill("the test");
  const std::string by = "linked process " + std::to_string(all[123].id()) + " (sleeper) killed by the test";
  for (std::size_t i = 0; i < kProcesses; ++i) EXPECT_EQ(all[i].join().killed_by, i == 123 ? "the test" : by);
  while (ends.load() < kProcesses) std::this_thread::yield();
  EXPECT_EQ(ends.load(), kProcesses);
}

TEST_F(LinksTest, MonitorsTellOnce) {
  const Process watcher = sleeper();
  const Process target = sleeper("target");
  const MonitorId first = monitor(watcher, target).value();
  const MonitorId second = monitor(watcher, target).value();
  const MonitorId third = monitor(watcher, target).value();
  EXPECT_TRUE(demonitor(watcher, second));
  EXPECT_FALSE(demonitor(watcher, second));
  target.kill("the test");
  for (int i = 0; i < 2; ++i) {
    const Message message = down(watcher);
    EXPECT_EQ(message.kind, MessageKind::kDown);
    EXPECT_EQ(message.sender, target.id());
    EXPECT_TRUE(message.monitor == first || message.monitor == third) << message.monitor;
    EXPECT_FALSE(message.reason->no_process);
    EXPECT_EQ(message.reason->kind, ExitKind::kKilled);
  }
  // Of one that has ended it comes at once.
  const MonitorId late = monitor(watcher, target).value();
  const Message message = watcher.mailbox().try_receive({.monitor = late}).value();
  EXPECT_TRUE(message.reason->no_process);
  const MonitorId flushed = monitor(watcher, target).value();
  EXPECT_FALSE(demonitor(watcher, flushed)) << "it had told";
  EXPECT_EQ(watcher.mailbox().try_receive().error().failure, MailFailure::kWouldWait);
  EXPECT_EQ(watcher.mailbox().stats().reserved, 0U);
  watcher.kill("test");
}

TEST_F(LinksTest, TheHostIsTold) {
  const Process target = sleeper("target");
  std::atomic<int> told{0};
  ASSERT_NE(monitor(target,
                    [&](const Process& who, const ExitReason& why) {
                      EXPECT_EQ(who.id(), target.id());
                      EXPECT_EQ(why.message, "killed by the test");
                      EXPECT_TRUE(who.try_join().has_value()) << "its status was not there yet";
                      told.fetch_add(1);
                    }),
            0U);
  const MonitorId other = monitor(target, [&](const Process&, const ExitReason&) { told.fetch_add(100); });
  EXPECT_TRUE(demonitor_host(target, other));
  EXPECT_FALSE(demonitor_host(target, other));
  target.kill("the test");
  (void)target.join();
  while (told.load() == 0) std::this_thread::yield();
  (void)monitor(target, [&](const Process&, const ExitReason&) { told.fetch_add(1); });
  EXPECT_EQ(told.load(), 2);
}

TEST_F(LinksTest, NoticesAreBounded) {
  Limits limits;
  limits.mailbox.notices = 5;
  const Process watcher = spawn(ProcessSpec{.module = sleeps_, .limits = limits});
  const Process target = sleeper();
  ASSERT_TRUE(link(watcher, target).has_value());
  trap_exits(watcher, true);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(monitor(watcher, target).has_value());
  EXPECT_EQ(monitor(watcher, target).error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(link(sleeper(), watcher).error().kind, ErrorKind::kExhausted);
  target.kill("test");
  (void)target.join();
  // What has not been received still counts.
  while (watcher.mailbox().stats().notices < 5) std::this_thread::yield();
  EXPECT_EQ(monitor(watcher, target).error().kind, ErrorKind::kExhausted);
  (void)down(watcher);
  EXPECT_TRUE(monitor(watcher, target).has_value());
  for (const TaskDump& task : runtime_->dump()) {
    if (const auto process = runtime_->find(task.process_id)) process->kill("test");
  }
}

TEST_F(LinksTest, NamesAreUniqueBoundedAndGoWithTheirProcess) {
  const Process one = sleeper();
  const Process other = sleeper();
  ASSERT_TRUE(runtime_->register_name("db", one).has_value());
  ASSERT_TRUE(runtime_->register_name("db", one).has_value()) << "its own name again is no error";
  EXPECT_EQ(runtime_->register_name("db", other).error().kind, ErrorKind::kBadArgument);
  EXPECT_EQ(runtime_->whereis("db")->id(), one.id());
  EXPECT_FALSE(runtime_->whereis("none").has_value());
  for (const std::string& odd : {std::string(), std::string(256, 'x'), std::string("a\nb")})
    EXPECT_EQ(runtime_->register_name(odd, one).error().kind, ErrorKind::kBadArgument);
  for (int i = 1; i < 16; ++i) ASSERT_TRUE(runtime_->register_name("one" + std::to_string(i), one).has_value());
  EXPECT_EQ(runtime_->register_name("more", one).error().kind, ErrorKind::kExhausted);
  const Process third = sleeper();
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(runtime_->register_name("other" + std::to_string(i), other).has_value());
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(runtime_->register_name("third" + std::to_string(i), third).has_value());
  EXPECT_EQ(runtime_->stats().names, 40U);
  EXPECT_EQ(runtime_->register_name("the 41st", third).error().kind, ErrorKind::kExhausted);
  one.kill("test");
  (void)one.join();
  EXPECT_FALSE(runtime_->whereis("db").has_value());
  EXPECT_EQ(runtime_->stats().names, 24U);
  EXPECT_TRUE(runtime_->register_name("db", third).has_value());
  EXPECT_TRUE(runtime_->unregister_name("db"));
  EXPECT_FALSE(runtime_->unregister_name("db"));
  EXPECT_EQ(runtime_->register_name("late", one).error().kind, ErrorKind::kNotFound);
  other.kill("test");
  third.kill("test");
}

TEST_F(LinksTest, AtRandom) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr std::size_t kProcesses = 40;
  std::vector<Process> all;
  std::mutex mutex;
  for (std::size_t i = 0; i < kProcesses; ++i) all.push_back(sleeper());
  std::atomic<std::uint64_t> made{0};
  std::atomic<std::uint64_t> told{0};
  std::atomic<std::uint64_t> forgotten{0};
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937_64 random(seed + thread);
      const auto pick = [&] {
        std::lock_guard lock(mutex);
        return all[random() % all.size()];
      };
      for (int step = 0; step < 3000; ++step) {
        const Process one = pick();
        const Process other = pick();
        switch (random() % 12) {
          case 0:
          case 1:
          case 2:
            (void)link(one, other);
            break;
          case 3:
            (void)unlink(one, other);
            break;
          case 4:
            trap_exits(one, random() % 2 == 0);
            break;
          case 5:
          case 6:
            if (const auto id = monitor(one, other); id && random() % 2 == 0) (void)demonitor(one, *id);
            break;
          case 7: {
            made.fetch_add(1);
            const MonitorId id = monitor(other, [&told](const Process&, const ExitReason&) { told.fetch_add(1); });
            if (random() % 2 == 0 && demonitor_host(other, id)) forgotten.fetch_add(1);
            break;
          }
          case 8:
            (void)runtime_->register_name("name " + std::to_string(random() % 50), one);
            break;
          case 9:
            (void)one.mailbox().try_send({.tag = random() % 4});
            break;
          case 10:
            (void)one.mailbox().try_receive();
            break;
          default:
            if (random() % 4 != 0) break;
            one.kill("chance");
            Process fresh = sleeper();
            std::lock_guard lock(mutex);
            all[random() % all.size()] = std::move(fresh);
            break;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  (void)runtime_->shutdown(0s, kHang);
  EXPECT_EQ(runtime_->stats().names, 0U);
  EXPECT_EQ(told.load() + forgotten.load(), made.load());
  for (const Process& one : all) EXPECT_TRUE(one.mailbox().stats().closed);
}

}  // namespace
}  // namespace weft::testing
