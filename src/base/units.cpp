#include "weft/units.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <system_error>

namespace weft {
namespace {

struct Unit {
  std::string_view suffix;  // lower case
  double factor;
};

constexpr double kKibi = 1024.0;
constexpr std::array kSizeUnits = {
    Unit{"b", 1},
    Unit{"k", kKibi},
    Unit{"kib", kKibi},
    Unit{"kb", 1e3},
    Unit{"m", kKibi* kKibi},
    Unit{"mib", kKibi* kKibi},
    Unit{"mb", 1e6},
    Unit{"g", kKibi* kKibi* kKibi},
    Unit{"gib", kKibi* kKibi* kKibi},
    Unit{"gb", 1e9},
    Unit{"t", kKibi* kKibi* kKibi* kKibi},
    Unit{"tib", kKibi* kKibi* kKibi* kKibi},
    Unit{"tb", 1e12},
    Unit{"p", kKibi* kKibi* kKibi* kKibi* kKibi},
    Unit{"pib", kKibi* kKibi* kKibi* kKibi* kKibi},
    Unit{"pb", 1e15},
    Unit{"e", kKibi* kKibi* kKibi* kKibi* kKibi* kKibi},
    Unit{"eib", kKibi* kKibi* kKibi* kKibi* kKibi* kKibi},
    Unit{"eb", 1e18},
};
constexpr std::array kDurationUnits = {
    Unit{"ns", 1},  Unit{"us", 1e3}, Unit{"\xc2\xb5s", 1e3}, Unit{"ms", 1e6},
    Unit{"s", 1e9}, Unit{"m", 60e9}, Unit{"h", 3600e9},      Unit{"d", 86400e9},
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// A number at the front of `text`, moved past; whole numbers stay exact.
struct Number {
  std::optional<std::uint64_t> whole;  // when it has no fraction and fits
  double value = 0;
};

std::optional<Number> take_number(std::string_view& text) {
  std::size_t end = 0;
  bool fraction = false;
  while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || (text[end] == '.' && !fraction))) {
    fraction = fraction || text[end] == '.';
    ++end;
  }
  Number number;
  const char* first = text.data();
  const char* last = first + end;
  if (end == 0 || (fraction && end == 1) || last[-1] == '.') return std::nullopt;
  if (!fraction) {
    std::uint64_t whole = 0;
    if (std::from_chars(first, last, whole).ec == std::errc()) number.whole = whole;
  }
  if (std::from_chars(first, last, number.value).ec != std::errc()) return std::nullopt;
  text.remove_prefix(end);
  return number;
}

std::optional<double> factor_of(std::string_view suffix, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (unit.suffix == suffix) return unit.factor;
  }
  return std::nullopt;
}

// `number` times `factor`, if that is below `bound`; exact for whole numbers.
std::optional<std::uint64_t> scale(const Number& number, double factor, std::uint64_t bound) {
  if (number.whole) {
    const auto whole_factor = static_cast<std::uint64_t>(factor);
    std::uint64_t product = 0;
    if (__builtin_mul_overflow(*number.whole, whole_factor, &product) || product > bound) return std::nullopt;
    return product;
  }
  const double product = number.value * factor;
  if (!(product < static_cast<double>(bound))) return std::nullopt;
  return static_cast<std::uint64_t>(std::round(product));  // not llround: sizes go beyond 63 bits
}

// `value` with three significant digits at most, without trailing zeros.
std::string three_digits(double value) {
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::array<char, 64> buffer{};
  auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, decimals).ptr;
  if (decimals > 0) {
    while (end[-1] == '0') --end;
    if (end[-1] == '.') --end;
  }
  return {buffer.data(), end};
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorKind::kBadArgument, "'" + std::string(text) + "' is not a size: " + std::string(why));
  };
  constexpr std::string_view kShape = "write a number and a suffix, such as 512K, 64MiB or 2GB";
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (!number) return bad(kShape);
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  if (rest.empty()) {
    if (!number->whole)
      return bad(number->value == std::floor(number->value) ? "it does not fit in 64 bits" : "a fraction needs a suffix");
    return *number->whole;
  }
  const auto factor = factor_of(lower(rest), kSizeUnits);
  if (!factor) return bad(kShape);
  const auto bytes = scale(*number, *factor, std::numeric_limits<std::uint64_t>::max());
  if (!bytes) return bad("it does not fit in 64 bits");
  return *bytes;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 7> kNames = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.5 and more would print as 1024.
  while (value >= 1023.5 && unit + 1 < kNames.size()) {
    value /= kKibi;
    ++unit;
  }
  std::string number = value >= 999.5 ? std::to_string(std::llround(value)) : three_digits(value);
  return number + " " + std::string(kNames[unit]);
}

Result<Duration> parse_duration(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorKind::kBadArgument, "'" + std::string(text) + "' is not a duration: " + std::string(why));
  };
  constexpr std::string_view kShape = "write a number and a unit, such as 250ms, 10s or 1m30s";
  constexpr auto kBound = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (text == "0") return Duration{0};
  std::string_view rest = text;
  std::uint64_t total_ns = 0;
  if (rest.empty()) return bad(kShape);
  while (!rest.empty()) {
    const auto number = take_number(rest);
    if (!number) return bad(kShape);
    std::size_t end = 0;
    while (end < rest.size() && !(rest[end] >= '0' && rest[end] <= '9') && rest[end] != '.') ++end;
    const auto factor = factor_of(lower(rest.substr(0, end)), kDurationUnits);
    if (!factor) return bad(end == 0 ? "the unit is missing (ns, us, ms, s, m, h or d)" : kShape);
    rest.remove_prefix(end);
    const auto part_ns = scale(*number, *factor, kBound);
    if (!part_ns || __builtin_add_overflow(total_ns, *part_ns, &total_ns) || total_ns > kBound)
      return bad("it is longer than 292 years");
  }
  return Duration{static_cast<std::int64_t>(total_ns)};
}

std::string format_duration(Duration duration) {
  const std::int64_t count = duration.count();
  if (count < 0) return "-" + format_duration(count == std::numeric_limits<std::int64_t>::min() ? Duration::max() : -duration);
  const auto ns = static_cast<double>(count);
  if (ns < 999.5) return std::to_string(count) + "ns";
  if (ns < 999.5e3) return three_digits(ns / 1e3) + "us";
  if (ns < 999.5e6) return three_digits(ns / 1e6) + "ms";
  if (ns < 59.95e9) return three_digits(ns / 1e9) + "s";
  const std::int64_t seconds = count / 1'000'000'000 + (count % 1'000'000'000 >= 500'000'000 ? 1 : 0);
  const std::int64_t minutes = seconds / 60;
  if (minutes < 60) return std::to_string(minutes) + "m" + (seconds % 60 != 0 ? std::to_string(seconds % 60) + "s" : "");
  const std::int64_t hours = minutes / 60;
  return std::to_string(hours) + "h" + (minutes % 60 != 0 ? std::to_string(minutes % 60) + "m" : "");
}

}  // namespace weft
