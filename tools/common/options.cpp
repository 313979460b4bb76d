#include "tools/common/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "engine/core/error.h"

namespace gi::tools {
namespace {

template <class T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::int64_t whole(const std::string& name, const std::string& text, std::int64_t low, std::int64_t high) {
  const auto value = parse<std::int64_t>(text);
  if (!value || *value < low || *value > high)
    throw CLI::ValidationError(name, fmt::format("expected a whole number from {} to {}, got '{}'", low, high, text));
  return *value;
}

double real(const std::string& name, const std::string& text, double low, double high) {
  const auto value = parse<double>(text);
  if (!value || !(*value >= low && *value <= high))
    throw CLI::ValidationError(name, fmt::format("expected a number from {} to {}, got '{}'", low, high, text));
  return *value;
}

std::vector<std::string> split(const std::vector<std::string>& texts, char at) {
  std::vector<std::string> parts;
  for (const std::string& text : texts)
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find(at, begin), text.size());
      parts.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  return parts;
}

template <class Parse>
CLI::Option* add_one(CLI::App& app, const std::string& name, const std::string& type, const std::string& help, Parse parse) {
  return app.add_option_function<std::string>(name, parse, help)->type_name(type);
}

template <class Parse>
CLI::Option* add_list(CLI::App& app, const std::string& name, const std::string& type, const std::string& help, Parse parse) {
  // One argument at a time: without it the option would swallow the images behind it.
  return app
      .add_option_function<std::vector<std::string>>(
          name, [=](const std::vector<std::string>& texts) { parse(split(texts, ',')); }, help)
      ->type_name(type)
      ->type_size(1)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

void parse_command_line(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    throw TextAsked{app.help()};
  } catch (const CLI::CallForVersion& e) {
    throw TextAsked{fmt::format("{}\n", e.what())};
  }
}

CLI::Option* add_whole(CLI::App& app, const std::string& name, std::int64_t& target, std::int64_t low, std::int64_t high,
                       const std::string& help) {
  return add_one(app, name, "N", help, [=, &target](const std::string& text) { target = whole(name, text, low, high); })
      ->default_str(std::to_string(target));
}

CLI::Option* add_seed(CLI::App& app, const std::string& name, std::uint64_t& target, const std::string& help) {
  return add_one(app, name, "N", help,
                 [=, &target](const std::string& text) {
                   target = static_cast<std::uint64_t>(whole(name, text, 0, std::numeric_limits<std::int64_t>::max()));
                 })
      ->default_str(std::to_string(target));
}

CLI::Option* add_real(CLI::App& app, const std::string& name, double& target, double low, double high, const std::string& help) {
  return add_one(app, name, "X", help, [=, &target](const std::string& text) { target = real(name, text, low, high); })
      ->default_str(fmt::format("{}", target));
}

CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& target, const std::vector<std::string>& choices,
                        const std::string& help) {
  return add_one(app, name, fmt::format("{}", fmt::join(choices, "|")), help,
                 [=, &target](const std::string& text) {
                   if (std::find(choices.begin(), choices.end(), text) == choices.end())
                     throw CLI::ValidationError(name, fmt::format("expected {}, got '{}'", fmt::join(choices, ", "), text));
                   target = text;
                 })
      ->default_str(target);
}

CLI::Option* add_yes_no(CLI::App& app, const std::string& name, bool& target, const std::string& help) {
  return add_one(app, name, "yes|no", help,
                 [=, &target](const std::string& text) {
                   if (text != "yes" && text != "no")
                     throw CLI::ValidationError(name, fmt::format("expected yes or no, got '{}'", text));
                   target = text == "yes";
                 })
      ->default_str(target ? "yes" : "no");
}

CLI::Option* add_wholes(CLI::App& app, const std::string& name, std::vector<std::int64_t>& target, std::int64_t low,
                        std::int64_t high, const std::string& help) {
  return add_list(app, name, "N,N,...", help, [=, &target](const std::vector<std::string>& texts) {
    target.clear();
    for (const std::string& text : texts) target.push_back(whole(name, text, low, high));
  });
}

CLI::Option* add_reals(CLI::App& app, const std::string& name, std::vector<double>& target, double low, double high,
                       const std::string& help) {
  return add_list(app, name, "X,X,...", help, [=, &target](const std::vector<std::string>& texts) {
    target.clear();
    for (const std::string& text : texts) target.push_back(real(name, text, low, high));
  });
}

std::vector<std::int64_t> parse_extents(const std::string& option, const std::string& text, std::size_t least, std::size_t most) {
  std::vector<std::int64_t> extents;
  for (const std::string& part : split({text}, 'x'))
    if (const auto value = parse<std::int64_t>(part); value && *value >= 1 && *value <= 65536) extents.push_back(*value);
    else extents.resize(most + 1);  // refused below
  if (extents.size() < least || extents.size() > most)
    throw UsageError(fmt::format("{}: expected {} numbers from 1 to 65536 with x between, as in {}, got '{}'", option,
                                 least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most),
                                 std::string_view("1x3x32x32").substr(2 * (4 - most)), text));
  return extents;
}

void apply_values(CLI::App& app, const std::vector<std::pair<std::string, std::vector<std::string>>>& values,
                  const std::string& source) {
  for (const auto& [key, texts] : values) {
    CLI::Option* option = app.get_option_no_throw("--" + key);
    if (option == nullptr || key == "config" || key == "help" || key == "version")
      throw UsageError(fmt::format("{}: no option is called '{}'", source, key));
    if (option->count() > 0) continue;
    try {
      for (const std::string& text : texts) option->add_result(text);
      option->run_callback();
    } catch (const CLI::ParseError& e) {
      throw UsageError(fmt::format("{}: {}", source, e.what()));
    }
  }
}

}  // namespace gi::tools
