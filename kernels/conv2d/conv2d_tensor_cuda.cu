// The entries of conv2d_tensor.h. Who asks for TF32 gets it for all layers, however small.
#include "kernels/conv2d/conv2d_tensor.h"

namespace gi::kernels::GI_DEVICE {

namespace {

/// Below this most of a fragment is padding.
template <ConvOp Op>
const char* too_small(const Problem& problem) {
  const Product m = largest_product<Op>(conv_of<Op>(problem));
  if (m.rows < 8 || m.cols < 8 || m.terms < 16) return "too small for tiles of the tensor cores";
  return dense_only(problem);
}

template <Tf32 Kind, ConvOp Op>
constexpr Kernel entry(const char* op) {
  constexpr bool kExact = Kind == Tf32::thrice;
  return {.op = op,
          .name = kExact ? "cuda_3xtf32" : "cuda_tensor_tf32",
          .isa = Isa::cuda,
          .dtype = DType::f32,
          .lanes = 1,
          .declines = kExact ? too_small<Op> : dense_only,
          .scratch_bytes = scratch_bytes<float, Op>,
          .run = run_tensor<Kind, Op>,
          .on_request = !kExact};
}

constexpr Kernel kKernels[] = {
    entry<Tf32::thrice, ConvOp::forward>("conv2d"),
    entry<Tf32::once, ConvOp::forward>("conv2d"),
    entry<Tf32::thrice, ConvOp::grad_input>("conv2d_grad_input"),
    entry<Tf32::once, ConvOp::grad_input>("conv2d_grad_input"),
    entry<Tf32::thrice, ConvOp::grad_weight>("conv2d_grad_weight"),
    entry<Tf32::once, ConvOp::grad_weight>("conv2d_grad_weight"),
};

}  // namespace

std::span<const Kernel> conv2d_tensor_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
