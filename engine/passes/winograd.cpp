#include "engine/passes/winograd.h"

#include "engine/graph/op_def.h"
#include "engine/ops/matmul.h"
#include "engine/ops/winograd.h"
#include "engine/passes/lower.h"

namespace gi::passes {
namespace {

using kernels::Conv2dGeometry;

class UseWinograd : public Rewriter {
 public:
  UseWinograd(const Program& program, const WinogradRule& rule) : rule_(rule), uses_(use_counts(program)) {}

  Value rewrite(const Program& program, NodeId id, std::span<const Value> done) const override {
    const Graph& g = program.graph();
    const Node& n = g.node(id);
    if (n.op->name == "add") return sum(program, id, done);
    if (!n.op->name.starts_with("conv2d")) return {};
    const auto& geo = n.attrs.as<Conv2dGeometry>();
    if (geo.r != 3 || geo.s != 3 || geo.stride_h != 1 || geo.stride_w != 1 || geo.groups != 1) return {};
    // conv2d and conv2d_grad_weight read x, conv2d_grad_input reads g: images of N either way.
    const std::int64_t images = g.node(n.inputs[0]).shape[1];
    WinogradWay way = rule_.way(geo, images);
    if (way.tile != 0 && n.op->name == "conv2d_grad_weight") way = rule_.grad_weight(geo, images, way);
    if (way.tile == 0) return {};
    WinogradGeometry d{
        .tile = way.tile, .n = images, .h = geo.h, .w = geo.w, .p = geo.p, .q = geo.q, .pad_h = geo.pad_h, .pad_w = geo.pad_w};
    if (way.within_kernel) {
      Conv2dGeometry told = geo;
      told.winograd = d.tile;
      const std::array<Value, 2> operands{done[n.inputs[0]], done[n.inputs[1]]};
      return operands[0].graph->apply(*n.op, operands, Attrs(told));
    }
    d.columns = (d.tiles() + rule_.column_multiple - 1) / rule_.column_multiple * rule_.column_multiple;
    const Value a = done[n.inputs[0]], b = done[n.inputs[1]];
    if (n.op->name == "conv2d") return winograd_output(matmul(winograd_filter(b, d.tile), winograd_input(a, d)), d);
    if (n.op->name == "conv2d_grad_input")
      return winograd_input_grad(matmul(winograd_filter(b, d.tile), winograd_output_grad(a, d), true), d);
    return winograd_filter_grad(matmul(winograd_output_grad(b, d), winograd_input(a, d), false, true), d.tile);
  }

 private:
  /// output(a) + output(b) = output(a + b), and likewise for input_grad.
  Value sum(const Program& program, NodeId id, std::span<const Value> done) const {
    const std::vector<NodeId>& in = program.graph().node(id).inputs;
    const Value a = done[in[0]], b = done[in[1]];
    const Node &na = a.graph->node(a.id), &nb = b.graph->node(b.id);
    const bool joins = na.op->name == "winograd_output" || na.op->name == "winograd_input_grad";
    if (!joins || na.op != nb.op || !(na.attrs == nb.attrs) || a == b || uses_[in[0]] != 1 || uses_[in[1]] != 1) return {};
    const Value products = add(Value{a.graph, na.inputs[0]}, Value{b.graph, nb.inputs[0]});
    return a.graph->apply(*na.op, std::span(&products, 1), na.attrs);
  }

  const WinogradRule& rule_;
  std::vector<int> uses_;
};

}  // namespace

Program use_winograd(const Program& program, const WinogradRule& rule) { return rewrite(program, UseWinograd(program, rule)); }

}  // namespace gi::passes
