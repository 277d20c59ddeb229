#include "cli/up/control/process_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace weft::cli {
namespace {

constexpr std::size_t kCells = 8;
using Cells = std::array<std::string, kCells>;

// What a guest's message holds must not move the cursor.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == '\x7f' ? ' ' : c;
  return out;
}

Cells cells_of(const TableRow& row, const TableForm& form) {
  const bool runs = row.state == "running" || row.state == "stopping";
  Cells cells;
  cells[0] = form.tree ? std::string(2 * row.depth, ' ') + row.id + (row.is_group ? "/" : "") : row.path;
  cells[1] = row.state;
  cells[2] = row.process != 0 ? std::to_string(row.process) : "-";
  cells[3] = std::to_string(row.restarts);
  cells[4] = runs ? format_duration(row.uptime) : "-";
  if (row.is_group) {
    cells[5] = cells[6] = "-";
  } else {
    cells[5] = form.cpu_percent ? fmt::format("{:.1f}", row.cpu_percent) : format_duration(row.cpu_time);
    cells[6] = runs ? format_size(row.memory_bytes) : "-";
  }
  cells[7] = printable(row.last_end);
  return cells;
}

// Bytes that continue a UTF-8 character take no column.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string cut(std::string line, unsigned columns) {
  if (columns == 0 || width_of(line) <= columns) return line;
  std::size_t at = 0;
  for (std::size_t width = 0; at < line.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(line[at]) & 0xC0U) != 0x80U;
    if (begins && ++width > columns) break;
  }
  line.resize(at);
  return line;
}

bool in_trouble(const TableRow& row) { return row.state != "running"; }

}  // namespace

std::string process_table(const std::vector<TableRow>& rows, const TableForm& form) {
  std::vector<const TableRow*> shown;
  for (const TableRow& row : rows) shown.push_back(&row);
  std::size_t left_out = 0;
  if (shown.size() > form.rows_max) {
    // The last line says how many are missing.
    const std::size_t room = std::max<std::size_t>(form.rows_max, 2) - 1;
    std::ranges::stable_partition(shown, [](const TableRow* row) { return in_trouble(*row); });
    left_out = shown.size() - room;
    shown.resize(room);
  }
  std::vector<Cells> lines = {
      {"ID", "STATE", "PROCESS", "RESTARTS", "UPTIME", form.cpu_percent ? "CPU %" : "CPU", "MEMORY", "LAST END"}};
  for (const TableRow* row : shown) lines.push_back(cells_of(*row, form));
  std::array<std::size_t, kCells> widths{};
  for (const Cells& cells : lines) {
    for (std::size_t at = 0; at < kCells; ++at) widths[at] = std::max(widths[at], width_of(cells[at]));
  }
  std::string text;
  for (const Cells& cells : lines) {
    std::string line;
    for (std::size_t at = 0; at < kCells; ++at) {
      const std::string pad(widths[at] - width_of(cells[at]), ' ');
      const bool number = at >= 2 && at <= 6;
      if (at != 0) line += "  ";
      line += number ? pad + cells[at] : cells[at] + (at + 1 == kCells ? "" : pad);
    }
    while (line.ends_with(' ')) line.pop_back();
    text += cut(std::move(line), form.columns) + "\n";
  }
  if (left_out != 0) text += cut(fmt::format("… and {} more", left_out), form.columns) + "\n";
  return text;
}

}  // namespace weft::cli
