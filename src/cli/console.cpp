#include "cli/console.hpp"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "platform/stdio.hpp"

namespace weft::cli {

void Console::set_status(std::string text) {
  if (!options_.live) return;
  const std::lock_guard lock(mutex_);
  if (text == status_) return;
  erase_status();
  status_ = std::move(text);
  draw_status();
}

void Console::say(std::string_view text) {
  if (text.empty()) return;
  const std::lock_guard lock(mutex_);
  erase_status();
  std::string line(text);
  if (!line.ends_with('\n')) line += '\n';
  write(Stream::kErr, line);
  draw_status();
}

void Console::guest(Stream stream, std::string_view prefix, std::string_view text) {
  const std::string lines = prefix.empty() ? std::string(text) : prefixed(prefix, text);
  if (stream == Stream::kOut && !options_.output_is_terminal) {
    write(stream, lines);
    return;
  }
  const std::lock_guard lock(mutex_);
  erase_status();
  write(stream, lines);
  // A status line after half a line of a guest would be glued to it.
  if (lines.ends_with('\n')) draw_status();
}

bool Console::print(std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    erase_status();
    status_.clear();
  }
  write(Stream::kOut, text);
  return !closed();
}

void Console::write(Stream stream, std::string_view text) {
  const auto to = stream == Stream::kOut ? platform::StandardStream::kOut : platform::StandardStream::kErr;
  const int error = platform::write_all(to, std::as_bytes(std::span(text)));
  // Nobody can be told that standard error is gone; for standard output the caller decides.
  if (error == EPIPE && stream == Stream::kOut && !closed_.exchange(true, std::memory_order_relaxed) && options_.on_closed) {
    options_.on_closed();
  }
}

void Console::erase_status() {
  if (status_.empty()) return;
  const auto above = std::ranges::count(status_, '\n');
  write(Stream::kErr, above == 0 ? std::string("\r\x1b[K") : "\r\x1b[" + std::to_string(above) + "A\x1b[J");
}

void Console::draw_status() {
  if (!status_.empty()) write(Stream::kErr, status_);
}

std::string prefixed(std::string_view prefix, std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    out += prefix;
    out += line;
    out += '\n';
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return out;
}

}  // namespace weft::cli
