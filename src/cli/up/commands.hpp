// The commands about systems. As in execute.hpp: each says what there is to say, and answers with the exit status.
#pragma once

#include "cli/console.hpp"
#include "cli/settings.hpp"
#include "platform/signals.hpp"

namespace weft::cli {

int run_system(const Settings& settings, platform::SignalSource& signals);                         // weft up
int list_processes(const Settings& settings, Console& console);                                    // weft ps
int watch_processes(const Settings& settings, platform::SignalSource& signals, Console& console);  // weft top
int kill_child(const Settings& settings, Console& console);
int restart_child(const Settings& settings, Console& console);
int show_logs(const Settings& settings, Console& console);
int show_events(const Settings& settings, Console& console);

}  // namespace weft::cli
