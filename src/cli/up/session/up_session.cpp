#include "cli/up/session/up_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "cli/report.hpp"
#include "cli/up/control/process_table.hpp"
#include "cli/up/manifest/schema.hpp"
#include "cli/up/session/run_record.hpp"
#include "platform/platform.hpp"
#include "platform/terminal.hpp"

namespace weft::cli {
namespace {

constexpr int kOut = 1;
constexpr int kErr = 2;
constexpr std::size_t kEventsMax = 1000;  // that are kept for weft events
constexpr Duration kRedraw = std::chrono::milliseconds(250);
constexpr Duration kAskAgain = std::chrono::milliseconds(5);
constexpr Duration kAfterKill = std::chrono::seconds(3);  // a killed guest ends at once; one that does not is not waited for
constexpr Duration kLastWords = std::chrono::seconds(3);  // to be said, at the end
constexpr std::size_t kClientsMax = 32;
constexpr std::size_t kHttpRequestBytesMax = 8192;

std::filesystem::path manifest_path(const Settings& settings) {
  return settings.operands.empty() ? std::filesystem::path("weft.toml") : std::filesystem::path(settings.operands.front());
}

// No child runs and none waits to be restarted.
bool is_idle(const Supervisor& supervisor) {
  return std::ranges::all_of(supervisor.children(), [](const ChildInfo& child) {
    if (child.state == ChildState::kStopped) return true;
    return child.state == ChildState::kRunning && child.supervisor && is_idle(child.supervisor);
  });
}

}  // namespace

UpSession::UpSession(const Settings& settings, platform::SignalSource& signals)
    : settings_(settings),
      signals_(signals),
      console_({.live = platform::is_terminal(kErr) && !settings.quiet && !settings.json && !settings.up.plain,
                .output_is_terminal = platform::is_terminal(kOut),
                .on_closed = [inbox = inbox_] { inbox->notifier.notify(); }}),
      logs_(0, [inbox = inbox_] { inbox->put([](Inbox& box) { box.fresh_lines = true; }); }),
      table_(console_.live()),
      control_({.answer = [this](ClientId client, std::string_view line) { return answer(client, line); },
                .clients_max = kClientsMax,
                .request_bytes_max = kControlRequestBytesMax}),
      metrics_({.answer = [this](ClientId, std::string_view request) { return answer_metrics(request); },
                .end_mark = "\r\n\r\n",
                .request_bytes_max = kHttpRequestBytesMax}),
      dump_([this](Format format, bool stacks) {
        const std::vector<TaskDump> tasks = runtime_ ? runtime_->dump(stacks) : std::vector<TaskDump>();
        return format == Format::kJson ? to_json(tasks) : to_text(tasks);
      }) {}

UpSession::~UpSession() {
  if (recorded_) remove_record(name());
}

int UpSession::run() {
  if (settings_.up.schema) return console_.print(manifest_schema()) ? kExitSuccess : kExitOutputClosed;
  std::expected<Manifest, Mistakes> manifest = read_manifest(manifest_path(settings_));
  if (!manifest) return refuse(manifest.error().error());
  manifest_ = std::move(*manifest);
  if (settings_.up.check) {
    const std::uint64_t children = manifest_.children();
    const bool printed = console_.print(
        fmt::format("{}: fine: {}, {} {}\n", manifest_.path.string(), name(), children, children == 1 ? "child" : "children"));
    return printed ? kExitSuccess : kExitOutputClosed;
  }
  logs_.set_lines_max(manifest_.log_lines);
  if (const int failed = start(); failed != 0) return failed;
  return loop();
}

int UpSession::refuse(const Error& error) {
  printer_.status({});
  static_cast<void>(printer_.flush(kLastWords));
  return report_error(console_, error);
}

// ---- before the first child ----

int UpSession::start() {
  if (const int failed = take_name(); failed != 0) return failed;
  if (const int failed = serve_metrics(); failed != 0) return failed;
  RuntimeOptions options = runtime_options_of(manifest_);
  Result<Runtime> runtime = Runtime::create(std::move(options));
  if (!runtime) return refuse(runtime.error());
  runtime_.emplace(std::move(*runtime));
  for (const std::string& warning : runtime_->warnings()) {
    if (!settings_.quiet && !json()) console_.say("weft: warning: " + warning);
  }
  planner_.emplace(*runtime_, [this](const std::string& path, GuestOutput how, Stream stream, std::string_view text) {
    write_guest(path, how, stream, text);
  });
  static_cast<void>(board_.set_layout(manifest_));
  static_cast<void>(dump_.open());

  // Compiling takes its time: signals and clients are heard meanwhile.
  planning_ = std::jthread([this, inbox = inbox_] {
    auto planned = planner_->make(manifest_, nullptr);
    inbox->put([&](Inbox& box) { box.planned = std::move(planned); });
  });
  if (table_) printer_.status(fmt::format("weft: {}: compiling …", name()));
  std::optional<std::expected<Plan, Mistakes>> planned;
  while (!planned) {
    wait(std::nullopt);
    const std::lock_guard lock(inbox_->mutex);
    planned.swap(inbox_->planned);
  }
  planning_.join();
  if (!*planned) {
    Error error = planned->error().error();
    error.kind = ErrorKind::kInvalidModule;
    return refuse(error);
  }
  plan_ = std::move(**planned);
  planner_->hold(manifest_, *plan_);
  SupervisorSpec spec = planner_->spec_of(manifest_.root, "", *plan_);
  spec.on_event = [inbox = inbox_](const SupervisorEvent& event) { inbox->put([&](Inbox& box) { box.events.push_back(event); }); };
  Result<Supervisor> supervisor = Supervisor::start(*runtime_, std::move(spec));
  if (!supervisor) return refuse(supervisor.error());
  supervisor_ = std::move(*supervisor);
  starting_ = false;
  const auto report = [](Supervisor watched, std::shared_ptr<Inbox> inbox) -> Task<void> {
    SupervisorEnd end = co_await watched.ended();
    inbox->put([&](Inbox& box) { box.ended = std::move(end); });
  };
  runtime_->start(report(supervisor_, inbox_), kPriorityHighest, "report end");
  return 0;
}

int UpSession::take_name() {
  const Result<std::filesystem::path> path = control_socket_of(name());
  if (!path) return refuse(path.error());
  Result<platform::LocalListener> listener = platform::LocalListener::open(*path);
  const std::optional<RunRecord> before = read_record(name());
  if (!listener) {
    if (platform::connect_local(*path)) {
      const std::string who = before ? fmt::format(" (process {}, {})", before->process, before->manifest) : "";
      console_.set_status({});
      console_.say(fmt::format("weft: up: a system named {} runs already{}; weft ps --system {} shows it", name(), who, name()));
      return kExitUnavailable;
    }
    return refuse(listener.error());
  }
  listener_.emplace(std::move(*listener));
  control_.listen(*listener_);
  if (before) {
    tell(note_of("died before", name(), "",
                 fmt::format("the last weft up of it (process {}, {}), which began {}, did not end in order: it was killed, or the "
                             "machine stopped; "
                             "its guests ended with it",
                             before->process, before->manifest, time_text(before->started_ns))),
         true);
  }
  begun_ns_ = platform::host().wall_ns();
  std::error_code ignored;
  const Result<void> written =
      write_record({name(), std::filesystem::absolute(manifest_.path, ignored).string(), platform::process_id(), begun_ns_});
  recorded_ = true;
  if (!written && !settings_.quiet && !json()) console_.say("weft: warning: " + written.error().message);
  return 0;
}

int UpSession::serve_metrics() {
  if (settings_.up.metrics.empty()) return 0;
  Result<platform::LoopbackListener> listener = platform::LoopbackListener::open(settings_.up.metrics);
  if (!listener) {
    listener.error().message = "--metrics " + listener.error().message;
    return refuse(listener.error());
  }
  metrics_listener_.emplace(std::move(*listener));
  metrics_.listen(*metrics_listener_);
  tell(note_of("metrics", name(), "", fmt::format("metrics at http://{}/metrics", metrics_listener_->address())), true);
  return 0;
}

// ---- while it runs ----

int UpSession::loop() {
  if (std::exchange(reload_again_, false)) begin_reload();
  while (!end_) {
    check_health();
    check_done();
    check_give_up();
    draw();
    wait(until_next_event());
    take_news();
  }
  printer_.status({});
  return finish();
}

std::optional<Duration> UpSession::until_next_event() const {
  std::optional<Clock::time_point> next = beats_.next_deadline();
  const auto consider = [&](Clock::time_point at) { next = next ? std::min(*next, at) : at; };
  if (table_) consider(draw_at_);
  if (stopping_ == Stopping::kKilled) consider(give_up_at_);
  if (nearly_done_) consider(Clock::now() + kAskAgain);
  if (!next) return std::nullopt;
  return std::max(Duration(0), Duration(*next - Clock::now()));
}

void UpSession::wait(std::optional<Duration> bound) {
  std::vector<platform::Watch> watches = {{.fd = inbox_->notifier.fd()}, {.fd = signals_.fd()}};
  const auto consider = [&](std::optional<Duration> next) {
    if (next) bound = bound ? std::min(*bound, *next) : *next;
  };
  control_.watch(watches);
  metrics_.watch(watches);
  dump_.watch(watches);
  consider(control_.until_next_event());
  consider(metrics_.until_next_event());
  consider(dump_.until_next_event());
  platform::wait_ready(watches, bound);
  if (watches[0].readable) inbox_->notifier.clear();
  while (const std::optional<platform::Signal> signal = signals_.take()) on_signal(*signal);
  control_.serve(watches);
  metrics_.serve(watches);
  dump_.serve(watches);
  drop_followers();
}

void UpSession::take_news() {
  std::vector<SupervisorEvent> events;
  std::optional<std::expected<Plan, Mistakes>> planned;
  std::vector<std::pair<ClientId, Result<void>>> restarted;
  std::vector<std::string> reload_failures;
  bool reload_done = false;
  bool fresh_lines = false;
  {
    const std::lock_guard lock(inbox_->mutex);
    events.swap(inbox_->events);
    planned.swap(inbox_->planned);
    restarted.swap(inbox_->restarted);
    reload_failures.swap(inbox_->reload_failures);
    reload_done = std::exchange(inbox_->reload_done, false);
    fresh_lines = std::exchange(inbox_->fresh_lines, false);
    end_ = std::move(inbox_->ended);
  }
  for (const SupervisorEvent& event : events) take(event);
  if (planned) take_plan(std::move(*planned));
  if (reload_done) finish_reload(reload_failures);
  for (const auto& [client, result] : restarted) {
    const std::string line = result ? ok_line("", "restarted") : error_line(result.error());
    static_cast<void>(control_.push(client, line));
    control_.finish(client);
  }
  if (fresh_lines) push_fresh_lines();
  if (console_.closed() && stopping_ == Stopping::kNo) {
    stopped_by_ = "a closed output";
    stopping_ = Stopping::kAsked;
    supervisor_.stop();
  }
}

void UpSession::take(const SupervisorEvent& event) {
  using Kind = SupervisorEvent::Kind;
  Row* row = board_.take(event, name());
  if (row != nullptr && !row->is_group) {
    if (event.kind == Kind::kStarted) {
      if (row->health) beats_.watch(event.process, row->path, *row->health);
    } else if (event.kind == Kind::kExited && event.process) {
      beats_.forget(event.process.id());
    }
  }
  const bool bad_exit = event.kind == Kind::kExited && event.exit && !event.exit->success();
  const bool important =
      bad_exit || event.kind == Kind::kStartFailed || event.kind == Kind::kGaveUp || event.kind == Kind::kKilling;
  tell(note_of(event, name()), important);
  if (!all_run_ && event.kind == Kind::kStarted && board_.count(ChildState::kRunning) == board_.children()) {
    all_run_ = true;
    const std::uint64_t children = board_.children();
    tell(
        note_of("ready", name(), "",
                fmt::format("{} after {}", children == 1 ? "its child runs" : fmt::format("all {} children run", grouped(children)),
                            format_duration(Clock::now() - begun_))),
        false);
  }
}

void UpSession::tell(EventNote note, bool important) {
  if (json()) {
    printer_.print(note.json);
  } else if (!settings_.quiet && (important || !table_)) {
    printer_.say("weft: " + note.text);
  }
  push_event(note.json);
  events_.push_back(std::move(note));
  if (events_.size() > kEventsMax) events_.pop_front();
}

void UpSession::write_guest(const std::string& path, GuestOutput how, Stream stream, std::string_view text) {
  logs_.add(path, stream, text);
  if (how == GuestOutput::kNone) return;
  if (!json()) {
    console_.guest(stream, how == GuestOutput::kPrefix ? fmt::format("[{}] ", path) : std::string(), text);
    return;
  }
  const std::uint64_t now_ns = platform::host().wall_ns();
  std::string lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    lines += to_json(LogLine{0, now_ns, path, stream, std::string(line)});
  }
  printer_.print_now(lines);
}

void UpSession::check_health() {
  for (const Beats::Late& late : beats_.take_late()) {
    Row* row = board_.find(late.path);
    if (row == nullptr || !row->process || row->process.id() != late.process) continue;
    ++row->unhealthy;
    const std::string why = fmt::format("did not call weft.alive within {}", format_duration(late.bound));
    row->process.kill("health check: " + why);
    tell(note_of("unhealthy", name(), late.path, why + ": killed"), true);
  }
}

// The board is the quicker one to ask; the supervisors know for certain, while somebody is restarted by hand.
void UpSession::check_done() {
  nearly_done_ = false;
  if (done_ || stopping_ != Stopping::kNo || next_manifest_ || board_.count(ChildState::kStopped) != board_.children()) return;
  if (!std::ranges::all_of(board_.rows(), [](const auto& row) { return row->is_group || row->done(); })) return;
  if (!supervisor_.running()) return;
  // A supervisor tells of an end before it shows it to those who ask, and nothing more comes after the last one.
  nearly_done_ = !is_idle(supervisor_);
  if (nearly_done_) return;
  done_ = true;
  tell(note_of("done", name(), "", "all children have ended"), false);
  supervisor_.stop();
}

void UpSession::check_give_up() {
  if (stopping_ != Stopping::kKilled || Clock::now() < give_up_at_) return;
  printer_.say("weft: some guests cannot be killed (without preemption a loop keeps its worker): leaving");
  leave_now(exit_status());
}

void UpSession::draw() {
  if (!table_ || Clock::now() < draw_at_) return;
  draw_at_ = Clock::now() + kRedraw;
  board_.sample_cpu();
  std::vector<TableRow> rows;
  for (const std::unique_ptr<Row>& row : board_.rows()) {
    rows.push_back({.path = row->path,
                    .id = row->id,
                    .depth = row->depth,
                    .is_group = row->is_group,
                    .state = std::string(weft::name_of(row->state)),
                    .process = row->process ? row->process.id() : 0,
                    .restarts = row->restarts,
                    .uptime = row->uptime(),
                    .cpu_time = {},
                    .cpu_percent = row->cpu_percent,
                    .memory_bytes = row->memory_bytes(),
                    .last_end = row->last_end});
  }
  // Half of the screen is for what guests write.
  const unsigned lines = platform::terminal_rows(kErr);
  std::string text = process_table(
      rows, {.columns = platform::terminal_columns(kErr) - 1, .rows_max = std::max(lines / 2, 4U) - 2, .cpu_percent = true});
  if (text.ends_with('\n')) text.pop_back();
  printer_.status(std::move(text));
}

// ---- signals ----

void UpSession::on_signal(platform::Signal signal) {
  if (signal == platform::Signal::kQuit) {
    if (!runtime_) return;
    printer_.say(fmt::format("weft: tasks of {} (SIGQUIT):", name()));
    printer_.say(to_text(runtime_->dump(true)));
    return;
  }
  if (signal == platform::Signal::kHangUp) {
    begin_reload();
    return;
  }
  const std::string by(name_of(signal));
  stop_signal_ = platform::number_of(signal);
  if (starting_) {
    // The compiler cannot be interrupted, and nothing else has begun.
    printer_.say(fmt::format("weft: {} before {} began", by, name()));
    leave_now(kExitSignalBase + stop_signal_);
  }
  switch (stopping_) {
    case Stopping::kNo:
      stopping_ = Stopping::kAsked;
      stopped_by_ = by;
      tell(note_of("stopping", name(), "", fmt::format("{}: stopping in order; once more kills", by)), true);
      supervisor_.stop();
      return;
    case Stopping::kAsked:
      stopping_ = Stopping::kKilled;
      give_up_at_ = Clock::now() + kAfterKill;
      tell(note_of("killing", name(), "", fmt::format("{}: killing what still runs", by)), true);
      supervisor_.kill(by);
      return;
    case Stopping::kKilled:
      give_up_at_ = Clock::now();
      return;
  }
}

// ---- the end ----

int UpSession::exit_status() const {
  if (console_.closed()) return kExitOutputClosed;
  if (stopping_ == Stopping::kKilled) return kExitSignalBase + stop_signal_;
  if (end_ && end_->reason == SupervisorEndReason::kGaveUp) return kExitGaveUp;
  if (end_ && end_->reason == SupervisorEndReason::kStartFailed) return kExitMachine;
  if (done_ && std::ranges::any_of(board_.rows(), [](const auto& row) { return !row->is_group && row->ended_badly; }))
    return kExitSomeFailed;
  return kExitSuccess;
}

// Without waiting for anything that may not end; what can be put in order is.
void UpSession::leave_now(int status) {
  printer_.status({});
  static_cast<void>(printer_.flush(kLastWords));
  remove_record(name());
  listener_.reset();
  platform::exit_now(status);
}

int UpSession::finish() {
  // What guests have written is out when the runtime is down; only then may weft speak.
  static_cast<void>(runtime_->shutdown(std::chrono::seconds(1)));
  const int status = exit_status();
  const std::string& why = end_->message;
  tell(note_of("exit", name(), "", fmt::format("{} (exit status {})", why, status)), status != kExitSuccess);
  // Followers hear of the end; those that take nothing are not waited for.
  control_.send_last();
  if (!printer_.flush(kLastWords)) leave_now(status);
  return status;
}

}  // namespace weft::cli
