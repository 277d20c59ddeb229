// thread_local objects: built when a thread first uses them, destroyed when it ends, in the opposite order; static ones are built once.
#include "check.h"

#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

static std::atomic<int> built = 0, destroyed = 0;
struct Counted {
  explicit Counted(int start) : value(start) { built++; }
  ~Counted() { destroyed++; }
  int value;
};
static thread_local Counted counted(10);

static std::mutex mutex;
static std::vector<std::string> order;
struct Named {
  explicit Named(const char* text) : name(text) {}
  ~Named() {
    std::lock_guard lock(mutex);
    order.push_back(name);
  }
  std::string name;
};

static std::atomic<int> static_built = 0;
static int once() {
  struct Slow {
    Slow() {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      static_built++;
    }
    int value = 99;
  };
  static Slow slow;
  return slow.value;
}

int main() {
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 5; i++) {
      threads.emplace_back([i] {
        CHECK(counted.value == 10);
        counted.value += i;
        CHECK(counted.value == 10 + i);
      });
    }
    threads.emplace_back([] {});  // does not use it
  }
  std::cout << "built " << built << ", destroyed " << destroyed << '\n';
  counted.value++;
  std::cout << "in main " << counted.value << ", built " << built << '\n';

  std::thread([] {
    thread_local Named first("first");
    thread_local Named second("second");
    CHECK(first.name != second.name);
  }).join();
  for (const auto& name : order) std::cout << name << ' ';
  std::cout << '\n';

  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; i++) threads.emplace_back([] { CHECK(once() == 99); });
  }
  std::cout << "a static object, used by six at once: built " << static_built << " time\n";
}
