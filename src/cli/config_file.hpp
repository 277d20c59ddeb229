// The configuration file: the flags of `weft run` as keys of a TOML file.
//
//   program = "app.wasm"            # and arguments = ["…"]: what the command line leaves out
//   copies = 100
//   timeout = "10s"
//   dir = ["data::/data"]
//   env = { MODE = "fast" }         # or ["MODE=fast", "HOME"]
//   [W]
//   fuel = 1000000
//
// Unknown keys and wrong types are refused with line and column. Pure but for the reading of the file.
#pragma once

#include <string>
#include <string_view>

#include "cli/settings.hpp"
#include "weft/error.hpp"

namespace weft::cli {

Result<void> apply_config_file(const std::string& path, Settings& settings);

// The same for text; `name` stands in messages.
Result<void> apply_config_text(std::string_view text, std::string_view name, Settings& settings);

}  // namespace weft::cli
