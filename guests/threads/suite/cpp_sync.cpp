// counting_semaphore, binary_semaphore, latch, barrier with a completion, atomic wait and notify.
#include "check.h"

#include <atomic>
#include <barrier>
#include <chrono>
#include <iostream>
#include <latch>
#include <semaphore>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

template <class Function>
void run(int count, Function function) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; i++) threads.emplace_back(function, i);
}

int main() {
  std::counting_semaphore<3> limit(3);
  std::atomic<int> inside = 0, most = 0;
  run(8, [&](int) {
    for (int i = 0; i < 100; i++) {
      limit.acquire();
      int now = ++inside, before = most;
      while (now > before && !most.compare_exchange_weak(before, now)) {
      }
      if (i % 10 == 0) std::this_thread::yield();
      --inside;
      limit.release();
    }
  });
  CHECK(most <= 3);
  std::cout << "counting_semaphore: never more than three\n";
  CHECK(limit.try_acquire() && limit.try_acquire() && limit.try_acquire() && !limit.try_acquire());
  auto start = std::chrono::steady_clock::now();
  CHECK(!limit.try_acquire_for(30ms));
  CHECK(std::chrono::steady_clock::now() - start >= 30ms);
  {
    std::jthread later([&] {
      std::this_thread::sleep_for(10ms);
      limit.release(3);
    });
    CHECK(limit.try_acquire_for(60s));
  }
  std::cout << "counting_semaphore: times out, and does not when released\n";

  std::binary_semaphore ping(0), pong(0);
  int rallies = 0;
  std::jthread player([&] {
    for (int i = 0; i < 1000; i++) {
      ping.acquire();
      rallies++;
      pong.release();
    }
  });
  for (int i = 0; i < 1000; i++) {
    ping.release();
    pong.acquire();
    CHECK(rallies == i + 1);
  }
  player.join();
  std::cout << "binary_semaphore: " << rallies << " rallies\n";

  std::latch ready(5), go(1);
  std::atomic<int> sum = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i <= 5; i++) {
      threads.emplace_back([&, i] {
        ready.count_down();
        go.wait();
        sum += i;
      });
    }
    ready.wait();
    CHECK(sum == 0);
    go.count_down();
  }
  CHECK(ready.try_wait());
  std::cout << "latch: " << sum << '\n';

  int phases = 0;
  std::vector<int> work(4);
  std::barrier meet(4, [&]() noexcept {
    phases++;
    for (int done : work) CHECK(done == phases);
  });
  run(4, [&](int i) {
    for (int phase = 0; phase < 100; phase++) {
      work[i]++;
      meet.arrive_and_wait();
    }
  });
  std::cout << "barrier: " << phases << " phases\n";
  std::barrier shrinking(3);
  run(3, [&](int i) {
    shrinking.arrive_and_wait();
    if (i == 0) {
      shrinking.arrive_and_drop();
      return;
    }
    shrinking.arrive_and_wait();
    shrinking.arrive_and_wait();
  });
  std::cout << "barrier: one left\n";

  std::atomic<int> turn = 0;
  run(3, [&](int i) {
    for (int round = 0; round < 300; round++) {
      int wanted = round * 3 + i;
      for (int now; (now = turn.load()) != wanted;) turn.wait(now);
      turn.store(wanted + 1);
      turn.notify_all();
    }
  });
  std::cout << "atomic wait: " << turn << " turns\n";
  std::atomic<unsigned char> small = 0;
  std::atomic<long long> large = 0;
  std::atomic_flag flag;
  {
    std::jthread waits([&] {
      small.wait(0);
      large.wait(0);
      flag.wait(false);
    });
    small = 1;
    small.notify_one();
    std::this_thread::sleep_for(5ms);
    large = 1;
    large.notify_one();
    std::this_thread::sleep_for(5ms);
    flag.test_and_set();
    flag.notify_one();
  }
  std::cout << "atomic wait on one byte, on eight and on a flag\n";
}
