// The examples of docs/guide/channels.md, which quotes them word for word: they compile, and do what it says.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "sync/testing/tasks.hpp"
#include "weft/channel.hpp"
#include "weft/wait_set.hpp"

namespace weft::sync {
namespace {

using namespace std::chrono_literals;
using testing::start;

weft::Task<void> produce(weft::Sender to) {
  for (int i = 0; i < 10; ++i) {
    weft::Bytes message = weft::Bytes::copy_of(std::to_string(i));
    if (!co_await to.send(std::move(message))) co_return;  // closed: nobody receives any more
  }
}  // the last sender goes, and with it the channel closes

weft::Task<int> consume(weft::Receiver from) {
  int sum = 0;
  while (auto message = co_await from.receive()) sum += std::stoi(std::string(message->text()));
  co_return sum;
}

weft::Task<std::size_t> consume_many(weft::Receiver from) {
  std::vector<weft::Bytes> batch(64);
  std::size_t count = 0;
  while (auto received = co_await from.receive_many(batch)) count += *received;
  co_return count;
}

weft::Task<std::string> first_of(weft::Receiver orders, weft::Event stop) {
  enum : std::uint64_t { kOrder, kStop, kLate };
  weft::WaitSet set;
  (void)set.add(kOrder, orders.readable());
  (void)set.add(kStop, stop.when_set());
  (void)set.add(kLate, weft::timer(5s));
  const auto events = co_await set.any();
  switch (events->front().key) {
    case kOrder:
      co_return "an order: " + std::string(orders.try_receive()->text());
    case kStop:
      co_return "told to stop";
    default:
      co_return "too late";
  }
}

class MessagesExample : public testing::TaskTest {};

TEST_F(MessagesExample, AreTrue) {
  for_each_seed(20, [](sched::SimDriver& sim) {
    weft::Channel channel = *weft::make_channel({.capacity = 4});
    weft::Channel batched = *weft::make_channel({.capacity = 4});
    auto sum = start(sim.scheduler(), consume(std::move(channel.receiver)));
    auto count = start(sim.scheduler(), consume_many(std::move(batched.receiver)));
    (void)start(sim.scheduler(), produce(std::move(channel.sender)));
    (void)start(sim.scheduler(), produce(std::move(batched.sender)));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*sum.join(), 45);
    EXPECT_EQ(*count.join(), 10U);
  });
}

TEST_F(MessagesExample, OneOfThreeComesFirst) {
  for_each_seed(20, [](sched::SimDriver& sim) {
    const weft::Channel orders = *weft::make_channel();
    const weft::Event stop;
    auto late = start(sim.scheduler(), first_of(orders.receiver, stop));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*late.join(), "too late");
    auto order = start(sim.scheduler(), first_of(orders.receiver, stop));
    EXPECT_TRUE(orders.sender.try_send(weft::Bytes::copy_of("tea")));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*order.join(), "an order: tea");
    stop.set();
    auto stopped = start(sim.scheduler(), first_of(orders.receiver, stop));
    ASSERT_TRUE(sim.run_until_empty());
    EXPECT_EQ(*stopped.join(), "told to stop");
  });
}

}  // namespace
}  // namespace weft::sync
