// Channels: each kind does what weft/channel.hpp says, at its edges: full, empty, closed from either side, handles dropped in every order,
// bounds in time, large messages. What random programs do with them is in channel_program_test.cpp.
#include "weft/channel.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "sync/testing/tasks.hpp"

namespace weft::sync {
namespace {

using namespace std::chrono_literals;
using testing::start;

class ChannelTest : public testing::TaskTest {};

Bytes text(std::string_view words) { return Bytes::copy_of(words); }
Bytes number(int value) { return Bytes::copy_of(std::to_string(value)); }
int to_int(const Bytes& bytes) { return std::stoi(std::string(bytes.text())); }

Channel channel(ChannelOptions options) {
  Result<Channel> made = make_channel(options);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

template <class T>
ChannelFailure failure(const ChannelResult<T>& result) {
  EXPECT_FALSE(result);
  return result.error().failure;
}

// ---- Bytes ----

TEST(Bytes, SmallOnesLieInsideAndLargeOnesAreShared) {
  for (const std::size_t size : {0U, 1U, 63U, 64U, 65U, 4096U, 1U << 20U}) {
    const std::string words(size, 'x');
    Bytes one = Bytes::copy_of(words);
    EXPECT_EQ(one.size(), size);
    EXPECT_EQ(one.text(), words);
    const Bytes copy = one;
    EXPECT_EQ(copy, one);
    EXPECT_EQ(copy.shares_with(one), size > Bytes::kInlineMax);
    Bytes moved = std::move(one);
    EXPECT_EQ(moved.text(), words);
    EXPECT_TRUE(one.empty());  // NOLINT(bugprone-use-after-move): that it is empty is the point
    one = moved;
    const Bytes& same = one;
    one = same;
    EXPECT_EQ(one.text(), words);
    moved = std::move(one);
    EXPECT_EQ(moved, copy);
  }
}

TEST(Bytes, AdoptedOnesAreNotCopied) {
  std::vector<std::byte> bytes(1000, std::byte{7});
  const std::byte* const at = bytes.data();
  const Bytes adopted = Bytes::adopt(std::move(bytes));
  EXPECT_EQ(adopted.view().data(), at);
  std::string words(1000, 'w');
  const char* const words_at = words.data();
  EXPECT_EQ(Bytes::adopt(std::move(words)).text().data(), words_at);
  EXPECT_EQ(Bytes::adopt(std::string("short")).text(), "short");
  const Bytes made = Bytes::make(100, [](std::span<std::byte> to) { std::fill(to.begin(), to.end(), std::byte{'m'}); });
  EXPECT_EQ(made.text(), std::string(100, 'm'));
  EXPECT_THROW((void)Bytes::make(SIZE_MAX, [](std::span<std::byte>) {}), std::bad_alloc);
}

// ---- options ----

TEST_F(ChannelTest, OptionsThatMakeNoSenseAreRefused) {
  for (const ChannelOptions& options :
       {ChannelOptions{.capacity = 0}, ChannelOptions{.kind = ChannelKind::kBroadcast, .capacity = 0},
        ChannelOptions{.capacity = SIZE_MAX}, ChannelOptions{.bytes_max = 0},
        ChannelOptions{.kind = ChannelKind::kUnbounded, .bytes_max = 63}, ChannelOptions{.kind = static_cast<ChannelKind>(77)}}) {
    const Result<Channel> made = make_channel(options);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind, ErrorKind::kBadArgument);
    EXPECT_FALSE(made.error().message.empty());
  }
  // Room for more than there will ever be costs nothing until it is used.
  EXPECT_TRUE(make_channel({.capacity = std::size_t{1} << 32U, .bytes_max = UINT64_MAX, .message_bytes_max = UINT64_MAX}));
}

TEST_F(ChannelTest, HandlesOfNothingAreClosed) {
  const Sender sender;
  const Receiver receiver;
  EXPECT_EQ(failure(sender.try_send(text("x"))), ChannelFailure::kClosed);
  EXPECT_EQ(failure(sender.send(text("x")).block()), ChannelFailure::kClosed);
  EXPECT_EQ(failure(receiver.try_receive()), ChannelFailure::kClosed);
  EXPECT_EQ(failure(receiver.receive().block()), ChannelFailure::kClosed);
  EXPECT_TRUE(sender.closed() && receiver.closed() && sender.stats().closed);
  EXPECT_FALSE(sender.subscribe());
  EXPECT_FALSE(sender.writable());
  sender.close();
}

// ---- each kind, without waiting ----

TEST_F(ChannelTest, ABoundedOneHoldsSoMany) {
  const Channel ends = channel({.capacity = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ends.sender.try_send(number(i)));
  Bytes kept = number(3);
  EXPECT_EQ(failure(ends.sender.try_send(std::move(kept))), ChannelFailure::kWouldWait);
  EXPECT_EQ(kept.text(), "3");  // NOLINT(bugprone-use-after-move): a failure leaves it
  EXPECT_EQ(failure(ends.sender.send_for(number(3), 0ns).block()), ChannelFailure::kTimedOut);
  EXPECT_EQ(failure(ends.sender.send_for(number(3), 1ms).block()), ChannelFailure::kTimedOut);
  EXPECT_EQ(ends.sender.stats().messages, 3U);
  EXPECT_EQ(ends.sender.stats().bytes, 3 * 64U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(to_int(*ends.receiver.try_receive()), i);
  EXPECT_EQ(failure(ends.receiver.try_receive()), ChannelFailure::kWouldWait);
  EXPECT_EQ(failure(ends.receiver.receive_for(0ns).block()), ChannelFailure::kTimedOut);
  EXPECT_EQ(failure(ends.receiver.receive_for(-1ms).block()), ChannelFailure::kTimedOut);
  const ChannelStats stats = ends.receiver.stats();
  EXPECT_EQ(stats.sent, 3U);
  EXPECT_EQ(stats.received, 3U);
  EXPECT_EQ(stats.senders_waiting + stats.receivers_waiting + stats.messages + stats.bytes, 0U);
}

TEST_F(ChannelTest, LargeMessagesAreBoundedByBytes) {
  const Channel ends = channel({.capacity = 100, .bytes_max = 1000, .message_bytes_max = 4000});
  EXPECT_EQ(failure(ends.sender.try_send(text(std::string(1001, 'x')))), ChannelFailure::kTooLarge);
  Sender::Send send = ends.sender.send(text(std::string(5000, 'x')));
  EXPECT_EQ(failure(send.block()), ChannelFailure::kTooLarge);
  EXPECT_EQ(send.take_back().size(), 5000U);
  const Bytes large = text(std::string(1000, 'y'));
  EXPECT_TRUE(ends.sender.try_send(Bytes(large)));
  EXPECT_EQ(failure(ends.sender.try_send(text(""))), ChannelFailure::kWouldWait);
  const ChannelResult<Bytes> received = ends.receiver.try_receive();
  EXPECT_TRUE(received->shares_with(large)) << "a large message was copied";
  // Up to the first that can never be sent.
  std::vector<Bytes> batch = {text("a"), text(std::string(2000, 'z')), text("b")};
  EXPECT_EQ(*ends.sender.try_send_many(batch), 1U);
  EXPECT_EQ(batch[1].size(), 2000U);
  EXPECT_EQ(batch[2].text(), "b");
}

TEST_F(ChannelTest, AnUnboundedOneFailsAtItsLimit) {
  const Channel ends = channel({.kind = ChannelKind::kUnbounded, .bytes_max = 64 * 100});
  std::vector<Bytes> empties(101);
  EXPECT_EQ(*ends.sender.try_send_many(empties), 100U);
  EXPECT_EQ(failure(ends.sender.send(text("")).block()), ChannelFailure::kOverLimit);
  EXPECT_EQ(to_error({ChannelFailure::kOverLimit}).kind, ErrorKind::kExhausted);
  EXPECT_TRUE(ends.receiver.try_receive());
  EXPECT_TRUE(ends.sender.send(text("")).block());
}

TEST_F(ChannelTest, AnUnboundedOneTakesAMillion) {
  const Channel ends = channel({.kind = ChannelKind::kUnbounded, .bytes_max = 1U << 30U});
  for (int i = 0; i < 1'000'000; ++i) ASSERT_TRUE(ends.sender.try_send(number(i)));
  for (int i = 0; i < 1'000'000; ++i) ASSERT_EQ(to_int(*ends.receiver.try_receive()), i);
}

TEST_F(ChannelTest, AOneshotIsClosedByItsMessage) {
  const Channel ends = channel({.kind = ChannelKind::kOneshot});
  EXPECT_FALSE(ends.sender.closed());
  EXPECT_TRUE(ends.sender.try_send(text("once")));
  EXPECT_TRUE(ends.sender.closed());
  EXPECT_EQ(failure(ends.sender.try_send(text("twice"))), ChannelFailure::kClosed);
  EXPECT_EQ(ends.receiver.try_receive()->text(), "once");
  EXPECT_EQ(failure(ends.receiver.try_receive()), ChannelFailure::kClosed);
  const Channel unused = channel({.kind = ChannelKind::kOneshot});
  const Receiver left = unused.receiver;
  const_cast<Channel&>(unused).sender = {};
  EXPECT_EQ(failure(left.receive().block()), ChannelFailure::kClosed);
}

Task<ChannelFailure> sends(Sender to, int value, Duration bound = kForever) {
  const ChannelResult<void> result = co_await to.send_for(number(value), bound);
  co_return result ? ChannelFailure::kWouldWait : result.error().failure;
}
constexpr ChannelFailure kSent = ChannelFailure::kWouldWait;  // no failure of a send that may wait

Task<int> receives(Receiver from, Duration bound = kForever) {
  const ChannelResult<Bytes> result = co_await from.receive_for(bound);
  co_return result ? to_int(*result) : -1 - static_cast<int>(result.error().failure);
}
constexpr int not_received(ChannelFailure failure) { return -1 - static_cast<int>(failure); }

TEST_F(ChannelTest, ARendezvousNeedsBoth) {
  for_each_seed(200, [](sched::SimDriver& sim) {
    const Channel ends = channel({.kind = ChannelKind::kRendezvous});
    EXPECT_EQ(failure(ends.sender.try_send(text("x"))), ChannelFailure::kWouldWait);
    EXPECT_EQ(failure(ends.receiver.try_receive()), ChannelFailure::kWouldWait);
    auto send = start(sim.scheduler(), sends(ends.sender, 1));
    sim.run_until_idle();
    EXPECT_FALSE(send.done()) << "a send is over when somebody has come for it";
    EXPECT_EQ(to_int(*ends.receiver.try_receive()), 1);
    auto receive = start(sim.scheduler(), receives(ends.receiver));
    sim.run_until_idle();
    EXPECT_TRUE(ends.sender.try_send(number(2)));
    auto early = start(sim.scheduler(), sends(ends.sender, 3, 1ms));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*send.join(), kSent);
    EXPECT_EQ(*receive.join(), 2);
    EXPECT_EQ(*early.join(), ChannelFailure::kTimedOut);
    EXPECT_EQ(failure(ends.receiver.try_receive()), ChannelFailure::kWouldWait) << "what timed out was sent all the same";
  });
}

// ---- waiting ----

TEST_F(ChannelTest, SendersAndReceiversAreServedInOrder) {
  for_each_seed(200, [](sched::SimDriver& sim) {
    const Channel ends = channel({.capacity = 1});
    std::vector<JoinHandle<ChannelFailure>> senders;
    for (int i = 0; i < 10; ++i) {
      senders.push_back(start(sim.scheduler(), sends(ends.sender, i)));
      sim.run_until_idle();
    }
    EXPECT_EQ(ends.sender.stats().senders_waiting, 9U);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(to_int(*ends.receiver.try_receive()), i);
    std::vector<JoinHandle<int>> receivers;
    for (int i = 0; i < 10; ++i) {
      receivers.push_back(start(sim.scheduler(), receives(ends.receiver)));
      sim.run_until_idle();
    }
    std::vector<Bytes> batch;
    for (int i = 0; i < 10; ++i) batch.push_back(number(i));
    EXPECT_EQ(*ends.sender.try_send_many(batch), 10U);
    ASSERT_TRUE(sim.run_until_empty());
    for (int i = 0; i < 10; ++i) EXPECT_EQ(*receivers[static_cast<std::size_t>(i)].join(), i);
    for (auto& sender : senders) EXPECT_EQ(*sender.join(), kSent);
  });
}

// A small message does not slip past a large one that waits for room; when that one gives up, the small one goes.
TEST_F(ChannelTest, NobodyOvertakesWhoWaits) {
  for_each_seed(100, [](sched::SimDriver& sim) {
    const Channel ends = channel({.capacity = 10, .bytes_max = 1000});
    ASSERT_TRUE(ends.sender.try_send(text(std::string(500, 'a'))));
    struct Body {
      static Task<bool> large(Sender to) { co_return (co_await to.send(text(std::string(800, 'b')))).has_value(); }
    };
    auto large = start(sim.scheduler(), Body::large(ends.sender));
    sim.run_until_idle();
    EXPECT_EQ(failure(ends.sender.try_send(text("small"))), ChannelFailure::kWouldWait);
    auto small = start(sim.scheduler(), sends(ends.sender, 1));
    sim.run_until_idle();
    EXPECT_FALSE(small.done());
    large.cancel();
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_FALSE(large.join());
    EXPECT_EQ(*small.join(), kSent);
    EXPECT_EQ(ends.receiver.try_receive()->size(), 500U);
    EXPECT_EQ(to_int(*ends.receiver.try_receive()), 1);
  });
}

Task<std::size_t> sends_many(Sender to, int count) {
  std::vector<Bytes> batch;
  for (int i = 0; i < count; ++i) batch.push_back(number(i));
  const ChannelResult<std::size_t> sent = co_await to.send_many(batch);
  co_return sent.value_or(SIZE_MAX);
}

Task<int> receives_many(Receiver from, int batch) {
  std::vector<Bytes> into(static_cast<std::size_t>(batch));
  int next = 0;
  for (;;) {
    const ChannelResult<std::size_t> received = co_await from.receive_many(into);
    if (!received) {
      EXPECT_EQ(received.error().failure, ChannelFailure::kClosed);
      co_return next;
    }
    for (std::size_t i = 0; i < *received; ++i) EXPECT_EQ(to_int(into[i]), next++);
  }
}

TEST_F(ChannelTest, BatchesKeepTheirOrder) {
  for (const ChannelOptions& options :
       {ChannelOptions{.capacity = 7}, ChannelOptions{.kind = ChannelKind::kRendezvous},
        ChannelOptions{.kind = ChannelKind::kUnbounded}, ChannelOptions{.kind = ChannelKind::kBroadcast, .capacity = 7}}) {
    for_each_seed(50, [&](sched::SimDriver& sim) {
      Channel ends = channel(options);
      auto receiver = start(sim.scheduler(), receives_many(std::move(ends.receiver), 5));
      auto sender = start(sim.scheduler(), sends_many(std::move(ends.sender), 100));
      ASSERT_TRUE(sim.run_until_empty());
      EXPECT_EQ(*sender.join(), 100U);
      EXPECT_EQ(*receiver.join(), 100);
    });
  }
}

// ---- closing ----

TEST_F(ChannelTest, AClosedOneIsEmptiedFirst) {
  for (const bool by_sender : {true, false}) {
    const Channel ends = channel({.capacity = 4});
    EXPECT_TRUE(ends.sender.try_send(number(1)));
    EXPECT_TRUE(ends.sender.try_send(number(2)));
    by_sender ? ends.sender.close() : ends.receiver.close();
    ends.sender.close();
    EXPECT_EQ(failure(ends.sender.try_send(number(3))), ChannelFailure::kClosed);
    EXPECT_EQ(to_int(*ends.receiver.receive().block()), 1);
    EXPECT_EQ(to_int(*ends.receiver.try_receive()), 2);
    EXPECT_EQ(failure(ends.receiver.receive().block()), ChannelFailure::kClosed);
    EXPECT_TRUE(ends.receiver.closed());
  }
}

TEST_F(ChannelTest, CloseEndsEveryWait) {
  for (const ChannelOptions& options : {ChannelOptions{.capacity = 1}, ChannelOptions{.kind = ChannelKind::kRendezvous},
                                        ChannelOptions{.kind = ChannelKind::kBroadcast, .capacity = 1}}) {
    for_each_seed(50, [&](sched::SimDriver& sim) {
      const Channel full = channel(options);
      const Channel empty = channel(options);
      if (options.kind != ChannelKind::kRendezvous) {
        EXPECT_TRUE(full.sender.try_send(number(0)));
      }
      std::vector<JoinHandle<ChannelFailure>> senders;
      std::vector<JoinHandle<int>> receivers;
      for (int i = 0; i < 5; ++i) {
        senders.push_back(start(sim.scheduler(), sends(full.sender, 1)));
        receivers.push_back(start(sim.scheduler(), receives(empty.receiver)));
      }
      sim.run_until_idle();
      full.receiver.close();
      empty.sender.close();
      ASSERT_TRUE(sim.run_until_empty());
      for (auto& join : senders) EXPECT_EQ(*join.join(), ChannelFailure::kClosed);
      for (auto& join : receivers) EXPECT_EQ(*join.join(), not_received(ChannelFailure::kClosed));
    });
  }
}

// Handles go in every order, with messages in it and somebody waiting on either side.
TEST_F(ChannelTest, HandlesDropInEveryOrder) {
  for (const ChannelKind kind :
       {ChannelKind::kBounded, ChannelKind::kUnbounded, ChannelKind::kRendezvous, ChannelKind::kOneshot, ChannelKind::kBroadcast}) {
    for_each_seed(60, [&](sched::SimDriver& sim) {
      Channel ends = channel({.kind = kind, .capacity = 1});
      std::vector<Sender> senders = {ends.sender, ends.sender};
      std::vector<Receiver> receivers = {ends.receiver, ends.receiver};
      std::vector<Waitable> waitables = {ends.sender.writable(), ends.receiver.readable()};
      ends = {};
      (void)senders[0].try_send(text(std::string(200, 'm')));
      std::vector<JoinHandle<ChannelFailure>> sending;
      std::vector<JoinHandle<int>> receiving;
      for (int i = 0; i < 2; ++i) {
        // Some waits outlive the handles that they came from: the task's own copies are dropped with it.
        if (sim.rng().one_in(2)) sending.push_back(start(sim.scheduler(), sends(senders[0], 9)));
        if (sim.rng().one_in(3)) receiving.push_back(start(sim.scheduler(), receives(receivers[0], 1ms)));
      }
      for (std::uint32_t steps = sim.rng().below(6); steps > 0; --steps) (void)sim.step();
      while (!senders.empty() || !receivers.empty() || !waitables.empty()) {
        switch (sim.rng().below(3)) {
          case 0:
            if (!senders.empty()) senders.erase(senders.begin() + sim.rng().below(static_cast<std::uint32_t>(senders.size())));
            break;
          case 1:
            if (!receivers.empty())
              receivers.erase(receivers.begin() + sim.rng().below(static_cast<std::uint32_t>(receivers.size())));
            break;
          default:
            if (!waitables.empty()) waitables.pop_back();
        }
        if (sim.rng().one_in(2)) (void)sim.step();
      }
      for (auto& join : sending) {
        if (kind == ChannelKind::kBroadcast) join.cancel();  // nobody closes it while they wait
      }
      ASSERT_TRUE(sim.run_until_empty());
    });
  }
}

TEST_F(ChannelTest, WithTheLastReceiverMessagesAreThrownAway) {
  Channel ends = channel({.capacity = 4});
  const Bytes large = text(std::string(1000, 'x'));
  EXPECT_TRUE(ends.sender.try_send(Bytes(large)));
  ends.receiver = {};
  EXPECT_EQ(ends.sender.stats().messages, 0U);
  EXPECT_EQ(failure(ends.sender.try_send(text("x"))), ChannelFailure::kClosed);
  // One that comes now is told.
  EXPECT_EQ(failure(ends.sender.subscribe().try_receive()), ChannelFailure::kClosed);
}

// ---- dropped while waiting ----

// A receiver that was handed a message and is dropped before it runs: the message is received by another, at its old place.
TEST_F(ChannelTest, ADroppedReceiverLosesNothing) {
  for_each_seed(200, [](sched::SimDriver& sim) {
    const Channel ends = channel({.capacity = 10});
    std::vector<JoinHandle<int>> receivers;
    for (int i = 0; i < 4; ++i) {
      receivers.push_back(start(sim.scheduler(), receives(ends.receiver)));
      sim.run_until_idle();
    }
    for (int i = 0; i < 6; ++i) EXPECT_TRUE(ends.sender.try_send(number(i)));
    // 0 … 3 are handed over, 4 and 5 lie in the channel. Dropped in any order before they run, all come back in order.
    std::vector<std::size_t> order = {0, 1, 2, 3};
    for (std::size_t i = 3; i > 0; --i) std::swap(order[i], order[sim.rng().below(static_cast<std::uint32_t>(i + 1))]);
    for (const std::size_t which : order) receivers[which].cancel();
    ASSERT_TRUE(sim.run_until_empty());
    for (auto& join : receivers) EXPECT_FALSE(join.join());
    EXPECT_EQ(ends.receiver.stats().messages, 6U);
    EXPECT_EQ(ends.receiver.stats().received, 0U);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(to_int(*ends.receiver.try_receive()), i);
  });
}

// ---- broadcast ----

TEST_F(ChannelTest, ABroadcastReachesEverybodyWhoIsThere) {
  const Channel ends = channel({.kind = ChannelKind::kBroadcast, .capacity = 4});
  EXPECT_TRUE(ends.sender.try_send(number(1)));
  const Receiver late = ends.sender.subscribe();
  const Receiver twin = ends.receiver;  // NOLINT(performance-unnecessary-copy-initialization): another receiver
  EXPECT_TRUE(ends.sender.try_send(number(2)));
  for (const Receiver* receiver : {&ends.receiver, &twin}) {
    EXPECT_EQ(to_int(*receiver->try_receive()), 1);
    EXPECT_EQ(to_int(*receiver->try_receive()), 2);
    EXPECT_EQ(failure(receiver->try_receive()), ChannelFailure::kWouldWait);
  }
  EXPECT_EQ(to_int(*late.try_receive()), 2);
  EXPECT_EQ(ends.sender.stats().messages, 0U);
  EXPECT_EQ(ends.sender.stats().received, 5U);
}

TEST_F(ChannelTest, ASlowReceiverHoldsABroadcastBack) {
  Channel ends = channel({.kind = ChannelKind::kBroadcast, .capacity = 2});
  Receiver slow = ends.sender.subscribe();
  EXPECT_TRUE(ends.sender.try_send(number(1)));
  EXPECT_TRUE(ends.sender.try_send(number(2)));
  EXPECT_EQ(to_int(*ends.receiver.try_receive()), 1);
  EXPECT_EQ(failure(ends.sender.try_send(number(3))), ChannelFailure::kWouldWait);
  EXPECT_EQ(failure(ends.sender.send_for(number(3), 1ms).block()), ChannelFailure::kTimedOut);
  slow = {};  // nobody waits for it any more
  EXPECT_TRUE(ends.sender.try_send(number(3)));
  EXPECT_EQ(to_int(*ends.receiver.try_receive()), 2);
  EXPECT_EQ(to_int(*ends.receiver.try_receive()), 3);
  ends.receiver = {};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(ends.sender.try_send(number(i))) << "without receivers messages are forgotten";
  EXPECT_FALSE(ends.sender.closed());
  EXPECT_EQ(failure(ends.sender.subscribe().try_receive()), ChannelFailure::kWouldWait);
}

TEST_F(ChannelTest, ASlowReceiverIsToldWhatItLost) {
  const Channel ends = channel({.kind = ChannelKind::kBroadcast, .capacity = 4, .slow_receiver = SlowReceiver::kLoses});
  const Receiver slow = ends.sender.subscribe();
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(ends.sender.try_send(number(i)));
    EXPECT_EQ(to_int(*ends.receiver.try_receive()), i);
  }
  EXPECT_TRUE(slow.readable().ready());
  const ChannelResult<Bytes> lost = slow.try_receive();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error(), (ChannelError{ChannelFailure::kLost, 6}));
  for (int i = 6; i < 10; ++i) EXPECT_EQ(to_int(*slow.receive().block()), i);
  EXPECT_EQ(ends.sender.stats().lost, 6U);
  ends.sender.close();
  EXPECT_EQ(failure(slow.receive().block()), ChannelFailure::kClosed);
}

// ---- waitables ----

TEST_F(ChannelTest, EndsAreWaitables) {
  for (const ChannelKind kind : {ChannelKind::kBounded, ChannelKind::kBroadcast}) {
    const Channel ends = channel({.kind = kind, .capacity = 1});
    const Waitable readable = ends.receiver.readable();
    const Waitable writable = ends.sender.writable();
    EXPECT_FALSE(readable.ready());
    EXPECT_TRUE(writable.ready());
    EXPECT_TRUE(ends.sender.try_send(number(1)));
    EXPECT_TRUE(readable.ready());
    EXPECT_FALSE(writable.ready());
    EXPECT_TRUE(ends.receiver.try_receive());
    EXPECT_FALSE(readable.ready());
    EXPECT_TRUE(writable.ready());
    ends.sender.close();
    EXPECT_TRUE(readable.ready() && writable.ready()) << "whoever looks now is told at once";
  }
}

Task<int> waits_then_tries(Receiver from, Duration bound) {
  int got = 0;
  while (co_await from.readable().wait_for(bound)) {
    const ChannelResult<Bytes> message = from.try_receive();
    if (message) ++got;
    if (!message && message.error().failure == ChannelFailure::kClosed) break;
  }
  co_return got;
}

Task<void> tries_when_writable(Sender to, int count) {
  for (int i = 0; i < count; ++i) {
    Bytes message = number(i);
    while (!to.try_send(std::move(message))) EXPECT_TRUE(co_await to.writable().wait());
  }
}

TEST_F(ChannelTest, WaitingForReadinessMissesNothing) {
  for (const ChannelKind kind : {ChannelKind::kBounded, ChannelKind::kBroadcast}) {
    for_each_seed(200, [&](sched::SimDriver& sim) {
      Channel ends = channel({.kind = kind, .capacity = 2});
      std::vector<JoinHandle<int>> receivers;
      receivers.push_back(start(sim.scheduler(), waits_then_tries(ends.receiver, 1h)));
      receivers.push_back(start(sim.scheduler(), waits_then_tries(std::move(ends.receiver), 1h)));
      std::vector<JoinHandle<void>> senders;
      senders.push_back(start(sim.scheduler(), tries_when_writable(ends.sender, 30)));
      senders.push_back(start(sim.scheduler(), tries_when_writable(std::move(ends.sender), 30)));
      ASSERT_TRUE(sim.run_until_empty());
      const int sum = *receivers[0].join() + *receivers[1].join();
      EXPECT_EQ(sum, kind == ChannelKind::kBounded ? 60 : 120);
    });
  }
}

}  // namespace
}  // namespace weft::sync
