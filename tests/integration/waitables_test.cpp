// Waitables that need a runtime: the ends of processes and its timers, alone and in a set.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "weft/weft.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

Module compile(const Runtime& runtime, std::string_view wat) {
  Result<Module> module = runtime.compile({reinterpret_cast<const std::uint8_t*>(wat.data()), wat.size()}, "test");
  EXPECT_TRUE(module) << module.error().message;
  return std::move(*module);
}

TEST(Waitables, AProcessesEndAndATimer) {
  Result<Runtime> runtime = Runtime::create({.workers = 2, .cache = false});
  ASSERT_TRUE(runtime) << runtime.error().message;
  const Module forever = compile(*runtime, R"((module (func (export "_start") (loop (br 0)))))");
  const Module nothing = compile(*runtime, R"((module (func (export "_start"))))");
  Result<Process> loops = runtime->spawn({.module = forever});
  Result<Process> ends = runtime->spawn({.module = nothing});
  ASSERT_TRUE(loops && ends);

  const WaitSet set;
  ASSERT_TRUE(set.add(1, loops->when_exited()));
  ASSERT_TRUE(set.add(2, ends->when_exited()));
  const Result<std::vector<WaitEvent>> first = set.any().block();
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, (std::vector<WaitEvent>{{2, false}}));
  ASSERT_TRUE(set.add(3, runtime->timer(5ms)));
  ASSERT_TRUE(set.wait({.least = 2}).block());
  EXPECT_FALSE(loops->when_exited().ready());
  EXPECT_FALSE(loops->when_exited().wait_for(0ns).block());

  loops->kill("the test");
  EXPECT_EQ(set.all().block()->size(), 3U);
  EXPECT_TRUE(loops->when_exited().wait().block()) << "asked after the end";
  EXPECT_FALSE(Process().when_exited());
}

}  // namespace
}  // namespace weft
