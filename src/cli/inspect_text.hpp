// What `weft inspect` prints. Pure.
#pragma once

#include <string>

#include "weft/module.hpp"

namespace weft::cli {

std::string inspect_text(const std::string& name, const ModuleInfo& info);

}  // namespace weft::cli
