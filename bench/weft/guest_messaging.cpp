// Channels between processes: what messaging.cpp has between tasks of the host. Each message is copied out of one guest's memory and into the other's.
#include <memory>

#include "benchmarks.hpp"
#include "measure.hpp"

namespace weft_bench {

namespace {

struct Stage {
  const weft::Runtime runtime;
  const weft::Module module;

  Stage(const Options& options, unsigned workers)
      : runtime(must(weft::Runtime::create(runtime_options(options, workers, 2, std::make_shared<GuestReports>())))),
        module(must(runtime.load(options.guests / "channel.wat"))) {}

  weft::Process run(const char* entry, std::size_t count, std::vector<weft::Grant> grants) const {
    weft::ProcessSpec spec{.module = module, .entry = entry, .entry_values = {static_cast<std::int32_t>(count)}};
    const weft::Program program = must(runtime.prepare(std::move(spec)));
    return must(runtime.spawn(program, {.grants = std::move(grants)}));
  }
};

std::vector<weft::Grant> grants(decltype(weft::Grant::what) there) {
  std::vector<weft::Grant> list;
  list.push_back({.name = "there", .what = std::move(there)});
  return list;
}

void round_trip(const Options& options) {
  const Stage stage(options, 1);
  weft::Channel there = must(weft::make_channel({.kind = weft::ChannelKind::kRendezvous}));
  weft::Channel back = must(weft::make_channel({.kind = weft::ChannelKind::kRendezvous}));
  std::vector<weft::Grant> answers = grants(there.receiver);
  answers.push_back({.name = "back", .what = back.sender});
  std::vector<weft::Grant> asks = grants(there.sender);
  asks.push_back({.name = "back", .what = back.receiver});
  const weft::Process pong = stage.run("pong", options.count, std::move(answers));
  const std::uint64_t start = now_ns();
  const weft::Process ping = stage.run("ping", options.count, std::move(asks));
  join_well(ping);
  report("channel", "guest_round_trip", 2, static_cast<double>(now_ns() - start) / options.count, "ns");
  join_well(pong);
}

void throughput(const Options& options, const char* name, const char* producer, const char* consumer, std::size_t count) {
  const Stage stage(options, options.workers);
  weft::Channel ends = must(weft::make_channel({.capacity = 1024}));
  const std::uint64_t start = now_ns();
  const weft::Process consumes = stage.run(consumer, count, grants(ends.receiver));
  const weft::Process produces = stage.run(producer, count, grants(ends.sender));
  join_well(consumes);
  const double seconds = static_cast<double>(now_ns() - start) / 1e9;
  join_well(produces);
  report("channel", name, options.workers, static_cast<double>(count) / seconds / 1e6, "M/s");
}

}  // namespace

void bench_guest_channels(const Options& options) {
  round_trip(options);
  throughput(options, "guest_throughput", "produce", "consume", std::size_t{4} * options.count);
  throughput(options, "guest_batched", "produce_many", "consume_many", std::size_t{64} * (options.count / 4 + 1));
  const Stage stage(options, 1);
  const std::uint64_t start = now_ns();
  join_well(stage.run("wait", options.count, {}));
  report("channel", "guest_wait_set", 1000, static_cast<double>(now_ns() - start) / options.count, "ns");
}

}  // namespace weft_bench
