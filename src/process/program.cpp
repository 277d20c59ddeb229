#include "process/program.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "process/together/guest_calls.hpp"

namespace weft::process {
namespace {

Result<void> refuse_zero(bool zero, LimitKind kind) {
  if (!zero) return {};
  return fail(ErrorKind::kBadArgument, "a " + std::string(name_of(kind)) + " limit of zero lets nothing run; leave " +
                                           std::string(flag_of(kind)) + " out for no limit");
}

Result<void> check(const Limits& limits, const wasm::CompiledModule& module, bool fuel) {
  const auto is_zero = [](const auto& limit) { return limit && *limit == std::decay_t<decltype(*limit)>{}; };
  Result<void> result = refuse_zero(is_zero(limits.memory_bytes), LimitKind::kMemory);
  if (result) result = refuse_zero(is_zero(limits.table_elements), LimitKind::kTableElements);
  if (result) result = refuse_zero(is_zero(limits.instances), LimitKind::kInstances);
  if (result) result = refuse_zero(is_zero(limits.cpu_time), LimitKind::kCpuTime);
  if (result) result = refuse_zero(is_zero(limits.wall_time), LimitKind::kWallTime);
  if (result) result = refuse_zero(is_zero(limits.fuel), LimitKind::kFuel);
  if (result) result = refuse_zero(limits.output_bytes == 0, LimitKind::kOutput);
  if (result) result = refuse_zero(is_zero(limits.threads), LimitKind::kThreads);
  if (!result) return result;
  if ((limits.cpu_time && *limits.cpu_time < Duration::zero()) || (limits.wall_time && *limits.wall_time < Duration::zero())) {
    return fail(ErrorKind::kBadArgument, "a limit on time is negative");
  }
  if (limits.fuel && !fuel) {
    return fail(ErrorKind::kBadArgument, "a fuel limit needs a runtime that counts fuel: set RuntimeOptions::fuel");
  }
  if (limits.fuel && (module.has_threads() || module.has_strands())) {
    const std::string what = module.has_threads() ? "thread" : "strand";
    return fail(ErrorKind::kBadArgument, "a fuel limit does not work for programs with " + what +
                                             "s, as fuel is counted for each " + what +
                                             " by itself; limit their CPU time (--cpu-time)");
  }
  return {};
}

Result<std::unique_ptr<wasm::WasiConfig>> world_of(const ProcessSpec& spec) {
  auto created = wasm::WasiConfig::create();
  if (!created) return created;
  wasm::WasiConfig& wasi = **created;
  for (const std::string& argument : spec.arguments) {
    if (Result<void> set = wasi.argument(argument); !set) return std::unexpected(set.error());
  }
  for (const auto& [name, value] : spec.environment) {
    if (Result<void> set = wasi.environment(name, value); !set) return std::unexpected(set.error());
  }
  for (const Directory& directory : spec.directories) {
    const std::string& guest = directory.guest.empty() ? directory.host : directory.guest;
    if (Result<void> set = wasi.directory(directory.host, guest, directory.read_only); !set) return std::unexpected(set.error());
  }
  if (spec.input.kind != Input::Kind::kEmpty) wasi.input_from_host();
  if (spec.network) wasi.network();
  return created;
}

}  // namespace

Result<std::shared_ptr<const Program::State>> prepare(ProcessSpec spec, std::shared_ptr<const wasm::CompiledModule> module,
                                                      const wasm::Linker& linker, const Bounds& bounds) {
  if (Result<void> checked = check(spec.limits, *module, bounds.fuel); !checked) return std::unexpected(checked.error());
  if (spec.priority > kPriorityLowest) {
    return fail(ErrorKind::kBadArgument,
                "priority " + std::to_string(spec.priority) + " does not exist: 0 is the most urgent, 7 the least");
  }
  const bool runnable = spec.resident || !spec.entry.empty() || module->entry() == WEFT_ENTRY_START ||
                        module->entry() == WEFT_ENTRY_COMPONENT_COMMAND;
  if (!runnable) {
    return fail(ErrorKind::kNoEntryPoint,
                module->is_component()
                    ? "it has no entry point: the component does not export wasi:cli/run"
                    : "it has no entry point: it exports no _start; name an exported function to call (--invoke)");
  }
  if (!spec.entry.empty() && !module->is_component() && !module->exports_function(spec.entry)) {
    return fail(ErrorKind::kNoEntryPoint, "it exports no function '" + spec.entry + "'");
  }
  // So that reaching the runtime's bound is an end with a reason too, not a failed growth that the guest may not even look at.
  spec.limits.memory_bytes = std::min(spec.limits.memory_bytes.value_or(bounds.memory_bytes_max), bounds.memory_bytes_max);
  if (spec.name.empty()) spec.name = module->name();
  if (spec.arguments.empty()) spec.arguments.push_back(module->name());
  auto wasi = world_of(spec);
  if (!wasi) return std::unexpected(wasi.error());
  auto linked = wasm::Program::link(linker, module);
  if (!linked) return std::unexpected(linked.error());
  auto state = std::make_shared<Program::State>();
  state->spec = std::move(spec);
  state->wasi = std::move(*wasi);
  if (module->imports_from(kRegionModule)) state->paid = std::make_shared<PaidLink>(std::move(module));
  state->linked = std::move(*linked);
  return state;
}

Result<std::shared_ptr<const Program::State>> with_limits(const Program::State& program, const Limits& limits,
                                                          const Bounds& bounds) {
  if (Result<void> checked = check(limits, program.linked->module(), bounds.fuel); !checked) {
    return std::unexpected(checked.error());
  }
  auto state = std::make_shared<Program::State>(program);
  state->spec.limits = limits;
  state->spec.limits.memory_bytes = std::min(limits.memory_bytes.value_or(bounds.memory_bytes_max), bounds.memory_bytes_max);
  return state;
}

}  // namespace weft::process
