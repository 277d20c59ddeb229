// How the commands about systems say that they found none.
#pragma once

#include <string_view>

#include "cli/console.hpp"
#include "weft/error.hpp"

namespace weft::cli {

// As report_error, with the exit status for what does not run.
int explain(Console& console, std::string_view command, const Error& error);

}  // namespace weft::cli
