#include "cli/inspect_text.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <vector>

#include "weft/units.hpp"

namespace weft::cli {
namespace {

std::string row(std::string_view title, std::string_view text) { return fmt::format("{:<12} {}\n", title, text); }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string memory_text(const ModuleInfo::Memory& memory) {
  std::string text = fmt::format("{} at the start, ", format_size(memory.minimum_bytes));
  text += memory.maximum_bytes ? fmt::format("at most {}", format_size(*memory.maximum_bytes)) : "no maximum of its own";
  if (memory.shared) text += ", shared";
  if (memory.is_64_bit) text += ", 64-bit";
  if (memory.imported) text += ", imported";
  return text;
}

// Names and types in two columns.
struct Item {
  std::string name;
  std::string type;
};
std::string table(const std::vector<Item>& items) {
  constexpr std::size_t kNameColumnMax = 36;
  std::size_t width = 0;
  for (const Item& item : items) width = std::max(width, std::min(item.name.size(), kNameColumnMax));
  std::string text;
  for (const Item& item : items) text += fmt::format("    {:<{}}  {}\n", item.name, width, item.type);
  return text;
}

// What the engine says of strands and continuations; nothing of components.
std::string strands_text(const ModuleInfo& info) {
  const nlohmann::json json = nlohmann::json::parse(info.json, nullptr, false);
  const nlohmann::json strands = json.is_object() ? json.value("strands", nlohmann::json()) : nlohmann::json();
  if (!strands.is_object()) return {};
  const auto said = [&](const char* key) { return strands.value(key, false); };
  const auto why = [&](const char* key) {
    const auto found = strands.find(key);
    return found != strands.end() && found->is_string() ? found->get<std::string>() : std::string("for reasons unknown");
  };
  std::string text = said("used") ? "used" : said("possible") ? "not used, but possible" : "";
  if (!said("possible")) {
    text += (said("used") ? ", but not possible: " : "not possible: ") + why("obstacle");
  } else if (!said("preemptible")) {
    text += "; " + why("preemption_obstacle");
  }
  text = row("strands", text);
  if (!said("continuations")) text += row("", "cannot run on continuations: " + why("continuations_obstacle"));
  return text;
}

}  // namespace

std::string inspect_text(const std::string& name, const ModuleInfo& info) {
  std::string text = name + "\n\n";
  text += row("kind", info.kind);
  text += row("entry point", info.entry_point.empty() ? "none" : info.entry_point);
  if (info.kind == "module") {
    text += row("code", fmt::format("{} functions, {}", info.functions, format_size(info.code_bytes)));
    text += row("data", format_size(info.data_bytes));
  }
  bool first = true;
  for (const ModuleInfo::Memory& memory : info.memories) {
    text += row(first ? "memory" : "", memory_text(memory));
    first = false;
  }
  text += row("features", info.features.empty() ? "WebAssembly 1.0 is enough" : joined(info.features));
  text += strands_text(info);

  // Imports by the module that they come from, in order of first appearance.
  std::vector<std::string> modules;
  std::map<std::string, std::vector<Item>> imports;
  std::map<std::string, std::vector<std::string>> providers;
  for (const ModuleInfo::Import& import : info.imports) {
    if (!imports.contains(import.module)) modules.push_back(import.module);
    const std::string provider = import.provided_by.empty() ? "nobody" : import.provided_by;
    std::vector<std::string>& known = providers[import.module];
    if (std::ranges::find(known, provider) == known.end()) known.push_back(provider);
    std::string type = import.type;
    if (import.provided_by.empty()) type += "   <- nobody provides this";
    imports[import.module].push_back({import.name.empty() ? "(itself)" : import.name, type});
  }
  if (!modules.empty()) text += "\nimports\n";
  for (const std::string& module : modules) {
    text += fmt::format("  {}, provided by {}\n", module, joined(providers[module]));
    text += table(imports[module]);
  }
  if (!info.exports.empty()) {
    text += "\nexports\n";
    std::vector<Item> items;
    for (const ModuleInfo::Export& item : info.exports) items.push_back({item.name, item.type});
    text += table(items);
  }
  text += info.runnable ? "\nWeft can run it: yes\n" : "\nWeft can run it: no\n";
  for (const std::string& obstacle : info.obstacles) text += fmt::format("  {}\n", obstacle);
  return text;
}

}  // namespace weft::cli
