// The nearest known word to a mistyped one.
//
//   std::optional<std::string_view> nearest = suggest("coppies", words);   // "copies"
//
// Pure functions, any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weft::cli {

// Insertions, deletions, replacements and swaps of neighbours that turn one into the other (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

// The nearest word, if it is near enough to be meant: at most a third of the letters differ. Also a word that begins with what was
// typed ("mem" finds nothing near, but "memory" begins with it).
std::optional<std::string_view> suggest(std::string_view typed, std::span<const std::string_view> words);

// "; did you mean --copies?" or nothing, ready to be appended to a message. `decoration` goes before the word.
std::string did_you_mean(std::string_view typed, std::span<const std::string_view> words, std::string_view decoration = "");

}  // namespace weft::cli
