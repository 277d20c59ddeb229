// Where a running `weft up` is found, and what is left of one that did not end in order. In the directory of this user's running wefts:
// up-NAME.sock answers, up-NAME.state says who runs it, and is taken away at an orderly end.
//
// Plain functions over files, any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "weft/error.hpp"

namespace weft::cli {

struct RunRecord {
  std::string system;
  std::string manifest;
  std::uint32_t process = 0;
  std::uint64_t started_ns = 0;  // since 1970
};

Result<std::filesystem::path> control_socket_of(const std::string& system);

Result<void> write_record(const RunRecord& record);
// Nothing when there is none, or none that can be read.
std::optional<RunRecord> read_record(const std::string& system);
void remove_record(const std::string& system);

// The systems of this user that answer.
std::vector<std::string> running_systems();

}  // namespace weft::cli
