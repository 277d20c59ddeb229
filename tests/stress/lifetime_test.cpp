// The last handle of a runtime, a module, a program or a process may go anywhere, at any time: in a coroutine, in a receiver of output, on the blocking pool, in
// a host function, on another thread. Nothing crashes, hangs or is left behind.
#include <gtest/gtest.h>

#include <thread>

#include "support/guests.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

using namespace std::chrono_literals;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

class LifetimeTest : public ::testing::Test {
 protected:
  // Two workers, small. No fixture of its own keeps a copy.
  static Runtime make(HostFunctions host = {}) {
    RuntimeOptions options;
    options.fibers = testing::chosen_fibers();
    options.workers = 2;
    options.cache = false;
    options.processes_max = 20;
    options.host = std::move(host);
    return Runtime::create(std::move(options)).value();
  }

  static void SetUpTestSuite() {
    // The compiler's own threads start with the first module and stay.
    (void)make().compile(bytes_of(kReturns), "warm-up").value();
    threads_before_ = entries_in("/proc/self/task");
  }

  // Waits until every thread of the runtime under test has ended.
  static void wait_for_threads() {
    const auto deadline = std::chrono::steady_clock::now() + kHang;
    while (entries_in("/proc/self/task") > threads_before_) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "threads of a runtime that nobody holds any more still run";
        std::abort();
      }
      std::this_thread::yield();
    }
  }

  static inline std::size_t threads_before_ = 0;
};

TEST_F(LifetimeTest, TheLastCopyOfARuntimeGoesInACoroutine) {
  JoinHandle<int> handle;
  {
    Runtime runtime = make();
    const auto hold = [](Runtime held) -> Task<int> {
      co_await sleep_for(5ms);
      co_return static_cast<int>(held.stats().workers);
    };
    handle = runtime.start(hold(runtime));
  }
  const Result<int> result = handle.join();
  EXPECT_TRUE(result.has_value() || result.error().kind == ErrorKind::kCancelled);
  handle = {};
  wait_for_threads();
}

TEST_F(LifetimeTest, TheLastCopyOfARuntimeGoesInAReceiver) {
  std::mutex mutex;
  std::condition_variable changed;
  bool received = false;
  bool dropped = false;
  {
    auto held = std::make_shared<Runtime>(make());
    std::weak_ptr<Runtime> watched = held;
    ProcessSpec spec{.module = held->compile(bytes_of(kHello), "hello").value()};
    spec.output = Output::to([&, kept = held](ProcessId, Stream, std::string_view) mutable {
      std::unique_lock lock(mutex);
      received = true;
      changed.notify_all();
      changed.wait(lock, [&] { return dropped; });
      lock.unlock();
      kept.reset();
    });
    const Process process = held->spawn(std::move(spec)).value();
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return received; });
    lock.unlock();
    held.reset();
    lock.lock();
    dropped = true;
    changed.notify_all();
    lock.unlock();
    const ExitStatus status = process.join();
    EXPECT_TRUE(status.kind == ExitKind::kReturned || status.kind == ExitKind::kKilled) << status.message;
  }
  wait_for_threads();
}

TEST_F(LifetimeTest, TheLastCopyOfARuntimeGoesOnTheBlockingPool) {
  std::mutex mutex;
  std::condition_variable changed;
  bool dropped = false;
  JoinHandle<int> handle;
  // Outside the block: the coroutine reads its captures out of this object when it runs, which may be after the block.
  const auto wait = [&](std::shared_ptr<Runtime> kept) -> Task<int> {
    auto work = [&, mine = std::move(kept)]() mutable {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return dropped; });
      lock.unlock();
      mine.reset();
      return 1;
    };
    co_return co_await blocking(std::move(work));  // named: see blocking()
  };
  {
    auto held = std::make_shared<Runtime>(make());
    handle = held->start(wait(held));
  }
  {
    std::lock_guard lock(mutex);
    dropped = true;
  }
  changed.notify_all();
  (void)handle.join();
  handle = {};
  wait_for_threads();
}

TEST_F(LifetimeTest, TheLastCopyOfARuntimeGoesInAHostFunction) {
  struct Holder {
    std::mutex mutex;
    std::optional<Runtime> runtime;
  };
  auto holder = std::make_shared<Holder>();
  std::weak_ptr<Holder> weak = holder;
  HostFunctions host;
  host.define("env", "drop", [weak](Caller&) {
    if (const auto strong = weak.lock()) {
      std::lock_guard lock(strong->mutex);
      strong->runtime.reset();
    }
  });
  Process process;
  {
    std::lock_guard lock(holder->mutex);
    holder->runtime = make(std::move(host));
    process =
        holder->runtime
            ->spawn(
                {.module =
                     holder->runtime
                         ->compile(bytes_of(R"((module (import "env" "drop" (func $drop)) (func (export "_start") (call $drop))))"),
                                   "drops")
                         .value()})
            .value();
  }
  const ExitStatus status = process.join();
  EXPECT_TRUE(status.kind == ExitKind::kReturned || status.kind == ExitKind::kKilled) << status.message;
  process = {};
  wait_for_threads();
}

TEST_F(LifetimeTest, HandlesOutliveTheRuntimeInAnyOrder) {
  for (int order = 0; order < 6; ++order) {
    std::optional<Module> module;
    std::optional<Program> program;
    std::optional<Process> process;
    {
      const Runtime runtime = make();
      module = runtime.compile(bytes_of(kSleeps), "sleeps").value();
      program = runtime.prepare({.module = *module}).value();
      process = runtime.spawn(*program).value();
    }
    EXPECT_EQ(process->join().kind, ExitKind::kKilled);
    EXPECT_EQ(module->name(), "sleeps");
    EXPECT_TRUE(module->serialize().has_value());
    std::thread([&] {
      if (order % 3 == 0) module.reset();
      if (order % 3 == 1) program.reset();
      if (order % 3 == 2) process.reset();
    }).join();
    if (order < 3) {
      process.reset();
      program.reset();
      module.reset();
    } else {
      module.reset();
      process.reset();
      program.reset();
    }
  }
  wait_for_threads();
}

TEST_F(LifetimeTest, RuntimesComeAndGo) {
  const Runtime stays = make();
  const Module module = stays.compile(bytes_of(kReturns), "returns").value();
  for (int count = 0; count < 50; ++count) {
    const Runtime comes = make();
    const Process sleeping = comes.spawn({.module = comes.compile(bytes_of(kSleeps), "sleeps").value()}).value();
    EXPECT_TRUE(stays.spawn({.module = module}).value().join().success());
  }
}

}  // namespace
}  // namespace weft::testing
