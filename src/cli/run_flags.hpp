// The flags of `weft run`, a table of its own because of its length; see flags.hpp.
#pragma once

#include <span>
#include <string_view>

#include "cli/flags.hpp"

namespace weft::cli {

std::span<const Flag> run_flags();

// "key[=value],key[=value]": the value of -W and -S.
Result<void> apply_group_list(char group, Settings& settings, std::string_view list);

}  // namespace weft::cli
