#include "cli/machine.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::cli {
namespace {

// More workers than this for each core are a mistake more often than a wish.
constexpr unsigned kWorkersPerCpuSane = 8;

}  // namespace

std::uint64_t alive_at_once(const Settings& settings) {
  return std::min(settings.copies, settings.at_once.value_or(settings.copies));
}

std::vector<std::string> check_against_machine(const Settings& settings, const platform::MemoryFacts& memory, unsigned cpus) {
  std::vector<std::string> warnings;
  if (settings.limits.memory_bytes && *settings.limits.memory_bytes > memory.limit_bytes) {
    warnings.push_back(fmt::format("--max-memory {} is more than this machine has ({}): the machine's end comes first",
                                   format_size(*settings.limits.memory_bytes), format_size(memory.limit_bytes)));
  }
  if (settings.workers > cpus * kWorkersPerCpuSane) {
    warnings.push_back(fmt::format("--workers {}: weft may use {} here; more workers than cores make nothing faster",
                                   settings.workers, cpus == 1 ? "one core" : fmt::format("{} cores", cpus)));
  }
  return warnings;
}

}  // namespace weft::cli
