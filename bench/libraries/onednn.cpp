#include <omp.h>

#include <dnnl.hpp>

#include "bench/libraries/libraries.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::bench {

namespace {

using dnnl::memory;
constexpr auto kAuto = dnnl::algorithm::convolution_auto;  // the library may take Winograd

/// Memory of the layout the library asked for, with numbers in it.
memory operand(const memory::desc& desc, const dnnl::engine& engine) {
  memory m(desc, engine);
  kernels::Layout flat{.rank = 1, .dims = {static_cast<std::int64_t>(desc.get_size() / sizeof(float))}, .strides = {1}};
  flat.dtype = DType::f32;
  const Buffer values = drawn(flat, 1);
  std::copy_n(values.data(), values.size(), static_cast<std::byte*>(m.get_data_handle()));
  return m;
}

}  // namespace

Work onednn_work(const Workload& workload, const kernels::Arguments& args) {
  const bool forward = workload.op == "conv2d", by_input = workload.op == "conv2d_grad_input";
  if (!(forward || by_input || workload.op == "conv2d_grad_weight")) return {};
  if (workload.lanes != 1 || workload.dtype != DType::f32) return {};
  omp_set_num_threads(1);
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  static dnnl::stream stream(engine);
  const auto& geo = args.attrs_as<kernels::Conv2dGeometry>();
  const std::int64_t n = (by_input ? args.out[0] : static_cast<const kernels::Layout&>(args.in[0])).dims[1];
  const auto any = [](const memory::dims& dims) { return memory::desc(dims, memory::data_type::f32, memory::format_tag::any); };
  const memory::desc x = any({n, geo.c, geo.h, geo.w}), y = any({n, geo.k, geo.p, geo.q});
  const memory::desc w =
      geo.groups == 1 ? any({geo.k, geo.c, geo.r, geo.s}) : any({geo.groups, geo.k_per_group(), geo.c_per_group(), geo.r, geo.s});
  const memory::dims strides{geo.stride_h, geo.stride_w}, before{geo.pad_h, geo.pad_w};
  const memory::dims after{(geo.p - 1) * geo.stride_h + geo.r - geo.h - geo.pad_h,
                           (geo.q - 1) * geo.stride_w + geo.s - geo.w - geo.pad_w};
  const dnnl::convolution_forward::primitive_desc hint({dnnl::prop_kind::forward_training, kAuto, x, w, y, strides, before, after},
                                                       engine);
  dnnl::primitive primitive;
  std::unordered_map<int, memory> operands;
  if (forward) {
    primitive = dnnl::convolution_forward(hint);
    operands = {{DNNL_ARG_SRC, operand(hint.src_desc(), engine)},
                {DNNL_ARG_WEIGHTS, operand(hint.weights_desc(), engine)},
                {DNNL_ARG_DST, operand(hint.dst_desc(), engine)}};
  } else if (by_input) {
    const dnnl::convolution_backward_data::primitive_desc pd({kAuto, x, w, y, strides, before, after}, engine, hint);
    primitive = dnnl::convolution_backward_data(pd);
    operands = {{DNNL_ARG_DIFF_DST, operand(pd.diff_dst_desc(), engine)},
                {DNNL_ARG_WEIGHTS, operand(pd.weights_desc(), engine)},
                {DNNL_ARG_DIFF_SRC, operand(pd.diff_src_desc(), engine)}};
  } else {
    const dnnl::convolution_backward_weights::primitive_desc pd({kAuto, x, w, y, strides, before, after}, engine, hint);
    primitive = dnnl::convolution_backward_weights(pd);
    operands = {{DNNL_ARG_SRC, operand(pd.src_desc(), engine)},
                {DNNL_ARG_DIFF_DST, operand(pd.diff_dst_desc(), engine)},
                {DNNL_ARG_DIFF_WEIGHTS, operand(pd.diff_weights_desc(), engine)}};
  }
  // A pair is run as two calls; that their results are not added up favours the library.
  const std::size_t times = args.in.size() / 2;
  return [primitive, operands, times] {
    for (std::size_t i = 0; i < times; ++i) primitive.execute(stream, operands);
    stream.wait();
  };
}

}  // namespace gi::bench
