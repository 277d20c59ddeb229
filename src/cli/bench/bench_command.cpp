// `weft bench ring`: runs what the plan says, checks each sum, and reports.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <system_error>
#include <thread>

#include "cli/bench/cases.hpp"
#include "cli/bench/file_bench.hpp"
#include "cli/bench/guest.hpp"
#include "cli/bench/plot.hpp"
#include "cli/bench/report.hpp"
#include "cli/bench/ring_guest_text.hpp"
#include "cli/bench/ring_layout.hpp"
#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "cli/report.hpp"
#include "cli/suggest.hpp"
#include "cli/write_file.hpp"
#include "platform/local_socket.hpp"
#include "platform/platform.hpp"
#include "platform/terminal.hpp"

namespace weft::cli {
namespace {

constexpr int kErr = 2;
constexpr auto kSlow = std::chrono::seconds(2);
constexpr std::string_view kRing = "ring";

// A directory of our own, gone with everything in it at the end.
class ScratchDirectory {
 public:
  static Result<ScratchDirectory> create() {
    std::error_code error;
    const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
    if (error) return fail(ErrorKind::kIo, fmt::format("there is no directory for temporary files: {}", error.message()));
    for (int attempt = 0; attempt < 100; ++attempt) {
      std::filesystem::path path = parent / fmt::format("weft-bench-{}-{}", platform::process_id(), attempt);
      if (std::filesystem::create_directory(path, error)) return ScratchDirectory(std::move(path));
      if (error) break;
    }
    return fail(ErrorKind::kIo, fmt::format("{}: no directory can be made there: {}", parent.string(), error.message()));
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(ScratchDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// What is going on, for the progress line. Written by the thread that measures, read by the one that shows it.
class BenchProgress {
 public:
  BenchProgress(Console& console, std::uint64_t steps) : console_(console), steps_(steps) {}

  void at(const BenchRow& row) {
    const std::lock_guard lock(mutex_);
    ++step_;
    text_ = row.slots == 0 ? std::string(row.measured->name) : fmt::format("{}, {} slots", row.measured->name, grouped(row.slots));
  }

  // Once a second, after the first two.
  void show(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const auto begun = std::chrono::steady_clock::now();
    auto next = begun + kSlow;
    while (!changed_.wait_until(lock, stop, next, [&] { return stop.stop_requested(); })) {
      const auto passed = std::chrono::duration_cast<std::chrono::seconds>(next - begun);
      console_.set_status(fmt::format("weft: bench: {} of {}: {} … {} s", step_, steps_, text_, passed.count()));
      next += std::chrono::seconds(1);
    }
  }

 private:
  Console& console_;
  const std::uint64_t steps_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t step_ = 0;  // under mutex_
  std::string text_;        // under mutex_
};

class Bench {
 public:
  explicit Bench(const Settings& settings) : settings_(settings) {}

  // One run of the row's case.
  Result<void> measure(BenchRow& row) {
    BenchRun run;
    const auto begun = std::chrono::steady_clock::now();
    const std::clock_t cpu_begun = std::clock();
    const Result<void> done = row.measured->work == BenchWork::kFiles ? files(row, run) : ring(row, run);
    if (!done) return done;
    run.cpu_ns = static_cast<std::uint64_t>(std::clock() - cpu_begun) * (1'000'000'000ULL / CLOCKS_PER_SEC);
    run.wall_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(std::chrono::steady_clock::now() - begun).count());
    row.runs.push_back(run);
    return {};
  }

  Result<void> prepare(std::span<const BenchCase* const> cases) {
    for (const BenchCase* one : cases) {
      if (!one->guest || guests_) continue;
      Result<BenchGuests> guests = BenchGuests::create(settings_.workers);
      if (!guests) return std::unexpected(guests.error());
      guests_.emplace(*std::move(guests));
    }
    return {};
  }

  unsigned workers() const { return guests_ ? guests_->workers() : 0; }

  // For each thread, so that each operation is done by one.
  std::uint64_t blocks_per_thread() const {
    const std::uint64_t both = 2 * settings_.bench.file_threads;
    return (settings_.bench.file_operations + both - 1) / both;
  }

 private:
  Result<void> ring(const BenchRow& row, BenchRun& run) {
    const RingShape shape{.items = row.items,
                          .slots = row.slots,
                          .batch = row.batch,
                          .wait = row.measured->work == BenchWork::kRingWait,
                          .patience = settings_.bench.patience.value_or(RingLayout::kUsualPatience)};
    const Result<RingFigures> figures =
        row.measured->guest ? guests_->run_ring(shape, row.measured->start) : run_native_ring(shape, row.measured->start);
    if (!figures) return std::unexpected(figures.error());
    if (const std::uint64_t wanted = RingLayout::sum_of(row.items); figures->sum != wanted) {
      return fail(ErrorKind::kInternal,
                  fmt::format("the items came to {} instead of {}: some were lost, or came twice", figures->sum, wanted));
    }
    run.elapsed_ns = figures->elapsed_ns;
    run.prod_spins = figures->prod_spins;
    run.cons_spins = figures->cons_spins;
    run.prod_parks = figures->prod_parks;
    run.cons_parks = figures->cons_parks;
    return {};
  }

  Result<void> files(const BenchRow& row, BenchRun& run) {
    const Result<ScratchDirectory> scratch = ScratchDirectory::create();
    if (!scratch) return std::unexpected(scratch.error());
    const std::uint64_t threads = settings_.bench.file_threads;
    const Result<std::uint64_t> elapsed = row.measured->guest ? guests_->run_files(scratch->path(), threads, blocks_per_thread())
                                                              : run_native_files(scratch->path(), threads, blocks_per_thread());
    if (!elapsed) return std::unexpected(elapsed.error());
    run.elapsed_ns = *elapsed;
    return {};
  }

  const Settings& settings_;
  std::optional<BenchGuests> guests_;
};

// In the order of the report: the rings by slots, then the files.
std::vector<BenchRow> rows_of(const BenchPlan& plan, const Settings& settings, const Bench& bench) {
  std::vector<BenchRow> rows;
  for (const std::uint64_t slots : plan.slots) {
    for (const BenchCase* one : plan.cases) {
      if (one->work == BenchWork::kFiles) continue;
      rows.push_back({.measured = one, .items = settings.bench.items, .slots = slots, .batch = plan.batch_of(slots), .runs = {}});
    }
  }
  for (const BenchCase* one : plan.cases) {
    if (one->work != BenchWork::kFiles) continue;
    rows.push_back({.measured = one,
                    .items = 2 * settings.bench.file_threads * bench.blocks_per_thread(),
                    .slots = 0,
                    .batch = 0,
                    .runs = {}});
  }
  return rows;
}

// Cases that are compared with each other take turns.
Result<void> measure_all(std::vector<BenchRow>& rows, std::uint64_t runs, Bench& bench, BenchProgress& progress) {
  for (std::size_t first = 0; first < rows.size();) {
    std::size_t end = first;
    while (end < rows.size() && rows[end].slots == rows[first].slots) ++end;
    for (std::uint64_t run = 0; run < runs; ++run) {
      for (BenchRow& row : std::span(rows).subspan(first, end - first)) {
        progress.at(row);
        if (Result<void> done = bench.measure(row); !done) {
          done.error().message = fmt::format("bench: {}{}: {}", row.measured->name,
                                             row.slots == 0 ? "" : fmt::format(" with {} slots", row.slots), done.error().message);
          return done;
        }
      }
    }
    first = end;
  }
  return {};
}

}  // namespace

int run_bench(const Settings& settings) {
  Console console({.live = platform::is_terminal(kErr)});
  if (settings.operands.front() != kRing) {
    const std::array<std::string_view, 1> names = {kRing};
    const std::string& asked_for = settings.operands.front();
    const std::string hint = did_you_mean(asked_for, names);
    return report_error(console,
                        {ErrorKind::kBadArgument,
                         fmt::format("bench {0}: no benchmark '{0}'{1}", asked_for, hint.empty() ? "; there is ring" : hint),
                         {}});
  }
  const BenchSettings& asked = settings.bench;
  const Result<BenchPlan> plan = plan_bench(asked, settings.json, platform::host().memory().limit_bytes);
  if (!plan) return report_error(console, plan.error());
  Bench bench(settings);
  if (const Result<void> ready = bench.prepare(plan->cases); !ready) return report_error(console, ready.error());

  std::vector<BenchRow> rows = rows_of(*plan, settings, bench);
  BenchProgress progress(console, rows.size() * asked.runs);
  const Result<void> done = [&] {
    const std::jthread clock([&](const std::stop_token& stop) { progress.show(stop); });
    return measure_all(rows, asked.runs, bench, progress);
  }();
  console.set_status({});
  if (!done) return report_error(console, done.error());

  std::string text;
  if (settings.json) {
    text = bench_json(rows, bench.workers());
  } else {
    if (!asked.csv_only) text = bench_table(rows);
    if (asked.csv && !asked.csv_only) text += '\n';
    if (asked.csv || asked.csv_only) text += bench_csv(rows);
  }
  if (!console.print(text)) return kExitOutputClosed;
  if (!asked.plot.empty()) {
    const std::string svg = bench_plot(rows);
    if (const Result<void> written = write_file(asked.plot, std::as_bytes(std::span(svg))); !written) {
      static_cast<void>(report_error(console, written.error()));
      return kExitCannotWrite;
    }
  }
  return kExitSuccess;
}

}  // namespace weft::cli
