#include "cli/write_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>

#include "platform/local_socket.hpp"

namespace weft::cli {

Result<void> write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::filesystem::path partial = path;
  partial += fmt::format(".{}.part", platform::process_id());
  std::error_code error;
  {
    std::ofstream stream(partial, std::ios::binary | std::ios::trunc);
    const bool opened = static_cast<bool>(stream);
    for (std::size_t at = 0; stream && at < bytes.size(); at += 1U << 20) {
      const std::size_t count = std::min<std::size_t>(1U << 20, bytes.size() - at);
      stream.write(reinterpret_cast<const char*>(bytes.data() + at), static_cast<std::streamsize>(count));
    }
    stream.close();
    if (!stream) {
      const int reason = errno;
      if (opened) std::filesystem::remove(partial, error);
      return fail(ErrorKind::kIo, fmt::format("{}: cannot be written: {}", path.string(), std::generic_category().message(reason)));
    }
  }
  std::filesystem::rename(partial, path, error);
  if (error) {
    const std::string reason = error.message();
    std::filesystem::remove(partial, error);
    return fail(ErrorKind::kIo, fmt::format("{}: cannot be written: {}", path.string(), reason));
  }
  return {};
}

}  // namespace weft::cli
