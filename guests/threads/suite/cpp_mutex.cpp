// The mutexes, locks, condition variables and call_once of C++.
#include "check.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <iostream>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

template <class Function>
void run(int count, Function function) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; i++) threads.emplace_back(function, i);
}

int main() {
  long counter = 0;
  std::mutex mutex;
  run(6, [&](int) {
    for (int i = 0; i < 20000; i++) {
      std::lock_guard lock(mutex);
      counter++;
    }
  });
  std::cout << "mutex: " << counter << '\n';

  std::recursive_mutex recursive;
  counter = 0;
  run(4, [&](int) {
    for (int i = 0; i < 5000; i++) {
      std::lock_guard outer(recursive);
      std::lock_guard inner(recursive);
      counter++;
    }
  });
  std::cout << "recursive mutex: " << counter << '\n';

  std::timed_mutex timed;
  timed.lock();
  run(1, [&](int) {
    CHECK(!timed.try_lock());
    auto start = std::chrono::steady_clock::now();
    CHECK(!timed.try_lock_for(30ms));
    CHECK(std::chrono::steady_clock::now() - start >= 30ms);
    CHECK(!timed.try_lock_until(std::chrono::system_clock::now() + 10ms));
  });
  timed.unlock();
  std::cout << "timed mutex: times out\n";

  // Two locks in opposite order, without a deadlock.
  std::mutex left, right;
  counter = 0;
  run(2, [&](int i) {
    for (int round = 0; round < 5000; round++) {
      std::scoped_lock both(i == 0 ? left : right, i == 0 ? right : left);
      counter++;
    }
  });
  std::cout << "scoped_lock over two: " << counter << '\n';

  std::shared_timed_mutex shared;
  std::map<int, std::string> dictionary;
  long found = 0;
  run(6, [&](int i) {
    for (int round = 0; round < 1000; round++) {
      if (i % 3 == 0) {
        std::unique_lock lock(shared);
        dictionary[i * 1000 + round] = std::to_string(round);
      } else {
        std::shared_lock lock(shared);
        for (auto entry = dictionary.begin(); entry != dictionary.end(); ++entry) {
          CHECK(entry->second == std::to_string(entry->first % 1000));
          if (entry->first % 1000 > 3) break;
        }
      }
    }
    std::lock_guard lock(mutex);
    found++;
  });
  std::cout << "shared mutex: " << dictionary.size() << " entries, " << found << " threads\n";
  {
    std::shared_lock reading(shared);
    run(1, [&](int) {
      CHECK(shared.try_lock_shared());
      shared.unlock_shared();
      CHECK(!shared.try_lock());
      CHECK(!shared.try_lock_for(20ms));
    });
  }
  std::cout << "shared mutex: a reader keeps writers out, not readers\n";

  std::deque<int> queue;
  std::condition_variable not_empty;
  bool closed = false;
  long sum = 0;
  {
    std::vector<std::jthread> consumers;
    for (int i = 0; i < 3; i++) {
      consumers.emplace_back([&] {
        for (;;) {
          std::unique_lock lock(mutex);
          not_empty.wait(lock, [&] { return closed || !queue.empty(); });
          if (queue.empty()) return;
          sum += queue.front();
          queue.pop_front();
        }
      });
    }
    for (int i = 1; i <= 3000; i++) {
      std::lock_guard lock(mutex);
      queue.push_back(i);
      not_empty.notify_one();
    }
    std::lock_guard lock(mutex);
    closed = true;
    not_empty.notify_all();
  }
  std::cout << "queue: " << sum << '\n';
  {
    std::unique_lock lock(mutex);
    std::condition_variable never;
    CHECK(!never.wait_for(lock, 20ms, [] { return false; }));
    CHECK(never.wait_until(lock, std::chrono::system_clock::now() + 20ms) == std::cv_status::timeout);
  }
  std::cout << "condition: times out\n";

  std::once_flag once;
  int runs = 0;
  run(8, [&](int) {
    std::call_once(once, [&] {
      std::this_thread::sleep_for(10ms);
      runs++;
    });
    CHECK(runs == 1);
  });
  std::cout << "call_once: " << runs << '\n';
}
