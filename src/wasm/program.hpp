// Linker, WasiConfig and Program: a module made ready to be called many times.
//
//   Linker linker(engine);  linker.define(…);
//   Result<Program> program = Program::link(linker, module);
//   Result<Call> call = program->call(config, host);
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "wasm/engine.hpp"
#include "wasm/module.hpp"
#include "weft/error.hpp"

namespace weft::wasm {

// Host functions. Filled by one thread, then used by any.
class Linker {
 public:
  static Result<std::unique_ptr<Linker>> create(const Engine& engine);
  ~Linker() { weft_linker_free(raw_); }
  Linker(const Linker&) = delete;
  Linker& operator=(const Linker&) = delete;

  struct Definition {
    std::string_view module;
    std::string_view name;
    std::vector<weft_val_kind> parameters;
    std::vector<weft_val_kind> results;
    void* environment = nullptr;  // released by `drop_environment` with the last program that uses it, also on failure
    weft_env_drop_fn drop_environment = nullptr;
  };
  Result<void> define(const Definition& definition, weft_host_fn function);
  Result<void> define_waiting(const Definition& definition, weft_host_poll_fn poll, weft_host_drop_fn drop_op);

  const weft_linker* raw() const noexcept { return raw_; }

 private:
  explicit Linker(weft_linker* raw) : raw_(raw) {}
  weft_linker* raw_;
};

// What a process sees of the world. Filled by one thread, then shared.
class WasiConfig {
 public:
  static Result<std::unique_ptr<WasiConfig>> create();
  ~WasiConfig() { weft_wasi_config_free(raw_); }
  WasiConfig(const WasiConfig&) = delete;
  WasiConfig& operator=(const WasiConfig&) = delete;

  Result<void> argument(std::string_view argument);
  Result<void> environment(std::string_view name, std::string_view value);
  Result<void> directory(std::string_view host, std::string_view guest, bool read_only);
  void input_from_host() { weft_wasi_config_stdin(raw_, WEFT_STDIN_HOOK); }
  void network();

  const weft_wasi_config* raw() const noexcept { return raw_; }

 private:
  explicit WasiConfig(weft_wasi_config* raw) : raw_(raw) {}
  weft_wasi_config* raw_;
};

// A linked module. Immutable; any thread.
class Program {
 public:
  // kMissingImport, kUnsupportedFeature.
  static Result<std::unique_ptr<const Program>> link(const Linker& linker, std::shared_ptr<const CompiledModule> module);
  ~Program() { weft_program_free(raw_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const CompiledModule& module() const noexcept { return *module_; }
  const weft_program* raw() const noexcept { return raw_; }

 private:
  Program(weft_program* raw, std::shared_ptr<const CompiledModule> module) : raw_(raw), module_(std::move(module)) {}
  weft_program* raw_;
  std::shared_ptr<const CompiledModule> module_;
};

}  // namespace weft::wasm
