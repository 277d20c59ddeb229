#include "platform/block_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace weft::platform {
namespace {

constexpr int kOwnerOnly = 0600;

std::unexpected<Error> io_error(std::string_view what, ssize_t done) {
  return fail(ErrorKind::kIo,
              std::string(what) + ": " + (done < 0 ? std::generic_category().message(errno) : "only a part was done"));
}

}  // namespace

Result<BlockFile> BlockFile::create(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly);
  if (fd < 0) {
    return fail(errno == EACCES || errno == EPERM ? ErrorKind::kPermission : ErrorKind::kIo,
                path.string() + ": cannot be made: " + std::generic_category().message(errno));
  }
  return BlockFile(fd);
}

BlockFile::~BlockFile() {
  if (fd_ >= 0) ::close(fd_);
}
BlockFile::BlockFile(BlockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
BlockFile& BlockFile::operator=(BlockFile&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Result<void> BlockFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const ssize_t done = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (done != static_cast<ssize_t>(bytes.size())) return io_error("writing", done);
  return {};
}

Result<void> BlockFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) {
  const ssize_t done = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (done != static_cast<ssize_t>(bytes.size())) return io_error("reading", done);
  return {};
}

}  // namespace weft::platform
