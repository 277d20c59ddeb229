#include "cli/up/commands.hpp"
#include "cli/up/session/up_session.hpp"

namespace weft::cli {

int run_system(const Settings& settings, platform::SignalSource& signals) { return UpSession(settings, signals).run(); }

}  // namespace weft::cli
