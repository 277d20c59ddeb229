// What is expected of generated modules, and how a process ended, in the same words: expected.txt, as tests/fuzz/reference and tests/conformance/wast write it.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "weft/weft.hpp"

namespace weft::testing {

struct Expected {
  std::string module;
  std::string function;
  std::string outcome;  // as in expected.txt: "returned\ti32:…", "trapped\tunreachable", "stack-overflow", "invalid"
};

inline std::vector<Expected> read_expected(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Expected> all;
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t module_end = line.find('\t');
    const std::size_t function_end = line.find('\t', module_end + 1);
    if (module_end == std::string::npos || function_end == std::string::npos) {
      ADD_FAILURE() << path << ": a line of another format: " << line;
      break;
    }
    all.push_back(
        {line.substr(0, module_end), line.substr(module_end + 1, function_end - module_end - 1), line.substr(function_end + 1)});
  }
  return all;
}

inline std::string show(const Value& value) {
  char text[48];
  switch (type_of(value)) {
    case ValueType::kI32:
      std::snprintf(text, sizeof text, "i32:%08" PRIx32, std::bit_cast<std::uint32_t>(std::get<std::int32_t>(value)));
      break;
    case ValueType::kI64:
      std::snprintf(text, sizeof text, "i64:%016" PRIx64, std::bit_cast<std::uint64_t>(std::get<std::int64_t>(value)));
      break;
    case ValueType::kF32:
      std::snprintf(text, sizeof text, "f32:%08" PRIx32, std::bit_cast<std::uint32_t>(std::get<float>(value)));
      break;
    case ValueType::kF64:
      std::snprintf(text, sizeof text, "f64:%016" PRIx64, std::bit_cast<std::uint64_t>(std::get<double>(value)));
      break;
    case ValueType::kV128: {
      std::string hexadecimal = "v128:";
      const Vector128& bytes = std::get<Vector128>(value);
      for (std::size_t index = bytes.size(); index-- > 0;) {
        std::snprintf(text, sizeof text, "%02x", std::to_integer<unsigned>(bytes[index]));
        hexadecimal += text;
      }
      return hexadecimal;
    }
  }
  return text;
}

// In the words of expected.txt.
inline std::string show(const ExitStatus& status) {
  switch (status.kind) {
    case ExitKind::kReturned: {
      std::string text = "returned\t";
      for (std::size_t index = 0; index < status.results.size(); ++index)
        text += (index > 0 ? " " : "") + show(status.results[index]);
      return text;
    }
    case ExitKind::kTrapped:
      return "trapped\t" + status.message.substr(0, status.message.find(" (memory fault"));
    case ExitKind::kLimitReached:
      if (status.limit && status.limit->kind == LimitKind::kStack) return "stack-overflow";
      if (status.limit && status.limit->kind == LimitKind::kMemory) return "memory-limit";
      return "limit\t" + status.message;
    case ExitKind::kExited:
    case ExitKind::kKilled:
    case ExitKind::kFailed:
    case ExitKind::kDeadlocked:
      break;
  }
  return std::string(name_of(status.kind)) + "\t" + status.message;
}

inline std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace weft::testing
