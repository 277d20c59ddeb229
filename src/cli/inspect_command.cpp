#include "cli/execute.hpp"
#include "cli/exit_codes.hpp"
#include "cli/inspect_text.hpp"
#include "cli/program_file.hpp"
#include "weft/module.hpp"

namespace weft::cli {

int inspect_program(const Settings& settings, Console& console) {
  const std::string& program = settings.operands.front();
  const Result<std::vector<std::uint8_t>> bytes = read_file(program);
  if (!bytes) return report_error(console, bytes.error(), program);
  if (looks_precompiled(*bytes)) {
    return report_error(
        console, {ErrorKind::kInvalidModule, program + ": is precompiled; inspect the .wasm file that it was made from", {}});
  }
  const Result<ModuleInfo> info = inspect(*bytes);
  if (!info) return report_error(console, info.error(), program);
  if (!console.print(settings.json ? info->json + "\n" : inspect_text(program, *info))) return kExitOutputClosed;
  return kExitSuccess;
}

}  // namespace weft::cli
