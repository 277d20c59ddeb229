// Compiled guest code: a core module or a component.
//
//   weft::Result<weft::Module> module = runtime.load("app.wasm");
//
// A Module is a counted reference to immutable code: copy it freely, use it from any thread, drop it at any time; processes
// keep the code they run alive.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weft/error.hpp"

namespace weft {

class Module {
 public:
  Module() = default;  // empty: spawning it fails with kBadArgument

  explicit operator bool() const noexcept { return code_ != nullptr; }
  const std::string& name() const noexcept;  // the file name, or what compile() was given
  bool is_component() const noexcept;

  // The machine code, to be stored and given to Runtime::load() later (kIncompatible there if the engine differs).
  Result<std::vector<std::uint8_t>> serialize() const;

  struct Code;
  explicit Module(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  const std::shared_ptr<const Code>& code() const noexcept { return code_; }

 private:
  std::shared_ptr<const Code> code_;
};

// What can be known of a file without running it; `weft inspect` prints this.
struct ModuleInfo {
  struct Import {
    std::string module{};
    std::string name{};
    std::string type{};
    std::string provided_by{};  // "wasi preview 1", "wasi 0.2", …; empty when nobody provides it
  };
  struct Export {
    std::string name{};
    std::string type{};
  };
  struct Memory {
    std::uint64_t minimum_bytes = 0;
    std::optional<std::uint64_t> maximum_bytes{};
    bool shared = false;
    bool is_64_bit = false;
    bool imported = false;
  };
  std::string kind{};  // "module" or "component"
  std::vector<Import> imports{};
  std::vector<Export> exports{};
  std::vector<Memory> memories{};
  std::vector<std::string> features{};  // the proposals that it needs beyond WebAssembly 1.0
  std::uint64_t functions = 0;
  std::uint64_t code_bytes = 0;
  std::uint64_t data_bytes = 0;
  std::string entry_point{};  // what `weft run` would call; empty when there is nothing
  bool runnable = false;
  std::vector<std::string> obstacles{};  // why not
  std::string json{};                    // the same, whole, as stable JSON
};

// Parses and validates `bytes` (binary or text) without compiling. Any thread. Fails with kInvalidModule.
Result<ModuleInfo> inspect(const std::vector<std::uint8_t>& bytes);

}  // namespace weft
