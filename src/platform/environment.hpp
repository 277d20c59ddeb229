// This program's environment. Any thread, as long as nobody changes it meanwhile (weft never does).
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace weft::platform {

std::vector<std::pair<std::string, std::string>> environment();

}  // namespace weft::platform
