// The program of a run: from the file to a module, with the clear refusals.
//
//   Result<Module> module = load_program(runtime, settings.program, settings.allow_precompiled);
//
// Blocks while it compiles. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weft/runtime.hpp"

namespace weft::cli {

// The file's last component, as guests are called for people: "app.wasm" -> "app".
std::string short_name(const std::string& path);

// Made by `weft compile`?
bool looks_precompiled(std::span<const std::uint8_t> bytes);

Result<Module> load_program(const Runtime& runtime, const std::string& path, bool allow_precompiled);

// All of a file, read once from its beginning to its end, so that a pipe will do. Of what cannot be a program only the beginning. kNotFound,
// kPermission, kIo (also for a directory).
Result<std::vector<std::uint8_t>> read_file(const std::string& path);

}  // namespace weft::cli
