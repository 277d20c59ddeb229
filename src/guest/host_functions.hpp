// The embedder's host functions (weft/host.hpp) as imports of guests, and the import module "weft".
#pragma once

#include "wasm/program.hpp"
#include "weft/error.hpp"
#include "weft/host.hpp"

namespace weft::guest {

// Defines them all. The functions are copied; a later program keeps them alive. kBadArgument on a name that cannot be one.
Result<void> define_host_functions(wasm::Linker& linker, const HostFunctions& functions);

// Import module "weft": what any guest may ask of the runtime.
//   stop_requested: () -> i32   1 once the process was asked to end (Process::request_stop), else 0
Result<void> define_weft_module(wasm::Linker& linker, const HostFunctions& unless_in);

}  // namespace weft::guest
