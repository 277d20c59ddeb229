// Children as a table for people: `weft ps`, `weft top`, and the live table of `weft up`.
//
//   std::string text = process_table({{.id = "cart", .state = "running", …}}, {.columns = 100, .cpu_percent = true});
//
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "weft/units.hpp"

namespace weft::cli {

struct TableRow {
  std::string path;
  std::string id;
  unsigned depth = 0;
  bool is_group = false;
  std::string state;
  std::uint64_t process = 0;  // 0: none
  std::uint64_t restarts = 0;
  Duration uptime{0};
  Duration cpu_time{0};
  double cpu_percent = 0;
  std::uint64_t memory_bytes = 0;
  std::string last_end;
};

struct TableForm {
  unsigned columns = 0;  // lines are cut to this; 0: not cut
  std::size_t rows_max = std::numeric_limits<std::size_t>::max();
  bool cpu_percent = false;  // else CPU time
  bool tree = true;          // ids indented below their groups; else whole paths
};

// With a newline after each line. Where there are more rows than may be shown, those in trouble come before those that run, and the last line counts the rest.
std::string process_table(const std::vector<TableRow>& rows, const TableForm& form);

}  // namespace weft::cli
