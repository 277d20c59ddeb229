// What can be read about weft, made from the one table of flags: --help, the manual page, and the completions of three shells.
//
// Pure functions, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/flags.hpp"

namespace weft::cli {

// `columns`: how wide the text may be (it is cut to between 60 and 110).
std::string help_text(unsigned columns);  // of weft itself
std::string help_text(const Command& command, unsigned columns);

// weft(1) in man(7) format, for the version that is given.
std::string manual_page(std::string_view version);

// Nothing when the shell is not known.
std::optional<std::string> completion_script(std::string_view shell);

}  // namespace weft::cli
