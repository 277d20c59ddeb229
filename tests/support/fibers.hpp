// What the guests of a test run on: each such test is registered for both kinds of fibers (see weft_test in cmake/).
#pragma once

#include <cstdlib>
#include <string_view>

#include "weft/fibers.hpp"

namespace weft::testing {

inline Fibers chosen_fibers() {
  const char* chosen = std::getenv("WEFT_TEST_FIBERS");
  return chosen != nullptr && std::string_view(chosen) == "continuations" ? Fibers::kContinuations : Fibers::kAsync;
}

}  // namespace weft::testing
