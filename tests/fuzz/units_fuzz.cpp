// Sizes and durations as people write them: whatever the text, an answer or one line that says what is wrong; and what is printed for an answer is read back as
// nearly the same.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "weft/units.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void check(bool good, std::string_view text, std::string_view what) {
  if (good) return;
  std::cerr << "units_fuzz: " << what << ": \"" << text << "\"" << std::endl;
  std::abort();
}

void check_error(const weft::Error& error, std::string_view text) {
  check(error.kind == weft::ErrorKind::kBadArgument, text, "an error of another kind");
  check(!error.message.empty(), text, "an error without a message");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const weft::Result<std::uint64_t> bytes = weft::parse_size(text)) {
    const std::string printed = weft::format_size(*bytes);
    const weft::Result<std::uint64_t> again = weft::parse_size(printed);
    // Rounding for people may carry the largest numbers over the edge.
    if (again) {
      const double off = std::abs(static_cast<double>(*again) - static_cast<double>(*bytes));
      check(off <= static_cast<double>(*bytes) * 0.01 + 1, text, "printed as " + printed + ", which is something else");
    } else {
      check(*bytes > ~0ULL / 100 * 99, text, "printed as " + printed + ", which cannot be read");
    }
  } else {
    check_error(bytes.error(), text);
  }
  if (const weft::Result<weft::Duration> duration = weft::parse_duration(text)) {
    check(duration->count() >= 0, text, "a negative duration");
    const std::string printed = weft::format_duration(*duration);
    const weft::Result<weft::Duration> again = weft::parse_duration(printed);
    if (again) {
      const double off = std::abs(static_cast<double>(again->count()) - static_cast<double>(duration->count()));
      // Hours are printed with whole minutes.
      check(off <= static_cast<double>(duration->count()) * 0.02 + 1, text, "printed as " + printed + ", which is something else");
    } else {
      check(duration->count() > INT64_MAX / 100 * 99, text, "printed as " + printed + ", which cannot be read");
    }
  } else {
    check_error(duration.error(), text);
  }
  return 0;
}
