#include "cli/program_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

namespace weft::cli {
namespace {

constexpr std::string_view kNotPrecompiled = ": not made by weft compile, or damaged; compile the program again";

constexpr std::size_t kProgramBytesMax = 1U << 30;

bool begins_with(std::span<const std::uint8_t> bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

// Neither WebAssembly nor machine code by its first bytes, nor text.
bool is_no_program(std::span<const std::uint8_t> bytes) {
  return !begins_with(bytes, std::string_view("\0asm", 4)) && !looks_precompiled(bytes) &&
         std::ranges::find(bytes, std::uint8_t{0}) != bytes.end();
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

}  // namespace

std::string short_name(const std::string& path) {
  const std::string stem = std::filesystem::path(path).stem().string();
  return stem.empty() ? path : stem;
}

bool looks_precompiled(std::span<const std::uint8_t> bytes) {
  // The engine stores machine code in ELF files.
  return begins_with(bytes,
                     "\x7f"
                     "ELF");
}

Result<Module> load_program(const Runtime& runtime, const std::string& path, bool allow_precompiled) {
  const Result<std::vector<std::uint8_t>> bytes = read_file(path);
  if (!bytes) return std::unexpected(bytes.error());
  if (!looks_precompiled(*bytes)) {
    if (path.ends_with(".cwasm")) return fail(ErrorKind::kInvalidModule, path + std::string(kNotPrecompiled));
    Result<Module> module = runtime.compile(*bytes, std::filesystem::path(path).filename().string());
    if (!module) module.error().message = fmt::format("{}: {}", path, module.error().message);
    return module;
  }
  if (!allow_precompiled) {
    return fail(ErrorKind::kBadArgument,
                fmt::format("{}: is precompiled, which is native code that nobody checks; if you made it yourself, run it "
                            "with --allow-precompiled",
                            path));
  }
  Result<Module> module = runtime.load_precompiled(path);
  if (!module && module.error().kind == ErrorKind::kBadArgument) {
    return fail(ErrorKind::kInvalidModule, path + std::string(kNotPrecompiled), module.error().message);
  }
  return module;
}

Result<std::vector<std::uint8_t>> read_file(const std::string& path) {
  if (std::error_code ignored; std::filesystem::is_directory(path, ignored)) {
    return fail(ErrorKind::kIo, fmt::format("{}: is a directory, not a program", path));
  }
  const File file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) {
    const int error = errno;
    if (error == ENOENT) return fail(ErrorKind::kNotFound, path + ": there is no such file");
    return fail(error == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                fmt::format("{}: cannot be read: {}", path, std::generic_category().message(error)));
  }
  std::vector<std::uint8_t> bytes;
  std::array<std::uint8_t, 64 * 1024> chunk;
  while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
    bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(count));
    // What is no program may have no end (/dev/zero): its beginning is enough to be refused.
    if (bytes.size() == count && is_no_program(bytes)) return bytes;
    if (bytes.size() > kProgramBytesMax) {
      return fail(ErrorKind::kInvalidModule, fmt::format("{}: is larger than {}", path, format_size(kProgramBytesMax)));
    }
  }
  if (std::ferror(file.get()) != 0) return fail(ErrorKind::kIo, path + ": reading it failed");
  return bytes;
}

}  // namespace weft::cli
