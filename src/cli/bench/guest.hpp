// The guests of `weft bench`, run by Weft itself.
//
//   Result<BenchGuests> guests = BenchGuests::create(0);
//   Result<RingFigures> figures = guests->run_ring({.items = 1'000'000, .slots = 1024, .batch = 128}, Start::kWarm);
//
// One thread at a time; each call blocks until its guest has ended.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <utility>

#include "cli/bench/ring_native.hpp"
#include "weft/runtime.hpp"

namespace weft::cli {

class BenchGuests {
 public:
  static Result<BenchGuests> create(unsigned workers);

  // As run_native_ring; the batch and the patience of all calls are the same. A cold run begins with the spawn of the process: its memory, its two threads, their stores and instances are made and
  // ended in the time that is measured. Compiling and linking are not part of it.
  Result<RingFigures> run_ring(const RingShape& shape, Start start);

  // As run_native_files.
  Result<std::uint64_t> run_files(const std::filesystem::path& directory, std::uint64_t threads, std::uint64_t blocks);

  unsigned workers() const { return runtime_.stats().workers; }

 private:
  explicit BenchGuests(Runtime runtime) : runtime_(std::move(runtime)) {}

  Runtime runtime_;
  std::map<std::uint64_t, Module> rings_;  // by slots; the rest of a shape is the same all along
  Module files_;
};

}  // namespace weft::cli
