// A host function that waits: written as a coroutine, it parks the guest that called it and leaves the worker to others. Here 200 guests
// wait on two workers at once.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <span>
#include <string_view>
#include <vector>
#include <weft/weft.hpp>

namespace {

// Looks up three prices, one after the other, and adds them.
constexpr std::string_view kGuest = R"((module
  (import "shop" "price" (func $price (param i32) (result i32)))
  (func (export "total") (result i32)
    (i32.add (call $price (i32.const 1)) (i32.add (call $price (i32.const 2)) (call $price (i32.const 3)))))))";

int fail(const weft::Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

// Stands for a database: slow, and it blocks the thread that asks.
std::int32_t read_price(std::int32_t item) { return item * 100; }

}  // namespace

int main() {
  weft::RuntimeOptions options;
  options.workers = 2;
  options.host.define("shop", "price", [](weft::Caller&, std::int32_t item) -> weft::Task<std::int32_t> {
    co_await weft::sleep_for(std::chrono::milliseconds(10));                 // parked: no worker is held
    co_return co_await weft::blocking([item] { return read_price(item); });  // on the pool for blocking work
  });
  auto runtime = weft::Runtime::create(std::move(options));
  if (!runtime) return fail(runtime.error());
  auto module = runtime->compile(std::span(reinterpret_cast<const std::uint8_t*>(kGuest.data()), kGuest.size()), "shop");
  if (!module) return fail(module.error());
  auto program = runtime->prepare({.module = *module, .entry = "total"});
  if (!program) return fail(program.error());

  std::vector<weft::Process> guests;
  for (int count = 0; count < 200; ++count) {
    auto guest = runtime->spawn(*program);
    if (!guest) return fail(guest.error());
    guests.push_back(*guest);
  }
  for (const weft::Process& guest : guests) {
    const weft::ExitStatus status = guest.join();
    if (status.result_text != "600") {
      std::cerr << "expected 600, got " << status.result_text << ' ' << status.message << '\n';
      return 1;
    }
  }
  std::cout << guests.size() << " guests waited three times each, on " << runtime->stats().workers << " workers\n";
  return 0;
}
