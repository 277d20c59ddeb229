// Host code beside guests, as coroutines on the same workers: a small pipeline that starts guests, awaits them, and gives up on one that is
// too slow.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <weft/weft.hpp>

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kGuests = R"((module
  (func (export "square") (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))
  (func (export "hang") (loop $again (br $again)))))";

// The sum of the squares of 1 … n, each computed by a process of its own.
weft::Task<weft::Result<int>> sum_of_squares(weft::Runtime runtime, weft::Module module, int n) {
  int sum = 0;
  for (int number = 1; number <= n; ++number) {
    auto process = runtime.spawn({.module = module, .entry = "square", .entry_values = {std::int32_t{number}}});
    if (!process) co_return std::unexpected(process.error());
    const weft::ExitStatus status = co_await process->exited();
    sum += std::get<std::int32_t>(status.results.at(0));
  }
  co_return sum;
}

// Ends `process` unless it ends by itself within `bound`.
weft::Task<> guard(weft::Process process, weft::Duration bound) {
  co_await weft::sleep_for(bound);
  process.kill("the guard");
}

weft::Task<std::string> impatient(weft::Runtime runtime, weft::Module module) {
  auto process = runtime.spawn({.module = module, .entry = "hang"});
  if (!process) co_return process.error().message;
  auto guarding = runtime.start(guard(*process, 20ms));
  const weft::ExitStatus status = co_await process->exited();
  guarding.cancel();  // had the process been quicker
  co_return status.message;
}

int fail(const weft::Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

}  // namespace

int main() {
  auto runtime = weft::Runtime::create();
  if (!runtime) return fail(runtime.error());
  auto module = runtime->compile(std::span(reinterpret_cast<const std::uint8_t*>(kGuests.data()), kGuests.size()), "guests");
  if (!module) return fail(module.error());

  auto squares = runtime->start(sum_of_squares(*runtime, *module, 10));
  auto hanging = runtime->start(impatient(*runtime, *module));

  weft::Result<weft::Result<int>> sum = squares.join();
  if (!sum) return fail(sum.error());
  if (!*sum) return fail(sum->error());
  weft::Result<std::string> message = hanging.join();
  if (!message) return fail(message.error());
  std::cout << "the squares of 1 to 10 add up to " << **sum << "; the other guest was " << *message << '\n';
  return **sum == 385 && *message == "killed by the guard" ? 0 : 1;
}
