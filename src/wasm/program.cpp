#include "wasm/program.hpp"

namespace weft::wasm {
namespace {

Result<void> checked(weft_error* error) {
  if (error != nullptr) return std::unexpected(take_error(error));
  return {};
}

}  // namespace

Result<std::unique_ptr<Linker>> Linker::create(const Engine& engine) {
  weft_linker* raw = nullptr;
  if (weft_error* error = weft_linker_new(engine.raw(), &raw)) return std::unexpected(take_error(error));
  return std::unique_ptr<Linker>(new Linker(raw));
}

Result<void> Linker::define(const Definition& definition, weft_host_fn function) {
  return checked(weft_linker_define(raw_, to_abi(definition.module), to_abi(definition.name), definition.parameters.data(),
                                    definition.parameters.size(), definition.results.data(), definition.results.size(), function,
                                    definition.environment, definition.drop_environment));
}

Result<void> Linker::define_waiting(const Definition& definition, weft_host_poll_fn poll, weft_host_drop_fn drop_op) {
  return checked(weft_linker_define_async(raw_, to_abi(definition.module), to_abi(definition.name), definition.parameters.data(),
                                          definition.parameters.size(), definition.results.data(), definition.results.size(), poll,
                                          drop_op, definition.environment, definition.drop_environment));
}

Result<std::unique_ptr<WasiConfig>> WasiConfig::create() {
  weft_wasi_config* raw = nullptr;
  if (weft_error* error = weft_wasi_config_new(&raw)) return std::unexpected(take_error(error));
  return std::unique_ptr<WasiConfig>(new WasiConfig(raw));
}

Result<void> WasiConfig::argument(std::string_view argument) { return checked(weft_wasi_config_arg(raw_, to_abi(argument))); }

Result<void> WasiConfig::environment(std::string_view name, std::string_view value) {
  return checked(weft_wasi_config_env(raw_, to_abi(name), to_abi(value)));
}

Result<void> WasiConfig::directory(std::string_view host, std::string_view guest, bool read_only) {
  return checked(weft_wasi_config_dir(raw_, to_abi(host), to_abi(guest), read_only));
}

void WasiConfig::network() {
  weft_wasi_config_network(raw_, WEFT_NETWORK_TCP_CONNECT | WEFT_NETWORK_TCP_LISTEN | WEFT_NETWORK_UDP | WEFT_NETWORK_LOOKUP);
}

Result<std::unique_ptr<const Program>> Program::link(const Linker& linker, std::shared_ptr<const CompiledModule> module) {
  weft_program* raw = nullptr;
  if (weft_error* error = weft_program_new(linker.raw(), module->raw(), &raw)) return std::unexpected(take_error(error));
  return std::unique_ptr<const Program>(new Program(raw, std::move(module)));
}

}  // namespace weft::wasm
