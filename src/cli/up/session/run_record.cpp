#include "cli/up/session/run_record.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cli/toml.hpp"
#include "cli/up/manifest/manifest.hpp"
#include "cli/write_file.hpp"
#include "platform/local_socket.hpp"

namespace weft::cli {
namespace {

Result<std::filesystem::path> file_of(const std::string& system, std::string_view ending) {
  Result<std::filesystem::path> directory = platform::private_directory("weft");
  if (!directory) return directory;
  return *directory / ("up-" + system + std::string(ending));
}

}  // namespace

Result<std::filesystem::path> control_socket_of(const std::string& system) { return file_of(system, ".sock"); }

Result<void> write_record(const RunRecord& record) {
  const Result<std::filesystem::path> path = file_of(record.system, ".state");
  if (!path) return std::unexpected(path.error());
  const nlohmann::ordered_json json = {
      {"system", record.system}, {"manifest", record.manifest}, {"process", record.process}, {"started_ns", record.started_ns}};
  const std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  return write_file(*path, std::as_bytes(std::span(text)));
}

std::optional<RunRecord> read_record(const std::string& system) {
  const Result<std::filesystem::path> path = file_of(system, ".state");
  if (!path) return std::nullopt;
  const Result<std::string> text = read_text_file(path->string(), path->string());
  if (!text) return std::nullopt;
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto word = [&](const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
  };
  const auto number = [&](const char* key) {
    return json.contains(key) && json[key].is_number_unsigned() ? json[key].get<std::uint64_t>() : std::uint64_t{0};
  };
  return RunRecord{word("system"), word("manifest"), static_cast<std::uint32_t>(number("process")), number("started_ns")};
}

void remove_record(const std::string& system) {
  const Result<std::filesystem::path> path = file_of(system, ".state");
  std::error_code ignored;
  if (path) std::filesystem::remove(*path, ignored);
}

std::vector<std::string> running_systems() {
  std::vector<std::string> found;
  const Result<std::filesystem::path> directory = platform::private_directory("weft");
  if (!directory) return found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(*directory, error)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() != ".sock" || !stem.starts_with("up-") || !is_manifest_name(stem.substr(3))) continue;
    if (platform::connect_local(entry.path())) found.push_back(stem.substr(3));
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace weft::cli
