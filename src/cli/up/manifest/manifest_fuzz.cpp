// Feeds arbitrary text to the reader of manifests: it answers with a system that makes sense, or with places and reasons.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cli/up/manifest/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto manifest = weft::cli::parse_manifest({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  if (manifest) {
    const std::uint64_t children = manifest->children();
    if (children == 0 || children > weft::cli::kManifestChildrenMax || !weft::cli::is_manifest_name(manifest->root.id))
      std::abort();
    return 0;
  }
  if (manifest.error().list.empty()) std::abort();
  for (const weft::cli::Mistake& mistake : manifest.error().list) {
    if (mistake.place.line == 0 || mistake.place.column == 0 || mistake.message.empty()) std::abort();
  }
  if (!manifest.error().error().message.starts_with("fuzz.toml:")) std::abort();
  return 0;
}
