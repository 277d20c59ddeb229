// std::thread and std::jthread with stop tokens.
#include "check.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

int main() {
  using namespace std::chrono_literals;
  std::vector<long> squares(8);
  {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) threads.emplace_back([&squares, i] { squares[i] = long{i} * i; });
    for (auto& thread : threads) thread.join();
  }
  for (long square : squares) std::cout << square << ' ';
  std::cout << '\n';

  std::string text;
  std::unique_ptr<int> number = std::make_unique<int>(5);
  std::thread moved_into([](std::string& out, std::unique_ptr<int> value) { out = "got " + std::to_string(*value); },
                         std::ref(text), std::move(number));
  CHECK(moved_into.joinable());
  std::thread::id id = moved_into.get_id();
  CHECK(id != std::this_thread::get_id());
  moved_into.join();
  CHECK(!moved_into.joinable() && moved_into.get_id() == std::thread::id{});
  std::cout << text << '\n';

  std::atomic<bool> detached_is_done = false;
  std::thread([&] { detached_is_done = true; }).detach();
  while (!detached_is_done) std::this_thread::yield();
  std::cout << "detached\n";

  // A jthread asks its function to stop and joins it.
  std::atomic<long> turns = 0;
  {
    std::jthread worker([&](std::stop_token stop) {
      while (!stop.stop_requested()) turns++;
    });
    while (turns < 1000) std::this_thread::yield();
  }
  std::cout << "jthread stopped and joined\n";

  // A stop request wakes a wait for a condition, and runs callbacks.
  std::mutex mutex;
  std::condition_variable_any condition;
  bool woken_by_stop = false;
  int callbacks = 0;
  std::jthread waiter([&](std::stop_token stop) {
    std::unique_lock lock(mutex);
    woken_by_stop = !condition.wait(lock, stop, [] { return false; });
  });
  std::stop_callback callback(waiter.get_stop_token(), [&] { callbacks++; });
  std::this_thread::sleep_for(10ms);
  CHECK(waiter.request_stop());
  CHECK(!waiter.request_stop());
  waiter.join();
  std::cout << "woken by the stop request: " << woken_by_stop << ", callbacks: " << callbacks << '\n';

  auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(30ms);
  CHECK(std::chrono::steady_clock::now() - start >= 30ms);
  std::this_thread::sleep_until(std::chrono::steady_clock::now() + 5ms);
  std::this_thread::sleep_until(std::chrono::system_clock::now() + 5ms);
  std::cout << "slept\n";
}
