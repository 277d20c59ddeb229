// Shows which run is reported, that its figures come out as they went in, and that numbers at the ends of their ranges do no harm.
#include "cli/bench/report.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/bench/plot.hpp"
#include "cli/bench/ring_layout.hpp"

namespace weft::cli {
namespace {

BenchRow row_of(std::string_view name, std::uint64_t items, std::uint64_t slots, std::initializer_list<std::uint64_t> times) {
  BenchRow row{.measured = find_bench_case(name), .items = items, .slots = slots, .batch = 4, .runs = {}};
  for (const std::uint64_t time : times) row.runs.push_back({.elapsed_ns = time, .prod_spins = time + 1, .cons_spins = time + 2});
  return row;
}

TEST(BenchReport, TheMedianRunIsReported) {
  EXPECT_EQ(row_of("os_ring_warm", 1, 2, {30, 10, 20}).median().elapsed_ns, 20U);
  EXPECT_EQ(row_of("os_ring_warm", 1, 2, {40, 10, 20, 30}).median().elapsed_ns, 20U);
  EXPECT_EQ(row_of("os_ring_warm", 1, 2, {5}).median().prod_spins, 6U);
}

TEST(BenchReport, CsvHasTheseColumns) {
  const std::vector<BenchRow> rows = {row_of("os_ring_warm", 1'000'000, 64, {7'528'000}), row_of("file_io", 8, 0, {16})};
  EXPECT_EQ(bench_csv(rows),
            "label,items,slots,elapsed_ns,per_ps,prod_spins,cons_spins\n"
            "os_ring_warm,1000000,64,7528000,7528,7528001,7528002\n"
            "file_io,8,0,16,2000,17,18\n");
}

TEST(BenchReport, LongTimesDoNotOverflow) {
  constexpr std::uint64_t kYearNs = 31'536'000'000'000'000;
  EXPECT_EQ(row_of("os_ring_warm", 1, 2, {kYearNs / 1000}).per_ps(), kYearNs);
  EXPECT_EQ(row_of("os_ring_warm", RingLayout::kItemsMax, 2, {kYearNs}).per_ps(), 14'685'094'363U);
}

TEST(BenchReport, RatiosAreToTheTwinWithTheSameSlots) {
  const std::vector<BenchRow> rows = {row_of("os_ring_warm", 10, 2, {10}), row_of("os_ring_warm", 10, 4, {100}),
                                      row_of("wasm_ring_warm", 10, 2, {15}), row_of("wasm_ring_cold", 10, 2, {15})};
  EXPECT_DOUBLE_EQ(ratio_of(rows[2], rows), 1.5);
  EXPECT_EQ(ratio_of(rows[0], rows), 0);
  EXPECT_EQ(ratio_of(rows[3], rows), 0);
  const nlohmann::json document = nlohmann::json::parse(bench_json(rows, 3));
  EXPECT_EQ(document["workers"], 3);
  EXPECT_EQ(document["results"][2]["times_native"], 1.5);
  EXPECT_FALSE(document["results"][0].contains("times_native"));
  EXPECT_EQ(document["results"][1]["runs_ns"], nlohmann::json::array({100}));
}

TEST(BenchReport, PlotsOfAnyTimes) {
  for (const std::uint64_t time : {0ULL, 1ULL, 999ULL, 1'000'000'000'000'000ULL}) {
    const std::vector<BenchRow> rows = {row_of("os_ring_warm", 1, 2, {time}),
                                        row_of("wasm_ring_warm", RingLayout::kItemsMax, RingLayout::kSlotsMax, {time})};
    const std::string svg = bench_plot(rows);
    EXPECT_TRUE(svg.ends_with("</svg>\n"));
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
  }
}

TEST(BenchPlan, RefusesWhatDoesNotFit) {
  BenchSettings settings;
  settings.items = RingLayout::kItemsMax;
  settings.slots = 1U << 20;
  EXPECT_TRUE(plan_bench(settings, false, 0));
  EXPECT_TRUE(plan_bench(settings, false, 1U << 23));
  const Result<BenchPlan> refused = plan_bench(settings, false, 1U << 20);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kBadArgument);
  // Only slots that are used take memory.
  settings.items = 1000;
  EXPECT_TRUE(plan_bench(settings, false, 1U << 20));
}

}  // namespace
}  // namespace weft::cli
