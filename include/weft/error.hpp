// What fails in an expected way returns weft::Result<T>; this is what it carries.
//
//   weft::Result<weft::Module> module = runtime.load("app.wasm");
//   if (!module) std::fputs(module.error().message.c_str(), stderr);
//
// Values only: any thread may read, copy or move them.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace weft {

enum class ErrorKind : std::uint8_t {
  kBadArgument,         // the caller asked for something that makes no sense
  kNotFound,            // a file, a name or a process that is not there
  kPermission,          // the operating system refused
  kIo,                  // reading or writing failed
  kInvalidModule,       // not WebAssembly, truncated or malformed
  kUnsupportedFeature,  // valid WebAssembly that needs a feature this engine lacks or has switched off
  kMissingImport,       // an import that nobody provides
  kNoEntryPoint,        // nothing to run
  kIncompatible,        // a precompiled module of another version or configuration
  kExhausted,           // a bound of the runtime or of the machine is reached
  kTimedOut,            // a bound in time that the caller gave has passed
  kCancelled,           // the runtime is shutting down, or the task was cancelled
  kWouldDeadlock,       // a wait that blocks its thread, asked for on a worker, which others need
  kInternal,            // a bug of ours
};

// The name of a kind as it stands in JSON output: "bad-argument", "missing-import", …
std::string_view name_of(ErrorKind kind) noexcept;

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message{};  // one line: what was asked, what was wrong, what to do
  std::string detail{};   // more lines, or empty
};

template <class T>
using Result = std::expected<T, Error>;

// Shorthand for the failing branch: return weft::fail(ErrorKind::kIo, "…");
inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string detail = {}) {
  return std::unexpected<Error>(Error{kind, std::move(message), std::move(detail)});
}

}  // namespace weft
