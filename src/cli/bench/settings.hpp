// What a call of `weft bench` asks for. Plain data; filled by the flags of bench_flags.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace weft::cli {

struct BenchSettings {
  std::uint64_t items = 1'000'000;
  std::optional<std::uint64_t> slots;     // unset: kUsualSlots
  std::vector<std::uint64_t> slots_list;  // not empty: a sweep over these
  bool sweep = false;
  std::optional<std::uint64_t> batch;     // unset: RingLayout::usual_batch
  std::optional<std::uint64_t> patience;  // unset: RingLayout::kUsualPatience
  std::vector<std::string> cases;         // empty: kUsualCases
  std::uint64_t runs = 3;
  std::uint64_t file_operations = 10'000;
  std::uint64_t file_threads = 4;
  bool csv = false;
  bool csv_only = false;
  std::filesystem::path plot;
};

}  // namespace weft::cli
