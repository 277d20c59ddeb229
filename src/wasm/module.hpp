// CompiledModule: machine code of a core module or a component. Immutable; share it by shared_ptr, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/engine.hpp"
#include "weft/error.hpp"

namespace weft::wasm {

class CompiledModule {
 public:
  // Text or binary. Blocks, possibly for seconds. kInvalidModule, kUnsupportedFeature, kBadArgument, kExhausted.
  static Result<std::shared_ptr<const CompiledModule>> compile(const Engine& engine, std::span<const std::uint8_t> bytes,
                                                               std::string name);
  // What serialize() gave. It is machine code that runs unchecked. kIncompatible, kBadArgument.
  static Result<std::shared_ptr<const CompiledModule>> load_precompiled(const Engine& engine, std::span<const std::uint8_t> bytes,
                                                                        std::string name);
  ~CompiledModule() { weft_module_free(raw_); }
  CompiledModule(const CompiledModule&) = delete;
  CompiledModule& operator=(const CompiledModule&) = delete;

  Result<std::vector<std::uint8_t>> serialize() const;
  bool is_component() const noexcept { return weft_module_is_component(raw_); }
  // Its processes may have several threads.
  bool has_threads() const noexcept { return weft_module_has_threads(raw_); }
  // Its processes have strands.
  bool has_strands() const noexcept { return weft_module_has_strands(raw_); }
  weft_entry entry() const noexcept { return weft_module_entry(raw_); }
  bool exports_function(std::string_view name) const noexcept { return weft_module_exports_function(raw_, to_abi(name)); }
  // A core module that imports anything from the module of that name.
  bool imports_from(std::string_view name) const noexcept { return weft_module_imports_from(raw_, to_abi(name)); }
  const std::string& name() const noexcept { return name_; }
  const weft_module* raw() const noexcept { return raw_; }

 private:
  CompiledModule(weft_module* raw, std::string name) : raw_(raw), name_(std::move(name)) {}
  weft_module* raw_;
  std::string name_;
};

// A description as JSON, see docs/design/engine.md; `engine` may be null. kInvalidModule, kBadArgument.
Result<std::string> inspect(const Engine* engine, std::span<const std::uint8_t> bytes);

}  // namespace weft::wasm
