// Sizes and durations as people write them: what is read, what is refused, what is printed.
#include "weft/units.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;

TEST(Size, ReadsNumbersAndSuffixes) {
  EXPECT_EQ(parse_size("0").value(), 0U);
  EXPECT_EQ(parse_size("4096").value(), 4096U);
  EXPECT_EQ(parse_size("64MiB").value(), 64U << 20);
  EXPECT_EQ(parse_size("64m").value(), 64U << 20);
  EXPECT_EQ(parse_size("64 MB").value(), 64'000'000U);
  EXPECT_EQ(parse_size("1.5GiB").value(), 3ULL << 29);
  EXPECT_EQ(parse_size("18446744073709551615").value(), ~0ULL);
  EXPECT_EQ(parse_size("16777215TiB").value(), 16777215ULL << 40);
  EXPECT_EQ(parse_size("8 EiB").value(), 1ULL << 63);
  EXPECT_EQ(parse_size("9.5EB").value(), 9'500'000'000'000'000'000U);  // a fraction beyond 63 bits
}

TEST(Size, RefusesTheRest) {
  for (const char* text : {"", "MiB", "-1", "1.5", "1..5M", "1.M", ".", "64Q", "64MiBs", "0x10", "1e3", "18446744073709551616",
                           "16777216TiB", "99999999999999999999TB", "1 2", "\xff", "1\n"}) {
    const auto size = parse_size(text);
    EXPECT_FALSE(size.has_value()) << text;
    if (!size) {
      EXPECT_EQ(size.error().kind, ErrorKind::kBadArgument);
    }
  }
}

TEST(Size, PrintsWhatPeopleRead) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(1024), "1 KiB");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
  EXPECT_EQ(format_size(64 << 20), "64 MiB");
  EXPECT_EQ(format_size((64 << 20) - 1), "64 MiB");
  EXPECT_EQ(format_size((1ULL << 30) - 1), "1 GiB");
  EXPECT_EQ(format_size(~0ULL), "16 EiB");
}

TEST(Duration, ReadsUnitsAndSums) {
  EXPECT_EQ(parse_duration("0").value(), 0ns);
  EXPECT_EQ(parse_duration("812ns").value(), 812ns);
  EXPECT_EQ(parse_duration("1.5ms").value(), 1500us);
  EXPECT_EQ(parse_duration("10s").value(), 10s);
  EXPECT_EQ(parse_duration("1m30s").value(), 90s);
  EXPECT_EQ(parse_duration("2h").value(), 2h);
  EXPECT_EQ(parse_duration("3\xc2\xb5s").value(), 3us);
  EXPECT_EQ(parse_duration("9223372036854775807ns").value(), Duration::max());
}

TEST(Duration, RefusesTheRest) {
  for (const char* text : {"", "10", "ms", "-1s", "1.s", "10 s", "1m30", "9223372036854775808ns", "300000d300000d", "1x", "1s-1s",
                           "inf", "nan", "1e3s"}) {
    const auto duration = parse_duration(text);
    EXPECT_FALSE(duration.has_value()) << text;
    if (!duration) {
      EXPECT_EQ(duration.error().kind, ErrorKind::kBadArgument);
    }
  }
}

TEST(Duration, PrintsWhatPeopleRead) {
  EXPECT_EQ(format_duration(0ns), "0ns");
  EXPECT_EQ(format_duration(999ns), "999ns");
  EXPECT_EQ(format_duration(1530us), "1.53ms");
  EXPECT_EQ(format_duration(1500ms), "1.5s");
  EXPECT_EQ(format_duration(12400ms), "12.4s");
  EXPECT_EQ(format_duration(59999ms), "1m");
  EXPECT_EQ(format_duration(200s), "3m20s");
  EXPECT_EQ(format_duration(2h + 5min), "2h5m");
  EXPECT_EQ(format_duration(-1500ms), "-1.5s");
  EXPECT_EQ(format_duration(Duration::min()).front(), '-');
}

}  // namespace
}  // namespace weft
