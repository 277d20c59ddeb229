// Files that weft makes.
//
//   Result<void> written = write_file("out.svg", std::as_bytes(std::span(text)));
//
// Any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "weft/error.hpp"

namespace weft::cli {

// Whole or not at all: written beside its final place, then renamed. kIo.
Result<void> write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

}  // namespace weft::cli
