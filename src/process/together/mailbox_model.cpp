// Every interleaving of mailboxes: each message is received once or is still its sender's, those of one sender in order; whoever waits, gives up or is dropped
// lets the others go on; the end of the process ends every wait; notices always have room; no event of the source is lost. With canaries that must be found.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "process/together/mailbox_queue.hpp"
#include "sync/source.hpp"
#include "sync/testing/model_note.hpp"
#include "sync/testing/model_sleeper.hpp"

namespace weft::detail {
namespace {

using namespace sync::testing;

struct Letter {
  MessageKind kind = MessageKind::kUser;
  int tag = 0;
  MonitorId monitor = 0;
  Note bytes{};
};
struct LetterFilter {
  int tag = 0;  // 0: any
  std::function<bool(const Letter&)> predicate{};
};
bool passes(const LetterFilter& filter, const Letter& letter) {
  return filter.tag == 0 || (letter.kind == MessageKind::kUser && letter.tag == filter.tag);
}

class ModelSource : public sync::BasicSource<ModelSleeper> {
 public:
  void retain() const noexcept final { ++references_; }
  void release() const noexcept final { --references_; }

 protected:
  virtual ~ModelSource() = default;

 private:
  mutable int references_ = 1;
};

class Box final : public BasicMailbox<ModelSleeper, Letter, LetterFilter, ModelSource> {
 public:
  using BasicMailbox::BasicMailbox;
};
using Watch = sync::BasicWatch<ModelSleeper>;

Letter letter(int number, int tag = 1, std::size_t bytes = 64) { return {.tag = tag, .bytes = {number, bytes}}; }

struct World : Abandonable {
  explicit World(const MailboxLimits& limits) : box(limits) {}
  Box box;
  Person people[4];
  Room<Box::Sender> senders[4];
  Room<Box::Receiver> receivers[4];
  Room<Watch> watches[4];
  const LetterFilter any{};
  const LetterFilter one{.tag = 1};
  const LetterFilter two{.tag = 2};
  const LetterFilter picky{.predicate = [](const Letter& letter) { return letter.tag == 2; }};
  std::vector<int> sent;
  std::vector<int> received;
  int closed = 0;

  // ---- as weft::Mailbox's operations do ----

  // kNothing: it waits.
  MailWait begin_send(int who, Letter& letter) {
    Box::Sender& sender = senders[who].make(ModelSleeper(people[who]));
    const int number = letter.bytes.value;
    const auto error = box.send(letter, &sender);
    if (error && error->failure == MailFailure::kWouldWait) return MailWait::kNothing;
    if (error) check(letter.bytes.value == number, "what was not sent is not as it was");
    return end_send(who, number, letter, error ? MailWait::kClosed : MailWait::kOver);
  }
  MailWait end_send(int who, int number, const Letter& letter, MailWait how) {
    senders[who].end();
    if (how == MailWait::kOver) {
      sent.push_back(number);
    } else {
      check(letter.bytes.value == number, "what was not sent did not come back");
    }
    closed += how == MailWait::kClosed ? 1 : 0;
    return how;
  }
  MailWait send(int who, Letter letter) {
    const int number = letter.bytes.value;
    const MailWait how = begin_send(who, letter);
    return how != MailWait::kNothing ? how : wait_until_sent(who, number, letter);
  }
  MailWait wait_until_sent(int who, int number, Letter& letter) {
    MailWait how = MailWait::kNothing;
    while ((how = box.sent(*senders[who], letter)) == MailWait::kNothing) people[who].park();
    return end_send(who, number, letter, how);
  }
  // The time is over at once, or the task is dropped: that is the same.
  MailWait send_and_give_up(int who, Letter letter) {
    const int number = letter.bytes.value;
    const MailWait how = begin_send(who, letter);
    return how != MailWait::kNothing ? how : end_send(who, number, letter, box.give_up(*senders[who], letter));
  }
  bool try_send(Letter letter) {
    const int number = letter.bytes.value;
    if (box.try_send(letter)) {
      check(letter.bytes.value == number, "what was not sent is not as it was");
      return false;
    }
    sent.push_back(number);
    return true;
  }

  MailWait end_receive(int who, Box::Node node, MailWait how) {
    receivers[who].end();
    if (how == MailWait::kOver) received.push_back(node->message.bytes.value);
    closed += how == MailWait::kClosed ? 1 : 0;
    return how;
  }
  MailWait receive(int who, const LetterFilter& filter) {
    Box::Node node;
    Box::Receiver& receiver = receivers[who].make(ModelSleeper(people[who]), filter);
    MailWait how = box.look(filter, &receiver, node);
    if (how == MailWait::kNothing) {
      while ((how = box.received(receiver, node)) == MailWait::kNothing) people[who].park();
    }
    return end_receive(who, std::move(node), how);
  }
  MailWait receive_and_expire(int who, const LetterFilter& filter) {
    Box::Node node;
    Box::Receiver& receiver = receivers[who].make(ModelSleeper(people[who]), filter);
    MailWait how = box.look(filter, &receiver, node);
    if (how == MailWait::kNothing) how = box.give_up(receiver, node);
    return end_receive(who, std::move(node), how);
  }
  // Dropped once it waits, or has something that it has not taken yet.
  void receive_and_drop(int who, const LetterFilter& filter, bool gives_back = true) {
    Box::Node node;
    Box::Receiver& receiver = receivers[who].make(ModelSleeper(people[who]), filter);
    (void)box.look(filter, &receiver, node);
    if (gives_back || receiver.linked()) box.withdraw(receiver);
    if (node && gives_back) box.put_back(std::move(node));
    receivers[who].end();
    people[who].release();
  }
  bool try_receive(const LetterFilter& filter) {
    Box::Node node;
    if (box.look(filter, nullptr, node) != MailWait::kOver) return false;
    received.push_back(node->message.bytes.value);
    return true;
  }
  void post(MonitorId monitor) {
    Box::Wakes wakes;
    const bool tell =
        box.post_notice({.kind = MessageKind::kDown, .monitor = monitor, .bytes = {static_cast<int>(monitor)}}, wakes);
    wakes.wake_all();
    if (tell) box.told();
  }
  void watch(int who) {
    Watch& watch = watches[who].make(ModelSleeper(people[who]));
    if (!watch.begin(box)) {
      while (!watch.over()) people[who].park();
    }
    watches[who].end();
  }

  // ---- what must hold in the end ----

  // Receives what is left, and looks whether that was all, and at its place.
  void check_all_received() {
    const std::vector<int> before = std::exchange(received, {});
    while (try_receive(any)) continue;
    check_in_order(0, 10);
    check_in_order(10, 20);
    received.insert(received.begin(), before.begin(), before.end());
    std::ranges::sort(sent);
    std::vector<int> all = received;
    std::ranges::sort(all);
    check(all == sent, "a message was lost, or came twice");
  }
  void check_in_order(int from, int to) {
    std::vector<int> of_one;
    for (const int number : received) {
      if (number >= from && number < to) of_one.push_back(number);
    }
    check(std::ranges::is_sorted(of_one), "messages of one sender out of order");
  }
  void check_end() {
    ended = true;
    for (const auto& sender : senders) check(sender.untouched(), "a sender was touched after its end");
    for (const auto& receiver : receivers) check(receiver.untouched(), "a receiver was touched after its end");
    for (const auto& watch : watches) check(watch.untouched(), "a watch was touched after its end");
    const MailboxStats stats = box.stats();
    check(stats.messages == 0 && stats.bytes == 0 && stats.notices == 0, "something is still counted as in it");
    check(stats.senders_waiting == 0 && stats.receivers_waiting == 0, "somebody is still counted as waiting");
    check(stats.received == received.size(), "it has miscounted what was received");
    check(!box.ready(), "it is said to have something");
  }
};

MailboxLimits of_one() { return {.messages = 1, .bytes = 1U << 20U, .notices = 2}; }
MailboxLimits of(std::size_t messages) { return {.messages = messages, .bytes = 1U << 20U, .notices = 2}; }

class MailboxQueueModel : public ::testing::TestWithParam<std::size_t> {};

// ---- senders that wait ----

TEST_P(MailboxQueueModel, OneSenderAndOneReceiverKeepTheOrder) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(of(GetParam()));
    run.thread([world] {
      for (const int number : {1, 2, 3}) (void)world->send(0, letter(number));
    });
    run.thread([world] {
      for (int i = 0; i < 3; ++i) (void)world->receive(1, world->any);
    });
    run.at_end([world] {
      check(world->received == std::vector<int>{1, 2, 3}, "lost, or out of order");
      world->check_all_received();
      world->check_end();
    });
  }));
}

TEST_P(MailboxQueueModel, TwoSendersWaitForOneReceiver) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(of(GetParam()));
    for (int who = 0; who < 2; ++who) {
      run.thread([world, who] {
        for (const int number : {1, 2}) (void)world->send(who, letter(10 * who + number));
      });
    }
    run.thread([world] {
      for (int i = 0; i < 4; ++i) (void)world->receive(2, world->any);
    });
    run.at_end([world] {
      check(world->received.size() == 4, "somebody went without");
      world->check_in_order(0, 10);
      world->check_in_order(10, 20);
      world->check_all_received();
      world->check_end();
    });
  }));
}

// Who waits is not overtaken by what would fit.
TEST(MailboxQueueModelOfBytes, NobodyOvertakesThoseWhoWait) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    MailboxLimits limits = of_one();
    limits.messages = 8;
    limits.bytes = 256;
    const auto world = make_world<World>(limits);
    const auto large = std::make_shared<Letter>(letter(2, 1, 192));
    check(world->try_send(letter(1, 1, 128)), "there is room");
    check(world->begin_send(0, *large) == MailWait::kNothing, "there is none");
    check(world->box.reserve_notice(), "the first of two");
    run.thread([world, large] { (void)world->wait_until_sent(0, 2, *large); });
    run.thread([world] {
      (void)world->try_send(letter(3, 1, 64));
      world->post(5);
      world->sent.push_back(5);
    });
    run.thread([world] { (void)world->send_and_give_up(1, letter(4, 1, 64)); });
    run.thread([world] { (void)world->receive(2, world->any); });
    run.at_end([world] {
      while (world->try_receive(world->any)) continue;
      const auto place = [&](int number) { return std::ranges::find(world->received, number); };
      check(place(2) < place(3) || place(3) == world->received.end(), "overtaken by a try");
      check(place(2) < place(5), "overtaken by a notice");
      check(place(2) < place(4) || place(4) == world->received.end(), "overtaken by one that would wait");
      world->check_all_received();
      world->check_end();
    });
  }));
}

// The first of two that wait gives up, and the smaller one behind it fits.
TEST_P(MailboxQueueModel, ASenderThatGivesUpLetsTheNextOneGo) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    MailboxLimits limits = of(GetParam() + 1);
    limits.bytes = 256;
    const auto world = make_world<World>(limits);
    check(world->try_send(letter(1, 1, 128)), "there is room");
    run.thread([world] { (void)world->send_and_give_up(0, letter(2, 1, 192)); });
    run.thread([world] { (void)world->send(1, letter(3, 1, 64)); });
    run.thread([world] { (void)world->send_and_give_up(2, letter(4, 1, 192)); });
    run.at_end([world] {
      check(world->sent == std::vector<int>{1, 3}, "there was room for that one, and for no other");
      world->check_all_received();
      world->check_end();
    });
  }));
}

// It gives up just as room is made, or its message taken.
TEST_P(MailboxQueueModel, ASenderGivesUpWhileItsMessageIsTaken) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(of_one());
    check(world->try_send(letter(1)), "there is room");
    run.thread([world] { (void)world->send_and_give_up(0, letter(2, GetParam() == 1 ? 2 : 1)); });
    run.thread([world] { (void)world->try_receive(world->any); });
    run.thread([world] { (void)world->try_receive(world->two); });
    run.at_end([world] {
      world->check_all_received();
      world->check_end();
    });
  }));
}

// ---- selective receives ----

// The mailbox is full of what nobody wants; what somebody waits for passes it.
TEST_P(MailboxQueueModel, WhatIsWaitedForPassesAFullMailbox) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(of(GetParam()));
    run.thread([world] {
      for (const int number : {1, 2, 3}) (void)world->send_and_give_up(0, letter(number, 1));
    });
    run.thread([world] { (void)world->send(1, letter(11, 2)); });
    run.thread([world] { check(world->receive(2, world->two) == MailWait::kOver, "it was sent"); });
    run.at_end([world] {
      check(world->received == std::vector<int>{11}, "that one alone was asked for");
      world->check_in_order(0, 10);
      world->check_all_received();
      world->check_end();
    });
  }));
}

// The same with a predicate: it is woken to look for itself.
TEST_P(MailboxQueueModel, APredicateFindsWhatItWaitsFor) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(of(GetParam()));
    run.thread([world] { (void)world->send_and_give_up(0, letter(1, 1)); });
    run.thread([world] { (void)world->send(1, letter(11, 2)); });
    run.thread([world] { check(world->receive(2, world->picky) == MailWait::kOver, "it was sent"); });
    run.at_end([world] {
      check(world->received == std::vector<int>{11}, "that one alone was asked for");
      world->check_all_received();
      world->check_end();
    });
  }));
}

// One that takes all and one with a predicate, which wants the first message or not: nobody keeps from the other what it does not take.
TEST_P(MailboxQueueModel, APredicateBesideOneThatTakesAll) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(of_one());
    run.thread([world] { (void)world->receive(0, world->any); });
    run.thread([world] { (void)world->receive(1, world->picky); });
    run.thread([world] {
      (void)world->send(2, letter(1, static_cast<int>(GetParam())));
      (void)world->send(2, letter(2, 2));
    });
    run.at_end([world] {
      check(world->received.size() == 2, "somebody went without");
      world->check_all_received();
      world->check_end();
    });
  }));
}

// ---- time-outs and dropped receivers ----

TEST_P(MailboxQueueModel, ATimeOutMeetsAHandOver) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(of_one());
    run.thread([world] { (void)world->receive_and_expire(0, GetParam() == 1 ? world->any : world->picky); });
    run.thread([world] {
      (void)world->send_and_give_up(1, letter(1, 2));
      (void)world->send_and_give_up(1, letter(2, 2));
    });
    run.thread([world] { (void)world->send_and_give_up(2, letter(11, 2)); });
    run.at_end([world] {
      world->check_all_received();
      world->check_in_order(0, 10);
      world->check_end();
    });
  }));
}

// One is dropped, at any moment, beside one that stays, with a predicate or without. Without giving back what it was handed: the canary.
Outcome explore_drop(bool with_predicate, bool gives_back) {
  return explore({.preemptions_max = 2}, [=](Scenario& run) {
    const auto world = make_world<World>(of_one());
    run.thread([world, gives_back] { world->receive_and_drop(0, world->any, gives_back); });
    run.thread([world] { (void)world->send(1, letter(1, 2)); });
    run.thread([world, with_predicate] { (void)world->receive(2, with_predicate ? world->picky : world->two); });
    run.at_end([world] {
      check(world->received == std::vector<int>{1}, "the one who stayed went without");
      world->check_all_received();
      world->check_end();
    });
  });
}
TEST_P(MailboxQueueModel, ADroppedReceiverLosesNothing) { expect_passed(explore_drop(GetParam() != 1, true)); }
TEST_P(MailboxQueueModel, FindsAReceiverThatKeepsWhatItWasHanded) { EXPECT_FALSE(explore_drop(GetParam() != 1, false).passed); }

// What is put back goes to its old place: before what came later, behind what came before, whether that is in the mailbox or waits.
TEST_P(MailboxQueueModel, WhatIsPutBackKeepsItsPlace) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(of(2));
    const auto waits = std::make_shared<std::array<Letter, 2>>();
    *waits = {letter(3), letter(4, 2)};
    for (const int number : {1, 2}) check(world->try_send(letter(number)), "there is room");
    for (int who = 0; who < 2; ++who)
      check(world->begin_send(who, waits->at(static_cast<std::size_t>(who))) == MailWait::kNothing, "there is none");
    run.thread([world] { world->receive_and_drop(2, GetParam() == 1 ? world->any : world->two); });
    run.thread([world] { world->receive_and_drop(3, world->any); });
    run.thread([world] { (void)world->try_receive(world->any); });
    run.at_end([world, waits] {
      const auto before = static_cast<std::ptrdiff_t>(world->received.size());
      while (world->try_receive(world->any)) continue;
      check(std::is_sorted(world->received.begin() + before, world->received.end()), "not at its place");
      for (int who = 0; who < 2; ++who) (void)world->wait_until_sent(who, 3 + who, waits->at(static_cast<std::size_t>(who)));
      world->check_all_received();
      world->check_end();
    });
  }));
}

// ---- the end of the process ----

TEST_P(MailboxQueueModel, TheEndEndsEveryWait) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(of(GetParam()));
    run.thread([world] {
      for (int number = 1; number <= 3; ++number) {
        if (world->send(0, letter(number)) == MailWait::kClosed) break;
      }
    });
    run.thread([world] { (void)world->receive(1, world->two); });
    run.thread([world] { world->box.close(); });
    run.at_end([world] {
      check(world->closed >= 1, "nobody sends what is waited for");
      check(world->received.empty(), "nor has anybody got it");
      world->check_end();
    });
  }));
}

// One that looks for itself meanwhile, and one that gives up.
TEST_P(MailboxQueueModel, TheEndComesWhileAPredicateLooks) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(of(GetParam()));
    run.thread([world] {
      (void)world->send_and_give_up(0, letter(1, 1));
      (void)world->send_and_give_up(0, letter(2, 2));
    });
    run.thread([world] { (void)world->receive(1, world->picky); });
    run.thread([world] { world->box.close(); });
    run.at_end([world] {
      check(std::ranges::count(world->received, 2) + world->closed >= 1, "its wait was not ended");
      world->check_end();
    });
  }));
}

// A watcher, and a sender that gives up.
TEST(MailboxQueueModelOfOne, TheEndIsToldToThoseWhoWatch) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(of_one());
    run.thread([world] { world->watch(0); });
    run.thread([world] { world->box.close(); });
    run.thread([world] {
      (void)world->send_and_give_up(1, letter(1));
      (void)world->send_and_give_up(1, letter(2));
    });
    run.at_end([world] {
      check(world->box.gone(), "it is closed");
      check(!world->try_send(letter(3)), "sent to nobody");
      world->check_end();
    });
  }));
}

// ---- the source ----

// Each time there is something, whoever watches hears of it.
TEST_P(MailboxQueueModel, AWatcherMissesNothing) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(of(GetParam()));
    run.thread([world] {
      while (world->received.size() < 2) {
        world->watch(0);
        (void)world->try_receive(world->any);
      }
    });
    run.thread([world] {
      (void)world->send(1, letter(1));
      (void)world->send(1, letter(2));
    });
    run.at_end([world] {
      check(world->received == std::vector<int>{1, 2}, "lost, or out of order");
      world->check_all_received();
      world->check_end();
    });
  }));
}

// And of what comes back.
TEST(MailboxQueueModelOfOne, AWatcherHearsOfWhatIsPutBack) {
  expect_passed(explore({.preemptions_max = 3}, [](Scenario& run) {
    const auto world = make_world<World>(of_one());
    check(world->try_send(letter(1)), "there is room");
    run.thread([world] { world->receive_and_drop(0, world->any); });
    run.thread([world] {
      while (world->received.empty()) {
        world->watch(1);
        (void)world->try_receive(world->any);
      }
    });
    run.at_end([world] {
      world->check_all_received();
      world->check_end();
    });
  }));
}

// ---- notices ----

// Two places: a third is refused, and two notices have room however full it is. One is taken out again, or received before.
TEST(MailboxQueueModelOfOne, NoticesHaveRoomUpToTheirBound) {
  expect_passed(explore({.preemptions_max = 2}, [](Scenario& run) {
    const auto world = make_world<World>(of_one());
    check(world->try_send(letter(1)), "there is room");
    check(world->box.reserve_notice(), "the first of two");
    auto const flushed = std::make_shared<bool>(false);
    auto const places = std::make_shared<int>(0);
    run.thread([world, flushed] {
      world->post(101);
      *flushed = world->box.flush(101);
    });
    run.thread([world, places] {
      for (int i = 0; i < 2; ++i) *places += world->box.reserve_notice() ? 1 : 0;
      check(world->box.stats().reserved <= 2, "more than there is room for");
      if (*places > 0) world->post(102);
      if (*places > 1) world->post(103);
    });
    run.thread([world] { (void)world->send_and_give_up(0, letter(2)); });
    run.thread([world] { (void)world->receive_and_expire(1, world->any); });
    run.at_end([world, flushed, places] {
      check(*places >= 1, "there were two places, and one was taken");
      const auto notices = std::ranges::count_if(world->received, [](int number) { return number > 100; });
      if (!*flushed) world->sent.push_back(101);
      for (int i = 0; i < *places; ++i) world->sent.push_back(102 + i);
      check(notices <= 1 + *places, "a notice came twice");
      world->check_all_received();
      check(world->box.stats().reserved == 0, "a place was not given back");
      world->check_end();
    });
  }));
}

// A notice goes to one who waits, is dropped, and comes back, beside the end of the process.
TEST(MailboxQueueModelOfOne, ANoticeIsPutBackOrGoneWithTheProcess) {
  for (const bool ends : {false, true}) {
    expect_passed(explore({.preemptions_max = 3}, [ends](Scenario& run) {
      const auto world = make_world<World>(of_one());
      check(world->box.reserve_notice(), "the first of two");
      run.thread([world] { world->post(101); });
      run.thread([world] { world->receive_and_drop(0, world->any); });
      run.thread([world, ends] { ends ? world->box.close() : world->receive_and_drop(1, world->any); });
      run.at_end([world, ends] {
        if (!ends) {
          world->sent.push_back(101);
          world->check_all_received();
        }
        check(world->box.stats().reserved == 0, "a place was not given back");
        world->check_end();
      });
    }));
  }
}

// ---- mailboxes that drop ----

TEST(MailboxQueueModelOfOne, WhatIsDroppedIsCounted) {
  for (const FullMailbox when_full : {FullMailbox::kDropsNewest, FullMailbox::kDropsOldest}) {
    expect_passed(explore({.preemptions_max = 3}, [when_full](Scenario& run) {
      MailboxLimits limits = of_one();
      limits.when_full = when_full;
      const auto world = make_world<World>(limits);
      run.thread([world] {
        for (const int number : {1, 2}) check(world->try_send(letter(number)), "nobody waits");
      });
      run.thread([world] { check(world->try_send(letter(11)), "nobody waits"); });
      run.thread([world] { (void)world->receive(0, world->any); });
      run.at_end([world] {
        while (world->try_receive(world->any)) continue;
        check(world->received.size() + world->box.stats().dropped == 3, "one was lost without being counted, or came twice");
        world->check_in_order(0, 10);
        world->check_end();
      });
    }));
  }
}

INSTANTIATE_TEST_SUITE_P(Capacities, MailboxQueueModel, ::testing::Values(1, 2));

}  // namespace
}  // namespace weft::detail
