#include <fmt/format.h>

#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <sstream>

#include "engine/core/error.h"
#include "models/file.h"
#include "tools/common/options.h"

namespace gi::tools {
namespace {

using Values = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// A value as the command line would have it.
std::string text_of(const toml::node& node, const std::string& file, std::string_view key) {
  if (const auto* v = node.as_string()) return v->get();
  if (const auto* v = node.as_integer()) return std::to_string(v->get());
  if (const auto* v = node.as_floating_point()) return fmt::format("{}", v->get());
  if (const auto* v = node.as_boolean()) return v->get() ? "yes" : "no";
  throw UsageError(fmt::format("{}: '{}' is neither text, number, yes or no, nor a list of them", file, key));
}

void collect(const toml::table& table, const std::string& file, Values& values) {
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (const toml::table* inner = node.as_table()) {
      collect(*inner, file, values);
      continue;
    }
    std::vector<std::string> texts;
    if (const toml::array* list = node.as_array())
      for (const toml::node& element : *list) texts.push_back(text_of(element, file, name));
    else texts.push_back(text_of(node, file, name));
    if (!texts.empty()) values.emplace_back(name, std::move(texts));
  }
}

}  // namespace

void apply_config(CLI::App& app, const std::filesystem::path& file) {
  constexpr std::uint64_t kLargest = 1 << 20;
  const std::vector<std::byte> bytes = models::read_file(file, kLargest);
  Values values;
  try {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    collect(toml::parse(text, file.string()), file.string(), values);
  } catch (const toml::parse_error& e) {
    throw IoError(fmt::format("{}: line {}: {}", file.string(), e.source().begin.line, e.description()));
  }
  for (auto& [key, texts] : values)  // a switch takes no value: yes gives it, no leaves it out
    if (const CLI::Option* option = app.get_option_no_throw("--" + key); option != nullptr && option->get_expected_max() == 0) {
      if (texts.size() != 1 || (texts[0] != "yes" && texts[0] != "no"))
        throw UsageError(fmt::format("{}: {}: expected true or false, got '{}'", file.string(), key, fmt::join(texts, ", ")));
      texts[0] = texts[0] == "yes" ? "true" : "false";
    }
  apply_values(app, values, file.string());
}

}  // namespace gi::tools
