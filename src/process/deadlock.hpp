// Words for deadlocks: what is known about the threads of a process that all wait for each other.
#pragma once

#include <cstdint>

#include "weft/process.hpp"

namespace weft::process {

// Fills in what the word that a thread waits on tells: its value, and who holds it, if it looks like the lock of a C library's mutex. `address` is
// the host's.
void describe_mutex(std::uint64_t address, WaitingThread& waiting);

// Composes message and detail from `status.waiting`, which may have fewer than the `threads` that wait.
void describe_deadlock(ExitStatus& status, std::uint64_t threads);

}  // namespace weft::process
