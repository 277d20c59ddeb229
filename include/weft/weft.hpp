// All of Weft's public interface.
#pragma once

#include "weft/dump.hpp"
#include "weft/error.hpp"
#include "weft/fibers.hpp"
#include "weft/host.hpp"
#include "weft/limits.hpp"
#include "weft/module.hpp"
#include "weft/process.hpp"
#include "weft/runtime.hpp"
#include "weft/task.hpp"
#include "weft/trace.hpp"
#include "weft/units.hpp"
#include "weft/value.hpp"
