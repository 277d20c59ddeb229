#include "base/assert.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace weft::base {
namespace {

// Written by set_assertion_hook, read by the first failing thread; publishes nothing but itself. A real atomic also in
// model builds: the hook is outside what is modelled.
std::atomic<AssertionHook> hook{nullptr};

}  // namespace

void set_assertion_hook(AssertionHook replacement) noexcept { hook.store(replacement); }

void assertion_failed(const char* file, int line, const char* expression, const char* message) noexcept {
  std::fprintf(stderr, "weft: bug: %s:%d: %s (%s)\n", file, line, message, expression);
  std::fflush(stderr);
  if (AssertionHook const chosen = hook.exchange(nullptr)) {
    chosen();
  }
  std::abort();
}

}  // namespace weft::base
