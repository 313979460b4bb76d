// Every op's reference kernel by name.
#include <string_view>

#include "kernels/api/elementwise.h"
#include "kernels/api/kernel.h"

namespace gi::kernels {

ReferenceKernel elementwise_reference(Elementwise op);

// clang-format off
#define GI_REFERENCES(X) \
  X(conv2d) \
  X(conv2d_grad_input) X(conv2d_grad_weight) X(matmul) X(avg_pool) X(avg_pool_grad) X(max_select) X(max_scatter) X(batchnorm) \
  X(batchnorm_grad) X(batchnorm_grad2) X(log_softmax) X(cross_entropy) X(softmax_residual) X(softmax_vjp) X(sum_to) X(dot) \
  X(broadcast_to) X(pad) X(crop) X(transpose) X(reshape) X(total_variation) X(total_variation_grad) X(winograd_input) X(winograd_input_grad) X(winograd_output) X(winograd_output_grad) X(winograd_filter) X(winograd_filter_grad)
// clang-format on

#define GI_DECLARE(op) void op##_reference(const Arguments&);
GI_REFERENCES(GI_DECLARE)

namespace {

struct Entry {
  std::string_view op;
  ReferenceKernel run;
};

#define GI_ENTRY(op) Entry{#op, op##_reference},
constexpr Entry kTable[] = {GI_REFERENCES(GI_ENTRY)};

}  // namespace

ReferenceKernel reference_kernel(const char* op) {
  for (std::size_t i = 0; i < kElementwiseNames.size(); ++i)
    if (std::string_view(op) == kElementwiseNames[i]) return elementwise_reference(static_cast<Elementwise>(i));
  for (const Entry& entry : kTable)
    if (entry.op == op) return entry.run;
  return nullptr;
}

}  // namespace gi::kernels
