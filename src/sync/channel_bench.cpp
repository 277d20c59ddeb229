// What channels and wait sets cost, between tasks on real workers; bench/run has the same beside Go's channels.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "platform/platform.hpp"
#include "sched/scheduler.hpp"
#include "sync/coroutine.hpp"
#include "weft/channel.hpp"
#include "weft/wait_set.hpp"

namespace weft::sync {
namespace {

constexpr std::size_t kMessageBytes = 64;

class Workers {
 public:
  explicit Workers(uint32_t workers) : scheduler_({.workers = workers, .platform = &platform::host()}) {
    if (!scheduler_.start()) std::abort();
  }
  template <class T>
  JoinHandle<T> start(Task<T> task) {
    auto join = std::make_shared<detail::TypedJoinState<T>>();
    auto body = std::make_unique<detail::StartedTask<T>>(std::move(task), join);
    scheduler_.spawn(base::make_ref<CoroutineTask>(std::move(body), join, sched::kPriorityNormal, "bench"));
    return JoinHandle<T>(std::move(join));
  }
  sched::Scheduler& scheduler() { return scheduler_; }

 private:
  sched::Scheduler scheduler_;
};

Bytes message() {
  return Bytes::make(kMessageBytes, [](std::span<std::byte> to) { std::fill(to.begin(), to.end(), std::byte{1}); });
}

Task<void> ping(Sender to, Receiver from, int count) {
  for (int i = 0; i < count; ++i) {
    (void)co_await to.send(message());
    benchmark::DoNotOptimize((co_await from.receive())->view());
  }
}
Task<void> pong(Sender to, Receiver from) {
  for (;;) {
    ChannelResult<Bytes> got = co_await from.receive();
    if (!got) co_return;
    (void)co_await to.send(std::move(*got));
  }
}

// Two tasks on one worker take turns. Arg: capacity; 0: rendezvous.
void BM_channel_round_trip(benchmark::State& state) {
  Workers workers(1);
  const auto capacity = static_cast<std::size_t>(state.range(0));
  const ChannelOptions options{.kind = capacity == 0 ? ChannelKind::kRendezvous : ChannelKind::kBounded, .capacity = capacity};
  constexpr int kTrips = 20'000;
  for (auto _ : state) {
    Channel there = *make_channel(options);
    Channel back = *make_channel(options);
    auto answering = workers.start(pong(std::move(back.sender), std::move(there.receiver)));
    auto asking = workers.start(ping(std::move(there.sender), std::move(back.receiver), kTrips));
    (void)asking.join();
    (void)answering.join();
  }
  state.SetItemsProcessed(state.iterations() * kTrips);
}
BENCHMARK(BM_channel_round_trip)->Arg(0)->Arg(1)->Arg(64)->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);

Task<void> produce(Sender to, std::size_t batch, std::size_t count) {
  std::vector<Bytes> messages(batch);
  for (std::size_t sent = 0; sent < count; sent += batch) {
    for (Bytes& one : messages) one = message();
    if (batch == 1) {
      (void)co_await to.send(std::move(messages[0]));
    } else {
      (void)co_await to.send_many(messages);
    }
  }
}
Task<std::size_t> consume(Receiver from, std::size_t batch) {
  std::vector<Bytes> messages(batch);
  std::size_t sum = 0;
  for (;;) {
    if (batch == 1) {
      const ChannelResult<Bytes> one = co_await from.receive();
      if (!one) co_return sum;
      sum += static_cast<std::size_t>(one->view()[0]);
    } else {
      const ChannelResult<std::size_t> many = co_await from.receive_many(messages);
      if (!many) co_return sum;
      for (std::size_t i = 0; i < *many; ++i) sum += static_cast<std::size_t>(messages[i].view()[0]);
    }
  }
}

// Two tasks on so many workers. Args: workers, messages a call, capacity.
void BM_channel_throughput(benchmark::State& state) {
  Workers workers(static_cast<uint32_t>(state.range(0)));
  const auto batch = static_cast<std::size_t>(state.range(1));
  constexpr std::size_t kCount = 1U << 20U;
  for (auto _ : state) {
    Channel ends = *make_channel({.capacity = static_cast<std::size_t>(state.range(2))});
    auto consumer = workers.start(consume(std::move(ends.receiver), batch));
    auto producer = workers.start(produce(std::move(ends.sender), batch, kCount));
    (void)producer.join();
    if (*consumer.join() != kCount) std::abort();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kCount));
}
BENCHMARK(BM_channel_throughput)
    ->ArgNames({"workers", "batch", "capacity"})
    ->Args({1, 1, 1024})
    ->Args({2, 1, 1024})
    ->Args({1, 64, 1024})
    ->Args({2, 64, 256})
    ->Args({2, 64, 1024})
    ->Args({2, 256, 4096})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

// The wait, its report and the next, with so many members of which one is ready.
Task<void> waits(WaitSet set, int count, bool* fine) {
  for (int i = 0; i < count; ++i) {
    const Result<std::vector<WaitEvent>> events = co_await set.any();
    if (!events || events->size() != 1) *fine = false;
  }
}
void BM_wait_set_one_ready(benchmark::State& state) {
  Workers workers(1);
  const auto members = static_cast<std::size_t>(state.range(0));
  std::vector<Event> events(members);
  const WaitSet set;
  for (std::size_t i = 0; i < members; ++i) (void)set.add(i, events[i].when_set());
  events[members / 2].set();
  constexpr int kWaits = 10'000;
  bool fine = true;
  for (auto _ : state) (void)workers.start(waits(set, kWaits, &fine)).join();
  if (!fine) std::abort();
  state.SetItemsProcessed(state.iterations() * kWaits);
}
BENCHMARK(BM_wait_set_one_ready)->Arg(1)->Arg(10'000)->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);

// The same, parked: another task sets one after another, and the waiter resets it.
Task<void> parks(WaitSet set, std::vector<Event>* events, Event turn, int count) {
  for (int i = 0; i < count; ++i) {
    const Result<std::vector<WaitEvent>> ready = co_await set.any();
    (*events)[ready->front().key].reset();
    turn.set();
  }
}
Task<void> sets(std::vector<Event>* events, Event turn, int count) {
  for (int i = 0; i < count; ++i) {
    (*events)[static_cast<std::size_t>(i) % events->size()].set();
    (void)co_await turn.when_set().wait();
    turn.reset();
  }
}
void BM_wait_set_wake_up(benchmark::State& state) {
  Workers workers(1);
  const auto members = static_cast<std::size_t>(state.range(0));
  std::vector<Event> events(members);
  const WaitSet set;
  for (std::size_t i = 0; i < members; ++i) (void)set.add(i, events[i].when_set());
  constexpr int kWaits = 10'000;
  for (auto _ : state) {
    const Event turn;
    auto parking = workers.start(parks(set, &events, turn, kWaits));
    auto setting = workers.start(sets(&events, turn, kWaits));
    (void)parking.join();
    (void)setting.join();
  }
  state.SetItemsProcessed(state.iterations() * kWaits);
}
BENCHMARK(BM_wait_set_wake_up)->Arg(1)->Arg(10'000)->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weft::sync
