#include "cli/up/manifest/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include "cli/suggest.hpp"
#include "cli/toml.hpp"
#include "cli/up/manifest/manifest_checks.hpp"
#include "cli/up/manifest/manifest_keys.hpp"

namespace weft::cli {
namespace {

constexpr std::size_t kDepthMax = 32;  // of groups in groups

std::string_view example_of(Shape shape) {
  if (shape == Shape::kDuration) return "\"5s\"";
  if (shape == Shape::kSize) return "\"64KiB\"";
  return shape == Shape::kTexts ? "[\"…\"]" : "\"…\"";
}

Place place_of(const toml::source_region& where) { return {where.begin.line, where.begin.column}; }

bool is_right_type(Shape shape, const toml::node& value) {
  switch (shape) {
    case Shape::kText:
    case Shape::kWord:
      return value.is_string();
    case Shape::kCount:
    case Shape::kSize:
    case Shape::kPriority:
      return value.is_string() || value.is_integer();
    case Shape::kNumber:
      return value.is_number();
    case Shape::kSwitch:
      return value.is_boolean();
    case Shape::kDuration:
      return value.is_string() || (value.is_integer() && value.as_integer()->get() == 0);
    case Shape::kTexts:
    case Shape::kVariables:
      return value.is_string();  // of each item
    case Shape::kTable:
    case Shape::kTables:
      break;
  }
  return false;
}

// Without what can change while the rest goes on: the members of a group, channels and regions, the number of copies, the lines that are kept.
std::string signature_of(const toml::table& table) {
  std::ostringstream out;
  for (const auto& [key, value] : table) {
    const std::string_view name = key.str();
    if (name == "child" || name == "group" || name == "channel" || name == "region" || name == "copies" || name == "log-lines")
      continue;
    out << key.str() << '=';
    value.visit([&](const auto& known) { out << known << '\n'; });
  }
  return std::move(out).str();
}

class Reader {
 public:
  Reader(std::filesystem::path base, std::vector<Mistake>& mistakes) : base_(std::move(base)), mistakes_(mistakes) {}

  void read_system(const toml::table& table, Manifest& manifest) {
    std::vector<std::string_view> known = names_of(keys_of_system());
    std::ranges::copy(names_of(keys_of_rules()), std::back_inserter(known));
    refuse_unknown(table, known, "");
    set_all(table, keys_of_system(), manifest);
    require(table, keys_of_system(), {1, 1}, "the system");
    read_rules(table, manifest.root, 0);
    manifest.signature = signature_of(table);
    for (const toml::table* each : tables_of(table, "channel")) manifest.channels.push_back(read_channel(*each));
    for (const toml::table* each : tables_of(table, "region")) manifest.regions.push_back(read_region(*each));
    if (!manifest.run.cache_directory.empty()) manifest.run.cache_directory = resolved(manifest.run.cache_directory);
  }

 private:
  template <class T>
  static std::vector<std::string_view> names_of(std::span<const Key<T>> keys) {
    std::vector<std::string_view> names;
    for (const Key<T>& key : keys) names.push_back(key.name);
    return names;
  }

  void refuse(Place place, std::string message) { mistakes_.push_back({place, std::move(message)}); }

  std::filesystem::path resolved(const std::filesystem::path& path) const { return path.is_absolute() ? path : base_ / path; }

  void refuse_unknown(const toml::table& table, const std::vector<std::string_view>& known, std::string_view where) {
    for (const auto& [key, value] : table) {
      if (std::ranges::find(known, key.str()) != known.end()) continue;
      std::string hint = did_you_mean(key.str(), known);
      if (hint.empty()) hint = fmt::format("; known here: {}", fmt::join(known, ", "));
      refuse(place_of(key.source()), fmt::format("unknown key '{}'{}{}", key.str(), where, hint));
    }
  }

  template <class T>
  void require(const toml::table& table, std::span<const Key<T>> keys, Place place, std::string_view what) {
    for (const Key<T>& key : keys) {
      if (!key.required || table.contains(key.name)) continue;
      refuse(place, fmt::format("{0} has no {1}; say {1} = {2}", what, key.name, example_of(key.shape)));
    }
  }

  template <class T>
  void set(const Key<T>& key, const toml::node& value, T& target) {
    const std::optional<std::string> text = text_of(value);
    if (!text || !is_right_type(key.shape, value)) {
      refuse(place_of(value.source()), fmt::format("{} must be {}", key.name, described(key.shape)));
      return;
    }
    if (text->find('\0') != std::string::npos) {
      refuse(place_of(value.source()), fmt::format("{} must not hold a zero byte", key.name));
      return;
    }
    if (const Result<void> done = key.set(target, *text); !done) {
      refuse(place_of(value.source()), fmt::format("{} = {}: {}", key.name, *text, done.error().message));
    }
  }

  template <class T>
  void set_variables(const Key<T>& key, const toml::table& variables, T& target) {
    for (const auto& [name, value] : variables) {
      const std::optional<std::string> text = text_of(value);
      if (!text) {
        refuse(place_of(value.source()), fmt::format("{}.{} must be a text or a number", key.name, name.str()));
      } else if (const Result<void> done = key.set(target, fmt::format("{}={}", name.str(), *text)); !done) {
        refuse(place_of(value.source()), fmt::format("{}.{}: {}", key.name, name.str(), done.error().message));
      }
    }
  }

  template <class T>
  void set_all(const toml::table& table, std::span<const Key<T>> keys, T& target) {
    for (const Key<T>& key : keys) {
      const toml::node* value = table.get(key.name);
      if (value == nullptr || !key.table.empty()) continue;
      const bool list = key.shape == Shape::kTexts || key.shape == Shape::kVariables;
      if (key.shape == Shape::kVariables && value->is_table()) {
        set_variables(key, *value->as_table(), target);
      } else if (list && value->is_array()) {
        for (const toml::node& item : *value->as_array()) set(key, item, target);
      } else {
        set(key, *value, target);
      }
    }
  }

  const toml::table* table_of(const toml::table& table, std::string_view name) {
    const toml::node* value = table.get(name);
    if (value == nullptr) return nullptr;
    if (value->as_table() == nullptr) {
      refuse(place_of(value->source()), fmt::format("{0} must be a table: {0} = {{ … }}", name));
    }
    return value->as_table();
  }

  std::vector<const toml::table*> tables_of(const toml::table& table, std::string_view name) {
    std::vector<const toml::table*> found;
    const toml::node* value = table.get(name);
    if (value == nullptr) return found;
    const toml::array* list = value->as_array();
    if (list == nullptr) {
      refuse(place_of(value->source()), fmt::format("{0} must be tables; begin each with [[{0}]] instead of [{0}]", name));
      return found;
    }
    for (const toml::node& item : *list) {
      if (item.as_table() == nullptr) {
        refuse(place_of(item.source()), fmt::format("{0} must be tables, each below its own [[{0}]]", name));
      } else {
        found.push_back(item.as_table());
      }
    }
    return found;
  }

  // What is the same at the top and in groups.
  void read_rules(const toml::table& table, ManifestGroup& group, std::size_t depth) {
    set_all(table, keys_of_rules(), group);
    if (const toml::table* backoff = table_of(table, "backoff")) {
      refuse_unknown(*backoff, names_of(keys_of_backoff()), " in backoff");
      set_all(*backoff, keys_of_backoff(), group.backoff);
      if (group.backoff.max < group.backoff.first) {
        refuse(place_of(backoff->source()), fmt::format("backoff: max ({}) is less than first ({})",
                                                        format_duration(group.backoff.max), format_duration(group.backoff.first)));
      }
    }
    for (const toml::table* each : tables_of(table, "child")) group.members.push_back({read_child(*each)});
    for (const toml::table* each : tables_of(table, "group")) {
      if (depth == kDepthMax) {
        refuse(place_of(each->source()), fmt::format("groups may be nested {} deep", kDepthMax));
        break;
      }
      group.members.push_back({read_group(*each, depth + 1)});
    }
    // TOML keeps children and groups apart; the order of the file is that of the start.
    std::ranges::stable_sort(group.members, {}, [](const ManifestMember& member) { return member.place(); });
  }

  ManifestGroup read_group(const toml::table& table, std::size_t depth) {
    ManifestGroup group;
    group.place = place_of(table.source());
    std::vector<std::string_view> known = names_of(keys_of_group());
    std::ranges::copy(names_of(keys_of_rules()), std::back_inserter(known));
    refuse_unknown(table, known, " in a group");
    set_all(table, keys_of_group(), group);
    require(table, keys_of_group(), group.place, "a group");
    read_rules(table, group, depth);
    group.signature = signature_of(table);
    return group;
  }

  ManifestChild read_child(const toml::table& table) {
    ManifestChild child;
    child.place = place_of(table.source());
    refuse_unknown(table, names_of(keys_of_child()), " in a child");
    set_all(table, keys_of_child(), child);
    require(table, keys_of_child(), child.place, "a child");
    if (const toml::table* health = table_of(table, "health")) {
      child.health.emplace();
      refuse_unknown(*health, names_of(keys_of_health()), " in health");
      set_all(*health, keys_of_health(), *child.health);
      require(*health, keys_of_health(), place_of(health->source()), "health");
    }
    resolve_paths(table, child);
    child.signature = signature_of(table);
    return child;
  }

  void resolve_paths(const toml::table& table, ManifestChild& child) {
    const auto place = [&](std::string_view key) {
      const toml::node* value = table.get(key);
      return value == nullptr ? child.place : place_of(value->source());
    };
    child.module_place = place("module");
    if (!child.run.program.empty()) {
      // The guest sees its name as the manifest has it.
      if (!child.run.argv0) child.run.argv0 = child.run.program;
      child.run.program = resolved(child.run.program).string();
      child.files.push_back({child.module_place, "module", child.run.program, NamedFile::Must::kBeFile});
    }
    for (Directory& directory : child.run.directories) {
      if (directory.guest.empty()) directory.guest = directory.host;
      directory.host = resolved(directory.host).string();
      child.files.push_back({place(directory.read_only ? "dir-ro" : "dir"), directory.read_only ? "dir-ro" : "dir", directory.host,
                             NamedFile::Must::kBeDirectory});
    }
    if (!child.stdin_file.empty()) {
      child.stdin_file = resolved(child.stdin_file);
      child.files.push_back({place("stdin-file"), "stdin-file", child.stdin_file, NamedFile::Must::kBeFile});
    }
    if (!child.output_file.empty()) {
      child.output_file = resolved(child.output_file);
      child.files.push_back({place("output-file"), "output-file", child.output_file, NamedFile::Must::kHaveParent});
    }
    const int inputs = (child.run.stdin_mode ? 1 : 0) + (child.stdin_text ? 1 : 0) + (child.stdin_file.empty() ? 0 : 1);
    if (inputs > 1) {
      refuse(place(child.stdin_text ? "stdin-text" : "stdin-file"),
             "only one of stdin, stdin-text and stdin-file can be its input");
    }
    if (child.significant && child.restart == Restart::kPermanent) {
      refuse(place("significant"), "significant is for children that may end: say restart = \"transient\" or \"temporary\", too");
    }
  }

  ManifestChannel read_channel(const toml::table& table) {
    ManifestChannel channel;
    channel.place = place_of(table.source());
    refuse_unknown(table, names_of(keys_of_channel()), " in a channel");
    set_all(table, keys_of_channel(), channel);
    require(table, keys_of_channel(), channel.place, "a channel");
    channel.signature = signature_of(table);
    return channel;
  }

  ManifestRegion read_region(const toml::table& table) {
    ManifestRegion region;
    region.place = place_of(table.source());
    refuse_unknown(table, names_of(keys_of_region()), " in a region");
    set_all(table, keys_of_region(), region);
    require(table, keys_of_region(), region.place, "a region");
    if (const toml::node* children = table.get("children")) {
      // Of what is no text, or no right one, there is no holder.
      std::size_t next = 0;
      const auto put = [&](const toml::node& item) {
        const bool is_next = next < region.children.size() && item.value<std::string_view>() == region.children[next].path;
        if (is_next) region.children[next++].place = place_of(item.source());
      };
      if (const toml::array* list = children->as_array()) {
        for (const toml::node& item : *list) put(item);
      } else {
        put(*children);
      }
    }
    return region;
  }

  const std::filesystem::path base_;
  std::vector<Mistake>& mistakes_;
};

std::unexpected<Mistakes> refuse_file(const std::filesystem::path& path, const Error& error) {
  Mistakes mistakes{.file = path.string(), .list = {{{1, 1}, error.message}}, .kind = error.kind};
  return std::unexpected(std::move(mistakes));
}

}  // namespace

namespace {

std::expected<Manifest, Mistakes> parse(std::string_view text, const std::filesystem::path& path, bool with_files) {
  Manifest manifest;
  manifest.path = path;
  Mistakes mistakes{.file = path.string(), .list = {}};
  const std::variant<toml::table, TomlMistake> table = parse_toml_at(text);
  if (const auto* broken = std::get_if<TomlMistake>(&table)) {
    mistakes.list.push_back({{broken->line, broken->column}, broken->message});
    return std::unexpected(std::move(mistakes));
  }
  Reader(path.parent_path(), mistakes.list).read_system(std::get<toml::table>(table), manifest);
  check_manifest(manifest, mistakes.list);
  if (with_files) std::ranges::move(missing_files(manifest), std::back_inserter(mistakes.list));
  if (mistakes.list.empty()) return manifest;
  std::ranges::stable_sort(mistakes.list, {}, &Mistake::place);
  return std::unexpected(std::move(mistakes));
}

}  // namespace

std::expected<Manifest, Mistakes> parse_manifest(std::string_view text, const std::filesystem::path& path) {
  return parse(text, path, false);
}

std::expected<Manifest, Mistakes> read_manifest(const std::filesystem::path& path) {
  const Result<std::string> text = read_text_file(path.string(), path.string());
  if (!text) return refuse_file(path, text.error());
  return parse(*text, path, true);
}

Result<std::string> manifest_name(const std::filesystem::path& path) {
  const Result<std::string> text = read_text_file(path.string(), path.string());
  if (!text) return std::unexpected(text.error());
  const std::variant<toml::table, TomlMistake> table = parse_toml_at(*text);
  if (const auto* known = std::get_if<toml::table>(&table)) {
    const auto* name = known->get_as<std::string>("name");
    if (name != nullptr && is_manifest_name(name->get())) return name->get();
  }
  return fail(ErrorKind::kBadArgument, fmt::format("{}: has no name of a system in it", path.string()));
}

}  // namespace weft::cli
