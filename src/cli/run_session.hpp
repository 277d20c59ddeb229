// One `weft run`: from the settings to the exit status. The main thread waits for everything at once: processes that end, signals,
// clients of `weft dump`, and the next redraw of the progress line.
//
//   return RunSession(settings, signals).run();
//
// One thread. What the runtime's threads tell it goes through Inbox.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/console.hpp"
#include "cli/dump_server.hpp"
#include "cli/report.hpp"
#include "cli/settings.hpp"
#include "cli/tally.hpp"
#include "platform/readiness.hpp"
#include "platform/signals.hpp"
#include "weft/runtime.hpp"

namespace weft::cli {

class RunSession {
 public:
  RunSession(const Settings& settings, platform::SignalSource& signals);
  ~RunSession();

  int run();

 private:
  using Clock = std::chrono::steady_clock;

  // What other threads have to tell. Outlives the session when a task of the runtime does.
  struct Inbox {
    platform::Notifier notifier;
    std::mutex mutex;
    std::vector<std::pair<std::uint64_t, ExitStatus>> ended;  // under mutex
    bool loaded = false;                                      // under mutex

    void put(std::uint64_t index, ExitStatus status);
  };

  // How far the run has been told to stop.
  enum class Stopping : std::uint8_t { kNo, kAsked, kKilled };

  int start();  // 0, or the exit status of a run that never began
  Result<Program> prepare();
  Result<Module> load();
  ProcessSpec make_spec(Module module) const;
  static Task<void> report_end(Process process, std::uint64_t index, std::shared_ptr<Inbox> inbox);

  int loop();
  void spawn_some();
  void take_ended();
  void wait(std::optional<Duration> bound);
  std::optional<Duration> until_next_event() const;
  void on_signal(platform::Signal signal);
  void ask_to_end(std::string by);
  void kill_all(std::string_view by);
  void check_grace();
  void check_reader();
  void show_progress();
  void dump_to_console();

  int finish();
  int exit_status() const;
  void say_end(int status);
  Result<void> write_trace();

  bool input_text_wanted() const noexcept { return settings_.stdin_mode == StdinMode::kCopy; }
  bool single() const noexcept { return settings_.copies == 1; }
  bool json_wanted() const noexcept { return settings_.json || settings_.stats == Format::kJson; }
  Output output_of_copy(std::uint64_t index);
  std::string name_of_copy(std::uint64_t index) const;
  RunFacts facts(int status) const;

  const Settings& settings_;
  platform::SignalSource& signals_;
  std::shared_ptr<Inbox> inbox_;
  Console console_;
  std::string name_;
  std::vector<std::string> warnings_;

  std::optional<Runtime> runtime_;
  Program program_;
  std::string input_text_;  // --stdin copy; by the loading thread, read once that has ended
  DumpServer server_;

  std::unordered_map<std::uint64_t, Process> alive_;  // by index
  std::uint64_t spawned_ = 0;
  std::optional<Error> spawn_error_;
  Tally tally_;
  std::optional<ExitStatus> single_status_;

  Stopping stopping_ = Stopping::kNo;
  std::optional<Clock::time_point> reader_gone_at_;  // standard output is a pipe that nobody reads any more
  std::string stopped_by_;
  int stop_signal_ = 0;
  Clock::time_point kill_at_{};
  Clock::time_point give_up_at_{};
  bool loading_ = false;

  bool progress_ = false;
  Clock::time_point begun_ = Clock::now();
  Clock::time_point copies_begun_{};
  Clock::time_point progress_at_{};
  unsigned workers_ = 0;
  std::uint64_t steals_ = 0;
};

}  // namespace weft::cli
