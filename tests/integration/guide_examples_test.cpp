// What docs/guide/tasks.md, docs/guide/messages.md and docs/guide/channels.md show, word for word.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "support/runtime_fixture.hpp"
#include "weft/weft.hpp"

namespace weft::testing {
namespace {

class GuideTest : public RuntimeTest {};

constexpr std::string_view kLoops = R"((module (func (export "_start") (loop (br 0)))))";

TEST_F(GuideTest, TheTaskManager) {
  start();
  const Runtime& runtime = *runtime_;
  const ProcessSpec program{.module = compile(kLoops), .limits = {.memory_bytes = 1U << 20}};
  const CancellationSource request;
  weft::FuelPool pool = *weft::FuelPool::create({.capacity = 10'000, .regeneration_per_second = 2'000});
  weft::Result<weft::TaskManager> manager =
      weft::TaskManager::builder(runtime)
          .max_tasks(1024)                                // running at once
          .queue_max(4096)                                // accepted beyond those
          .priority_levels(8)                             // 0 is the most urgent
          .resource_limits({.memory_bytes = 8ULL << 30})  // sum of the memory limits of what runs
          .cancellation("render", weft::CancellationStrategy::graceful(std::chrono::milliseconds(20)))
          .cancellation("index", weft::CancellationStrategy::cooperative())
          .fuel(pool)
          .build();
  ASSERT_TRUE(manager) << manager.error().message;
  auto task = manager->try_submit(program, {.type = "render", .name = "page 7", .priority = 2, .token = request.token()});
  ASSERT_TRUE(task) << task.error().message;
  request.cancel("enough");
  EXPECT_TRUE(manager->wait_idle());
}

struct Socket {
  std::atomic<bool> closed{false};
  void close() { closed = true; }
};

Task<void> waits_for_cancellation(Runtime runtime, Socket& socket) {
  weft::CancellationSource request;
  request.cancel_after(runtime, std::chrono::milliseconds(5), "too slow");
  weft::CancellationSource part(request.token());                   // cancelled with request, not the other way round
  auto callback = part.token().on_cancel([&] { socket.close(); });  // dropped: never called again, not even on its way
  co_await part.token().cancelled_wait();
}

TEST_F(GuideTest, Tokens) {
  start();
  Socket socket;
  ASSERT_TRUE(runtime_->start(waits_for_cancellation(*runtime_, socket)).join());
}

TEST_F(GuideTest, Grants) {
  start();
  const Runtime& runtime = *runtime_;
  constexpr std::string_view kReturns = R"((module (func (export "_start"))))";
  const Program program = runtime.prepare({.module = compile(kReturns)}).value();
  weft::Channel jobs = *weft::make_channel({.capacity = 64});
  weft::Result<weft::Process> worker = runtime.spawn(program, {.grants = {{"jobs", jobs.receiver}}});
  (void)jobs.sender.send(weft::Bytes::copy_of("page 7")).block();
  ASSERT_TRUE(worker) << worker.error().message;
  EXPECT_TRUE(worker->join().success());
}

Task<bool> talks_to(Process process) {
  weft::Mailbox mailbox = process.mailbox();
  (void)co_await mailbox.send({.tag = 7, .bytes = weft::Bytes::copy_of("hello")});  // waits while it is full
  weft::MessageFilter replies;
  replies.tags.push_back(8);
  auto reply = co_await mailbox.receive(replies, std::chrono::milliseconds(1));  // on the process's behalf
  co_return reply.has_value();
}

TEST_F(GuideTest, Mailboxes) {
  start();
  const Process process = spawn({.module = compile(kLoops)});
  const Result<bool> replied = runtime_->start(talks_to(process)).join();
  ASSERT_TRUE(replied);
  EXPECT_FALSE(*replied) << "nobody sent one with that tag";
  process.kill("the test");
  process.join();
}

TEST_F(GuideTest, SharedRegions) {
  start();
  const Runtime& runtime = *runtime_;
  const std::vector<std::byte> pixels(100, std::byte{7});
  weft::SharedRegion frames = weft::open_region(runtime, "frames", 1 << 20).value();
  (void)frames.write(64, pixels);
  (void)frames.add<std::uint32_t>(0, 1);  // the word at offset 0: how many there are
  (void)frames.notify(0);                 // wakes whoever waits for another value there
  EXPECT_EQ(frames.wait<std::uint32_t>(0, 0).block().value(), RegionWake::kNotEqual);
  std::vector<std::byte> seen(pixels.size());
  ASSERT_TRUE(frames.read(64, seen));
  EXPECT_EQ(seen, pixels);
}

}  // namespace
}  // namespace weft::testing
