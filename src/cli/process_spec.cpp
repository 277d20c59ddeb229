#include "cli/process_spec.hpp"

#include <cstdlib>
#include <utility>

#include "platform/environment.hpp"

namespace weft::cli {

ProcessSpec process_spec_of(const Settings& settings, Module module, std::string name) {
  ProcessSpec spec;
  spec.module = std::move(module);
  spec.name = std::move(name);
  spec.directories = settings.directories;
  spec.network = settings.network;
  spec.limits = settings.limits;
  spec.priority = settings.priority;
  spec.on_deadlock = settings.on_deadlock;
  if (settings.inherit_environment) spec.environment = platform::environment();
  const auto set = [&](const std::string& variable, std::string value) {
    std::erase_if(spec.environment, [&](const auto& entry) { return entry.first == variable; });
    spec.environment.emplace_back(variable, std::move(value));
  };
  for (const Variable& variable : settings.environment) {
    if (variable.value) {
      set(variable.name, *variable.value);
    } else if (const char* inherited = std::getenv(variable.name.c_str())) {
      set(variable.name, inherited);
    }
  }
  if (settings.invoke) {
    spec.entry = *settings.invoke;
    spec.entry_text = settings.arguments;
  }
  spec.arguments.push_back(settings.argv0.value_or(settings.program));
  if (!settings.invoke) spec.arguments.insert(spec.arguments.end(), settings.arguments.begin(), settings.arguments.end());
  return spec;
}

}  // namespace weft::cli
