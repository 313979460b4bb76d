// The case lists of kernels/ as workloads.
#include <algorithm>
#include <string_view>

#include "bench/workload.h"
#include "engine/graph/op_def.h"
#include "kernels/all_cases.h"

namespace gi::bench {

using kernels::Case;
using kernels::Elementwise;
using kernels::Layout;
using kernels::Operand;

namespace {

Shape shape_of(const Operand& operand, std::int64_t trials) {
  std::vector<std::int64_t> dims{trials};
  dims.insert(dims.end(), operand.dims.begin(), operand.dims.begin() + operand.rank);
  return Shape(dims);
}

Layout layout_of(const Operand& operand, DType dtype, std::int64_t lanes, bool shared) {
  Layout l = dense_layout(shape_of(operand, 1), operand.rank == 0 ? DType::f64 : dtype);
  l.lanes = shared ? 1 : lanes;
  if (shared) l.strides[0] = 0;
  return l;
}

/// A broadcast operand seen with the output's extents.
Layout spread(const Layout& narrow, const Layout& wide) {
  Layout l = narrow;
  l.rank = wide.rank;
  for (int axis = 1; axis < wide.rank; ++axis) {
    const bool repeated = axis >= narrow.rank || narrow.dims[axis] != wide.dims[axis];
    l.dims[axis] = wide.dims[axis];
    l.strides[axis] = repeated ? 0 : narrow.strides[axis];
  }
  return l;
}

bool is_view(std::string_view op) { return op == "broadcast_to" || op == "reshape"; }

/// Elementwise ops and views have no kernel of their own: they run as a chain of one instruction, views as a copy.
std::optional<kernels::ElementwiseChain> chain_of(const Case& c) {
  const auto name =
      std::ranges::find(kernels::kElementwiseNames, std::string_view(c.op), [](const char* n) { return std::string_view(n); });
  if (!is_view(c.op) && name == kernels::kElementwiseNames.end()) return std::nullopt;
  kernels::ElementwiseChain chain;
  chain.inputs = c.operands;
  chain.instructions = chain.outputs = 1;
  chain.code[0] = {.op = Elementwise::copy, .x = 0, .y = 1};
  chain.result[0] = c.operands;
  if (is_view(c.op)) return chain;
  const auto& attrs = c.attrs.as<kernels::ElementwiseAttrs>();
  chain.code[0].op = static_cast<Elementwise>(name - kernels::kElementwiseNames.begin());
  chain.code[0].a = attrs.a;
  chain.code[0].b = attrs.b;
  return chain;
}

double flops_of(const Case& c, std::int64_t trials) {
  const Shape out = shape_of(c.out, trials);
  const OpDef& definition = op(c.op);
  if (definition.flops == nullptr) return static_cast<double>(out.count());
  std::vector<Shape> in;
  for (std::int64_t i = 0; i < c.operands; ++i) in.push_back(shape_of(c.in[i], trials));
  return definition.flops(c.attrs, in, out);
}

/// Some rows of a list have the label of another and other attributes.
std::string label_of(const Case& c) {
  std::string label = c.label;
  if (std::string_view(c.op) == "matmul") {
    const auto& geo = c.attrs.as<kernels::MatmulGeometry>();
    label += std::string(", ") + (geo.transpose_a != 0 ? "T" : "N") + (geo.transpose_b != 0 ? "T" : "N");
  }
  return label;
}

}  // namespace

std::vector<Workload> case_workloads(DType dtype, std::int64_t lanes) {
  std::vector<Workload> list;
  for (const Case& c : kernels::all_cases())
    for (const bool shared : {false, true}) {
      if (shared && (lanes == 1 || c.operands < 2)) continue;
      Workload w{.op = c.op, .kernel = c.op, .form = shared ? "shared" : "own", .label = label_of(c), .attrs = c.attrs};
      w.chain = chain_of(c);
      w.lanes = lanes;
      w.dtype = w.chain && c.out.rank == 0 ? DType::f64 : dtype;
      if (w.dtype != dtype) continue;
      if (w.chain) w.kernel = "elementwise_chain";
      for (std::int64_t i = 0; i < c.operands; ++i) w.in.push_back(layout_of(c.in[i], dtype, lanes, shared && i == 1));
      w.out.push_back(layout_of(c.out, dtype, lanes, false));
      if (is_view(c.op)) w.in[0] = std::string_view(c.op) == "reshape" ? w.out[0] : spread(w.in[0], w.out[0]);
      w.flops = flops_of(c, lanes);
      list.push_back(std::move(w));
    }
  return list;
}

}  // namespace gi::bench
