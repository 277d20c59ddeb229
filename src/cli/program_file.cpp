#include "cli/program_file.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

namespace weft::cli {
namespace {

constexpr std::string_view kNotPrecompiled = ": not made by weft compile, or damaged; compile the program again";

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

}  // namespace

std::string short_name(const std::string& path) {
  const std::string stem = std::filesystem::path(path).stem().string();
  return stem.empty() ? path : stem;
}

bool looks_precompiled(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return false;
  // The engine stores machine code in ELF files.
  std::array<char, 4> magic{};
  return std::fread(magic.data(), 1, magic.size(), file.get()) == magic.size() && std::memcmp(magic.data(),
                                                                                              "\x7f"
                                                                                              "ELF",
                                                                                              4) == 0;
}

Result<Module> load_program(const Runtime& runtime, const std::string& path, bool allow_precompiled) {
  if (!looks_precompiled(path)) {
    if (path.ends_with(".cwasm") && std::filesystem::is_regular_file(path)) {
      return fail(ErrorKind::kInvalidModule, path + std::string(kNotPrecompiled));
    }
    return runtime.load(path);
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
    const ErrorKind kind = error == ENOENT ? ErrorKind::kNotFound : error == EACCES ? ErrorKind::kPermission : ErrorKind::kIo;
    return fail(kind, fmt::format("{}: cannot be read: {}", path, std::generic_category().message(error)));
  }
  std::vector<std::uint8_t> bytes;
  std::array<std::uint8_t, 64 * 1024> chunk;
  while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
    bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(count));
  }
  if (std::ferror(file.get()) != 0) return fail(ErrorKind::kIo, fmt::format("{}: reading failed", path));
  return bytes;
}

}  // namespace weft::cli
