#include <fmt/format.h>

#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"

namespace weft::cli {

int report_error(Console& console, const Error& error, std::string_view subject) {
  const bool names_it = subject.empty() || error.message.find(subject) != std::string::npos;
  std::string text = names_it ? fmt::format("weft: {}\n", error.message) : fmt::format("weft: {}: {}\n", subject, error.message);
  if (!error.detail.empty()) {
    text += error.detail;
    if (!text.ends_with('\n')) text += '\n';
  }
  console.say(text);
  return exit_code_of(error.kind);
}

}  // namespace weft::cli
