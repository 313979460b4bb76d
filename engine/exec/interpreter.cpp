#include "engine/exec/interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/error.h"
#include "engine/graph/op_def.h"
#include "kernels/api/kernel.h"

namespace gi {

Interpreter::Interpreter(const Program& program) : program_(program), values_(program.graph().size()) {
  const Graph& graph = program.graph();
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& n = graph.node(id);
    if (n.op->name == "constant") values_[id] = n.data->to(DType::f64);
    if (n.op->name == "fill") {
      values_[id] = Tensor(n.shape, DType::f64);
      std::ranges::fill(values_[id].as<double>(), n.attrs.as<double>());
    }
  }
}

void Interpreter::set(std::string_view name, const Tensor& value) {
  const NodeId id = program_.leaf(name);
  const Shape& expected = program_.graph().node(id).shape;
  if (value.shape() != expected)
    throw ShapeError(fmt::format("'{}': bound to {}, the program expects {}", name, value.shape().str(), expected.str()));
  values_[id] = value.to(DType::f64);
}

Tensor Interpreter::get(std::string_view name) const {
  for (const auto& o : program_.outputs())
    if (o.name == name) return values_[o.id].clone();
  return values_[program_.leaf(name)].clone();
}

void Interpreter::run() {
  const Graph& graph = program_.graph();
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& n = graph.node(id);
    if (n.op->kind == OpKind::leaf) {
      if (!values_[id]) throw UsageError(fmt::format("interpreter: '{}' was never set", n.name));
      continue;
    }
    const kernels::ReferenceKernel kernel = kernels::reference_kernel(n.op->name.data());
    if (kernel == nullptr) throw Error(fmt::format("interpreter: {} has no reference kernel", n.op->name));
    std::vector<kernels::ConstView> in;
    for (NodeId i : n.inputs) {
      in.push_back(static_cast<const Tensor&>(values_[i]).view());
    }
    values_[id] = Tensor(n.shape, DType::f64);
    const kernels::View out = values_[id].view();
    kernel({{n.attrs.data(), in, std::span(&out, 1)}, nullptr});
  }
  std::vector<Tensor> next;
  for (const auto& u : program_.updates()) next.push_back(values_[u.next].clone());
  for (std::size_t i = 0; i < next.size(); ++i) values_[program_.updates()[i].state] = std::move(next[i]);
}

}  // namespace gi
