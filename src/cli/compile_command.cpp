#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>

#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "cli/program_file.hpp"
#include "cli/write_file.hpp"
#include "platform/terminal.hpp"
#include "weft/runtime.hpp"

namespace weft::cli {
namespace {

constexpr int kErr = 2;
constexpr auto kSlow = std::chrono::seconds(2);

// Says once a second how long it takes, after the first two.
void show_seconds(const std::stop_token& stop, Console& console, const std::string& program) {
  std::mutex mutex;
  std::condition_variable_any changed;
  const auto begun = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex);
  auto next = begun + kSlow;
  while (!changed.wait_until(lock, stop, next, [&] { return stop.stop_requested(); })) {
    const auto passed = std::chrono::duration_cast<std::chrono::seconds>(next - begun);
    console.set_status(fmt::format("weft: compiling {} … {} s", program, passed.count()));
    next += std::chrono::seconds(1);
  }
}

}  // namespace

int compile_program(const Settings& settings) {
  Console console({.live = platform::is_terminal(kErr) && !settings.quiet});
  const std::string& program = settings.operands.front();
  RuntimeOptions options;
  options.workers = 1;
  options.processes_max = 1;
  options.preemption = settings.preemption;
  options.fibers = settings.fibers;
  options.strands_preemptive = settings.strands_preemptive;
  options.fuel = settings.count_fuel;
  options.cache = false;
  if (settings.stack_bytes) options.stack_bytes = *settings.stack_bytes;
  Result<Runtime> runtime = Runtime::create(std::move(options));
  if (!runtime) return report_error(console, runtime.error());

  const auto begun = std::chrono::steady_clock::now();
  Result<Module> module = [&] {
    const std::jthread clock([&](const std::stop_token& stop) { show_seconds(stop, console, program); });
    return load_program(*runtime, program, false);
  }();
  console.set_status({});
  if (!module) return report_error(console, module.error(), program);
  const Result<std::vector<std::uint8_t>> code = module->serialize();
  if (!code) return report_error(console, code.error(), program);

  std::filesystem::path output = settings.output;
  if (output.empty()) output = std::filesystem::path(program).filename().replace_extension(".cwasm");
  if (const Result<void> written = write_file(output, std::as_bytes(std::span(*code))); !written) {
    static_cast<void>(report_error(console, written.error()));
    return kExitCannotWrite;
  }
  if (!settings.quiet) {
    console.say(fmt::format("weft: {}: {} of machine code, compiled in {}; run it with weft run --allow-precompiled",
                            output.string(), format_size(code->size()), format_duration(std::chrono::steady_clock::now() - begun)));
  }
  return kExitSuccess;
}

}  // namespace weft::cli
