// On what guests run.
#pragma once

#include <cstdint>

namespace weft {

// The stack of a guest's thread, and how it is switched. What a guest does, and what it may use, is the same on both.
enum class Fibers : std::uint8_t {
  kAsync,          // the engine's own fibers: on every platform, for modules and components
  kContinuations,  // continuations in the guest's own store: a switch costs a third, a start somewhat more. x86-64 Linux, core modules (components run on kAsync);
  // rests on Wasmtime's stack switching, which is of its third tier: less tested than the rest, and outside of its security process
};

}  // namespace weft
