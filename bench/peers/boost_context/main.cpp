// The Boost.Context side of the benchmarks: what a stack switch costs natively, with no scheduler, no isolation and no preemption. It is
// the limit, not a competitor. One JSON object a line on standard output.
//
//   boost-context-peer switch --n 1000 --iterations 2000
//   boost-context-peer spawn --count 100000
#include <sys/mman.h>

#include <boost/context/fiber.hpp>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace {

namespace context = boost::context;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kStackBytes = 64 << 10;

// All stacks from one mapping. Their tops are staggered by cache lines, or they would all fall into the same cache sets.
class Stacks {
 public:
  explicit Stacks(std::size_t count) : bytes_(count * kStackBytes) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("boost-context-peer: mmap of the stacks");
      std::exit(1);
    }
    madvise(memory, bytes_, MADV_NOHUGEPAGE);
    base_ = static_cast<char*>(memory);
  }
  ~Stacks() { munmap(base_, bytes_); }
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  context::preallocated at(std::size_t index) const {
    context::stack_context stack;
    stack.size = kStackBytes - (index % 48) * 64;
    stack.sp = base_ + index * kStackBytes + stack.size;
    return context::preallocated(stack.sp, stack.size, stack);
  }

 private:
  std::size_t bytes_;
  char* base_ = nullptr;
};

// The stacks belong to Stacks: nothing to allocate or free.
struct Borrowed {
  using traits_type = context::stack_traits;
  context::stack_context allocate() { return {}; }
  void deallocate(context::stack_context&) noexcept {}
};

void report(const char* bench, const char* kind, long n, double value, const char* unit) {
  std::printf("{\"system\":\"boost\",\"bench\":\"%s\",\"case\":\"%s\",\"n\":%ld,\"value\":%.3f,\"unit\":\"%s\"}\n", bench, kind, n,
              value, unit);
}

void run_switch(long n, long iterations) {
  Stacks stacks(static_cast<std::size_t>(n));
  std::vector<context::fiber> fibers;
  bool stop = false;
  for (long i = 0; i < n; ++i) {
    fibers.emplace_back(std::allocator_arg, stacks.at(static_cast<std::size_t>(i)), Borrowed{}, [&stop](context::fiber&& caller) {
      while (!stop) caller = std::move(caller).resume();
      return std::move(caller);
    });
  }
  for (context::fiber& fiber : fibers) fiber = std::move(fiber).resume();
  const Clock::time_point start = Clock::now();
  for (long k = 0; k < iterations; ++k) {
    for (context::fiber& fiber : fibers) fiber = std::move(fiber).resume();
  }
  const double ns = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
  stop = true;
  for (context::fiber& fiber : fibers) fiber = std::move(fiber).resume();
  report("switch", "yield", n, ns / static_cast<double>(n * iterations), "ns");
}

void run_spawn(long count) {
  Stacks stacks(64);
  long ran = 0;
  const Clock::time_point start = Clock::now();
  for (long i = 0; i < count; ++i) {
    context::fiber fiber(std::allocator_arg, stacks.at(static_cast<std::size_t>(i % 64)), Borrowed{},
                         [&ran](context::fiber&& caller) {
                           ++ran;
                           return std::move(caller);
                         });
    fiber = std::move(fiber).resume();
  }
  const double us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  if (ran != count) std::exit(1);
  report("spawn", "empty", 1, us / static_cast<double>(count), "us");
}

long option(int argc, char** argv, const char* name, long otherwise) {
  for (int i = 2; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], name) == 0) return std::atol(argv[i + 1]);
  }
  return otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const char* bench = argc > 1 ? argv[1] : "";
  if (std::strcmp(bench, "switch") == 0) {
    run_switch(option(argc, argv, "--n", 1000), option(argc, argv, "--iterations", 1000));
  } else if (std::strcmp(bench, "spawn") == 0) {
    run_spawn(option(argc, argv, "--count", 100000));
  } else {
    std::fputs("boost-context-peer: say which benchmark: switch or spawn\n", stderr);
    return 2;
  }
  return 0;
}
