#include "cli/execute.hpp"
#include "cli/run_session.hpp"

namespace weft::cli {

int run_program(const Settings& settings, platform::SignalSource& signals) { return RunSession(settings, signals).run(); }

}  // namespace weft::cli
