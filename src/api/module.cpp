#include "weft/module.hpp"

#include <nlohmann/json.hpp>

#include "api/runtime_state.hpp"

namespace weft {

const std::string& Module::name() const noexcept {
  static const std::string kNone;
  return code_ ? code_->compiled->name() : kNone;
}

bool Module::is_component() const noexcept { return code_ && code_->compiled->is_component(); }

Result<std::vector<std::uint8_t>> Module::serialize() const {
  if (!code_) return fail(ErrorKind::kBadArgument, "an empty module has no code");
  return code_->compiled->serialize();
}

namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
std::uint64_t number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}
bool flag_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}
std::vector<std::string> texts_of(const Json& object, const char* key) {
  std::vector<std::string> texts;
  if (const auto found = object.find(key); found != object.end()) {
    for (const Json& text : *found) {
      if (text.is_string()) texts.push_back(text.get<std::string>());
    }
  }
  return texts;
}
// The elements of a list; none when there is no such list.
const Json& list_of(const Json& object, const char* key) {
  static const Json kEmpty = Json::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : kEmpty;
}

}  // namespace

Result<ModuleInfo> inspect(const std::vector<std::uint8_t>& bytes) {
  Result<std::string> json = wasm::inspect(nullptr, bytes);
  if (!json) return std::unexpected(json.error());
  const Json parsed = Json::parse(*json, nullptr, false);
  if (!parsed.is_object()) return fail(ErrorKind::kInternal, "the engine described the module in a way that is no JSON object");
  ModuleInfo info;
  info.kind = text_of(parsed, "kind");
  for (const Json& import : list_of(parsed, "imports")) {
    info.imports.push_back(
        {text_of(import, "module"), text_of(import, "name"), text_of(import, "type"), text_of(import, "provided_by")});
  }
  for (const Json& item : list_of(parsed, "exports")) info.exports.push_back({text_of(item, "name"), text_of(item, "type")});
  for (const Json& item : list_of(parsed, "memories")) {
    ModuleInfo::Memory memory;
    memory.minimum_bytes = number_of(item, "minimum_bytes");
    if (item.contains("maximum_bytes") && item["maximum_bytes"].is_number())
      memory.maximum_bytes = number_of(item, "maximum_bytes");
    memory.shared = flag_of(item, "shared");
    memory.is_64_bit = flag_of(item, "is_64_bit");
    memory.imported = flag_of(item, "imported");
    info.memories.push_back(memory);
  }
  info.features = texts_of(parsed, "features");
  info.functions = number_of(parsed, "functions");
  info.code_bytes = number_of(parsed, "code_bytes");
  info.data_bytes = number_of(parsed, "data_bytes");
  info.entry_point = text_of(parsed, "entry_point");
  info.runnable = flag_of(parsed, "runnable");
  info.obstacles = texts_of(parsed, "obstacles");
  info.json = std::move(*json);
  return info;
}

}  // namespace weft
