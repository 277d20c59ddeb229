// What `weft bench` found, as a table, as comma-separated values, and as JSON.
//
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/bench/cases.hpp"

namespace weft::cli {

struct BenchRun {
  std::uint64_t elapsed_ns = 0;
  std::uint64_t prod_spins = 0;
  std::uint64_t cons_spins = 0;
  std::uint64_t prod_parks = 0;
  std::uint64_t cons_parks = 0;
  // Of the whole run, with its beginning and its end: CPU time of weft, and the time that passed.
  std::uint64_t cpu_ns = 0;
  std::uint64_t wall_ns = 0;
};

// A case with one number of slots.
struct BenchRow {
  const BenchCase* measured = nullptr;
  std::uint64_t items = 0;  // of files: operations
  std::uint64_t slots = 0;  // of files: 0
  std::uint64_t batch = 0;
  std::vector<BenchRun> runs;  // in the order in which they were made; at least one

  const BenchRun& median() const;  // by elapsed time; of an even number the lower of the two in the middle
  std::uint64_t per_ps() const;    // picoseconds for an item, in the median run
};

// By the median, the time of a guest's row as a multiple of its twin's with the same slots; 0 when that was not measured.
double ratio_of(const BenchRow& row, std::span<const BenchRow> rows);

std::string bench_table(std::span<const BenchRow> rows);
std::string bench_csv(std::span<const BenchRow> rows);
std::string bench_json(std::span<const BenchRow> rows, unsigned workers);

}  // namespace weft::cli
