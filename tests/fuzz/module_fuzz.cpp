// Damaged modules, binary and text: detecting, inspecting and compiling them ends in an answer or in an error of the kinds that are promised, in one line. What
// still compiles is run, briefly, within limits. The loader of precompiled code is not fuzzed: it takes machine code, which runs.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/weft.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace std::chrono_literals;

weft::Runtime& runtime() {
  // Kept for good: a fuzzer has no orderly end.
  static weft::Runtime& made = *new weft::Runtime([] {
    weft::RuntimeOptions options;
    options.workers = 1;
    options.processes_max = 8;
    options.cache = false;
    return weft::Runtime::create(std::move(options)).value();
  }());
  return made;
}

void fail(std::string_view what, const weft::Error& error) {
  std::cerr << "module_fuzz: " << what << ": " << weft::name_of(error.kind) << ": " << error.message << "\n"
            << error.detail << std::endl;
  std::abort();
}

void check(std::string_view what, const weft::Error& error, std::initializer_list<weft::ErrorKind> allowed) {
  bool good = false;
  for (const weft::ErrorKind kind : allowed) good = good || error.kind == kind;
  if (!good) fail(what, error);
  if (error.message.empty() || error.message.find('\n') != std::string::npos) fail(std::string(what) + ", not one line", error);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Kind = weft::ErrorKind;
  const weft::Result<weft::ModuleInfo> info = weft::inspect(std::vector<std::uint8_t>(data, data + size));
  if (!info) {
    check("inspect", info.error(), {Kind::kInvalidModule, Kind::kUnsupportedFeature, Kind::kBadArgument});
  } else if (info->runnable != info->obstacles.empty()) {
    std::cerr << "module_fuzz: runnable, or not, without a reason:\n" << info->json << std::endl;
    std::abort();
  }
  const weft::Result<weft::Module> module = runtime().compile({data, size}, "fuzz");
  if (!module) {
    check("compile", module.error(), {Kind::kInvalidModule, Kind::kUnsupportedFeature, Kind::kBadArgument, Kind::kExhausted});
    return 0;
  }
  weft::ProcessSpec spec{.module = *module};
  spec.limits.wall_time = 5ms;
  spec.limits.memory_bytes = 4U << 20;
  spec.limits.table_elements = 10'000;
  spec.limits.instances = 10;
  const weft::Result<weft::Process> process = runtime().spawn(std::move(spec));
  if (!process) {
    check("spawn", process.error(), {Kind::kMissingImport, Kind::kNoEntryPoint, Kind::kUnsupportedFeature, Kind::kBadArgument});
    return 0;
  }
  const weft::ExitStatus status = process->join();
  if (status.kind == weft::ExitKind::kKilled) std::abort();
  return 0;
}
