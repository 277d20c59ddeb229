#include "cli/run_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <thread>

#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "cli/machine.hpp"
#include "cli/process_spec.hpp"
#include "cli/program_file.hpp"
#include "platform/terminal.hpp"

namespace weft::cli {
namespace {

constexpr int kOut = 1;
constexpr int kErr = 2;

constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr Duration kPlainProgress = std::chrono::seconds(5);  // without a terminal
constexpr Duration kFirstProgress = std::chrono::milliseconds(300);
constexpr Duration kSlowLoad = std::chrono::seconds(2);
constexpr Duration kAfterKill = std::chrono::seconds(3);  // a killed guest ends at once; one that does not is not waited for
constexpr std::uint64_t kSpawnBatch = 256;                // between two looks at signals and ends
constexpr std::size_t kInputBytesMax = 64U << 20;         // --stdin copy

// All of weft's own standard input; kExhausted when it is larger than what copies may be given.
Result<std::string> read_standard_input() {
  std::string text;
  std::array<char, 64 * 1024> chunk;
  while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), stdin)) {
    text.append(chunk.data(), count);
    if (text.size() > kInputBytesMax) {
      return fail(ErrorKind::kExhausted, fmt::format("--stdin copy: the input is larger than {}; give it as a file with --dir",
                                                     format_size(kInputBytesMax)));
    }
  }
  return text;
}

}  // namespace

void RunSession::Inbox::put(std::uint64_t index, ExitStatus status) {
  bool first = false;
  {
    const std::lock_guard lock(mutex);
    first = ended.empty();
    ended.emplace_back(index, std::move(status));
  }
  if (first) notifier.notify();
}

RunSession::RunSession(const Settings& settings, platform::SignalSource& signals)
    : settings_(settings),
      signals_(signals),
      inbox_(std::make_shared<Inbox>()),
      console_({.live = platform::is_terminal(kErr) && settings.progress.value_or(true) && !settings.quiet && !settings.json,
                .output_is_terminal = platform::is_terminal(kOut),
                .on_closed = [inbox = inbox_] { inbox->notifier.notify(); }}),
      name_(settings.name.value_or(short_name(settings.program))),
      server_([this](Format format, bool stacks) {
        const std::vector<TaskDump> tasks = runtime_ ? runtime_->dump(stacks) : std::vector<TaskDump>();
        return format == Format::kJson ? to_json(tasks) : to_text(tasks);
      }) {
  // A single guest owns the terminal: nobody wants a status line in the middle of its prompts.
  const bool silent = settings.quiet || settings.json;
  progress_ = settings.progress.value_or(!single() && console_.live()) && !silent;
}

RunSession::~RunSession() = default;

int RunSession::run() {
  if (const int failed = start(); failed != 0) return failed;
  return loop();
}

// ---- before the first copy ----

int RunSession::start() {
  const platform::Platform& machine = platform::host();
  warnings_ = check_against_machine(settings_, machine.memory(), machine.cpus());

  RuntimeOptions options;
  options.workers = settings_.workers;
  options.quantum = settings_.quantum;
  // --copies and --at-once are at most 32 bits wide.
  options.processes_max = static_cast<unsigned>(alive_at_once(settings_));
  if (settings_.limits.threads) {
    // All that the copies may have together. Their programs need not have any: then nothing is set aside for them.
    constexpr std::uint64_t kTogetherMax = 1'000'000;
    options.threads_max = static_cast<unsigned>(std::min(kTogetherMax, alive_at_once(settings_) * *settings_.limits.threads));
  }
  if (settings_.stack_bytes) options.stack_bytes = *settings_.stack_bytes;
  options.fuel = settings_.limits.fuel.has_value();
  options.preemption = settings_.preemption;
  options.fibers = settings_.fibers;
  options.strands_preemptive = settings_.strands_preemptive;
  options.cache = settings_.cache;
  options.cache_directory = settings_.cache_directory;
  options.trace = !settings_.trace.empty();
  Result<Runtime> runtime = Runtime::create(std::move(options));
  if (!runtime) {
    Error error = std::move(runtime.error());
    if (error.kind == ErrorKind::kExhausted && !single()) error.message += "; or keep fewer of them alive with --at-once N";
    return report_error(console_, error);
  }
  runtime_.emplace(std::move(*runtime));
  std::ranges::copy(runtime_->warnings(), std::back_inserter(warnings_));

  Result<Program> program = prepare();
  if (!program) return report_error(console_, program.error(), settings_.program);
  program_ = std::move(*program);
  // Only now: beside an error they would be noise.
  if (!settings_.quiet && !settings_.json) {
    for (const std::string& warning : warnings_) console_.say("weft: warning: " + warning);
  }
  // Without its socket weft runs as well; `weft dump` then says that nobody answers, and SIGQUIT still works.
  static_cast<void>(server_.open());
  return 0;
}

Result<Program> RunSession::prepare() {
  Result<Module> module = load();
  if (!module) return std::unexpected(std::move(module.error()));
  return runtime_->prepare(make_spec(std::move(*module)));
}

// Compiling may take a while, and so may input that is still being typed: both happen on a thread of their own, while this one
// listens to Ctrl-C.
Result<Module> RunSession::load() {
  std::optional<Result<Module>> module;
  std::jthread loader([this, &module, inbox = inbox_] {
    Result<Module> loaded = load_program(*runtime_, settings_.program, settings_.allow_precompiled);
    if (loaded && input_text_wanted()) {
      Result<std::string> text = read_standard_input();
      if (text) {
        input_text_ = std::move(*text);
      } else {
        loaded = std::unexpected(std::move(text.error()));
      }
    }
    const std::lock_guard lock(inbox->mutex);
    module.emplace(std::move(loaded));
    inbox->loaded = true;
    inbox->notifier.notify();
  });
  loading_ = true;
  const auto begun = Clock::now();
  while (true) {
    {
      const std::lock_guard lock(inbox_->mutex);
      if (inbox_->loaded) break;
    }
    const Duration passed = Clock::now() - begun;
    if (passed >= kSlowLoad) {
      console_.set_status(fmt::format("weft: {} {} … {} s", input_text_wanted() ? "preparing" : "compiling", settings_.program,
                                      std::chrono::duration_cast<std::chrono::seconds>(passed).count()));
    }
    wait(console_.live() ? std::optional<Duration>(std::chrono::milliseconds(250)) : std::nullopt);
  }
  loading_ = false;
  console_.set_status({});
  return std::move(*module);
}

ProcessSpec RunSession::make_spec(Module module) const {
  ProcessSpec spec = process_spec_of(settings_, std::move(module), name_);
  switch (settings_.stdin_mode.value_or(single() ? StdinMode::kInherit : StdinMode::kEmpty)) {
    case StdinMode::kInherit:
      spec.input = Input::inherit();
      break;
    case StdinMode::kEmpty:
      spec.input = Input::empty();
      break;
    case StdinMode::kCopy:
      spec.input = Input::of(input_text_);
      break;
  }
  // A single guest writes straight through, unless something of weft's may stand in its way.
  spec.output = single() && !progress_ && settings_.prefix != When::kAlways ? Output::inherit() : Output::discard();
  return spec;
}

std::string RunSession::name_of_copy(std::uint64_t index) const {
  return single() ? name_ : fmt::format("{}#{}", name_, index + 1);
}

Output RunSession::output_of_copy(std::uint64_t index) {
  const bool prefix =
      settings_.prefix == When::kAlways || (settings_.prefix == When::kAuto && !single() && platform::is_terminal(kOut));
  const bool whole_lines = prefix || !single();
  // The console outlives the runtime (it is declared before it), and with it every receiver.
  return Output::to([this, text = prefix ? fmt::format("[{}] ", name_of_copy(index)) : std::string()](
                        ProcessId, Stream stream, std::string_view written) { console_.guest(stream, text, written); },
                    whole_lines);
}

// ---- while the copies run ----

Task<void> RunSession::report_end(Process process, std::uint64_t index, std::shared_ptr<Inbox> inbox) {
  ExitStatus status = co_await process.exited();
  inbox->put(index, std::move(status));
}

int RunSession::loop() {
  copies_begun_ = Clock::now();
  progress_at_ = copies_begun_ + kFirstProgress;
  while (true) {
    spawn_some();
    take_ended();
    const bool more = spawned_ < settings_.copies && stopping_ == Stopping::kNo && !spawn_error_;
    if (alive_.empty() && !more) break;
    check_grace();
    check_reader();
    show_progress();
    wait(until_next_event());
  }
  console_.set_status({});
  return finish();
}

void RunSession::spawn_some() {
  const std::uint64_t most_alive = alive_at_once(settings_);
  for (std::uint64_t batch = 0; batch < kSpawnBatch; ++batch) {
    if (stopping_ != Stopping::kNo || spawn_error_ || spawned_ == settings_.copies || alive_.size() >= most_alive) return;
    SpawnOptions options;
    if (!single()) options.name = name_of_copy(spawned_);
    if (!single() || progress_ || settings_.prefix == When::kAlways) options.output = output_of_copy(spawned_);
    Result<Process> process = runtime_->spawn(program_, std::move(options));
    if (!process) {
      // The copies that run are not lost for it; the rest is not started.
      spawn_error_ = std::move(process.error());
      return;
    }
    alive_.emplace(spawned_, *process);
    runtime_->start(report_end(std::move(*process), spawned_, inbox_), kPriorityHighest, "report end");
    ++spawned_;
  }
}

void RunSession::take_ended() {
  std::vector<std::pair<std::uint64_t, ExitStatus>> ended;
  {
    const std::lock_guard lock(inbox_->mutex);
    ended.swap(inbox_->ended);
  }
  for (auto& [index, status] : ended) {
    alive_.erase(index);
    tally_.add(index, status);
    if (settings_.invoke && status.success() && !status.result_text.empty()) {
      const bool prefix =
          settings_.prefix == When::kAlways || (settings_.prefix == When::kAuto && !single() && platform::is_terminal(kOut));
      console_.guest(Stream::kOut, prefix ? fmt::format("[{}] ", name_of_copy(index)) : "", status.result_text + "\n");
    }
    if (single()) single_status_ = std::move(status);
  }
  if (console_.closed() && stopping_ == Stopping::kNo) {
    stopped_by_ = "a closed output";
    kill_all("weft: nobody reads the output any more");
  }
}

std::optional<Duration> RunSession::until_next_event() const {
  const bool may_spawn =
      spawned_ < settings_.copies && stopping_ == Stopping::kNo && !spawn_error_ && alive_.size() < alive_at_once(settings_);
  if (may_spawn) return Duration(0);
  std::optional<Clock::time_point> next;
  const auto consider = [&](Clock::time_point at) { next = next ? std::min(*next, at) : at; };
  if (progress_) consider(progress_at_);
  if (reader_gone_at_ && stopping_ == Stopping::kNo) consider(*reader_gone_at_ + settings_.grace);
  if (stopping_ == Stopping::kAsked) consider(kill_at_);
  if (stopping_ == Stopping::kKilled) consider(give_up_at_);
  if (!next) return std::nullopt;
  return std::max(Duration(0), Duration(*next - Clock::now()));
}

void RunSession::wait(std::optional<Duration> bound) {
  std::vector<platform::Watch> watches = {{.fd = inbox_->notifier.fd()}, {.fd = signals_.fd()}};
  // A single guest is told by its own writes that its reader has gone; this is for the guest that does not listen.
  const bool watch_reader = single() && !loading_ && !reader_gone_at_ && platform::is_pipe(kOut);
  watches.push_back({.fd = watch_reader ? kOut : -1, .for_closing = true});
  server_.watch(watches);
  if (const std::optional<Duration> next = server_.until_next_event()) bound = bound ? std::min(*bound, *next) : *next;
  platform::wait_ready(watches, bound);
  if (watches[0].readable) inbox_->notifier.clear();
  if (watches[2].readable) reader_gone_at_ = Clock::now();
  while (const std::optional<platform::Signal> signal = signals_.take()) on_signal(*signal);
  server_.serve(watches);
}

void RunSession::show_progress() {
  if (!progress_ || Clock::now() < progress_at_) return;
  const Totals& totals = tally_.totals();
  const Progress now{.copies = settings_.copies,
                     .started = spawned_,
                     .ended = totals.ended,
                     .failed = totals.failed(),
                     .elapsed = Clock::now() - copies_begun_};
  if (console_.live()) {
    console_.set_status(progress_line(now, platform::terminal_columns(kErr)));
    progress_at_ = Clock::now() + kRedraw;
  } else {
    console_.say(progress_line(now, 0));
    progress_at_ = Clock::now() + kPlainProgress;
  }
}

// ---- signals ----

void RunSession::on_signal(platform::Signal signal) {
  if (signal == platform::Signal::kQuit) {
    dump_to_console();
    return;
  }
  const std::string by(name_of(signal));
  stop_signal_ = platform::number_of(signal);
  if (loading_) {
    // Compiler and input cannot be interrupted, and nothing else has begun.
    console_.set_status({});
    console_.say(fmt::format("weft: {} before {} began", by, settings_.program));
    platform::exit_now(kExitSignalBase + stop_signal_);
  }
  switch (stopping_) {
    case Stopping::kNo:
      ask_to_end(by);
      return;
    case Stopping::kAsked:
      console_.say("weft: killing what still runs");
      kill_all(by);
      return;
    case Stopping::kKilled:
      console_.set_status({});
      platform::exit_now(kExitSignalBase + stop_signal_);
  }
}

void RunSession::ask_to_end(std::string by) {
  stopping_ = Stopping::kAsked;
  stopped_by_ = std::move(by);
  kill_at_ = Clock::now() + settings_.grace;
  const std::uint64_t left = settings_.copies - tally_.totals().ended;
  console_.say(fmt::format("weft: {}: asked {} to end; press Ctrl-C again to kill {} (in {} weft does)", stopped_by_,
                           left == 1 ? "the guest" : fmt::format("{} guests", grouped(left)), left == 1 ? "it" : "them",
                           format_duration(settings_.grace)));
  for (const auto& [index, process] : alive_) process.request_stop();
}

void RunSession::kill_all(std::string_view by) {
  stopping_ = Stopping::kKilled;
  give_up_at_ = Clock::now() + kAfterKill;
  for (const auto& [index, process] : alive_) process.kill(by);
}

void RunSession::check_grace() {
  if (stopping_ == Stopping::kAsked && Clock::now() >= kill_at_) {
    console_.say(fmt::format("weft: {} did not end in {}: killed",
                             alive_.size() == 1 ? "the guest" : fmt::format("{} guests", grouped(alive_.size())),
                             format_duration(settings_.grace)));
    kill_all(stopped_by_);
  } else if (stopping_ == Stopping::kKilled && Clock::now() >= give_up_at_) {
    console_.set_status({});
    console_.say(fmt::format("weft: {} cannot be killed (without preemption a loop keeps its worker): leaving",
                             alive_.size() == 1 ? "the guest" : fmt::format("{} guests", grouped(alive_.size()))));
    platform::exit_now(exit_status());
  }
}

// A native program would have died of SIGPIPE at its next write. A guest gets an error instead, and time to act on it.
void RunSession::check_reader() {
  if (stopping_ != Stopping::kNo || !reader_gone_at_ || Clock::now() < *reader_gone_at_ + settings_.grace) return;
  stopped_by_ = "a closed output";
  kill_all("weft: nobody reads the output any more");
}

void RunSession::dump_to_console() {
  if (!runtime_) return;
  console_.say(fmt::format("weft: tasks of {} (SIGQUIT):", name_));
  console_.say(to_text(runtime_->dump(true)));
}

// ---- the end ----

int RunSession::exit_status() const {
  if (stop_signal_ != 0) return kExitSignalBase + stop_signal_;
  if (console_.closed()) return kExitOutputClosed;
  if (spawn_error_) return exit_code_of(spawn_error_->kind);
  if (!single()) return tally_.totals().succeeded == settings_.copies ? kExitSuccess : kExitSomeFailed;
  if (!single_status_) return kExitInternal;
  // A guest that breaks because nobody reads it any more ends as a native program would: quietly.
  const bool broke = single_status_->kind == ExitKind::kTrapped || single_status_->kind == ExitKind::kKilled;
  if (broke && platform::reader_gone(kOut)) return kExitOutputClosed;
  return exit_code_of(*single_status_);
}

RunFacts RunSession::facts(int status) const {
  return {.program = name_,
          .path = settings_.program,
          .copies = settings_.copies,
          .not_started = settings_.copies - spawned_,
          .workers = workers_,
          .steals = steals_,
          .wall_time = Clock::now() - begun_,
          .start_time = copies_begun_ - begun_,
          .stopped_by = stopped_by_,
          .exit_status = status,
          .warnings = warnings_};
}

void RunSession::say_end(int status) {
  if (spawn_error_) static_cast<void>(report_error(console_, *spawn_error_, settings_.program));
  const RunFacts told = facts(status);
  const Totals& totals = tally_.totals();
  const bool quiet_end = status == kExitOutputClosed;
  const bool json = json_wanted();
  if (!quiet_end && !settings_.json) {
    if (single()) {
      // A guest that calls exit(3) has said itself what there is to say.
      const bool own_exit = single_status_ && single_status_->kind == ExitKind::kExited;
      const bool our_stop = stop_signal_ != 0;
      if (!own_exit && !our_stop) {
        std::string text = failures_text(totals, told);
        console_.say(text);
      }
      if (settings_.stats == Format::kText) console_.say(usage_text(totals, told));
    } else if (!settings_.quiet) {
      console_.say(summary_text(totals, told));
    } else {
      console_.say(failures_text(totals, told));
    }
  }
  if (json) console_.say(summary_json(totals, told, single_status_));
}

Result<void> RunSession::write_trace() {
  if (settings_.trace.empty()) return {};
  return runtime_->trace().write_json(settings_.trace);
}

int RunSession::finish() {
  const RuntimeStats stats = runtime_->stats();
  workers_ = stats.workers;
  steals_ = stats.steals;
  // What guests have written is out when the runtime is down; only then may weft speak.
  static_cast<void>(runtime_->shutdown(std::chrono::seconds(1)));
  // And only then the last worker has recorded the end of the last guest.
  const Result<void> traced = write_trace();
  int status = exit_status();
  if (!traced) {
    static_cast<void>(report_error(console_, traced.error(), settings_.trace.string()));
    if (status == kExitSuccess) status = kExitCannotWrite;
  }
  say_end(status);
  return status;
}

}  // namespace weft::cli
