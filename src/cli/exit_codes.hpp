// What `weft` itself ends with. One table: the man page, the guide and the code read it from here.
//
// A single guest's own status comes first (returned: 0; exit(n): n); these are for everything else. They are codes that programs
// rarely choose, but any program may choose any: --json says for certain.
#pragma once

#include <span>
#include <string_view>

#include "weft/error.hpp"
#include "weft/process.hpp"

namespace weft::cli {

inline constexpr int kExitSuccess = 0;
inline constexpr int kExitSomeFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBadModule = 65;
inline constexpr int kExitNoInput = 66;
inline constexpr int kExitUnavailable = 69;
inline constexpr int kExitInternal = 70;
inline constexpr int kExitMachine = 71;
inline constexpr int kExitCannotWrite = 73;
inline constexpr int kExitGaveUp = 75;
inline constexpr int kExitTimeLimit = 124;
inline constexpr int kExitLimit = 125;
inline constexpr int kExitDeadlock = 126;
inline constexpr int kExitSignalBase = 128;    // plus the number of the signal that ended weft
inline constexpr int kExitTrapped = 134;       // as a native program that aborts
inline constexpr int kExitKilled = 137;        // as a native program that is killed
inline constexpr int kExitOutputClosed = 141;  // as a native program that writes to a closed pipe

struct ExitCode {
  std::string_view code;
  std::string_view meaning;
};
std::span<const ExitCode> exit_codes();

// Before anything ran: what an error becomes.
int exit_code_of(ErrorKind kind);

// What the end of a single guest becomes. A guest's own code is kept when it fits into what an operating system hands on (1 to
// 255); any other becomes 255.
int exit_code_of(const ExitStatus& status);

}  // namespace weft::cli
