#include "wasm/module.hpp"

namespace weft::wasm {

Result<std::shared_ptr<const CompiledModule>> CompiledModule::compile(const Engine& engine, std::span<const std::uint8_t> bytes,
                                                                      std::string name) {
  const weft_module_options options{to_abi(name), true};
  weft_module* raw = nullptr;
  if (weft_error* error = weft_module_compile(engine.raw(), bytes.data(), bytes.size(), &options, &raw)) {
    return std::unexpected(take_error(error));
  }
  return std::shared_ptr<const CompiledModule>(new CompiledModule(raw, std::move(name)));
}

Result<std::shared_ptr<const CompiledModule>> CompiledModule::load_precompiled(const Engine& engine,
                                                                               std::span<const std::uint8_t> bytes,
                                                                               std::string name) {
  const weft_module_options options{to_abi(name), false};
  weft_module* raw = nullptr;
  if (weft_error* error = weft_module_load_precompiled(engine.raw(), bytes.data(), bytes.size(), &options, &raw)) {
    return std::unexpected(take_error(error));
  }
  return std::shared_ptr<const CompiledModule>(new CompiledModule(raw, std::move(name)));
}

Result<std::vector<std::uint8_t>> CompiledModule::serialize() const {
  weft_bytes* bytes = nullptr;
  if (weft_error* error = weft_module_serialize(raw_, &bytes)) return std::unexpected(take_error(error));
  const std::uint8_t* data = weft_bytes_data(bytes);
  std::vector<std::uint8_t> copy(data, data + weft_bytes_size(bytes));
  weft_bytes_free(bytes);
  return copy;
}

Result<std::string> inspect(const Engine* engine, std::span<const std::uint8_t> bytes) {
  weft_bytes* json = nullptr;
  if (weft_error* error = weft_inspect(engine != nullptr ? engine->raw() : nullptr, bytes.data(), bytes.size(), &json)) {
    return std::unexpected(take_error(error));
  }
  std::string text(reinterpret_cast<const char*>(weft_bytes_data(json)), weft_bytes_size(json));
  weft_bytes_free(json);
  return text;
}

}  // namespace weft::wasm
