#include "cli/suggest.hpp"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace weft::cli {
namespace {

// Nobody mistypes longer words than this, and the table below grows with the product of both lengths.
constexpr std::size_t kWordBytesMax = 64;

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::optional<std::string_view> suggest(std::string_view typed, std::span<const std::string_view> words) {
  if (typed.empty() || typed.size() > kWordBytesMax) return std::nullopt;
  std::size_t best = std::numeric_limits<std::size_t>::max();
  std::optional<std::string_view> found;
  for (const std::string_view word : words) {
    const std::size_t distance = edit_distance(typed, word);
    if (distance < best) {
      best = distance;
      found = word;
    }
  }
  const std::size_t allowed = std::max<std::size_t>(1, (typed.size() + 1) / 3);
  if (found && best <= allowed) return found;
  if (typed.size() >= 2) {
    for (const std::string_view word : words) {
      if (word.starts_with(typed)) return word;
    }
  }
  return std::nullopt;
}

std::string did_you_mean(std::string_view typed, std::span<const std::string_view> words, std::string_view decoration) {
  const std::optional<std::string_view> nearest = suggest(typed, words);
  if (!nearest) return {};
  return "; did you mean " + std::string(decoration) + std::string(*nearest) + "?";
}

}  // namespace weft::cli
