// A spec made ready: linked, its directories checked, its limits judged. What Runtime::prepare() gives.
#pragma once

#include <memory>

#include "process/paid_link.hpp"
#include "wasm/program.hpp"
#include "weft/process.hpp"
#include "weft/runtime.hpp"

namespace weft {

struct Program::State {
  ProcessSpec spec;
  std::shared_ptr<wasm::WasiConfig> wasi;
  std::shared_ptr<const wasm::Program> linked;
  std::shared_ptr<process::PaidLink> paid;  // for processes with a pool of fuel; null: `linked` does for them
};

namespace process {

// What the runtime allows any process.
struct Bounds {
  bool fuel = false;                   // fuel is counted
  std::uint64_t memory_bytes_max = 0;  // also for a process without a limit of its own
};

// Links `module` of the spec and looks at every directory and limit.
Result<std::shared_ptr<const Program::State>> prepare(ProcessSpec spec, std::shared_ptr<const wasm::CompiledModule> module,
                                                      const wasm::Linker& linker, const Bounds& bounds);
// The same program with other limits.
Result<std::shared_ptr<const Program::State>> with_limits(const Program::State& program, const Limits& limits,
                                                          const Bounds& bounds);

}  // namespace process
}  // namespace weft
