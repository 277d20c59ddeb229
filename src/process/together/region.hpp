// RegionState: behind weft::SharedRegion and the handles of guests.
//
// Waits are FutexQueues (sync/futex_queue.hpp), the very code of guest threads' futexes: the comparison and the queueing are one step with respect to notify. Each
// region has queues of its own, since it may outlive its runtime.
//
// The bytes are only touched by atomic operations: words for what is aligned, single bytes at the ends of a copy. A word and a part of it are accessed by operations of
// different sizes, as guests do to shared memory; C++ has no words for that, machines do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "base/atomic.hpp"
#include "process/together/budget.hpp"
#include "process/together/shareable.hpp"
#include "sync/futex_queue.hpp"
#include "sync/sleeper.hpp"
#include "weft/error.hpp"
#include "weft/shared_region.hpp"

namespace weft::detail {

// One wait, in the queue and out of it. Counted: by its operation, and by a notify that is about to wake it.
struct RegionWaiter {
  explicit RegionWaiter(sync::Sleeper who) : sleeper(who) {}

  // By notify, when it takes the entry out of the queue: who waits is alive until then, and has to be until it is woken.
  void retain() {
    sleeper.retain();
    references.fetch_add(1, std::memory_order_relaxed);
  }
  void release() {
    sleeper.release();
    drop();
  }
  void wake() const { sleeper.wake(); }
  // The operation's own reference, which does not keep who waits.
  void drop() {
    // Release what this owner did; acquire, by the last one, what all others did.
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  const sync::Sleeper sleeper;
  sync::FutexEntry<RegionWaiter> entry;
  base::atomic<std::uint32_t> references{1};
};

class RegionState final : public process::Shareable {
 public:
  // Null: nobody.
  using Payers = std::array<std::shared_ptr<process::Budget>, 2>;

  // kBadArgument: the size. kExhausted: a payer's bound, or the machine.
  static Result<std::shared_ptr<RegionState>> make(std::uint64_t bytes, const Payers& payers = {});

  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  using Memory = std::unique_ptr<std::byte, Free>;
  RegionState(Memory memory, std::uint64_t bytes, Payers payers, std::uint64_t seed);
  ~RegionState() override;

  std::uint64_t size() const { return bytes_; }
  bool has(std::uint64_t offset, std::uint64_t size) const { return offset <= bytes_ && size <= bytes_ - offset; }
  bool has_word(std::uint64_t offset, std::uint32_t width) const { return offset % width == 0 && has(offset, width); }

  // All of it inside: the caller has looked.
  void read(std::uint64_t offset, std::span<std::byte> to) const;
  void write(std::uint64_t offset, std::span<const std::byte> from);
  template <RegionWord Word>
  Word* word(std::uint64_t offset) const {
    return reinterpret_cast<Word*>(memory_.get() + offset);
  }

  // False: the word has another value, and nothing was done.
  bool enqueue(RegionWaiter& waiter, std::uint64_t offset, std::uint64_t expected, std::uint32_t width);
  bool withdraw(RegionWaiter& waiter) { return queues_.withdraw(waiter.entry); }
  std::uint32_t notify(std::uint64_t offset, std::uint32_t count) { return queues_.notify(memory_.get() + offset, count); }
  std::size_t waiting(std::uint64_t offset) const { return queues_.waiting(memory_.get() + offset); }

 private:
  static constexpr std::uint32_t kBuckets = 16;  // 2 KiB of them

  const Memory memory_;
  const std::uint64_t bytes_;
  const Payers payers_;
  sync::FutexQueues<RegionWaiter> queues_;
};

}  // namespace weft::detail
