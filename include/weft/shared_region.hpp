// Shared regions: memory that chosen processes, and the host, have in common.
//
//   weft::Result<weft::SharedRegion> region = weft::open_region(runtime, "frames", 1 << 20);
//   (void)region->write(64, bytes);
//   (void)region->add<std::uint32_t>(0, 1);              // the word at offset 0, in one step
//   (void)region->notify(0);
//   …
//   weft::SharedRegion::Wait changed = region->wait<std::uint32_t>(0, 7);   // as long as the word at 0 is 7
//   weft::Result<weft::RegionWake> why = co_await changed;
//
// All bytes are 0 at first. Words are as the guest has them: little-endian, 32 or 64 bits, at offsets that are multiples of their size; what is done to one is one step,
// sequentially consistent. Reads and writes of bytes may run at the same time as anything else: none of it is undefined, but a copy is not one step. What order it
// needs comes from the words beside it.
//
// A wait is over when somebody notifies its offset; whoever changes a word first and notifies then is never missed. A waiter that is dropped (killed, cancelled) before
// it could go on passes its wake-up to the next one; so a wait may end without cause. Look at the word again.
//
// A handle: copy it freely, use it from any thread. The region lives as long as somebody has it: a handle of the host or of a guest, a wait. Guests reach it by
// calls (import module weft_region, weft/region.h), since each has its own memory.
//
// Offsets and sizes are bytes. What does not lie inside, or is not aligned, is kBadArgument, and nothing is done; so is everything on a handle of nothing.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "weft/error.hpp"
#include "weft/units.hpp"
#include "weft/waitable.hpp"

namespace weft {

class Runtime;

enum class RegionWake : std::uint8_t {
  kWoken,
  kNotEqual,  // the word has another value
  kTimedOut,
};

template <class T>
concept RegionWord = std::same_as<T, std::uint32_t> || std::same_as<T, std::uint64_t>;

namespace detail {
class RegionState;
struct RegionWaiter;

class RegionWait : public Operation {
 public:
  RegionWait(std::shared_ptr<RegionState> state, std::uint64_t offset, std::uint64_t expected, std::uint32_t width, Duration bound);
  ~RegionWait() override;

 protected:
  bool begin(const sync::Sleeper& sleeper) final;
  bool done() final;
  void expire() final;
  const char* reason() const noexcept final { return "shared region"; }
  Result<RegionWake> take() const;

 private:
  const std::shared_ptr<RegionState> state_;
  const std::uint64_t offset_;
  const std::uint64_t expected_;
  const std::uint32_t width_;
  RegionWaiter* waiter_ = nullptr;  // counted
  std::optional<RegionWake> outcome_{};
};
}  // namespace detail

class SharedRegion {
 public:
  static constexpr std::uint64_t kBytesMax = 1ULL << 30;

  SharedRegion() = default;  // of nothing
  explicit operator bool() const noexcept { return state_ != nullptr; }

  std::uint64_t size() const noexcept;  // 0: of nothing

  Result<void> read(std::uint64_t offset, std::span<std::byte> to) const;
  Result<void> write(std::uint64_t offset, std::span<const std::byte> from) const;

  template <RegionWord Word>
  Result<Word> load(std::uint64_t offset) const;
  template <RegionWord Word>
  Result<void> store(std::uint64_t offset, Word value) const;
  // These answer with what was there before.
  template <RegionWord Word>
  Result<Word> add(std::uint64_t offset, Word value) const;
  template <RegionWord Word>
  Result<Word> and_with(std::uint64_t offset, Word value) const;
  template <RegionWord Word>
  Result<Word> or_with(std::uint64_t offset, Word value) const;
  template <RegionWord Word>
  Result<Word> exchange(std::uint64_t offset, Word value) const;
  // Stores `desired` if `expected` was there.
  template <RegionWord Word>
  Result<Word> compare_exchange(std::uint64_t offset, Word expected, Word desired) const;

  class [[nodiscard]] Wait final : public detail::RegionWait {
   public:
    using RegionWait::RegionWait;
    Result<RegionWake> await_resume() const { return take(); }
    // Parks the calling thread instead of a task. Never on a worker (asserted).
    Result<RegionWake> block() {
      run_blocking();
      return await_resume();
    }
  };
  // Parks as long as the word has the value, until it is notified.
  template <RegionWord Word>
  Wait wait(std::uint64_t offset, Word expected, Duration bound = kForever) const {
    return {state_, offset, expected, sizeof(Word), bound};
  }
  // Wakes up to `count` of those that wait for the word at the offset (a multiple of 4), the longest waiting first. How many. Never parks.
  Result<std::uint32_t> notify(std::uint64_t offset, std::uint32_t count = UINT32_MAX) const;

  explicit SharedRegion(std::shared_ptr<detail::RegionState> state) : state_(std::move(state)) {}
  const std::shared_ptr<detail::RegionState>& state() const noexcept { return state_; }

 private:
  std::shared_ptr<detail::RegionState> state_;
};

// One without a name, of the host; no runtime's bound counts it. kBadArgument: 0 bytes, or more than SharedRegion::kBytesMax. kExhausted: the machine has no such room.
// Any thread.
Result<SharedRegion> make_shared_region(std::uint64_t bytes);

// The region of that name, made if nobody has it. Any thread. kBadArgument: as above; others have it with another size; a name of no bytes or of more
// than 255. kExhausted: RuntimeOptions::regions_bytes_max, 16,384 names, or the machine.
Result<SharedRegion> open_region(const Runtime& runtime, std::string_view name, std::uint64_t bytes);

}  // namespace weft
