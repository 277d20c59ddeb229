// A file that is read and written at places, without a position of its own and without buffers: one call of the operating system each.
//
//   Result<BlockFile> file = BlockFile::create("scratch");   // must not be there yet
//   file->write_at(0, bytes);
//   file->read_at(0, bytes);
//
// One thread at a time. Closed by its destructor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "weft/error.hpp"

namespace weft::platform {

class BlockFile {
 public:
  // Creates the file, for reading and writing. kPermission, kIo (also when there is one already).
  static Result<BlockFile> create(const std::filesystem::path& path);
  ~BlockFile();
  BlockFile(BlockFile&& other) noexcept;
  BlockFile& operator=(BlockFile&& other) noexcept;
  BlockFile(const BlockFile&) = delete;
  BlockFile& operator=(const BlockFile&) = delete;

  // In one call: kIo when that failed, or took or gave fewer bytes.
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> bytes);

 private:
  explicit BlockFile(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace weft::platform
