// Runtime::State: the runtime behind its handle. Its end is the shutdown; what it shares with processes lives in the Environment.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "process/environment.hpp"
#include "weft/runtime.hpp"

namespace weft {

struct Runtime::State {
  State(RuntimeOptions given, std::shared_ptr<process::Environment> made)
      : options(std::move(given)), environment(std::move(made)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { (void)shutdown(Duration::zero(), std::chrono::seconds(10)); }

  static void let_go(State* state) noexcept;  // what becomes of it after its last handle
  ShutdownReport shutdown(Duration drain, Duration cancel);

  const RuntimeOptions options;
  const std::shared_ptr<process::Environment> environment;
  std::vector<std::string> warnings;
  std::atomic<bool> shut_down{false};  // set by the first shutdown; decides who does it
};

// Compiled code behind a Module.
struct Module::Code {
  std::shared_ptr<process::Environment> kept;
  std::shared_ptr<const wasm::CompiledModule> compiled;
};

}  // namespace weft
