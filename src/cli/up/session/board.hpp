// What is known of each child and group of a running system, in the order of its manifest: filled from events, shown by the live table, `weft ps` and metrics.
//
//   Board board;
//   board.set_layout(manifest);                   // at the start and after each reload
//   if (Row* row = board.take(event, "shop")) …
//   for (const auto& row : board.rows()) …
//
// One thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/up/manifest/manifest.hpp"
#include "weft/supervisor.hpp"

namespace weft::cli {

struct Row {
  using Clock = std::chrono::steady_clock;

  std::string path;  // its id below those of its groups: "payment/ledger"
  std::string id;
  unsigned depth = 0;  // of groups above it
  bool is_group = false;
  std::optional<ManifestHealth> health{};
  Restart restart = Restart::kPermanent;
  ChildState state = ChildState::kStarting;
  Process process{};  // the running one, or the last
  std::uint64_t restarts = 0;
  Clock::time_point since{};     // in this state
  std::uint64_t started_ns = 0;  // since 1970; 0: never
  std::string last_end{};
  std::uint64_t exits_well = 0;
  std::uint64_t exits_badly = 0;
  bool ended_badly = false;      // the last time
  std::uint64_t unhealthy = 0;   // times that its health check ended it
  Duration cpu_time_before{0};   // of its processes that have ended
  Duration cpu_time_sampled{0};  // at the last draw of the table
  double cpu_percent = 0;

  bool running() const noexcept { return state == ChildState::kRunning || state == ChildState::kStopping; }
  // It has ended, and its restart policy leaves it at that.
  bool done() const noexcept;
  Duration cpu_time() const;
  std::uint64_t memory_bytes() const;  // 0 when it does not run
  Duration uptime() const;             // 0 when it does not run
};

class Board {
 public:
  // Rows of the manifest, in its order; those that were there before keep what is known of them. Gives the paths of those that have gone.
  std::vector<std::string> set_layout(const Manifest& manifest);

  // Null: nobody known.
  Row* take(const SupervisorEvent& event, std::string_view system);
  Row* find(std::string_view path);

  const std::vector<std::unique_ptr<Row>>& rows() const noexcept { return rows_; }
  // Of processes, not of groups.
  std::uint64_t count(ChildState state) const noexcept { return counts_[static_cast<std::size_t>(state)]; }
  std::uint64_t children() const noexcept;

  void sample_cpu();  // fills Row::cpu_percent, from the last time to now

 private:
  void add(const ManifestGroup& group, const std::string& above, unsigned depth, std::vector<std::unique_ptr<Row>>& rows);
  Row& add_row(std::string path, std::string id, unsigned depth, bool is_group, std::vector<std::unique_ptr<Row>>& rows);
  void set_state(Row& row, ChildState state);

  std::vector<std::unique_ptr<Row>> rows_;
  std::map<std::string, Row*, std::less<>> by_path_;
  std::map<std::string, std::unique_ptr<Row>, std::less<>> before_;  // while a layout is made
  std::array<std::uint64_t, 5> counts_{};
  Row::Clock::time_point sampled_at_{};
};

nlohmann::ordered_json to_json(const Row& row);

}  // namespace weft::cli
