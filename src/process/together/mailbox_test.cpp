// Mailboxes alone: a property test against a plain model, and tasks that send, receive, give up and are cancelled on a simulated scheduler,
// many seeds each: nothing lost, nothing twice, in order, within the limits.
#include "process/together/mailbox.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "sync/testing/tasks.hpp"

namespace weft::process {
namespace {

using namespace std::chrono_literals;
using detail::MailboxState;
using sync::testing::start;

Mailbox make_mailbox(const MailboxLimits& limits = {}) { return Mailbox(new MailboxState(limits)); }

Message message(std::uint64_t tag, std::uint64_t number = 0, ProcessId sender = 0, std::size_t bytes = 8) {
  return {.sender = sender, .tag = tag, .bytes = Bytes::make(bytes, [number](std::span<std::byte> to) {
                                          std::ranges::fill(to, std::byte{0});
                                          std::memcpy(to.data(), &number, std::min(to.size(), sizeof number));
                                        })};
}
std::uint64_t number(const Message& of) {
  std::uint64_t number = 0;
  std::memcpy(&number, of.bytes.view().data(), std::min(of.bytes.size(), sizeof number));
  return number;
}

void post_down(const Mailbox& mailbox, MonitorId monitor) {
  auto reason = std::make_shared<ExitReason>();
  detail::MailboxState::Wakes wakes;
  const bool tell =
      mailbox.state()->post_notice({.kind = MessageKind::kDown, .sender = 5, .monitor = monitor, .reason = reason}, wakes);
  wakes.wake_all();
  if (tell) mailbox.state()->told();
}

// ---- against a model ----

struct ModelMessage {
  MessageKind kind;
  std::uint64_t tag, number, cost;
  ProcessId sender;
};

TEST(MailboxModel, SendsAndReceivesAsAPlainListDoes) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    MailboxLimits limits;
    limits.messages = 1 + rng.below(12);
    limits.bytes = 64 + rng.below(1500);
    limits.notices = rng.below(6);
    limits.when_full = static_cast<FullMailbox>(rng.below(3));
    const Mailbox mailbox = make_mailbox(limits);
    std::deque<ModelMessage> model;
    std::size_t reserved = 0;
    std::uint64_t next = 1;
    const auto users = [&] { return static_cast<std::size_t>(std::ranges::count(model, MessageKind::kUser, &ModelMessage::kind)); };
    const auto bytes = [&] {
      std::uint64_t sum = 0;
      for (const ModelMessage& one : model) sum += one.kind == MessageKind::kUser ? one.cost : 0;
      return sum;
    };
    for (int step = 0; step < 400 && !HasFailure(); ++step) {
      const std::uint32_t action = rng.below(10);
      if (action < 5) {
        const std::size_t size = rng.below(400);
        Message sent = message(rng.below(4), next, rng.below(3), std::max<std::size_t>(size, 8));
        const ModelMessage as{MessageKind::kUser, sent.tag, next++, std::max<std::uint64_t>(sent.bytes.size(), 64), sent.sender};
        const MailResult<void> result = mailbox.try_send(std::move(sent));
        const auto fits = [&] { return users() < limits.messages && bytes() + as.cost <= limits.bytes; };
        if (as.cost > limits.bytes) {
          ASSERT_EQ(result.error().failure, MailFailure::kTooLarge);
          continue;
        }
        if (!fits() && limits.when_full == FullMailbox::kHoldsBack) {
          ASSERT_EQ(result.error().failure, MailFailure::kWouldWait);
          ASSERT_EQ(number(sent), as.number) << "the message was not left as it was";
          continue;
        }
        ASSERT_TRUE(result.has_value());
        if (limits.when_full == FullMailbox::kDropsOldest) {
          for (auto one = model.begin(); one != model.end() && !fits();)
            one = one->kind == MessageKind::kUser ? model.erase(one) : std::next(one);
        }
        if (fits()) model.push_back(as);
      } else if (action == 5) {
        const bool may = mailbox.state()->reserve_notice();
        ASSERT_EQ(may, reserved < limits.notices);
        if (!may) continue;
        ++reserved;
        post_down(mailbox, next);
        model.push_back({MessageKind::kDown, 0, next++, 0, 5});
      } else if (action == 6) {
        const std::uint64_t monitor = 1 + rng.below(static_cast<std::uint32_t>(next));
        const auto found = std::ranges::find_if(
            model, [&](const ModelMessage& one) { return one.kind == MessageKind::kDown && one.number == monitor; });
        ASSERT_EQ(mailbox.state()->flush(monitor), found != model.end());
        if (found == model.end()) continue;
        model.erase(found);
        --reserved;
      } else {
        MessageFilter filter;
        for (std::uint32_t tags = rng.below(3); tags > 0; --tags) filter.tags.push_back(rng.below(5));
        if (rng.one_in(3)) filter.sender = rng.below(6);
        if (rng.one_in(4)) filter.kind = static_cast<MessageKind>(rng.below(3));
        const bool odd = rng.one_in(3);
        if (odd) filter.predicate = [](const Message& one) { return (number(one) & 1U) != 0; };
        if (rng.one_in(4)) filter.bytes_max = rng.below(300);
        const auto wanted = [&](const ModelMessage& one) {
          if (filter.kind && *filter.kind != one.kind) return false;
          if (filter.sender && *filter.sender != one.sender) return false;
          if (odd && (one.kind != MessageKind::kUser || (one.number & 1U) == 0)) return false;
          return filter.tags.empty() || (one.kind == MessageKind::kUser && std::ranges::count(filter.tags, one.tag) != 0);
        };
        const auto found = std::ranges::find_if(model, wanted);
        const MailResult<Message> got = mailbox.try_receive(filter);
        if (found == model.end()) {
          ASSERT_EQ(got.error().failure, MailFailure::kWouldWait);
          continue;
        }
        if (!got.has_value()) {
          ASSERT_EQ(got.error().failure, MailFailure::kTooLarge);
          ASSERT_GT(got.error().bytes, filter.bytes_max);
          continue;
        }
        ASSERT_EQ(got->kind, found->kind);
        ASSERT_EQ(got->kind == MessageKind::kUser ? number(*got) : got->monitor, found->number);
        if (found->kind != MessageKind::kUser) --reserved;
        model.erase(found);
      }
      const MailboxStats stats = mailbox.stats();
      ASSERT_EQ(stats.messages, users());
      ASSERT_EQ(stats.bytes, bytes());
      ASSERT_EQ(stats.notices, model.size() - users());
      ASSERT_EQ(stats.reserved, reserved);
      ASSERT_EQ(mailbox.readable().ready(), !model.empty());
    }
    mailbox.state()->close();
    EXPECT_EQ(mailbox.try_receive().error().failure, MailFailure::kClosed);
    EXPECT_TRUE(mailbox.readable().gone());
  }
}

// ---- tasks ----

class MailboxTest : public sync::testing::TaskTest {};

Task<void> produce(Mailbox to, ProcessId sender, std::uint64_t count, std::uint64_t tags) {
  for (std::uint64_t i = 0; i < count; ++i) {
    Message next = message(i % tags, i, sender);
    EXPECT_TRUE((co_await to.send(std::move(next))).has_value());
    if (i % 5 == 0) co_await yield();
  }
}

struct Seen {
  std::map<std::pair<ProcessId, std::uint64_t>, std::vector<std::uint64_t>> numbers;  // by sender and tag
};

// Takes those of one tag; now and then it gives up early, or looks by a predicate.
Task<std::uint64_t> consume(Mailbox from, std::uint64_t tag, bool by_predicate, std::uint64_t count, Seen& seen) {
  std::uint64_t got = 0;
  while (got < count) {
    MessageFilter filter;
    if (by_predicate) {
      filter.predicate = [tag](const Message& one) { return one.tag == tag; };
    } else {
      filter.tags = {tag};
    }
    MailResult<Message> next = co_await from.receive(filter, got % 3 == 0 ? 50us : kForever);
    if (!next) {
      EXPECT_EQ(next.error().failure, MailFailure::kTimedOut);
      continue;
    }
    seen.numbers[{next->sender, next->tag}].push_back(number(*next));
    ++got;
  }
  co_return got;
}

TEST_F(MailboxTest, EachReceiverGetsItsOwnInOrder) {
  for_each_seed(150, [&](sched::SimDriver& sim) {
    MailboxLimits limits;
    limits.messages = 4;
    const Mailbox mailbox = make_mailbox(limits);
    constexpr std::uint64_t kEach = 60;
    std::vector<Seen> seen(3);
    std::vector<JoinHandle<std::uint64_t>> consumers;
    std::vector<JoinHandle<void>> producers;
    for (std::uint64_t tag = 0; tag < 3; ++tag)
      consumers.push_back(start(sim.scheduler(), consume(mailbox, tag, tag == 2, 2 * kEach / 3, seen[tag])));
    for (ProcessId sender = 1; sender <= 2; ++sender)
      producers.push_back(start(sim.scheduler(), produce(mailbox, sender, kEach, 3)));
    ASSERT_TRUE(sim.run_until_empty());
    for (std::uint64_t tag = 0; tag < 3; ++tag) {
      ASSERT_TRUE(consumers[tag].done());
      for (const auto& [from, numbers] : seen[tag].numbers) {
        EXPECT_EQ(from.second, tag);
        EXPECT_EQ(numbers.size(), kEach / 3);
        EXPECT_TRUE(std::ranges::is_sorted(numbers)) << "of sender " << from.first;
      }
    }
    for (auto& producer : producers) EXPECT_TRUE(producer.done());
    const MailboxStats stats = mailbox.stats();
    EXPECT_EQ(stats.messages, 0U);
    EXPECT_EQ(stats.senders_waiting + stats.receivers_waiting, 0U);
  });
}

Task<void> send_one(Mailbox to, std::uint64_t tag, std::uint64_t value, MailFailure& failure) {
  const MailResult<void> sent = co_await to.send(message(tag, value));
  if (!sent) failure = sent.error().failure;
}
Task<std::uint64_t> receive_one(Mailbox from, MessageFilter filter) {
  const MailResult<Message> got = co_await from.receive(std::move(filter));
  co_return got ? number(*got) : 0;
}

// Full of what nobody wants: what somebody waits for comes through all the same, before and after the wait began.
TEST_F(MailboxTest, WhatIsWaitedForPassesAFullMailbox) {
  for_each_seed(60, [&](sched::SimDriver& sim) {
    MailboxLimits limits;
    limits.messages = 2;
    const Mailbox mailbox = make_mailbox(limits);
    for (std::uint64_t i = 0; i < 2; ++i) ASSERT_TRUE(mailbox.try_send(message(1, i)).has_value());
    MailFailure failure = MailFailure::kWouldWait;
    auto sender = start(sim.scheduler(), send_one(mailbox, 7, 70, failure));
    auto receiver = start(sim.scheduler(), receive_one(mailbox, {.tags = {7}}));
    MessageFilter eight;
    eight.predicate = [](const Message& one) { return one.tag == 8; };
    auto picky = start(sim.scheduler(), receive_one(mailbox, eight));
    auto other = start(sim.scheduler(), send_one(mailbox, 8, 80, failure));
    sim.run_until_idle();
    ASSERT_TRUE(sender.done() && receiver.done() && other.done() && picky.done());
    EXPECT_EQ(receiver.join().value(), 70U);
    EXPECT_EQ(picky.join().value(), 80U);
    EXPECT_EQ(mailbox.stats().messages, 2U);
  });
}

// A receiver that is cancelled at any moment leaves its message at its place.
TEST_F(MailboxTest, CancelledReceiversLoseNothing) {
  for_each_seed(400, [&](sched::SimDriver& sim) {
    const Mailbox mailbox = make_mailbox({.messages = 3});
    base::Rng rng(sim.scheduler().now_ns() + 77);
    std::vector<JoinHandle<std::uint64_t>> doomed;
    for (int i = 0; i < 3; ++i) {
      MessageFilter filter;
      if (i == 1) filter.predicate = [](const Message&) { return true; };
      doomed.push_back(start(sim.scheduler(), receive_one(mailbox, filter)));
    }
    auto producer = start(sim.scheduler(), produce(mailbox, 1, 12, 1));
    auto killer = start(sim.scheduler(), [](std::vector<JoinHandle<std::uint64_t>>& all) -> Task<void> {
      for (auto& one : all) {
        co_await yield();
        one.cancel();
      }
    }(doomed));
    sim.run_until_idle();
    std::vector<std::uint64_t> got;
    for (auto& one : doomed) {
      ASSERT_TRUE(one.done());
      if (Result<std::uint64_t> value = one.join()) got.push_back(*value);
    }
    std::vector<std::uint64_t> rest;
    // The others wait until there is room: each receive makes some.
    while (MailResult<Message> next = mailbox.try_receive()) {
      rest.push_back(number(*next));
      sim.run_until_idle();
    }
    EXPECT_TRUE(producer.done());
    EXPECT_TRUE(std::ranges::is_sorted(rest));
    got.insert(got.end(), rest.begin(), rest.end());
    std::ranges::sort(got);
    ASSERT_EQ(got.size(), 12U);
    for (std::uint64_t i = 0; i < 12; ++i) EXPECT_EQ(got[i], i);
  });
}

TEST_F(MailboxTest, ClosingTellsEverybody) {
  for_each_seed(60, [&](sched::SimDriver& sim) {
    const Mailbox mailbox = make_mailbox({.messages = 1});
    ASSERT_TRUE(mailbox.try_send(message(1, 5)).has_value());
    MailFailure failure = MailFailure::kWouldWait;
    auto sender = start(sim.scheduler(), send_one(mailbox, 1, 6, failure));
    auto receiver = start(sim.scheduler(), receive_one(mailbox, {.tags = {9}}));
    MessageFilter never;
    never.predicate = [](const Message&) { return false; };
    auto picky = start(sim.scheduler(), receive_one(mailbox, never));
    sim.run_until_idle();
    ASSERT_FALSE(sender.done() || receiver.done() || picky.done());
    mailbox.state()->close();
    sim.run_until_idle();
    ASSERT_TRUE(sender.done() && receiver.done() && picky.done());
    EXPECT_EQ(failure, MailFailure::kClosed);
    EXPECT_EQ(mailbox.try_send(message(1)).error().failure, MailFailure::kClosed);
  });
}

TEST(Mailbox, FromThreads) {
  const Mailbox mailbox = make_mailbox({.messages = 8});
  constexpr std::uint64_t kEach = 5000;
  std::vector<std::thread> threads;
  for (ProcessId sender = 1; sender <= 2; ++sender) {
    threads.emplace_back([&mailbox, sender] {
      for (std::uint64_t i = 1; i <= kEach; ++i) EXPECT_TRUE(mailbox.send(message(sender, i, sender)).block().has_value());
    });
  }
  std::vector<std::uint64_t> sums(2);
  for (ProcessId sender = 1; sender <= 2; ++sender) {
    threads.emplace_back([&mailbox, &sums, sender] {
      std::uint64_t last = 0;
      for (std::uint64_t i = 1; i <= kEach; ++i) {
        const MailResult<Message> got = mailbox.receive({.sender = sender}).block();
        ASSERT_TRUE(got.has_value());
        EXPECT_GT(number(*got), last);
        last = number(*got);
        sums[sender - 1] += last;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sums, std::vector<std::uint64_t>(2, kEach * (kEach + 1) / 2));
}

TEST(Mailbox, TimesOutAndTakesBack) {
  const Mailbox mailbox = make_mailbox({.messages = 1});
  EXPECT_EQ(mailbox.receive({}, 1ms).block().error().failure, MailFailure::kTimedOut);
  ASSERT_TRUE(mailbox.try_send(message(1, 1)).has_value());
  Mailbox::Send send = mailbox.send(message(2, 2), 1ms);
  EXPECT_EQ(send.block().error().failure, MailFailure::kTimedOut);
  EXPECT_EQ(number(send.take_back()), 2U);
  EXPECT_EQ(mailbox.send(message(2, 2, 0, 2U << 20)).block().error(), (MailError{MailFailure::kTooLarge, 2U << 20}));
  EXPECT_EQ(Mailbox().try_send(message(1)).error().failure, MailFailure::kClosed);
  EXPECT_EQ(Mailbox().receive().block().error().failure, MailFailure::kClosed);
}

}  // namespace
}  // namespace weft::process
