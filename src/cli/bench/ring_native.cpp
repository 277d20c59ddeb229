#include "cli/bench/ring_native.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>

#include "cli/bench/ring_layout.hpp"

namespace weft::cli {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::align_val_t kAlignment{4096};  // as a guest's memory

// RingLayout, as C++ sees it. Head and tail have to share a cache line: so says the layout.
struct Ring {
  // Writer: the producer. Reader: the consumer, with acquire; what is published are the slots before it.
  std::atomic<std::uint32_t> head;
  // Writer: the consumer. Reader: the producer, with acquire; what is published is that the slots before it may be written again.
  std::atomic<std::uint32_t> tail;
  std::uint64_t sum;
  std::uint64_t prod_spins;
  std::uint64_t cons_spins;
  std::uint32_t* data() { return reinterpret_cast<std::uint32_t*>(this + 1); }
};
static_assert(offsetof(Ring, tail) == RingLayout::kTail && offsetof(Ring, sum) == RingLayout::kSum &&
              offsetof(Ring, prod_spins) == RingLayout::kProdSpins && offsetof(Ring, cons_spins) == RingLayout::kConsSpins &&
              sizeof(Ring) == RingLayout::kData && std::atomic<std::uint32_t>::is_always_lock_free);

// Where the two meet, each word on a line of its own.
struct Meeting {
  alignas(kLine) std::atomic<std::uint32_t> back{0};  // writer: the consumer. Reader: the producer. Publishes nothing
  alignas(kLine) std::atomic<std::uint32_t> ball{0};  // writer: the producer. Reader: the consumer. Publishes nothing
  alignas(kLine) std::atomic<std::uint32_t> done{0};  // writer: the consumer. Reader: the producer. Publishes sum and cons_spins
  alignas(kLine) std::atomic<std::uint32_t> prod_waits{0};  // writer: the producer. Reader: the consumer, after it has published
  alignas(kLine) std::atomic<std::uint32_t> cons_waits{0};  // writer: the consumer. Reader: the producer, after it has published
  alignas(kLine) std::uint64_t prod_parks = 0;
  std::uint64_t cons_parks = 0;
  std::uint64_t elapsed_ns = 0;
};

struct Freer {
  void operator()(std::byte* bytes) const { ::operator delete(bytes, kAlignment); }
};

// How far a batch may go: to the last item, to `bound`, to the end of the batch, to the end of the array.
std::uint32_t end_of_batch(std::uint32_t items, std::uint32_t at, std::uint32_t bound, std::uint32_t batch, std::uint32_t mask) {
  return std::min(std::min(items, bound), std::min(at + batch, (at | mask) + 1));
}

void publish(std::atomic<std::uint32_t>& index, std::uint32_t value, std::atomic<std::uint32_t>* waits) {
  if (waits == nullptr) {
    index.store(value, std::memory_order_release);  // pairs with the other side's acquire
    return;
  }
  // Who waits says so and then looks once more; who publishes looks afterwards whether somebody said so. One of the two sees
  // the other, because all four are seq_cst.
  index.store(value);
  if (waits->load() != 0) index.notify_one();
}

// Counts the looks at `index` that find what was known already, and waits after `patience` of them.
class Watch {
 public:
  // `waits` is null for a ring that never waits.
  Watch(std::atomic<std::uint32_t>& index, std::atomic<std::uint32_t>* waits, std::uint64_t patience)
      : index_(index), waits_(waits), patience_(patience) {}

  template <class Useful>
  std::uint32_t until(Useful useful) {
    std::uint64_t looks = 0;
    while (true) {
      const std::uint32_t value = index_.load(std::memory_order_acquire);  // pairs with publish()
      if (useful(value)) return value;
      ++spins;
      if (waits_ == nullptr) {
        std::this_thread::yield();
      } else if (++looks >= patience_) {
        waits_->store(1);
        if (index_.load() == value) {
          ++parks;
          index_.wait(value);
        }
        waits_->store(0);
        looks = 0;
      }
    }
  }

  std::uint64_t spins = 0;
  std::uint64_t parks = 0;

 private:
  std::atomic<std::uint32_t>& index_;
  std::atomic<std::uint32_t>* waits_;
  std::uint64_t patience_;
};

void produce(Ring& ring, Meeting& meeting, const RingShape& shape) {
  const auto items = static_cast<std::uint32_t>(shape.items);
  const auto mask = static_cast<std::uint32_t>(shape.slots - 1);
  const auto batch = static_cast<std::uint32_t>(shape.batch);
  std::uint32_t* const data = ring.data();
  std::uint32_t head = 0;
  std::uint32_t tail = 0;
  Watch watch(ring.tail, shape.wait ? &meeting.prod_waits : nullptr, shape.patience);
  while (head != items) {
    if (head - tail > mask) tail = watch.until([&](std::uint32_t seen) { return head - seen <= mask; });
    const std::uint32_t end = end_of_batch(items, head, tail + mask + 1, batch, mask);
    for (std::uint32_t* slot = data + (head & mask); head != end; ++slot) *slot = ++head;
    publish(ring.head, head, shape.wait ? &meeting.cons_waits : nullptr);
  }
  ring.prod_spins = watch.spins;
  meeting.prod_parks = watch.parks;
}

void consume(Ring& ring, Meeting& meeting, const RingShape& shape) {
  const auto items = static_cast<std::uint32_t>(shape.items);
  const auto mask = static_cast<std::uint32_t>(shape.slots - 1);
  const auto batch = static_cast<std::uint32_t>(shape.batch);
  const std::uint32_t* const data = ring.data();
  std::uint32_t head = 0;
  std::uint32_t tail = 0;
  std::uint64_t sum = 0;
  Watch watch(ring.head, shape.wait ? &meeting.cons_waits : nullptr, shape.patience);
  while (tail != items) {
    if (head == tail) head = watch.until([&](std::uint32_t seen) { return seen != tail; });
    const std::uint32_t end = end_of_batch(items, tail, head, batch, mask);
    for (const std::uint32_t* slot = data + (tail & mask); tail != end; ++slot, ++tail) sum += *slot;
    publish(ring.tail, tail, shape.wait ? &meeting.prod_waits : nullptr);
  }
  ring.sum = sum;
  ring.cons_spins = watch.spins;
  meeting.cons_parks = watch.parks;
}

std::uint64_t nanoseconds_since(std::chrono::steady_clock::time_point begun) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(std::chrono::steady_clock::now() - begun).count());
}

// As the guest does it: two threads are not at work before both have a core. They play ball until that is quick, or has been
// tried for long enough. The last ball means go.
constexpr std::uint32_t kGo = 0xffff'ffff;
constexpr int kRallyRounds = 20;
constexpr std::uint64_t kRallyQuickNs = 50'000;
constexpr std::uint64_t kRallyNsMax = 100'000'000;

void await_word(const std::atomic<std::uint32_t>& word, std::uint32_t wanted) {
  while (word.load(std::memory_order_acquire) != wanted) std::this_thread::yield();  // pairs with whoever says so
}

void rally(Meeting& meeting) {
  const auto met = std::chrono::steady_clock::now();
  std::uint32_t ball = 0;
  while (true) {
    const auto begun = std::chrono::steady_clock::now();
    for (int round = 0; round < kRallyRounds; ++round) {
      meeting.ball.store(++ball, std::memory_order_release);
      // Without a yield: with it, two threads on one core would be quick, too.
      while (meeting.back.load(std::memory_order_acquire) != ball) {
      }
    }
    if (nanoseconds_since(begun) <= kRallyQuickNs || nanoseconds_since(met) >= kRallyNsMax) return;
  }
}

void return_balls(Meeting& meeting) {
  std::uint32_t last = 0;
  while (last != kGo) {
    const std::uint32_t ball = meeting.ball.load(std::memory_order_acquire);
    if (ball == last) continue;
    last = ball;
    meeting.back.store(ball, std::memory_order_release);
  }
}

}  // namespace

Result<RingFigures> run_native_ring(const RingShape& shape, Start start) {
  const std::size_t size = RingLayout::bytes(shape.slots);
  const std::unique_ptr<std::byte, Freer> memory(static_cast<std::byte*>(::operator new(size, kAlignment, std::nothrow)));
  if (!memory) return fail(ErrorKind::kExhausted, fmt::format("there is no memory for {} slots", shape.slots));
  Ring& ring = *new (memory.get()) Ring{};
  // Pages of slots that will be used have been touched by the time that a warm ring begins.
  if (start == Start::kWarm) std::memset(ring.data(), 0, 4 * std::min(shape.slots, shape.items));

  Meeting meeting;
  const auto begun = std::chrono::steady_clock::now();
  {
    std::jthread consumer;
    std::jthread producer;
    try {
      consumer = std::jthread([&] {
        if (start == Start::kWarm) return_balls(meeting);
        consume(ring, meeting, shape);
        meeting.done.store(1, std::memory_order_release);  // pairs with the producer's await_word
        if (shape.wait) meeting.done.notify_one();
      });
    } catch (const std::system_error& error) {
      return fail(ErrorKind::kExhausted, fmt::format("there is no thread to be had: {}", error.what()));
    }
    try {
      producer = std::jthread([&] {
        if (start == Start::kCold) {
          produce(ring, meeting, shape);
          return;
        }
        rally(meeting);
        const auto met = std::chrono::steady_clock::now();
        meeting.ball.store(kGo, std::memory_order_release);
        produce(ring, meeting, shape);
        if (shape.wait)
          meeting.done.wait(0, std::memory_order_acquire);
        else
          await_word(meeting.done, 1);
        meeting.elapsed_ns = nanoseconds_since(met);
      });
    } catch (const std::system_error& error) {
      // The consumer would wait for ever: it is given its items here.
      meeting.ball.store(kGo, std::memory_order_release);
      produce(ring, meeting, shape);
      return fail(ErrorKind::kExhausted, fmt::format("there is no second thread to be had: {}", error.what()));
    }
  }
  if (start == Start::kCold) meeting.elapsed_ns = nanoseconds_since(begun);
  return RingFigures{.elapsed_ns = meeting.elapsed_ns,
                     .sum = ring.sum,
                     .prod_spins = ring.prod_spins,
                     .cons_spins = ring.cons_spins,
                     .prod_parks = meeting.prod_parks,
                     .cons_parks = meeting.cons_parks};
}

}  // namespace weft::cli
