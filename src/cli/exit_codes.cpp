#include "cli/exit_codes.hpp"

#include <array>

namespace weft::cli {
namespace {

constexpr std::array kCodes = {
    ExitCode{
        "0",
        "the guest returned or called exit(0); of several copies, all did; weft up: stopped as asked, or all children ended well"},
    ExitCode{"n", "a single guest called exit(n), 1 to 255; any other n becomes 255"},
    ExitCode{"1", "several copies ran, or all children of weft up have ended, and at least one did not succeed"},
    ExitCode{"2", "the command line, the configuration file or the manifest asks for something that makes no sense"},
    ExitCode{"65", "the file is nothing that Weft can run: not WebAssembly, damaged, a missing feature, import or entry point"},
    ExitCode{"66", "a file or directory is missing, or may not be read"},
    ExitCode{"69", "weft dump, ps, top, …: no such running weft; weft up: one of that name runs already"},
    ExitCode{"70", "a bug in Weft"},
    ExitCode{"71", "the machine has not enough of something (the message names it), or a guest could not be started"},
    ExitCode{"73", "an output file (weft compile, --trace) cannot be written"},
    ExitCode{"75", "weft up gave up: a child fell too often"},
    ExitCode{"124", "a single guest reached its --timeout or --cpu-time"},
    ExitCode{"125", "a single guest reached another limit: memory, tables, instances, fuel, stack, output"},
    ExitCode{"126", "a single guest was deadlocked: all its threads waited for each other"},
    ExitCode{"129", "weft was ended by SIGHUP"},
    ExitCode{"130", "weft was ended by Ctrl-C (SIGINT); weft up: by the second one"},
    ExitCode{"134", "a single guest trapped"},
    ExitCode{"137", "a single guest was killed"},
    ExitCode{"141", "whoever read the output went away before the guests were done"},
    ExitCode{"143", "weft was ended by SIGTERM; weft up: by the second one"},
};

}  // namespace

std::span<const ExitCode> exit_codes() { return kCodes; }

int exit_code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kBadArgument:
      return kExitUsage;
    case ErrorKind::kNotFound:
    case ErrorKind::kPermission:
    case ErrorKind::kIo:
      return kExitNoInput;
    case ErrorKind::kInvalidModule:
    case ErrorKind::kUnsupportedFeature:
    case ErrorKind::kMissingImport:
    case ErrorKind::kNoEntryPoint:
    case ErrorKind::kIncompatible:
      return kExitBadModule;
    case ErrorKind::kExhausted:
      return kExitMachine;
    case ErrorKind::kTimedOut:
      return kExitTimeLimit;
    case ErrorKind::kCancelled:
      return kExitKilled;
    case ErrorKind::kWouldDeadlock:
    case ErrorKind::kInternal:
      return kExitInternal;
  }
  return kExitInternal;
}

int exit_code_of(const ExitStatus& status) {
  switch (status.kind) {
    case ExitKind::kReturned:
      return kExitSuccess;
    case ExitKind::kExited:
      return status.code >= 0 && status.code <= 255 ? status.code : 255;
    case ExitKind::kTrapped:
      return kExitTrapped;
    case ExitKind::kKilled:
      return kExitKilled;
    case ExitKind::kLimitReached:
      if (status.limit && (status.limit->kind == LimitKind::kWallTime || status.limit->kind == LimitKind::kCpuTime)) {
        return kExitTimeLimit;
      }
      return kExitLimit;
    case ExitKind::kFailed:
      return kExitMachine;
    case ExitKind::kDeadlocked:
      return kExitDeadlock;
  }
  return kExitInternal;
}

}  // namespace weft::cli
