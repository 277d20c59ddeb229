// Assertions: a broken one is a bug of ours, so it stops the program with the place and a reason, in release builds too.
//
//   WEFT_ASSERT(count <= limit, "more handles than the limit allows");
//
// WEFT_DEBUG_ASSERT is for checks too dear for a hot path; it vanishes when NDEBUG is defined.
// Any thread. Never use either on guest input: that is hostile, and answered with an Error.
#pragma once

#include <cstdint>

namespace weft::base {

// Prints "weft: bug: FILE:LINE: MESSAGE (EXPRESSION)" on standard error and aborts.
[[noreturn]] void assertion_failed(const char* file, int line, const char* expression, const char* message) noexcept;

// Called once, before the abort, by whoever owns the best picture of what is going on (a test's dump of all tasks).
// Null takes it away. Any thread; the hook runs on the failing thread and must not assert itself.
using AssertionHook = void (*)() noexcept;
void set_assertion_hook(AssertionHook hook) noexcept;

}  // namespace weft::base

#define WEFT_ASSERT(expression, message) \
  (static_cast<bool>(expression) ? static_cast<void>(0) : ::weft::base::assertion_failed(__FILE__, __LINE__, #expression, message))

#ifdef NDEBUG
#define WEFT_DEBUG_ASSERT(expression, message) static_cast<void>(sizeof(static_cast<bool>(expression)))
#else
#define WEFT_DEBUG_ASSERT(expression, message) WEFT_ASSERT(expression, message)
#endif
