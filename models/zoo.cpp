#include "models/zoo.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <utility>

#include "engine/core/error.h"
#include "models/architectures.h"

namespace gi::models {
namespace {

constexpr std::int64_t kMaxWidth = 4096;
constexpr ImageShape kCifar{3, 32, 32}, kImagenet{3, 224, 224};

struct Found {
  ModelInfo info;
  Architecture architecture;
};

/// Blocks a stage: three equal stages of 16-32-64 channels, or four of 64-128-256-512.
struct ResNetDepth {
  std::int64_t depth;
  std::array<std::int64_t, 4> blocks;
  bool bottleneck;
};
constexpr std::array kResNetDepths{
    ResNetDepth{20, {3, 3, 3, 0}, false},  ResNetDepth{28, {4, 4, 4, 0}, false},  ResNetDepth{32, {5, 5, 5, 0}, false},
    ResNetDepth{44, {7, 7, 7, 0}, false},  ResNetDepth{56, {9, 9, 9, 0}, false},  ResNetDepth{110, {18, 18, 18, 0}, false},
    ResNetDepth{18, {2, 2, 2, 2}, false},  ResNetDepth{34, {3, 4, 6, 3}, false},  ResNetDepth{50, {3, 4, 6, 3}, true},
    ResNetDepth{101, {3, 4, 23, 3}, true}, ResNetDepth{152, {3, 8, 36, 3}, true},
};

/// A whole number from 1 to kMaxWidth that fills `text`.
std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < 1 || n > kMaxWidth) return std::nullopt;
  return n;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

/// `rest` is what follows "resnet".
std::optional<Found> find_resnet(std::string_view name, std::string_view rest) {
  const bool imagenet = take_suffix(rest, "-imagenet");
  const bool option_a = take_suffix(rest, "-a");
  const std::size_t dash = rest.find('-');
  const auto depth = number(rest.substr(0, dash));
  const auto* row =
      std::find_if(kResNetDepths.begin(), kResNetDepths.end(), [&](const ResNetDepth& r) { return r.depth == depth; });
  if (row == kResNetDepths.end()) return std::nullopt;
  const bool three_stages = row->blocks[3] == 0;
  if (three_stages ? imagenet : option_a) return std::nullopt;
  std::int64_t width = three_stages ? 16 : 64;
  if (dash != std::string_view::npos) {
    std::string_view suffix = rest.substr(dash + 1);
    if (!three_stages && !take_prefix(suffix, "w")) return std::nullopt;
    const auto n = number(suffix);
    if (!n) return std::nullopt;
    width = three_stages ? width * *n : *n;
  }

  const std::string widths = three_stages ? fmt::format("{}-{}-{}", width, 2 * width, 4 * width)
                                          : fmt::format("{}-{}-{}-{}", width, 2 * width, 4 * width, 8 * width);
  Found found;
  found.info = {std::string(name),
                fmt::format("{} blocks, {} channels, {} stem, shortcuts {}", row->bottleneck ? "bottleneck" : "basic", widths,
                            imagenet ? "conv7 + max-pool" : "conv3", option_a ? "padded (option A)" : "1x1 conv + BN"),
                imagenet ? kImagenet : kCifar, imagenet ? 1000 : 10,
                imagenet   ? "imagenet"
                : option_a ? "resnet20-a"
                           : "cifar10"};
  found.architecture = [=, r = *row](Builder& b, Value x) {
    return resnet(b, x,
                  {.blocks = std::span(r.blocks).first(three_stages ? 3 : 4),
                   .width = width,
                   .bottleneck = r.bottleneck,
                   .imagenet_stem = imagenet,
                   .shortcut = option_a ? ResNet::Shortcut::a : ResNet::Shortcut::b,
                   .stages_from_zero = three_stages && !option_a,
                   .classifier = option_a ? "linear" : "fc"});
  };
  return found;
}

std::optional<Found> find(std::string_view name) {
  const std::string own(name);
  std::string_view rest = name;
  if (name == "lenetzhu")
    return Found{{own, "three conv5 of 12 channels with sigmoid, linear; weights U(-.5,.5)", kCifar, 10, "cifar10"}, lenetzhu};
  if (name == "mlp")
    return Found{{own, "linear layers 1024-1024-1024 with ReLU", kCifar, 10, "cifar10"}, [](Builder& b, Value x) {
                   return perceptron(b, x, std::array<std::int64_t, 3>{1024, 1024, 1024});
                 }};
  if (name == "twolp")
    return Found{{own, "one hidden linear layer of 2048 with ReLU", kCifar, 10, "cifar10"},
                 [](Builder& b, Value x) { return perceptron(b, x, std::array<std::int64_t, 1>{2048}); }};
  if (take_prefix(rest, "convnet")) {
    const auto width = rest.empty() ? std::optional<std::int64_t>(64) : number(rest);
    if (!width) return std::nullopt;
    const std::int64_t w = *width;
    return Found{
        {own, fmt::format("eight conv3 + BN + ReLU of {} to {} channels, two max-pools, linear", w, 4 * w), kCifar, 10, "cifar10"},
        [w](Builder& b, Value x) { return convnet(b, x, w); }};
  }
  if (take_prefix(rest, "resnet")) return find_resnet(name, rest);
  return std::nullopt;
}

constexpr std::array kListed{
    "lenetzhu",
    "convnet",
    "convnet64",
    "mlp",
    "twolp",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet20-4",
    "resnet28-10",
    "resnet32-10",
    "resnet20-a",
    "resnet32-a",
    "resnet44-a",
    "resnet56-a",
    "resnet110-a",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet18-w16",
    "resnet18-w128",
    "resnet18-imagenet",
    "resnet34-imagenet",
    "resnet50-imagenet",
    "resnet101-imagenet",
    "resnet152-imagenet",
};

/// Insertions, deletions and substitutions between two names.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

Found find_or_throw(std::string_view name) {
  if (auto found = find(name)) return *found;
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const char* listed : kListed) near.emplace_back(edit_distance(name, listed), listed);
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  throw UsageError(fmt::format("model: no such name '{}'\n  hint: near names are {}, {}, {}", name, near[0].second, near[1].second,
                               near[2].second));
}

}  // namespace

std::vector<ModelInfo> list_models() {
  std::vector<ModelInfo> list;
  for (const char* name : kListed) list.push_back(find(name)->info);
  return list;
}

ModelInfo model_info(std::string_view name) { return find_or_throw(name).info; }

Model find_model(std::string_view name, const ModelOptions& options) {
  Found found = find_or_throw(name);
  const std::int64_t classes = options.classes.value_or(found.info.classes);
  const ImageShape image = options.image.value_or(found.info.image);
  if (classes < 1) throw UsageError(fmt::format("model {}: classes: expected at least 1, got {}", name, classes));
  if (image.channels < 1 || image.height < 1 || image.width < 1)
    throw UsageError(fmt::format("model {}: image: expected extents of at least 1, got [{},{},{}]", name, image.channels,
                                 image.height, image.width));
  return define_model(found.info.name, image, classes, std::move(found.architecture));
}

}  // namespace gi::models
