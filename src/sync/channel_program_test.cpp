// Random programs over channels, from seeds. One after the other, beside a plain model of a queue: the same answers. Many tasks at once in
// virtual time, which send, receive, time out and are dropped at every step: each message is received once or not sent, in the order of its
// sender, and nobody waits for ever without reason. The same on real threads.
//
// A failing seed is printed; WEFT_SIM_SEED=<seed> replays that one alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "sync/testing/tasks.hpp"
#include "weft/channel.hpp"

namespace weft::sync {
namespace {

using namespace std::chrono_literals;
using testing::start;

class ChannelProgramTest : public testing::TaskTest {};

constexpr ChannelKind kKinds[] = {ChannelKind::kBounded, ChannelKind::kUnbounded, ChannelKind::kRendezvous, ChannelKind::kOneshot};

Bytes note(int value, std::size_t size) {
  std::string words = std::to_string(value) + ' ';
  words.resize(std::max(words.size(), size), '.');
  return Bytes::copy_of(words);
}
int value_of(const Bytes& bytes) { return std::stoi(std::string(bytes.text().substr(0, bytes.text().find(' ')))); }

// ---- beside a plain model ----

struct PlainQueue {
  ChannelOptions options;
  struct Entry {
    int value;
    std::uint64_t size;
    std::uint64_t cost;
  };
  std::deque<Entry> messages;
  bool closed = false;

  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const Entry& message : messages) sum += message.cost;
    return sum;
  }
  // How many of the first `most` have `limit` bytes together.
  std::size_t fit(std::size_t most, std::uint64_t limit) const {
    std::size_t count = 0;
    for (; count < std::min(most, messages.size()) && messages[count].size <= limit; ++count) limit -= messages[count].size;
    return count;
  }
  // nullopt: it is in.
  std::optional<ChannelFailure> send(int value, std::size_t size) {
    const std::uint64_t cost = std::max<std::uint64_t>(size, 64);
    if (size > std::min(options.message_bytes_max, options.bytes_max)) return ChannelFailure::kTooLarge;
    if (closed) return ChannelFailure::kClosed;
    const std::size_t room = options.kind == ChannelKind::kUnbounded    ? SIZE_MAX
                             : options.kind == ChannelKind::kRendezvous ? 0
                             : options.kind == ChannelKind::kOneshot    ? 1
                                                                        : options.capacity;
    if (messages.size() >= room || bytes() + cost > options.bytes_max) {
      return options.kind == ChannelKind::kUnbounded ? ChannelFailure::kOverLimit : ChannelFailure::kWouldWait;
    }
    messages.push_back({value, size, cost});
    closed = options.kind == ChannelKind::kOneshot;
    return std::nullopt;
  }
};

TEST_F(ChannelProgramTest, AgreesWithAPlainQueue) {
  for_each_seed(3000, [](sched::SimDriver& sim) {
    base::Rng& rng = sim.rng();
    PlainQueue plain;
    plain.options = {.kind = kKinds[rng.below(4)],
                     .capacity = 1 + rng.below(40),
                     .bytes_max = 64 + rng.below(3000),
                     .message_bytes_max = rng.below(2000)};
    const Channel ends = *make_channel(plain.options);
    const Waitable readable = ends.receiver.readable();
    const Waitable writable = ends.sender.writable();
    for (int step = 0; step < 150; ++step) {
      if (rng.one_in(2)) {
        const std::size_t size = 5 + (rng.one_in(4) ? rng.below(1500) : rng.below(60));
        const Bytes message = note(step, size);
        const ChannelResult<void> sent = ends.sender.try_send(Bytes(message));
        const std::optional<ChannelFailure> expected = plain.send(step, message.size());
        ASSERT_EQ(sent.has_value(), !expected.has_value());
        if (expected) {
          ASSERT_EQ(sent.error().failure, *expected);
        }
      } else if (rng.one_in(80)) {
        ends.sender.close();
        plain.closed = true;
      } else {
        std::vector<Bytes> into(1 + rng.below(5));
        const std::uint64_t limit = rng.one_in(2) ? UINT64_MAX : rng.below(400);
        const ChannelResult<std::size_t> received = ends.receiver.try_receive_many(into, limit);
        const std::size_t expected = plain.fit(into.size(), limit);
        if (expected == 0 && !plain.messages.empty()) {
          ASSERT_FALSE(received);
          ASSERT_EQ(received.error(), (ChannelError{.failure = ChannelFailure::kTooLarge, .bytes = plain.messages.front().size}));
        } else if (expected == 0) {
          ASSERT_FALSE(received);
          ASSERT_EQ(received.error().failure, plain.closed ? ChannelFailure::kClosed : ChannelFailure::kWouldWait);
        } else {
          ASSERT_EQ(*received, expected);
          for (std::size_t i = 0; i < expected; ++i) {
            ASSERT_EQ(value_of(into[i]), plain.messages.front().value);
            plain.messages.pop_front();
          }
        }
      }
      const ChannelStats stats = ends.sender.stats();
      ASSERT_EQ(stats.messages, plain.messages.size());
      ASSERT_EQ(stats.bytes, plain.bytes());
      ASSERT_EQ(readable.ready(), plain.closed || !plain.messages.empty());
      PlainQueue probe = plain;
      probe.options.message_bytes_max = 64;
      ASSERT_EQ(writable.ready(), plain.closed || !probe.send(0, 1).has_value());
    }
  });
}

// ---- many at once ----

// What has become of all messages. Tasks under simulation need no lock; threads do.
struct Ledger {
  std::mutex mutex;
  std::set<int> sent;      // surely
  std::set<int> not_sent;  // surely
  std::vector<int> received;

  void note_sent(int value, bool fine) {
    const std::lock_guard lock(mutex);
    (fine ? sent : not_sent).insert(value);
  }
  void note_received(int value) {
    const std::lock_guard lock(mutex);
    received.push_back(value);
  }
  // `in_order`: what one sender sent has come in its order, since one receiver got it all.
  void check(bool in_order) {
    std::set<int> once;
    std::vector<int> last(1000, -1);
    for (const int value : received) {
      EXPECT_TRUE(once.insert(value).second) << value << " was received twice";
      EXPECT_FALSE(not_sent.contains(value)) << value << " was not sent, but received";
      if (in_order) {
        int& before = last[static_cast<std::size_t>(value / 1000)];
        EXPECT_LT(before, value) << "out of order";
        before = value;
      }
    }
    for (const int value : sent) EXPECT_TRUE(once.contains(value)) << value << " was sent, and is lost";
  }
};

Task<void> random_sender(Sender to, Ledger* ledger, int id, int count, std::uint64_t seed) {
  base::Rng rng(seed);
  int next = id * 1000;
  const int end = next + count;
  while (next < end) {
    if (rng.one_in(4)) co_await sleep_for(std::chrono::microseconds(rng.below(300)));
    const std::size_t size = rng.one_in(5) ? 200 : 10;
    if (rng.one_in(3)) {
      const int first = next;
      std::vector<Bytes> batch;
      for (std::uint32_t left = 1 + rng.below(6); left > 0 && next < end; --left) batch.push_back(note(next++, size));
      const ChannelResult<std::size_t> sent = co_await to.send_many_for(batch, rng.one_in(2) ? kForever : Duration(200us));
      const int many = sent ? static_cast<int>(*sent) : 0;
      for (int value = first; value < next; ++value) ledger->note_sent(value, value < first + many);
    } else {
      const ChannelResult<void> sent = co_await to.send_for(note(next, size), rng.one_in(2) ? kForever : Duration(100us));
      ledger->note_sent(next++, sent.has_value());
    }
  }
}

Task<void> random_receiver(Receiver from, Ledger* ledger, std::uint64_t seed) {
  base::Rng rng(seed);
  for (;;) {
    if (rng.one_in(4)) co_await sleep_for(std::chrono::microseconds(rng.below(300)));
    ChannelFailure failure = ChannelFailure::kTimedOut;
    const Duration bound = rng.one_in(2) ? kForever : Duration(150us);
    if (rng.one_in(3)) {
      std::vector<Bytes> into(1 + rng.below(5));
      const std::uint64_t limit = rng.one_in(2) ? UINT64_MAX : 10 + rng.below(300);
      const ChannelResult<std::size_t> received = co_await from.receive_many_for(into, bound, limit);
      std::uint64_t bytes = 0;
      for (std::size_t i = 0; i < received.value_or(0); ++i) bytes += into[i].size();
      EXPECT_LE(bytes, limit);
      if (!received && received.error().failure == ChannelFailure::kTooLarge) {
        EXPECT_GT(received.error().bytes, limit);
      }
      for (std::size_t i = 0; i < received.value_or(0); ++i) ledger->note_received(value_of(into[i]));
      if (!received) failure = received.error().failure;
    } else if (rng.one_in(3)) {
      (void)co_await from.readable().wait_for(bound);
      const ChannelResult<Bytes> received = from.try_receive();
      if (received) ledger->note_received(value_of(*received));
      if (!received) failure = received.error().failure;
    } else {
      const ChannelResult<Bytes> received = co_await from.receive_for(bound);
      if (received) ledger->note_received(value_of(*received));
      if (!received) failure = received.error().failure;
    }
    if (failure == ChannelFailure::kClosed) co_return;
  }
}

// Receivers that are dropped leave one that stays, or else messages that were sent would be thrown away with the last.
TEST_F(ChannelProgramTest, NothingIsLostWhoeverIsDropped) {
  for_each_seed(3000, [](sched::SimDriver& sim) {
    base::Rng& rng = sim.rng();
    const ChannelKind kind = kKinds[rng.below(3)];
    Channel ends = *make_channel({.kind = kind, .capacity = 1 + rng.below(4), .bytes_max = 300 + rng.below(2000)});
    Ledger ledger;
    std::vector<JoinHandle<void>> senders;
    std::vector<JoinHandle<void>> receivers;
    const std::uint32_t receivers_many = 1 + rng.below(4);
    for (int id = 0; id < static_cast<int>(1 + rng.below(4)); ++id) {
      senders.push_back(start(sim.scheduler(), random_sender(ends.sender, &ledger, id, 20, rng.next())));
    }
    for (std::uint32_t i = 0; i < receivers_many; ++i) {
      receivers.push_back(start(sim.scheduler(), random_receiver(ends.receiver, &ledger, rng.next())));
    }
    ends = {};
    for (int i = 0; i < 200; ++i) {
      if (!sim.step() && !sim.skip_time()) break;
      if (!rng.one_in(25)) continue;
      if (rng.one_in(2)) {
        senders[rng.below(static_cast<std::uint32_t>(senders.size()))].cancel();
      } else if (receivers.size() > 1) {
        receivers[1 + rng.below(static_cast<std::uint32_t>(receivers.size() - 1))].cancel();
      }
    }
    ASSERT_TRUE(sim.run_until_empty()) << "somebody waits for ever";
    ledger.check(receivers.size() == 1);
    EXPECT_EQ(sim.scheduler().statistics().timers, 0U);
  });
}

Task<void> broadcast_receiver(Receiver from, std::vector<int>* received, std::uint64_t* lost, Duration pause) {
  for (;;) {
    const ChannelResult<Bytes> message = co_await from.receive();
    if (message) received->push_back(value_of(*message));
    if (!message && message.error().failure == ChannelFailure::kLost) *lost += message.error().lost;
    if (!message && message.error().failure == ChannelFailure::kClosed) co_return;
    if (pause > Duration::zero()) co_await sleep_for(pause);
  }
}
Task<void> broadcast_sender(Sender to, int count) {
  for (int i = 0; i < count; ++i) {
    EXPECT_TRUE(co_await to.send(note(i, 10)));
    if (i % 7 == 0) co_await sleep_for(100us);
  }
}

// Each receiver that stays gets all, or is told how many it lost; those that are dropped hold nobody back.
TEST_F(ChannelProgramTest, BroadcastsReachAllWhoStay) {
  for_each_seed(1000, [](sched::SimDriver& sim) {
    base::Rng& rng = sim.rng();
    const bool loses = rng.one_in(2);
    constexpr int kCount = 60;
    Channel ends = *make_channel({.kind = ChannelKind::kBroadcast,
                                  .capacity = 1 + rng.below(6),
                                  .slow_receiver = loses ? SlowReceiver::kLoses : SlowReceiver::kHoldsBack});
    constexpr std::size_t kReceivers = 5;
    std::vector<std::vector<int>> received(kReceivers);
    std::vector<std::uint64_t> lost(kReceivers);
    std::vector<JoinHandle<void>> joins;
    for (std::size_t i = 0; i < kReceivers; ++i) {
      Receiver another = ends.receiver;
      joins.push_back(start(sim.scheduler(), broadcast_receiver(std::move(another), &received[i], &lost[i],
                                                                std::chrono::microseconds(rng.below(200)))));
    }
    auto sender = start(sim.scheduler(), broadcast_sender(ends.sender, kCount));
    ends = {};
    std::vector<bool> dropped(kReceivers);
    for (int i = 0; i < 300; ++i) {
      if (!sim.step() && !sim.skip_time()) break;
      if (!rng.one_in(60)) continue;
      const std::uint32_t which = rng.below(kReceivers);
      dropped[which] = true;
      joins[which].cancel();
    }
    ASSERT_TRUE(sim.run_until_empty()) << "somebody waits for ever";
    EXPECT_TRUE(sender.join());
    for (std::size_t i = 0; i < kReceivers; ++i) {
      EXPECT_TRUE(std::is_sorted(received[i].begin(), received[i].end()));
      if (dropped[i]) continue;
      EXPECT_EQ(received[i].size() + lost[i], static_cast<std::size_t>(kCount));
      if (!loses) {
        EXPECT_EQ(lost[i], 0U);
      }
      EXPECT_EQ(received[i].back(), kCount - 1);
    }
  });
}

// The same on real workers, with threads of the host on either side.
TEST_F(ChannelProgramTest, TasksAndThreadsTogether) {
  for (const ChannelKind kind : {ChannelKind::kBounded, ChannelKind::kRendezvous, ChannelKind::kUnbounded}) {
    sched::Scheduler& scheduler = make({.workers = 3});
    Channel ends = *make_channel({.kind = kind, .capacity = 3, .bytes_max = 1U << 20U});
    Ledger ledger;
    std::vector<JoinHandle<void>> joins;
    for (int id = 0; id < 4; ++id) {
      joins.push_back(start(scheduler, random_sender(ends.sender, &ledger, id, 300, static_cast<std::uint64_t>(id) + 1)));
      joins.push_back(start(scheduler, random_receiver(ends.receiver, &ledger, static_cast<std::uint64_t>(id) + 100)));
    }
    std::vector<std::thread> threads;
    for (int id = 4; id < 6; ++id) {
      threads.emplace_back([&ledger, id, to = ends.sender] {
        for (int value = id * 1000; value < id * 1000 + 300; ++value)
          ledger.note_sent(value, to.send(note(value, 10)).block().has_value());
      });
    }
    threads.emplace_back([&ledger, from = ends.receiver] {
      for (;;) {
        const ChannelResult<Bytes> message = from.receive_for(1ms).block();
        if (message) ledger.note_received(value_of(*message));
        if (!message && message.error().failure == ChannelFailure::kClosed) return;
      }
    });
    ends = {};
    // Some of the receivers are dropped in the middle; a thread stays.
    for (std::size_t i : {std::size_t{1}, std::size_t{5}}) joins[i].cancel();
    for (auto& join : joins) (void)join.join();
    for (auto& thread : threads) thread.join();
    ledger.check(false);
    EXPECT_GE(ledger.sent.size(), 600U);
  }
}

}  // namespace
}  // namespace weft::sync
