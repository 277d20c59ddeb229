// Values of flags: text to numbers, sizes and durations, with the refusals that every flag shares.
//
// Pure functions, any thread. Messages say what is wrong with the value; who calls puts the flag's name before them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/settings.hpp"
#include "weft/error.hpp"
#include "weft/units.hpp"

namespace weft::cli {

// A whole number from `minimum` to `maximum`.
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t minimum, std::uint64_t maximum);

// As weft::parse_size and parse_duration, but zero is refused: as a limit it would end every guest at once.
Result<std::uint64_t> parse_size_limit(std::string_view text);
Result<Duration> parse_duration_limit(std::string_view text);

// y, yes, true, on, 1, and their opposites.
Result<bool> parse_switch(std::string_view text);

// 0 to 7, or highest, high, normal, low, lowest.
Result<Priority> parse_priority(std::string_view text);

// HOST[::GUEST].
Result<Directory> parse_directory(std::string_view text, bool read_only);

// NAME[=VALUE].
Result<Variable> parse_variable(std::string_view text);

}  // namespace weft::cli
