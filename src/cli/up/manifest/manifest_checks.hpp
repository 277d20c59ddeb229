// What is right in each table of a manifest and wrong in the whole: ids taken twice, channels to nobody, nothing to run.
#pragma once

#include <vector>

#include "cli/up/manifest/manifest.hpp"

namespace weft::cli {

void check_manifest(const Manifest& manifest, std::vector<Mistake>& mistakes);

}  // namespace weft::cli
