// The embedder's host functions (weft/host.hpp) as imports of guests, and the import module "weft".
#pragma once

#include <memory>

#include "wasm/call_host.hpp"
#include "wasm/program.hpp"
#include "weft/error.hpp"
#include "weft/host.hpp"

namespace weft::guest {

// Defines them all. A later program keeps them alive; several linkers may have the same. kBadArgument on a name that cannot be one.
Result<void> define_host_functions(wasm::Linker& linker, const std::shared_ptr<const HostFunctions>& functions);

// Import module "weft": what any guest may ask of the runtime.
//   stop_requested: () -> i32                           1 once the process was asked to end (Process::request_stop), else 0
//   acknowledge_stop: () -> ()                          it has heard that: see CancellationStrategy (weft/task_manager.hpp)
//   alive: () -> ()                                    it is well: see Process::heartbeat
//   progress: (f64 fraction, i32 text, i32 length) -> ()  how far it is, 0 … 1, and in words: what TaskInfo shows. Traps on a text outside of its memory
Result<void> define_weft_module(wasm::Linker& linker, const HostFunctions& unless_in);

// Who answers the calls of the guest that calls. For host functions of ours only: an embedder's Caller is none of theirs.
wasm::CallHost& call_host_of(Caller& caller);

}  // namespace weft::guest
