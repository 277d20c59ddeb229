#include "platform/signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace weft::platform {
namespace {

constexpr std::array kSignals = {Signal::kInterrupt, Signal::kTerminate, Signal::kHangUp, Signal::kQuit};

}  // namespace

std::string_view name_of(Signal signal) noexcept {
  switch (signal) {
    case Signal::kInterrupt:
      return "Ctrl-C";
    case Signal::kTerminate:
      return "SIGTERM";
    case Signal::kHangUp:
      return "SIGHUP";
    case Signal::kQuit:
      return "SIGQUIT";
  }
  return "a signal";
}

int number_of(Signal signal) noexcept {
  switch (signal) {
    case Signal::kInterrupt:
      return SIGINT;
    case Signal::kTerminate:
      return SIGTERM;
    case Signal::kHangUp:
      return SIGHUP;
    case Signal::kQuit:
      return SIGQUIT;
  }
  return 0;
}

SignalSource::SignalSource() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const Signal signal : kSignals) {
    struct sigaction now{};
    // A blocked signal is queued even when it is ignored, so the ignored ones must not get into the set.
    if (::sigaction(number_of(signal), nullptr, &now) == 0 && now.sa_handler == SIG_IGN) continue;
    sigaddset(&wanted, number_of(signal));
  }
  fd_ = ::signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd_ >= 0) ::pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
}

SignalSource::~SignalSource() {
  if (fd_ >= 0) ::close(fd_);
}

std::optional<Signal> SignalSource::take() noexcept {
  if (fd_ < 0) return std::nullopt;
  signalfd_siginfo info{};
  if (::read(fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  for (const Signal signal : kSignals) {
    if (static_cast<int>(info.ssi_signo) == number_of(signal)) return signal;
  }
  return std::nullopt;
}

void make_failing_writes_errors() noexcept {
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
  ::sigaction(SIGXFSZ, &ignore, nullptr);
}

void exit_now(int status) noexcept { ::_exit(status); }

}  // namespace weft::platform
