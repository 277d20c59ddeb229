// A spec made ready: linked, its directories checked, its limits judged. What Runtime::prepare() gives.
#pragma once

#include <memory>

#include "wasm/program.hpp"
#include "weft/process.hpp"
#include "weft/runtime.hpp"

namespace weft {

struct Program::State {
  ProcessSpec spec;
  std::unique_ptr<wasm::WasiConfig> wasi;
  std::unique_ptr<const wasm::Program> linked;
};

namespace process {

// Links `module` of the spec, opens nothing yet but looks at every directory. `fuel` says whether the engine counts it.
Result<std::shared_ptr<const Program::State>> prepare(ProcessSpec spec, std::shared_ptr<const wasm::CompiledModule> module,
                                                      const wasm::Linker& linker, bool fuel);

}  // namespace process
}  // namespace weft
