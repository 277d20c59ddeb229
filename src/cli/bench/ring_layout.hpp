// The ring that guests and native threads pass items through, as it lies in memory; the same for both, to the byte.
//
//    0 u32 head         items that were put in; the producer's
//    4 u32 tail         items that were taken out; the consumer's
//    8 u64 sum          of all items, left by the consumer at its end
//   16 u64 prod_spins   how often the producer looked and found the ring full
//   24 u64 cons_spins   how often the consumer looked and found it empty
//   32 u32 data[slots]  item i (1, 2, … n) in data[(i - 1) & mask], mask = slots - 1
//
// slots is a power of two, head - tail is never more than slots, and one thread writes each index. Both count on and wrap at 2^32. Each
// side keeps its own index, and the other's as last seen, in registers: it looks again only when what it knows is used up, and publishes its own once
// for each batch. Constant data, any thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft::cli {

struct RingLayout {
  static constexpr std::uint64_t kHead = 0;
  static constexpr std::uint64_t kTail = 4;
  static constexpr std::uint64_t kSum = 8;
  static constexpr std::uint64_t kProdSpins = 16;
  static constexpr std::uint64_t kConsSpins = 24;
  static constexpr std::uint64_t kData = 32;

  static constexpr std::uint64_t kSlotsMin = 2;
  // The next power of two would not fit into the 4 GiB of a guest's memory.
  static constexpr std::uint64_t kSlotsMax = 1U << 29;
  static constexpr std::uint64_t kItemsMax = 0x7fff'ffff;
  // Where threads meet before and after, behind the data.
  static constexpr std::uint64_t kControlBytes = 512;
  // How often the rings that wait look before they do, if nothing else is asked for.
  static constexpr std::uint64_t kUsualPatience = 100;

  static constexpr std::uint64_t bytes(std::uint64_t slots) { return kData + 4 * slots; }
  // An eighth of the ring: both sides have something to do, and the native ring is as fast as with any other. More than 1024 brings nothing.
  static constexpr std::uint64_t usual_batch(std::uint64_t slots) { return std::clamp<std::uint64_t>(slots / 8, 1, 1024); }
  static constexpr std::uint64_t sum_of(std::uint64_t items) { return items * (items + 1) / 2; }
};

}  // namespace weft::cli
