// The JSON schema of manifests, for editors: made from the same table of keys as the parser's. Pure, any thread.
#pragma once

#include <string>

namespace weft::cli {

// Draft 2020-12, indented, with a newline at its end.
std::string manifest_schema();

}  // namespace weft::cli
