// Threads of the operating system that write files and read them back: what the guest of file_guest_text() is held against.
//
//   Result<std::uint64_t> elapsed_ns = run_native_files("/tmp/somewhere", 4, 1000);
//
// Any thread; it blocks until all threads have ended.
#pragma once

#include <cstdint>
#include <filesystem>

#include "weft/error.hpp"

namespace weft::cli {

// Each of `threads` threads writes `blocks` blocks to a file of its own in `directory`, reads each back and compares it. The time from
// when all threads are there to when all are done. kIo when a call failed or a block was not what was written; kExhausted.
Result<std::uint64_t> run_native_files(const std::filesystem::path& directory, std::uint64_t threads, std::uint64_t blocks);

}  // namespace weft::cli
