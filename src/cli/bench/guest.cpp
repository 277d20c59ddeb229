#include "cli/bench/guest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include "cli/bench/ring_guest_text.hpp"
#include "cli/bench/ring_layout.hpp"

namespace weft::cli {
namespace {

constexpr std::string_view kEntry = "run";
constexpr unsigned kProcessesMax = 4;
constexpr unsigned kThreadsMax = 256;

struct Ended {
  ExitStatus status;
  std::uint64_t elapsed_ns = 0;  // from the spawn to the end
};

Result<Module> compile(const Runtime& runtime, const std::string& text, std::string name) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  return runtime.compile(std::span(bytes, text.size()), std::move(name));
}

Result<Ended> run(const Runtime& runtime, ProcessSpec spec, std::size_t results) {
  spec.entry = kEntry;
  const Result<Program> program = runtime.prepare(std::move(spec));
  if (!program) return std::unexpected(program.error());
  const auto begun = std::chrono::steady_clock::now();
  const Result<Process> process = runtime.spawn(*program);
  if (!process) return std::unexpected(process.error());
  Ended ended;
  ended.status = process->join();
  ended.elapsed_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(std::chrono::steady_clock::now() - begun).count());
  if (ended.status.kind != ExitKind::kReturned || ended.status.results.size() != results) {
    return fail(ended.status.kind == ExitKind::kFailed ? ErrorKind::kExhausted : ErrorKind::kInternal,
                fmt::format("the guest did not come to its end: {}", ended.status.message), ended.status.detail);
  }
  if (std::get<std::int64_t>(ended.status.results.front()) < 0) {
    return fail(ErrorKind::kExhausted, "the guest was refused a thread");
  }
  return ended;
}

std::uint64_t number(const ExitStatus& status, std::size_t at) {
  return static_cast<std::uint64_t>(std::get<std::int64_t>(status.results.at(at)));
}

Value word(std::uint64_t value) { return static_cast<std::int32_t>(value); }

}  // namespace

Result<BenchGuests> BenchGuests::create(unsigned workers) {
  Result<Runtime> runtime =
      Runtime::create({.workers = workers, .processes_max = kProcessesMax, .threads_max = kThreadsMax, .cache = false});
  if (!runtime) return std::unexpected(runtime.error());
  return BenchGuests(std::move(*runtime));
}

Result<RingFigures> BenchGuests::run_ring(const RingShape& shape, Start start) {
  Module& module = rings_[shape.slots];
  if (!module) {
    Result<Module> compiled = compile(runtime_, ring_guest_text(shape.slots, shape.batch, shape.patience), "ring");
    if (!compiled) return std::unexpected(compiled.error());
    module = *std::move(compiled);
  }
  const bool warm = start == Start::kWarm;
  const std::uint64_t touched = warm ? 4 * std::min(shape.slots, shape.items) : 0;
  const Result<Ended> ended =
      run(runtime_,
          {.module = module,
           .entry_values = {word(shape.items), word(shape.slots - 1), word(shape.wait ? 1 : 0), word(warm ? 1 : 0), word(touched)}},
          6);
  if (!ended) return std::unexpected(ended.error());
  return RingFigures{.elapsed_ns = warm ? number(ended->status, 0) : ended->elapsed_ns,
                     .sum = number(ended->status, 1),
                     .prod_spins = number(ended->status, 2),
                     .cons_spins = number(ended->status, 3),
                     .prod_parks = number(ended->status, 4),
                     .cons_parks = number(ended->status, 5)};
}

Result<std::uint64_t> BenchGuests::run_files(const std::filesystem::path& directory, std::uint64_t threads, std::uint64_t blocks) {
  if (!files_) {
    Result<Module> compiled = compile(runtime_, file_guest_text(), "file_io");
    if (!compiled) return std::unexpected(compiled.error());
    files_ = *std::move(compiled);
  }
  const Result<Ended> ended = run(runtime_,
                                  {.module = files_,
                                   .directories = {{.host = directory.string(), .guest = "/"}},
                                   .entry_values = {word(threads), word(blocks)}},
                                  2);
  if (!ended) return std::unexpected(ended.error());
  if (const std::uint64_t errors = number(ended->status, 1); errors > 0) {
    return fail(ErrorKind::kIo, fmt::format("{} calls of the guest failed, or gave other blocks than were written", errors));
  }
  return number(ended->status, 0);
}

}  // namespace weft::cli
