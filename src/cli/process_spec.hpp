// What the settings of a run make of a process: the same for weft run and the children of weft up. Pure but for weft's own environment.
#pragma once

#include <string>

#include "cli/settings.hpp"
#include "weft/process.hpp"

namespace weft::cli {

// Without input and output, which differ.
ProcessSpec process_spec_of(const Settings& settings, Module module, std::string name);

}  // namespace weft::cli
