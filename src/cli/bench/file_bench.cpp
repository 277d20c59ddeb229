#include "cli/bench/file_bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

#include "cli/bench/ring_guest_text.hpp"
#include "platform/block_file.hpp"

namespace weft::cli {
namespace {

using Block = std::array<std::uint32_t, kFileBlockBytes / sizeof(std::uint32_t)>;

// Words that no other thread's block and no other block has; as the guest makes them.
void make_block(Block& block, std::uint64_t thread, std::uint64_t number) {
  std::uint32_t value = static_cast<std::uint32_t>(number) * 0x9e37'79b1U + static_cast<std::uint32_t>(thread);
  for (std::uint32_t& word : block) {
    word = value;
    value += 0x10001U;
  }
}

Result<void> work(const std::filesystem::path& path, std::uint64_t thread, std::uint64_t blocks) {
  Result<platform::BlockFile> file = platform::BlockFile::create(path);
  if (!file) return std::unexpected(file.error());
  Block wanted{};
  Block found{};
  for (std::uint64_t first = 0; first < blocks; first += kFileBlocks) {
    const std::uint64_t end = std::min(blocks, first + kFileBlocks);
    for (std::uint64_t block = first; block < end; ++block) {
      make_block(wanted, thread, block);
      if (Result<void> done = file->write_at(block % kFileBlocks * kFileBlockBytes, std::as_bytes(std::span(wanted))); !done)
        return done;
    }
    for (std::uint64_t block = first; block < end; ++block) {
      make_block(wanted, thread, block);
      if (Result<void> done = file->read_at(block % kFileBlocks * kFileBlockBytes, std::as_writable_bytes(std::span(found)));
          !done) {
        return done;
      }
      if (found != wanted) return fail(ErrorKind::kIo, fmt::format("block {} is not what was written", block));
    }
  }
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  return {};
}

}  // namespace

Result<std::uint64_t> run_native_files(const std::filesystem::path& directory, std::uint64_t threads, std::uint64_t blocks) {
  std::mutex mutex;
  std::optional<Error> failure;  // under mutex: the first one
  const auto one = [&](std::uint64_t thread) {
    Result<void> done = work(directory / fmt::format("f{:02}", thread), thread, blocks);
    const std::lock_guard lock(mutex);
    if (!done && !failure) failure = std::move(done.error());
  };
  std::barrier there(static_cast<std::ptrdiff_t>(threads));
  std::chrono::steady_clock::time_point begun;
  {
    std::vector<std::jthread> others;
    try {
      for (std::uint64_t thread = 1; thread < threads; ++thread) {
        others.emplace_back([&, thread] {
          there.arrive_and_wait();
          one(thread);
        });
      }
    } catch (const std::system_error& error) {
      // Those that are there wait for all.
      for (std::uint64_t missing = others.size(); missing < threads; ++missing) there.arrive_and_drop();
      return fail(ErrorKind::kExhausted, fmt::format("there are no {} threads to be had: {}", threads, error.what()));
    }
    begun = std::chrono::steady_clock::now();
    there.arrive_and_wait();
    one(0);
  }
  const auto elapsed = std::chrono::steady_clock::now() - begun;
  if (failure) return std::unexpected(*failure);
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(elapsed).count());
}

}  // namespace weft::cli
