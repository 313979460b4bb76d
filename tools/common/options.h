// Options of the command line and of configuration files, with messages that give what was expected and what was found.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace gi::tools {

/// Thrown when the command line asks for a text instead of a run: --help, --version.
struct TextAsked {
  std::string text;
};

/// Errors CLI::ParseError; TextAsked.
void parse_command_line(CLI::App& app, int argc, char** argv);

/// Each adds one option to `app` that sets `target`, whose present value is shown as the default.
CLI::Option* add_whole(CLI::App& app, const std::string& name, std::int64_t& target, std::int64_t low, std::int64_t high,
                       const std::string& help);
CLI::Option* add_seed(CLI::App& app, const std::string& name, std::uint64_t& target, const std::string& help);
CLI::Option* add_real(CLI::App& app, const std::string& name, double& target, double low, double high, const std::string& help);
CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& target, const std::vector<std::string>& choices,
                        const std::string& help);
/// yes or no.
CLI::Option* add_yes_no(CLI::App& app, const std::string& name, bool& target, const std::string& help);
/// 3,8,8
CLI::Option* add_wholes(CLI::App& app, const std::string& name, std::vector<std::int64_t>& target, std::int64_t low,
                        std::int64_t high, const std::string& help);
CLI::Option* add_reals(CLI::App& app, const std::string& name, std::vector<double>& target, double low, double high,
                       const std::string& help);

/// Extents as 1x3x32x32. Errors UsageError naming `option`: not `least` to `most` numbers from 1 to 65536 with x between.
std::vector<std::int64_t> parse_extents(const std::string& option, const std::string& text, std::size_t least, std::size_t most);

/// Values for options that were not given yet: the command line goes before a file, a file before a preset.
/// `source` begins messages. Errors UsageError: no such option, a value it does not take.
void apply_values(CLI::App& app, const std::vector<std::pair<std::string, std::vector<std::string>>>& values,
                  const std::string& source);

/// A TOML file of option names without the dashes; tables only group. Errors IoError: it cannot be read or is no TOML; UsageError
/// as apply_values.
void apply_config(CLI::App& app, const std::filesystem::path& file);

}  // namespace gi::tools
