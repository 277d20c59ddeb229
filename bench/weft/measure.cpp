#include "measure.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <fstream>

namespace weft_bench {

namespace {

constexpr std::size_t kSamplesMax = 1U << 16;
constexpr std::int64_t kHourNs = 3'600'000'000'000;

double number(const std::string& name, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || value < 0) fail(name + " " + text + ": not a number");
  return value;
}

}  // namespace

void fail(const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "weft-bench: %s\n", message.c_str());
  std::exit(1);
}

Options Options::parse(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) fail("say which benchmark: switch, spawn, … (main.cpp lists them)");
  Options options;
  options.bench = words[0];
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& name = words[i];
    if (name == "--trace") {
      options.trace = true;
      continue;
    }
    if (i + 1 == words.size()) fail(name + " needs a value");
    const std::string& text = words[++i];
    if (name == "--guests") {
      options.guests = text;
    } else if (name == "--guest") {
      options.guest = text;
    } else if (name == "--fibers") {
      if (text != "async" && text != "continuations") fail(name + " must be async or continuations");
      options.fibers = text == "async" ? weft::Fibers::kAsync : weft::Fibers::kContinuations;
    } else if (name == "--seconds") {
      options.seconds = number(name, text);
    } else {
      const std::pair<const char*, unsigned*> numbers[] = {
          {"--n", &options.n},         {"--iterations", &options.iterations}, {"--workers", &options.workers},
          {"--count", &options.count}, {"--rounds", &options.rounds},         {"--repeats", &options.repeats}};
      const auto* found = std::find_if(std::begin(numbers), std::end(numbers), [&](const auto& n) { return name == n.first; });
      if (found == std::end(numbers)) fail("unknown option " + name);
      *found->second = static_cast<unsigned>(number(name, text));
    }
  }
  return options;
}

void report(std::string_view bench, std::string_view name, unsigned n, double value, std::string_view unit,
            std::string_view extra) {
  std::printf(
      "{\"system\":\"weft\",\"bench\":\"%.*s\",\"case\":\"%.*s\",\"n\":%u,\"value\":%.4f,\"unit\":\"%.*s\",\"extra\":{%.*s}}\n",
      static_cast<int>(bench.size()), bench.data(), static_cast<int>(name.size()), name.data(), n, value,
      static_cast<int>(unit.size()), unit.data(), static_cast<int>(extra.size()), extra.data());
  std::fflush(stdout);
}

double quantile(std::vector<std::uint64_t>& values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return static_cast<double>(values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))]);
}

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

std::uint64_t cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

long context_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nvcsw;
}

Memory memory() {
  Memory result;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) result.resident_kib = std::atof(line.c_str() + 6);
    if (line.starts_with("VmPTE:")) result.tables_kib = std::atof(line.c_str() + 6);
  }
  return result;
}

std::size_t maps() {
  std::size_t count = 0;
  std::ifstream file("/proc/self/maps");
  for (std::string line; std::getline(file, line);) ++count;
  return count;
}

weft::HostFunctions GuestReports::functions(const std::shared_ptr<GuestReports>& reports) {
  weft::HostFunctions host;
  host.define("bench", "ready", [r = reports](weft::Caller&, std::int32_t first) -> std::int32_t {
    if (first == 1) r->arrived.fetch_add(1);
    if (r->arrived.load() < r->expected) return 0;
    if (r->start_ns.load() == 0) {
      std::uint64_t none = 0;
      if (r->start_ns.compare_exchange_strong(none, now_ns())) r->start_cpu_ns.store(cpu_ns());
    }
    return 1;
  });
  host.define("bench", "expected", [r = reports](weft::Caller&) { return static_cast<std::int32_t>(r->expected); });
  host.define("bench", "iterations", [r = reports](weft::Caller&) { return static_cast<std::int32_t>(r->iterations); });
  host.define("bench", "rounds", [r = reports](weft::Caller&) { return static_cast<std::int32_t>(r->rounds); });
  host.define("bench", "done", [r = reports](weft::Caller&) {
    if (r->done.fetch_add(1) + 1 != r->expected) return;
    r->end_ns.store(now_ns());
    r->end_cpu_ns.store(cpu_ns());
  });
  host.define("bench", "number", [r = reports](weft::Caller&) { return static_cast<std::int32_t>(r->numbers.fetch_add(1) + 1); });
  host.define("bench", "tick", [r = reports](weft::Caller&, std::int32_t number) -> std::int32_t {
    const std::uint64_t gap = now_ns() - r->last_ns;
    if (r->last_number == number) {
      if (r->same_ns.size() < kSamplesMax) r->same_ns.push_back(gap);
    } else if (r->last_number != 0 && r->gap_ns.size() < kSamplesMax) {
      r->gap_ns.push_back(gap);
    }
    r->last_number = number;
    r->last_ns = now_ns();
    return r->stop.load(std::memory_order_relaxed) ? 0 : 1;
  });
  host.define("bench", "sleep_ns", [](weft::Caller&) -> std::int64_t { return kHourNs; });
  host.define("bench", "arrived", [r = reports](weft::Caller&) { r->arrived.fetch_add(1); });
  host.define("bench", "late", [r = reports](weft::Caller&, std::int64_t ns) -> std::int32_t {
    r->late_ns.push_back(static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0)));
    return r->stop.load(std::memory_order_relaxed) ? 0 : 1;
  });
  return host;
}

weft::RuntimeOptions runtime_options(const Options& options, unsigned workers, unsigned processes,
                                     const std::shared_ptr<GuestReports>& reports) {
  weft::RuntimeOptions result;
  result.workers = workers;
  result.processes_max = processes + 16;
  result.stack_bytes = 64U << 10;
  // 100,000 times the default 4 GiB is more than the address space; up to 10,000 fit.
  if (processes > 10'000) result.memory_bytes_max = 1U << 20;
  result.fibers = options.fibers;
  result.cache = false;
  result.trace = options.trace;
  result.host = GuestReports::functions(reports);
  return result;
}

weft::Program prepare(const weft::Runtime& runtime, const Options& options, const std::filesystem::path& guest,
                      const std::string& entry) {
  weft::ProcessSpec spec;
  spec.module = must(runtime.load(guest.has_extension() ? guest : options.guests / (guest.string() + ".wat")));
  spec.entry = entry;
  return must(runtime.prepare(std::move(spec)));
}

weft::ExitStatus join_well(const weft::Process& process) {
  weft::ExitStatus status = process.join();
  if (!status.success()) fail("a guest " + std::string(weft::name_of(status.kind)) + ": " + status.message);
  return status;
}

}  // namespace weft_bench
