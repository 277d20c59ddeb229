// Standard output and error of weft: what guests write, what weft says, and a status line at the bottom that is out of the way
// whenever something else is written.
//
//   Console console({.live = platform::is_terminal(2)});
//   console.set_status("weft: 12 of 300 done");
//   console.guest(Stream::kOut, "[app#3] ", "hello\n");
//   console.say("weft: app.wasm: …");
//
// Any thread.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "weft/process.hpp"

namespace weft::cli {

class Console {
 public:
  struct Options {
    bool live = false;                     // standard error is a terminal: a status line may stand there
    bool output_is_terminal = false;       // standard output is one, too (most likely the same)
    std::function<void()> on_closed = {};  // called once, when somebody who read the output has gone; any thread
  };
  explicit Console(Options options) : options_(std::move(options)) {}

  // Replaces the status, one line or several; empty takes it away. No line may be wider than the terminal. Nothing happens when the console is not live.
  void set_status(std::string text);

  // One or more lines of weft's own on standard error; a missing newline is added.
  void say(std::string_view text);

  // What a guest wrote. With a prefix it goes before every line, and the last one gets its newline.
  void guest(Stream stream, std::string_view prefix, std::string_view text);

  // Weft's own output (help, results, JSON) on standard output. False when nobody reads it.
  bool print(std::string_view text);

  bool live() const noexcept { return options_.live; }
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }

 private:
  void write(Stream stream, std::string_view text);
  void erase_status();  // under mutex_
  void draw_status();   // under mutex_

  const Options options_;
  // Guards standard error and the status line. Standard output is written under it only when it is a terminal: a pipe that
  // nobody empties must not keep weft from saying so.
  std::mutex mutex_;
  std::string status_;  // under mutex_
  // Writer: whoever meets the closed pipe. Readers: closed(). Publishes nothing else, hence relaxed on both sides.
  std::atomic<bool> closed_{false};
};

// `text` with `prefix` before every line and a newline at its end. Pure.
std::string prefixed(std::string_view prefix, std::string_view text);

}  // namespace weft::cli
