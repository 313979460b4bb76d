#include "models/normalization.h"

#include <fmt/format.h>

#include "engine/core/error.h"

namespace gi::models {

const std::vector<Normalization>& all_normalizations() {
  static const std::vector<Normalization> table{
      {"cifar10",
       {.4914672374725342, .4822617471218109, .4467701315879822},
       {.24703224003314972, .24348513782024384, .26158785820007324}},
      {"cifar100",
       {.5071598291397095, .4866936206817627, .44120192527770996},
       {.2673342823982239, .2564384639263153, .2761504650115967}},
      {"mnist", {.13066373765468597}, {.30810782313346863}},
      {"imagenet", {.485, .456, .406}, {.229, .224, .225}},
      {"resnet20-a", {.485, .456, .406}, {.229, .224, .225}},
      {"none", {0}, {1}},
  };
  return table;
}

const Normalization& normalization(std::string_view name) {
  std::string names;
  for (const Normalization& n : all_normalizations()) {
    if (n.name == name) return n;
    names += (names.empty() ? "" : ", ") + n.name;
  }
  throw UsageError(fmt::format("normalization: no such name '{}'\n  hint: one of {}", name, names));
}

}  // namespace gi::models
