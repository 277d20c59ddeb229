// What the machine has, held against what is asked for, before anything is started.
//
// Pure functions, any thread.
#pragma once

#include <string>
#include <vector>

#include "cli/settings.hpp"
#include "platform/platform.hpp"

namespace weft::cli {

// The copies alive at once.
std::uint64_t alive_at_once(const Settings& settings);

// One line for each limit that the machine reaches first. What cannot work at all is refused by Runtime::create, which knows how much
// of the machine a process takes.
std::vector<std::string> check_against_machine(const Settings& settings, const platform::MemoryFacts& memory, unsigned cpus);

}  // namespace weft::cli
