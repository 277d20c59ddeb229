// One `weft up`: from the manifest to the exit status. The main thread waits for everything at once: what supervisors report, signals, clients of the control
// socket and of metrics, health checks, and the next redraw of the table.
//
//   return UpSession(settings, signals).run();
//
// One thread. What other threads tell it goes through Inbox; what guests write goes to console, files and the log book from the runtime's output thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/console.hpp"
#include "cli/dump_server.hpp"
#include "cli/request_server.hpp"
#include "cli/settings.hpp"
#include "cli/up/control/control_protocol.hpp"
#include "cli/up/manifest/manifest.hpp"
#include "cli/up/plan/plan.hpp"
#include "cli/up/plan/reload.hpp"
#include "cli/up/session/beats.hpp"
#include "cli/up/session/board.hpp"
#include "cli/up/session/event_note.hpp"
#include "cli/up/session/log_book.hpp"
#include "cli/up/session/printer.hpp"
#include "platform/local_socket.hpp"
#include "platform/loopback_socket.hpp"
#include "platform/readiness.hpp"
#include "platform/signals.hpp"
#include "weft/runtime.hpp"
#include "weft/supervisor.hpp"

namespace weft::cli {

class UpSession {
 public:
  UpSession(const Settings& settings, platform::SignalSource& signals);
  ~UpSession();

  int run();

 private:
  using Clock = std::chrono::steady_clock;
  using ClientId = RequestServer::ClientId;

  // What other threads have to tell. Outlives the session when a task of the runtime does.
  struct Inbox {
    platform::Notifier notifier;
    std::mutex mutex;
    std::vector<SupervisorEvent> events;  // under mutex, like all below
    std::optional<SupervisorEnd> ended;
    std::optional<std::expected<Plan, Mistakes>> planned;
    std::vector<std::pair<ClientId, Result<void>>> restarted;
    std::vector<std::string> reload_failures;
    bool reload_done = false;
    bool fresh_lines = false;

    template <class Put>
    void put(const Put& change) {
      {
        const std::lock_guard lock(mutex);
        change(*this);
      }
      notifier.notify();
    }
  };

  enum class Stopping : std::uint8_t { kNo, kAsked, kKilled };

  // Somebody who reads on: `weft logs -f`, `weft events -f`.
  struct Follower {
    ClientId client;
    bool logs;
    std::string id;
    std::uint64_t after = 0;  // lines up to this number it has had
    std::uint64_t dropped = 0;
  };

  // up_session.cpp
  int start();
  int take_name();
  int serve_metrics();
  int loop();
  void wait(std::optional<Duration> bound);
  std::optional<Duration> until_next_event() const;
  void take_news();
  void take(const SupervisorEvent& event);
  void check_health();
  void check_done();
  void check_give_up();
  void on_signal(platform::Signal signal);
  void draw();
  void tell(EventNote note, bool important);
  void write_guest(const std::string& path, GuestOutput how, Stream stream, std::string_view text);
  int finish();
  [[noreturn]] void leave_now(int status);
  int exit_status() const;
  int refuse(const Error& error);

  // up_session_reload.cpp
  void begin_reload();
  void take_plan(std::expected<Plan, Mistakes> planned);
  void carry_out(Reload reload);
  void finish_reload(const std::vector<std::string>& failures);

  // up_session_control.cpp
  std::optional<RequestServer::Reply> answer(ClientId client, std::string_view line);
  std::string processes_json();
  RequestServer::Reply kill(const std::string& id);
  RequestServer::Reply restart(ClientId client, const std::string& id);
  RequestServer::Reply follow(ClientId client, const ControlRequest& request);
  std::vector<Row*> rows_of(const std::string& id);
  void push_fresh_lines();
  void push_event(const std::string& line);
  void push(Follower& follower, std::string_view text);
  void drop_followers();
  std::optional<RequestServer::Reply> answer_metrics(std::string_view request);

  bool json() const noexcept { return settings_.json; }
  const std::string& name() const noexcept { return manifest_.root.id; }
  std::optional<Supervisor> supervisor_of(std::string_view group) const;

  const Settings& settings_;
  platform::SignalSource& signals_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  Beats beats_;
  Console console_;
  Printer printer_{console_};
  Manifest manifest_;
  LogBook logs_;
  bool table_ = false;

  std::optional<platform::LocalListener> listener_;
  std::optional<platform::LoopbackListener> metrics_listener_;
  std::optional<Runtime> runtime_;
  std::optional<Planner> planner_;
  std::optional<Plan> plan_;
  Supervisor supervisor_;
  Board board_;
  RequestServer control_;
  RequestServer metrics_;
  DumpServer dump_;
  std::vector<Follower> followers_;
  std::deque<EventNote> events_;  // the last ones

  std::jthread planning_;
  bool starting_ = true;                   // until the supervisor has been started
  bool all_run_ = false;                   // once they all did
  bool done_ = false;                      // all children have ended by themselves
  bool nearly_done_ = false;               // so the board says; the supervisors are asked again soon
  bool recorded_ = false;                  // our record is in its place
  std::optional<Manifest> next_manifest_;  // while a reload goes on
  std::optional<Plan> next_plan_;
  std::string reload_summary_;
  bool reload_again_ = false;  // asked for while it started, or another went on
  Stopping stopping_ = Stopping::kNo;
  std::string stopped_by_;
  int stop_signal_ = 0;
  std::optional<SupervisorEnd> end_;
  Clock::time_point give_up_at_{};
  Clock::time_point draw_at_{};
  const Clock::time_point begun_ = Clock::now();
  std::uint64_t begun_ns_ = 0;  // since 1970
};

}  // namespace weft::cli
