// What channels carry under the model checker. Header for model tests only.
#pragma once

#include <cstddef>

namespace weft::sync::testing {

struct Note {
  int value = 0;
  std::size_t bytes = 0;
  std::size_t size() const { return bytes; }
};

}  // namespace weft::sync::testing
