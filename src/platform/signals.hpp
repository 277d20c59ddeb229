// Signals as events: they are blocked everywhere and read from a descriptor, so that no code runs inside a signal handler.
//
//   platform::SignalSource signals;                 // first thing in main, before any thread is started
//   … wait until signals.fd() is readable …
//   while (std::optional<platform::Signal> signal = signals.take()) …
//
// One per program, made before other threads: a thread inherits what its maker has blocked. take() from one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weft::platform {

enum class Signal : std::uint8_t {
  kInterrupt,  // SIGINT: Ctrl-C
  kTerminate,  // SIGTERM
  kHangUp,     // SIGHUP: the terminal has gone
  kQuit,       // SIGQUIT: Ctrl-\.
};

// What a shell adds to 128 for a program that this signal ended.
int number_of(Signal signal) noexcept;
std::string_view name_of(Signal signal) noexcept;  // "SIGTERM"; for people: "Ctrl-C"

class SignalSource {
 public:
  // Those that the program was started with as ignored (nohup, background jobs) stay ignored.
  SignalSource();
  ~SignalSource();
  SignalSource(const SignalSource&) = delete;
  SignalSource& operator=(const SignalSource&) = delete;

  int fd() const noexcept { return fd_; }  // readable when take() has something; -1 when the machine gave no descriptor
  std::optional<Signal> take() noexcept;

 private:
  int fd_ = -1;
};

// Writing to a closed pipe, or beyond the size that files may have (ulimit -f), fails from now on, instead of ending the program.
void make_failing_writes_errors() noexcept;

// Ends the program now, without destructors: for when its own threads cannot be waited for.
[[noreturn]] void exit_now(int status) noexcept;

}  // namespace weft::platform
