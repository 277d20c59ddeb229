// The commands. Each does its work and answers with the exit status of weft; what there is to say has been said by then.
#pragma once

#include "cli/console.hpp"
#include "cli/settings.hpp"
#include "platform/signals.hpp"

namespace weft::cli {

int run_program(const Settings& settings, platform::SignalSource& signals);
int compile_program(const Settings& settings);
int inspect_program(const Settings& settings, Console& console);
int run_bench(const Settings& settings);
int dump_tasks(const Settings& settings, Console& console);

// "weft: " and the error's line, then its details. `subject` (a file's name) goes before the message unless it begins with it.
int report_error(Console& console, const Error& error, std::string_view subject = {});

}  // namespace weft::cli
