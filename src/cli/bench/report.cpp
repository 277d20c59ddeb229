#include "cli/bench/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/report.hpp"
#include "weft/units.hpp"

namespace weft::cli {
namespace {

constexpr std::uint64_t kPsPerNs = 1000;

double cores_of(const BenchRun& run) {
  return run.wall_ns == 0 ? 0 : static_cast<double>(run.cpu_ns) / static_cast<double>(run.wall_ns);
}

std::string time_of(std::uint64_t nanoseconds) { return format_duration(std::chrono::nanoseconds(nanoseconds)); }

// 512ps, 1.53ns, 37.2µs.
std::string per_item(std::uint64_t picoseconds) {
  if (picoseconds < kPsPerNs) return fmt::format("{}ps", picoseconds);
  if (picoseconds < 1000 * kPsPerNs) {
    const double nanoseconds = static_cast<double>(picoseconds) / static_cast<double>(kPsPerNs);
    return fmt::format("{:.{}f}ns", nanoseconds, nanoseconds < 10 ? 2 : (nanoseconds < 100 ? 1 : 0));
  }
  return time_of(picoseconds / kPsPerNs);
}

bool waits(const BenchRow& row) { return row.measured->work == BenchWork::kRingWait; }

}  // namespace

const BenchRun& BenchRow::median() const {
  std::vector<const BenchRun*> sorted;
  sorted.reserve(runs.size());
  for (const BenchRun& run : runs) sorted.push_back(&run);
  std::ranges::sort(sorted, {}, &BenchRun::elapsed_ns);
  return *sorted[(sorted.size() - 1) / 2];
}

std::uint64_t BenchRow::per_ps() const {
  // Whole seconds apart, so that a day of nanoseconds does not run over.
  const std::uint64_t elapsed = median().elapsed_ns;
  return elapsed / items * kPsPerNs + elapsed % items * kPsPerNs / items;
}

double ratio_of(const BenchRow& row, std::span<const BenchRow> rows) {
  const auto twin = std::ranges::find_if(
      rows, [&](const BenchRow& other) { return other.measured->name == row.measured->twin && other.slots == row.slots; });
  if (twin == rows.end() || twin->median().elapsed_ns == 0) return 0;
  return static_cast<double>(row.median().elapsed_ns) / static_cast<double>(twin->median().elapsed_ns);
}

std::string bench_table(std::span<const BenchRow> rows) {
  const bool parks = std::ranges::any_of(rows, waits);
  std::string text = fmt::format("{:<16}{:>14}{:>13}{:>10}{:>10}{:>10}{:>14}{:>14}", "case", "items", "slots", "elapsed",
                                 "per item", "× native", "prod spins", "cons spins");
  if (parks) text += fmt::format("{:>12}{:>12}", "prod waits", "cons waits");
  text += fmt::format("{:>8}\n", "cores");
  for (const BenchRow& row : rows) {
    const BenchRun& run = row.median();
    const bool ring = row.measured->work != BenchWork::kFiles;
    const double ratio = ratio_of(row, rows);
    const auto of_ring = [&](std::uint64_t number) { return ring ? grouped(number) : std::string(); };
    const auto of_wait = [&](std::uint64_t number) { return waits(row) ? grouped(number) : std::string(); };
    text += fmt::format("{:<16}{:>14}{:>13}{:>10}{:>10}{:>10}{:>14}{:>14}", row.measured->name, grouped(row.items),
                        of_ring(row.slots), time_of(run.elapsed_ns), per_item(row.per_ps()),
                        ratio > 0 ? fmt::format("{:.2f}", ratio) : "", of_ring(run.prod_spins), of_ring(run.cons_spins));
    if (parks) text += fmt::format("{:>12}{:>12}", of_wait(run.prod_parks), of_wait(run.cons_parks));
    text += fmt::format("{:>8.1f}\n", cores_of(run));
  }
  return text;
}

std::string bench_csv(std::span<const BenchRow> rows) {
  std::string text = "label,items,slots,elapsed_ns,per_ps,prod_spins,cons_spins\n";
  for (const BenchRow& row : rows) {
    const BenchRun& run = row.median();
    text += fmt::format("{},{},{},{},{},{},{}\n", row.measured->name, row.items, row.slots, run.elapsed_ns, row.per_ps(),
                        run.prod_spins, run.cons_spins);
  }
  return text;
}

std::string bench_json(std::span<const BenchRow> rows, unsigned workers) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const BenchRow& row : rows) {
    const BenchRun& run = row.median();
    nlohmann::ordered_json result = {{"label", row.measured->name},  {"items", row.items},           {"slots", row.slots},
                                     {"elapsed_ns", run.elapsed_ns}, {"per_ps", row.per_ps()},       {"prod_spins", run.prod_spins},
                                     {"cons_spins", run.cons_spins}, {"prod_parks", run.prod_parks}, {"cons_parks", run.cons_parks},
                                     {"batch", row.batch},           {"cpu_ns", run.cpu_ns},         {"wall_ns", run.wall_ns}};
    if (const double ratio = ratio_of(row, rows); ratio > 0) result["times_native"] = ratio;
    result["runs_ns"] = nlohmann::ordered_json::array();
    for (const BenchRun& each : row.runs) result["runs_ns"].push_back(each.elapsed_ns);
    results.push_back(std::move(result));
  }
  return nlohmann::ordered_json{{"benchmark", "ring"}, {"workers", workers}, {"results", std::move(results)}}.dump(1) + "\n";
}

}  // namespace weft::cli
