// What the files of the Linux platform share. Nobody else includes this: see platform.hpp.
#pragma once

#include <memory>
#include <string>

#include "platform/platform.hpp"

namespace weft::platform {

std::unique_ptr<Parker> make_futex_parker();
Result<std::unique_ptr<Thread>> start_posix_thread(std::string name, std::function<void()> body);

// The control group's bounds, from version 2 or 1 of its file system; kNever and 0 where there is none.
uint64_t control_group_memory_bytes();
// In thousandths of a CPU.
uint64_t control_group_cpu_milli();

// The first line of a small file, empty when it cannot be read.
std::string first_line(const std::string& path);

}  // namespace weft::platform
