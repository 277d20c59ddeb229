#include "cli/up/manifest/schema.hpp"

#include <nlohmann/json.hpp>

#include "cli/up/manifest/manifest_keys.hpp"

namespace weft::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kNamePattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
constexpr std::string_view kDurationPattern = "^(0|([0-9]+(\\.[0-9]*)?(ns|us|µs|ms|s|m|h|d))+|forever)$";
constexpr std::string_view kSizePattern = "^[0-9]+(\\.[0-9]+)?([KMGTPE]?|[KMGTPEkmgtpe]i?[Bb]?|[Bb])$";

Json one_of_text() { return {{"type", "string"}}; }

Json schema_of(const KeyInfo& key) {
  Json json;
  switch (key.shape) {
    case Shape::kText:
      json = {{"type", "string"}};
      if (key.name == "id" || key.name == "name") json["pattern"] = kNamePattern;
      break;
    case Shape::kWord:
      json["enum"] = key.words;
      break;
    case Shape::kCount:
      json = {{"type", "integer"}};
      break;
    case Shape::kNumber:
      json = {{"type", "number"}};
      break;
    case Shape::kSwitch:
      json = {{"type", "boolean"}};
      break;
    case Shape::kSize:
      json["anyOf"] = {{{"type", "integer"}, {"minimum", 0}}, {{"type", "string"}, {"pattern", kSizePattern}}};
      break;
    case Shape::kDuration:
      json["anyOf"] = {{{"type", "string"}, {"pattern", kDurationPattern}}, {{"const", 0}}};
      break;
    case Shape::kPriority:
      json["anyOf"] = {{{"type", "integer"}, {"minimum", 0}, {"maximum", 7}}, {{"enum", key.words}}};
      break;
    case Shape::kTexts:
      json["anyOf"] = {one_of_text(), {{"type", "array"}, {"items", one_of_text()}}};
      break;
    case Shape::kVariables:
      json["anyOf"] = {{{"type", "object"}, {"additionalProperties", {{"type", {"string", "number", "boolean"}}}}},
                       {{"type", "array"}, {"items", one_of_text()}},
                       one_of_text()};
      break;
    case Shape::kTable:
      json["$ref"] = "#/$defs/" + std::string(key.table);
      break;
    case Shape::kTables:
      json = {{"type", "array"}, {"items", {{"$ref", "#/$defs/" + std::string(key.table)}}}};
      break;
  }
  json["description"] = key.help;
  return json;
}

template <class T>
void add(Json& table, std::span<const Key<T>> keys) {
  for (const Key<T>& key : keys) {
    table["properties"][std::string(key.name)] = schema_of(key);
    if (key.required) table["required"].push_back(key.name);
  }
}

template <class... T>
Json table_of(std::span<const Key<T>>... keys) {
  Json table = {{"type", "object"}, {"additionalProperties", false}, {"required", Json::array()}, {"properties", Json::object()}};
  (add(table, keys), ...);
  return table;
}

}  // namespace

std::string manifest_schema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "A manifest of weft up"}};
  schema.update(table_of(keys_of_system(), keys_of_rules()));
  schema["$defs"]["child"] = table_of(keys_of_child());
  schema["$defs"]["group"] = table_of(keys_of_group(), keys_of_rules());
  schema["$defs"]["health"] = table_of(keys_of_health());
  schema["$defs"]["backoff"] = table_of(keys_of_backoff());
  schema["$defs"]["channel"] = table_of(keys_of_channel());
  schema["$defs"]["region"] = table_of(keys_of_region());
  return schema.dump(2) + "\n";
}

}  // namespace weft::cli
