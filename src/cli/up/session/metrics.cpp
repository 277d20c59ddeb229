#include "cli/up/session/metrics.hpp"

#include <fmt/format.h>

namespace weft::cli {
namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Text in quotes: ids hold nothing that has to be escaped but by a bug, and then this holds, too.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

class Writer {
 public:
  explicit Writer(std::string_view system) : system_(escaped(system)) {}

  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <class Number>
  void value(Number number) {
    text_ += fmt::format("{}{{system=\"{}\"}} {}\n", name_, system_, number);
  }
  template <class Number>
  void value(std::string_view label, std::string_view word, Number number) {
    text_ += fmt::format("{}{{system=\"{}\",{}=\"{}\"}} {}\n", name_, system_, label, escaped(word), number);
  }
  template <class Of>
  void each_channel(const std::map<std::string, ChannelStats>& channels, std::string_view name, std::string_view type,
                    std::string_view help, const Of& of) {
    if (channels.empty()) return;
    family(name, type, help);
    for (const auto& [channel, stats] : channels) value("channel", channel, of(stats));
  }
  template <class Of>
  void each_child(const Board& board, std::string_view name, std::string_view type, std::string_view help, const Of& of) {
    family(name, type, help);
    for (const auto& row : board.rows()) {
      if (!row->is_group) value("child", row->path, of(*row));
    }
  }
  std::string take() { return std::move(text_); }

 private:
  const std::string system_;
  std::string_view name_;
  std::string text_;
};

std::string reply(std::string_view status, std::string_view type, std::string_view body, bool with_body) {
  return fmt::format("HTTP/1.0 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status, type,
                     body.size(), with_body ? body : "");
}

}  // namespace

std::string metrics_text(std::string_view system, const Board& board, const std::map<std::string, ChannelStats>& channels,
                         const std::map<std::string, std::uint64_t>& regions, const RuntimeStats& stats) {
  Writer out(system);
  out.family("weft_children", "gauge", "Children by state.");
  for (const ChildState state :
       {ChildState::kStopped, ChildState::kStarting, ChildState::kRunning, ChildState::kStopping, ChildState::kWaiting}) {
    out.value("state", name_of(state), board.count(state));
  }
  out.each_child(board, "weft_child_up", "gauge", "1 when the child runs.", [](const Row& row) { return row.running() ? 1 : 0; });
  out.each_child(board, "weft_child_restarts_total", "counter", "Restarts of the child by its supervisor.",
                 [](const Row& row) { return row.restarts; });
  out.each_child(board, "weft_child_failures_total", "counter", "Times that the child has not ended well.",
                 [](const Row& row) { return row.exits_badly; });
  out.each_child(board, "weft_child_unhealthy_total", "counter", "Times that its health check has ended the child.",
                 [](const Row& row) { return row.unhealthy; });
  out.each_child(board, "weft_child_cpu_seconds_total", "counter", "Time on workers, all processes of the child together.",
                 [](const Row& row) { return seconds(row.cpu_time()); });
  out.each_child(board, "weft_child_memory_bytes", "gauge", "Linear memory of the child.",
                 [](const Row& row) { return row.memory_bytes(); });
  out.each_child(board, "weft_child_start_time_seconds", "gauge", "When the child was last started, since 1970; 0: never.",
                 [](const Row& row) { return static_cast<double>(row.started_ns) / 1e9; });
  out.each_channel(channels, "weft_channel_messages", "gauge", "Messages in the channel.",
                   [](const ChannelStats& of) { return of.messages; });
  out.each_channel(channels, "weft_channel_bytes", "gauge", "Bytes of these, each counted as 64 at least.",
                   [](const ChannelStats& of) { return of.bytes; });
  out.each_channel(channels, "weft_channel_sent_total", "counter", "Messages sent.",
                   [](const ChannelStats& of) { return of.sent; });
  out.each_channel(channels, "weft_channel_received_total", "counter", "Messages received; broadcast: by all receivers together.",
                   [](const ChannelStats& of) { return of.received; });
  out.each_channel(channels, "weft_channel_lost_total", "counter", "Messages of a broadcast that receivers missed.",
                   [](const ChannelStats& of) { return of.lost; });
  out.each_channel(channels, "weft_channel_senders_waiting", "gauge", "Children that wait for room.",
                   [](const ChannelStats& of) { return of.senders_waiting; });
  out.each_channel(channels, "weft_channel_receivers_waiting", "gauge", "Children that wait for a message.",
                   [](const ChannelStats& of) { return of.receivers_waiting; });
  out.each_channel(channels, "weft_channel_closed", "gauge", "1 when it is closed.",
                   [](const ChannelStats& of) { return of.closed ? 1 : 0; });
  if (!regions.empty()) {
    out.family("weft_region_bytes", "gauge", "Bytes of the shared region.");
    for (const auto& [region, bytes] : regions) out.value("region", region, bytes);
  }
  out.family("weft_workers", "gauge", "Threads that run guests.");
  out.value(stats.workers);
  out.family("weft_processes", "gauge", "Processes alive.");
  out.value(stats.processes);
  out.family("weft_processes_spawned_total", "counter", "Processes started.");
  out.value(stats.processes_spawned);
  out.family("weft_guest_threads", "gauge", "Guest threads alive.");
  out.value(stats.guest_threads);
  out.family("weft_switches_total", "counter", "Times that a worker went on to another task.");
  out.value(stats.switches);
  out.family("weft_preemptions_total", "counter", "Of these, times that a quantum was over.");
  out.value(stats.preemptions);
  out.family("weft_steals_total", "counter", "Tasks that a worker took from another one.");
  out.value(stats.steals);
  return out.take();
}

std::string http_reply(std::string_view head, const std::function<std::string()>& text) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || !line.substr(second + 1).starts_with("HTTP/1.")) return {};
  const std::string_view method = line.substr(0, first);
  std::string_view path = line.substr(first + 1, second - first - 1);
  path = path.substr(0, path.find('?'));
  if (method != "GET" && method != "HEAD") return reply("405 Method Not Allowed", "text/plain", "only GET and HEAD\n", true);
  if (path != "/metrics") return reply("404 Not Found", "text/plain", "there is only /metrics\n", method == "GET");
  return reply("200 OK", "text/plain; version=0.0.4; charset=utf-8", text(), method == "GET");
}

}  // namespace weft::cli
