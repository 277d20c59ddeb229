// Feeds arbitrary text to the reader of the configuration file: it answers with settings or with a place and a reason.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cli/config_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::cli::Settings settings;
  const weft::Result<void> done = weft::cli::apply_config_text({reinterpret_cast<const char*>(data), size}, "fuzz.toml", settings);
  if (!done && !done.error().message.starts_with("fuzz.toml:")) std::abort();
  return 0;
}
