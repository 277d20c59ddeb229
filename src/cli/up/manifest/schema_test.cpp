// Shows that the schema names every key of the parser's table, its words, and which keys must be there. That manifests conform to it is shown by tests/cli/up_test.py.
#include "cli/up/manifest/schema.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/up/manifest/manifest_keys.hpp"

namespace weft::cli {
namespace {

using Json = nlohmann::json;

template <class T>
void expect_keys(const Json& table, std::span<const Key<T>> keys, std::size_t& count) {
  EXPECT_EQ(table["additionalProperties"], false);
  for (const Key<T>& key : keys) {
    ++count;
    const std::string name(key.name);
    ASSERT_TRUE(table["properties"].contains(name)) << name;
    EXPECT_EQ(table["properties"][name]["description"], key.help);
    EXPECT_FALSE(key.help.empty()) << name;
    if (key.shape == Shape::kWord) {
      EXPECT_EQ(table["properties"][name]["enum"].size(), key.words.size()) << name;
    }
    const bool required = std::ranges::find(table["required"], Json(name)) != table["required"].end();
    EXPECT_EQ(required, key.required) << name;
  }
}

TEST(ManifestSchema, NamesEveryKeyAndNoOther) {
  const Json schema = Json::parse(manifest_schema());
  const auto compare = [&](const Json& table, auto... keys) {
    std::size_t count = 0;
    (expect_keys(table, keys, count), ...);
    EXPECT_EQ(table["properties"].size(), count);
  };
  compare(schema, keys_of_system(), keys_of_rules());
  compare(schema["$defs"]["child"], keys_of_child());
  compare(schema["$defs"]["group"], keys_of_group(), keys_of_rules());
  compare(schema["$defs"]["health"], keys_of_health());
  compare(schema["$defs"]["backoff"], keys_of_backoff());
  compare(schema["$defs"]["channel"], keys_of_channel());
  compare(schema["$defs"]["region"], keys_of_region());
  EXPECT_EQ(schema["$defs"].size(), 6U);
}

}  // namespace
}  // namespace weft::cli
