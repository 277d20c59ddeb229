#include "weft/error.hpp"

namespace weft {

std::string_view name_of(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::kBadArgument:
      return "bad-argument";
    case ErrorKind::kNotFound:
      return "not-found";
    case ErrorKind::kPermission:
      return "permission";
    case ErrorKind::kIo:
      return "io";
    case ErrorKind::kInvalidModule:
      return "invalid-module";
    case ErrorKind::kUnsupportedFeature:
      return "unsupported-feature";
    case ErrorKind::kMissingImport:
      return "missing-import";
    case ErrorKind::kNoEntryPoint:
      return "no-entry-point";
    case ErrorKind::kIncompatible:
      return "incompatible";
    case ErrorKind::kExhausted:
      return "exhausted";
    case ErrorKind::kTimedOut:
      return "timed-out";
    case ErrorKind::kCancelled:
      return "cancelled";
    case ErrorKind::kWouldDeadlock:
      return "would-deadlock";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace weft
