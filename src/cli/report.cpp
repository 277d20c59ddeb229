#include "cli/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weft::cli {
namespace {

constexpr std::size_t kGroupsShownMax = 5;

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", grouped(count), count == 1 ? one : many);
}

std::string copies_of(const FailureGroup& group) {
  std::string text;
  for (const std::uint64_t copy : group.copies) text += fmt::format("{}#{}", text.empty() ? "" : ", ", copy);
  if (group.count > group.copies.size()) text += ", …";
  return text;
}

std::string usage_lines(const Totals& totals, const RunFacts& facts) {
  const double wall = seconds_of(facts.wall_time);
  const double busy = wall > 0 ? seconds_of(totals.cpu_time) / wall : 0;
  std::string text;
  text += fmt::format("  time      {}, of it {} to load the program; {} of CPU: {:.1f} of {} busy\n",
                      format_duration(facts.wall_time), format_duration(facts.start_time), format_duration(totals.cpu_time), busy,
                      plural(facts.workers, "worker", "workers"));
  text += fmt::format("  memory    {} at most{}\n", format_size(totals.memory_bytes_max), facts.copies > 1 ? " in one copy" : "");
  text += fmt::format("  switches  {}, of them {} because the quantum was over; {} into the host\n", grouped(totals.switches),
                      grouped(totals.preemptions), plural(totals.host_calls, "call", "calls"));
  if (totals.fuel > 0) text += fmt::format("  fuel      {}\n", grouped(totals.fuel));
  return text;
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string progress_line(const Progress& progress, unsigned columns) {
  const std::uint64_t running = progress.started - progress.ended;
  const double elapsed = seconds_of(progress.elapsed);
  std::string line = fmt::format("weft: {} of {} done", grouped(progress.ended), grouped(progress.copies));
  if (progress.failed > 0) line += fmt::format(", {} failed", grouped(progress.failed));
  line += fmt::format(", {} running", grouped(running));
  const std::uint64_t waiting = progress.copies - progress.started;
  if (waiting > 0) line += fmt::format(", {} to start", grouped(waiting));
  if (progress.ended > 0 && elapsed > 0) line += fmt::format(", {:.0f}/s", static_cast<double>(progress.ended) / elapsed);
  line += fmt::format(", {:.1f} s", elapsed);
  // All characters so far are ASCII; the last column stays free, so that no terminal wraps the line.
  if (line.size() >= columns && columns > 0) line.resize(columns - 1);
  return line;
}

std::string failures_text(const Totals& totals, const RunFacts& facts) {
  std::string text;
  std::size_t shown = 0;
  std::uint64_t rest = totals.failures_unlisted;
  for (const FailureGroup& group : totals.failures) {
    if (shown == kGroupsShownMax) {
      rest += group.count;
      continue;
    }
    ++shown;
    // With one copy the line stands alone; with several, each group says whom it is about.
    if (facts.copies == 1) {
      text += fmt::format("weft: {}: {}\n", facts.path, group.message);
    } else {
      text += fmt::format("  {} × {} ({})\n", grouped(group.count), group.message, copies_of(group));
    }
    text += group.detail;
  }
  if (rest > 0) text += fmt::format("  {} failed in other ways (--json lists more)\n", grouped(rest));
  return text;
}

std::string summary_text(const Totals& totals, const RunFacts& facts) {
  std::string text = fmt::format("weft: {} of {}: ", plural(facts.copies, "copy", "copies"), facts.program);
  if (totals.succeeded == facts.copies) {
    text += facts.copies == 1 ? "succeeded" : "all succeeded";
  } else if (totals.ended > 0 && totals.succeeded == 0 && facts.not_started == 0) {
    text += facts.copies == 1 ? "failed" : "all failed";
  } else {
    text += fmt::format("{} succeeded, {} failed", grouped(totals.succeeded), grouped(totals.failed()));
    if (facts.not_started > 0) text += fmt::format(", {} not started", grouped(facts.not_started));
  }
  if (!facts.stopped_by.empty()) text += fmt::format(" (stopped by {})", facts.stopped_by);
  text += '\n';
  text += failures_text(totals, facts);
  return text + usage_lines(totals, facts);
}

std::string usage_text(const Totals& totals, const RunFacts& facts) {
  return fmt::format("weft: {}:\n", facts.program) + usage_lines(totals, facts);
}

std::string summary_json(const Totals& totals, const RunFacts& facts, const std::optional<ExitStatus>& single) {
  using nlohmann::json;
  json out = {
      {"weft", version()},
      {"engine", engine_version()},
      {"program", facts.program},
      {"path", facts.path},
      {"copies", facts.copies},
      {"succeeded", totals.succeeded},
      {"failed", totals.failed()},
      {"not_started", facts.not_started},
      {"exit_status", facts.exit_status},
      {"stopped_by", facts.stopped_by},
      {"workers", facts.workers},
      {"wall_ns", facts.wall_time.count()},
      {"start_ns", facts.start_time.count()},
      {"cpu_ns", totals.cpu_time.count()},
      {"memory_bytes_max", totals.memory_bytes_max},
      {"switches", totals.switches},
      {"preemptions", totals.preemptions},
      {"steals", facts.steals},
      {"host_calls", totals.host_calls},
      {"fuel", totals.fuel},
      {"warnings", facts.warnings},
  };
  json failures = json::array();
  for (const FailureGroup& group : totals.failures) {
    failures.push_back({{"kind", name_of(group.kind)},
                        {"message", group.message},
                        {"count", group.count},
                        {"copies", group.copies},
                        {"detail", group.detail}});
  }
  out["failures"] = std::move(failures);
  out["failures_unlisted"] = totals.failures_unlisted;
  if (single) {
    json process = {
        {"kind", name_of(single->kind)}, {"code", single->code}, {"message", single->message}, {"result", single->result_text}};
    if (!single->killed_by.empty()) process["killed_by"] = single->killed_by;
    if (single->limit) {
      process["limit"] = {{"kind", name_of(single->limit->kind)},
                          {"value", single->limit->value},
                          {"asked", single->limit->asked},
                          {"flag", flag_of(single->limit->kind)}};
    }
    out["process"] = std::move(process);
  }
  // A guest's text may hold bytes that are no UTF-8: they become replacement characters, not an exception.
  return out.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace weft::cli
