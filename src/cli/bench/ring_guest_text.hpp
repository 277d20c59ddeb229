// The guests of `weft bench`, in the text form of WebAssembly.
//
//   std::string text = ring_guest_text(1024, 64, 100);   // for Runtime::compile
//
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>

namespace weft::cli {

// The ring. Exports produce(n, mask) and consume(n, mask), the same as produce_wait and consume_wait, and
//   run(n, mask, wait, rally, touch) -> (elapsed_ns, sum, prod_spins, cons_spins, prod_parks, cons_parks)
// which starts the consumer as a second thread and produces itself; elapsed_ns is -1 when there was no second thread to be had.
// The elapsed time begins when both threads are there and ends when the consumer has the last item. `touch` bytes of the slots are written
// before; with `rally` both threads are on a core by then, as far as the operating system allows.
std::string ring_guest_text(std::uint64_t slots, std::uint64_t batch, std::uint64_t patience);

// Files. Exports run(threads, blocks) -> (elapsed_ns, errors): each thread writes `blocks` blocks to a file of its own in the
// directory that is its descriptor 3, and reads them back. An error is a call that failed or a block that was not what was written.
std::string file_guest_text();

inline constexpr std::uint64_t kFileThreadsMax = 64;
inline constexpr std::uint64_t kFileBlockBytes = 4096;
inline constexpr std::uint64_t kFileBlocks = 256;  // of each file; more are written from its beginning again

}  // namespace weft::cli
