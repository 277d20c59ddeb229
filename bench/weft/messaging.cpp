// Messages between tasks of the host, and waits for many things at once: what bench/peers/go/channels.go does between goroutines.
#include <algorithm>
#include <memory>

#include "benchmarks.hpp"
#include "measure.hpp"

namespace weft_bench {

namespace {

constexpr std::size_t kMessageBytes = 64;

weft::Bytes message() {
  return weft::Bytes::make(kMessageBytes, [](std::span<std::byte> to) { std::fill(to.begin(), to.end(), std::byte{1}); });
}

weft::Runtime make_runtime(unsigned workers) {
  weft::RuntimeOptions options;
  options.workers = workers;
  options.cache = false;
  options.processes_max = 1;
  return must(weft::Runtime::create(std::move(options)));
}

weft::Task<void> ping(weft::Sender to, weft::Receiver from, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    (void)co_await to.send(message());
    const weft::ChannelResult<weft::Bytes> back = co_await from.receive();
    if (!back || back->size() != kMessageBytes) fail("a message came back changed");
  }
}
weft::Task<void> pong(weft::Sender to, weft::Receiver from) {
  for (;;) {
    weft::ChannelResult<weft::Bytes> got = co_await from.receive();
    if (!got) co_return;
    (void)co_await to.send(std::move(*got));
  }
}

void round_trip(const char* name, weft::ChannelOptions options, unsigned count) {
  const weft::Runtime runtime = make_runtime(1);
  weft::Channel there = must(weft::make_channel(options));
  weft::Channel back = must(weft::make_channel(options));
  const std::uint64_t start = now_ns();
  const std::uint64_t start_cpu = cpu_ns();
  auto answering = runtime.start(pong(std::move(back.sender), std::move(there.receiver)));
  auto asking = runtime.start(ping(std::move(there.sender), std::move(back.receiver), count));
  if (!asking.join() || !answering.join()) fail("a task did not end well");
  const std::string cpu = "\"cpu\":" + std::to_string(static_cast<double>(cpu_ns() - start_cpu) / count);
  report("channel", name, 2, static_cast<double>(now_ns() - start) / count, "ns", cpu);
}

weft::Task<void> produce(weft::Sender to, std::size_t batch, std::size_t count) {
  std::vector<weft::Bytes> messages(batch);
  for (std::size_t sent = 0; sent < count; sent += batch) {
    for (weft::Bytes& one : messages) one = message();
    if (batch == 1) {
      (void)co_await to.send(std::move(messages[0]));
    } else {
      (void)co_await to.send_many(messages);
    }
  }
}
weft::Task<std::size_t> consume(weft::Receiver from, std::size_t batch) {
  std::vector<weft::Bytes> messages(batch);
  std::size_t sum = 0;
  for (;;) {
    if (batch == 1) {
      const weft::ChannelResult<weft::Bytes> one = co_await from.receive();
      if (!one) co_return sum;
      sum += static_cast<std::size_t>(one->view()[0]);
      continue;
    }
    const weft::ChannelResult<std::size_t> many = co_await from.receive_many(messages);
    if (!many) co_return sum;
    for (std::size_t i = 0; i < *many; ++i) sum += static_cast<std::size_t>(messages[i].view()[0]);
  }
}

void throughput(const char* name, unsigned workers, std::size_t batch, std::size_t count) {
  count = (count + batch - 1) / batch * batch;
  const weft::Runtime runtime = make_runtime(workers);
  weft::Channel ends = must(weft::make_channel({.capacity = 1024}));
  const std::uint64_t start = now_ns();
  auto consumer = runtime.start(consume(std::move(ends.receiver), batch));
  auto producer = runtime.start(produce(std::move(ends.sender), batch, count));
  if (must(consumer.join()) != count) fail("messages were lost");
  const double seconds = static_cast<double>(now_ns() - start) / 1e9;
  (void)producer.join();
  report("channel", name, workers, static_cast<double>(count) / seconds / 1e6, "M/s", "\"batch\":" + std::to_string(batch));
}

weft::Task<void> wait_often(weft::WaitSet set, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const weft::Result<std::vector<weft::WaitEvent>> events = co_await set.any();
    if (!events || events->size() != 1) fail("one is ready, and was not reported");
  }
}

}  // namespace

void bench_channels(const Options& options) {
  round_trip("round_trip", {.kind = weft::ChannelKind::kRendezvous}, options.count);
  round_trip("round_trip_buffered", {.capacity = 64}, options.count);
  throughput("throughput", options.workers, 1, std::size_t{10} * options.count);
  throughput("batched", options.workers, 64, std::size_t{40} * options.count);
}

void bench_wait_set(const Options& options) {
  const weft::Runtime runtime = make_runtime(1);
  std::vector<weft::Event> events(options.n);
  const weft::WaitSet set({.members_max = options.n});
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (!set.add(i, events[i].when_set())) fail("the set is full");
  }
  events[options.n / 2].set();
  const std::uint64_t start = now_ns();
  if (!runtime.start(wait_often(set, options.count)).join()) fail("the task did not end well");
  report("wait-set", "one_ready", options.n, static_cast<double>(now_ns() - start) / options.count, "ns");
}

}  // namespace weft_bench
