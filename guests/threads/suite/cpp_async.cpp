// Futures: async, deferred, promise, packaged_task, shared_future, time-outs; and a small thread pool on top.
#include "check.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <iostream>
#include <mutex>
#include <numeric>
#include <queue>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

static long sum_of(const std::vector<int>& numbers, size_t begin, size_t end) {
  if (end - begin < 2000) return std::accumulate(numbers.begin() + begin, numbers.begin() + end, 0L);
  size_t middle = begin + (end - begin) / 2;
  auto left = std::async(std::launch::async, sum_of, std::cref(numbers), begin, middle);
  long right = sum_of(numbers, middle, end);
  return left.get() + right;
}

class Pool {
 public:
  explicit Pool(int count) {
    for (int i = 0; i < count; i++) threads_.emplace_back([this] { work(); });
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }
  template <class Function>
  auto submit(Function function) {
    auto task = std::make_shared<std::packaged_task<decltype(function())()>>(std::move(function));
    auto future = task->get_future();
    {
      std::lock_guard lock(mutex_);
      tasks_.push([task] { (*task)(); });
    }
    changed_.notify_one();
    return future;
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      auto task = std::move(tasks_.front());
      tasks_.pop();
      lock.unlock();
      task();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<std::function<void()>> tasks_;
  bool closed_ = false;
  std::vector<std::jthread> threads_;  // last: joined before the rest goes
};

int main() {
  std::vector<int> numbers(50000);
  std::iota(numbers.begin(), numbers.end(), 1);
  std::cout << "async: " << sum_of(numbers, 0, numbers.size()) << '\n';

  std::thread::id here = std::this_thread::get_id();
  auto deferred = std::async(std::launch::deferred, [] { return std::this_thread::get_id(); });
  auto other = std::async(std::launch::async, [] { return std::this_thread::get_id(); });
  CHECK(deferred.wait_for(0s) == std::future_status::deferred);
  CHECK(deferred.get() == here && other.get() != here);
  std::cout << "deferred here, async elsewhere\n";

  std::promise<int> promise;
  std::shared_future<int> shared = promise.get_future().share();
  CHECK(shared.wait_for(20ms) == std::future_status::timeout);
  std::vector<std::future<int>> readers;
  for (int i = 0; i < 4; i++) readers.push_back(std::async(std::launch::async, [shared, i] { return shared.get() * i; }));
  promise.set_value(10);
  CHECK(shared.wait_for(60s) == std::future_status::ready);
  for (auto& reader : readers) std::cout << reader.get() << ' ';
  std::cout << '\n';

  std::promise<int> at_exit;
  auto from_thread = at_exit.get_future();
  std::thread([promise = std::move(at_exit)]() mutable { promise.set_value_at_thread_exit(3); }).detach();
  std::cout << "set at thread exit: " << from_thread.get() << '\n';

  Pool pool(4);
  std::vector<std::future<long long>> results;
  for (long long i = 0; i < 200; i++) {
    results.push_back(pool.submit([i] {
      long long product = 1;
      for (long long j = 1; j <= i % 15; j++) product *= j;
      return product;
    }));
  }
  long long total = 0;
  for (auto& result : results) total += result.get();
  std::cout << "pool: " << total << '\n';
}
