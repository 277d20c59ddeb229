// Feeds arbitrary words to the parser of the command line. The words are the input's pieces between newlines. Whatever comes, the answer
// is a request or one line; nothing is read but what --config names, and that flag is taken out.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> words;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    if (!word.starts_with("--config")) words.emplace_back(word);
  }
  const weft::Result<weft::cli::Request> request = weft::cli::parse_command_line(words);
  if (!request) {
    const std::string& message = request.error().message;
    if (message.empty()) std::abort();
  } else if (request->action == weft::cli::Action::kExecute) {
    const weft::cli::Settings& settings = request->settings;
    // What the rest of the program takes for granted.
    if (settings.copies == 0 || settings.workers > 1024 || settings.priority > 7) std::abort();
    if (settings.limits.wall_time && settings.limits.wall_time->count() <= 0) std::abort();
    if (request->command->name == "run" && settings.program.empty()) std::abort();
  }
  return 0;
}
