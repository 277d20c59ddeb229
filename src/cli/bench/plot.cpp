#include "cli/bench/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "cli/report.hpp"

namespace weft::cli {
namespace {

constexpr double kWidth = 820;
constexpr double kHeight = 460;
constexpr double kLeft = 76;
constexpr double kRight = 640;  // beyond it: the names
constexpr double kTop = 52;
constexpr double kBottom = 400;
constexpr double kLineHeight = 22;

// Told apart by people who see colours differently, too, and readable on white and on black (after Okabe and Ito).
struct Look {
  std::string_view colour;
  std::string_view dashes;  // threads of the operating system are dashed
};
constexpr std::array<std::string_view, 3> kColours = {"#e08a00", "#0090c8", "#b85c98"};

Look look_of(const BenchCase& one) {
  const std::size_t kind = one.work == BenchWork::kRingWait ? 2 : (one.start == Start::kCold ? 0 : 1);
  return {kColours[kind], one.guest ? "none" : "6 4"};
}

// One axis: logarithmic, from `least` to `most`, on the screen from `from` to `to`.
struct Axis {
  double least, most, from, to;
  double operator()(double value) const {
    return from + (std::log(value) - std::log(least)) / (std::log(most) - std::log(least)) * (to - from);
  }
};

// 1, 2 or 5 times a power of ten, at or below.
double tick_below(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {5.0, 2.0}) {
    if (step * power <= value * (1 + 1e-9)) return step * power;
  }
  return power;
}

double tick_after(double tick) {
  const double power = std::pow(10, std::floor(std::log10(tick) + 1e-9));
  const double step = std::round(tick / power);
  return (step < 2 ? 2 : (step < 5 ? 5 : 10)) * power;
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, text);
}

std::string line(double x1, double y1, double x2, double y2, std::string_view kind) {
  return fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kind, x1, y1, x2, y2);
}

}  // namespace

std::string bench_plot(std::span<const BenchRow> rows) {
  std::vector<const BenchRow*> rings;
  std::set<std::uint64_t> slots;
  for (const BenchRow& row : rows) {
    if (row.measured->work == BenchWork::kFiles) continue;
    rings.push_back(&row);
    slots.insert(row.slots);
  }
  const auto time_of = [](const BenchRow* row) { return std::max(static_cast<double>(row->per_ps()) / 1000, 0.001); };
  const auto [least, most] = std::ranges::minmax(rings, {}, time_of);
  // A ring alone stands in the middle.
  const double margin = slots.size() == 1 ? 2 : 1.15;
  const Axis x{static_cast<double>(*slots.begin()) / margin, static_cast<double>(*slots.rbegin()) * margin, kLeft, kRight};
  const double bottom = tick_below(time_of(least));
  double top = bottom;
  while (top < time_of(most) * 1.05) top = tick_after(top);
  const Axis y{bottom, top, kBottom, kTop};

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "role=\"img\">\n"
      "<title>weft bench ring: time of an item over the slots of the ring</title>\n"
      "<style>\n"
      "svg {{ background: #fff; font: 13px system-ui, sans-serif; }}\n"
      "text {{ fill: #222; }} .grid {{ stroke: #ddd; }} .axis {{ stroke: #222; }} .case {{ fill: none; stroke-width: 2; }}\n"
      "@media (prefers-color-scheme: dark) {{\n"
      "  svg {{ background: #16181c; }} text {{ fill: #e4e4e4; }} .grid {{ stroke: #34373d; }} .axis {{ stroke: #e4e4e4; }}\n"
      "}}\n"
      "</style>\n",
      kWidth, kHeight);
  svg += text_at(kLeft, 24, "start",
                 fmt::format("Time of an item over the slots of the ring ({} items)", grouped(rings.front()->items)));
  for (double tick = bottom; tick <= top * (1 + 1e-9); tick = tick_after(tick)) {
    svg += line(kLeft, y(tick), kRight, y(tick), "grid");
    svg += text_at(kLeft - 8, y(tick) + 4, "end", fmt::format("{:g} ns", tick));
  }
  double last_label = -1000;
  for (const std::uint64_t each : slots) {
    const double at = x(static_cast<double>(each));
    svg += line(at, kTop, at, kBottom, "grid");
    // Names that would run into each other are left out.
    const std::string name = grouped(each);
    if (at - last_label < 8 * static_cast<double>(name.size()) + 8) continue;
    svg += text_at(at, kBottom + 20, "middle", name);
    last_label = at;
  }
  svg += line(kLeft, kTop, kLeft, kBottom, "axis") + line(kLeft, kBottom, kRight, kBottom, "axis");
  svg += text_at((kLeft + kRight) / 2, kBottom + 44, "middle", "slots");

  double legend = kTop + 10;
  for (const BenchCase& one : bench_cases()) {
    std::vector<const BenchRow*> points;
    std::ranges::copy_if(rings, std::back_inserter(points), [&](const BenchRow* row) { return row->measured == &one; });
    if (points.empty()) continue;
    std::ranges::sort(points, {}, &BenchRow::slots);
    const Look look = look_of(one);
    std::string path;
    std::string marks;
    for (const BenchRow* row : points) {
      const double at_x = x(static_cast<double>(row->slots));
      const double at_y = y(time_of(row));
      path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "M" : " L", at_x, at_y);
      marks +=
          fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"><title>{}, {} slots: {:g} ns</title></circle>\n",
                      at_x, at_y, look.colour, one.name, grouped(row->slots), time_of(row));
    }
    svg += fmt::format("<path class=\"case\" stroke=\"{}\" stroke-dasharray=\"{}\" d=\"{}\"/>\n", look.colour, look.dashes, path) +
           marks;
    svg += fmt::format("<path class=\"case\" stroke=\"{}\" stroke-dasharray=\"{}\" d=\"M{:.1f},{:.1f} h34\"/>\n", look.colour,
                       look.dashes, kRight + 18, legend);
    svg += text_at(kRight + 60, legend + 4, "start", one.name);
    legend += kLineHeight;
  }
  return svg + "</svg>\n";
}

}  // namespace weft::cli
