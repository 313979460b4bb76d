#include "models/aliases.h"

#include <array>

namespace gi::models {
namespace {

struct Alias {
  std::string_view spelling, canonical;
};

/// Names are looked at with '^' in front; '^' and '.' make a rule match whole segments only. Applied from top to bottom, wrappers
/// as often as they occur.
constexpr std::array kAliases{
    Alias{"^module.", "^"},          Alias{"^_orig_mod.", "^"},
    Alias{"^model.", "^"},           Alias{"^stem.0.", "^conv1."},
    Alias{"^stem.1.", "^bn1."},      Alias{"^layers.0.", "^layer1."},
    Alias{"^layers.1.", "^layer2."}, Alias{"^layers.2.", "^layer3."},
    Alias{"^layers.3.", "^layer4."}, Alias{".downsample.", ".shortcut."},
    Alias{"^fc.", "^linear."},       Alias{"^classifier.", "^linear."},
};
constexpr std::size_t kWrappers = 3;

bool apply(std::string& name, const Alias& alias) {
  const std::size_t at = name.find(alias.spelling);
  if (at == std::string::npos) return false;
  name.replace(at, alias.spelling.size(), alias.canonical);
  return true;
}

}  // namespace

std::string canonical_name(std::string_view name) {
  std::string out = "^";
  out += name;
  for (std::size_t i = 0; i < kWrappers;) i = apply(out, kAliases[i]) ? 0 : i + 1;
  for (std::size_t i = kWrappers; i < kAliases.size(); ++i) apply(out, kAliases[i]);
  return out.substr(1);
}

bool ignored_name(std::string_view name) { return name == "num_batches_tracked" || name.ends_with(".num_batches_tracked"); }

}  // namespace gi::models
