// From what the user says to what can be started: specs are checked, modules compiled and linked, before anything runs.
#pragma once

#include <memory>
#include <string>

#include "supervise/child.hpp"

namespace weft::supervise {

// Any thread; may take seconds. Errors name the child by its path.
Result<std::shared_ptr<const PreparedSupervisor>> prepare(const Runtime& runtime, SupervisorSpec spec, const std::string& path);
Result<PreparedChild> prepare(const Runtime& runtime, ChildSpec spec, AutoShutdown auto_shutdown, const std::string& path);

}  // namespace weft::supervise
