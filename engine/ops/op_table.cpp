#include <fmt/format.h>

#include <unordered_map>

#include "engine/core/error.h"
#include "engine/ops/op_tables.h"

namespace gi {
namespace ops {

Shape no_rule(const Attrs&, std::span<const Shape>) { throw UsageError("a leaf is made by the Graph, not by apply()"); }

std::vector<OpDef> leaf_ops() {
  std::vector<OpDef> table;
  for (const char* name : {"input", "constant", "state", "fill"})
    table.push_back({.name = name, .kind = OpKind::leaf, .operands = 0, .infer = no_rule});
  return table;
}

}  // namespace ops

std::span<const OpDef> all_ops() {
  static const std::vector<OpDef> table = [] {
    std::vector<OpDef> all;
    for (const auto& part : {ops::leaf_ops(), ops::elementwise_ops(), ops::reduce_ops(), ops::movement_ops(), ops::conv2d_ops(),
                             ops::matmul_ops(), ops::pool_ops(), ops::batchnorm_ops(), ops::loss_ops(), ops::winograd_ops()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return table;
}

const OpDef& op(std::string_view name) {
  static const std::unordered_map<std::string_view, const OpDef*> by_name = [] {
    std::unordered_map<std::string_view, const OpDef*> map;
    for (const OpDef& d : all_ops()) map.emplace(d.name, &d);
    return map;
  }();
  const auto it = by_name.find(name);
  if (it == by_name.end()) throw UsageError(fmt::format("no op is called '{}'", name));
  return *it->second;
}

}  // namespace gi
