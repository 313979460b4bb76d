// One list of all CUDA kernels, in the order the Plan asks them.
#include "kernels/common/families_cuda.h"

namespace gi::kernels::GI_DEVICE {

namespace {

struct Table {
  static constexpr std::size_t kCapacity = 256;
  Kernel entries[kCapacity];
  std::size_t size = 0;

  void add(std::span<const Kernel> family) {
    for (const Kernel& kernel : family) {
      if (size == kCapacity) __builtin_trap();  // a build without room for its own kernels cannot go on
      entries[size++] = kernel;
    }
  }

  Table() {
    add(batchnorm_kernels());
    add(ceiling_kernels());
    add(conv2d_depthwise_kernels());
    add(conv2d_tensor_kernels());
    add(conv2d_kernels());
    add(elementwise_kernels());
    add(matmul_tensor_kernels());
    add(matmul_tiles_kernels());
    add(movement_kernels());
    add(pool_kernels());
    add(reduce_kernels());
    add(softmax_kernels());
    add(total_variation_kernels());
  }
};

}  // namespace

std::span<const Kernel> kernels() {
  static const Table table;
  return {table.entries, table.size};
}

}  // namespace gi::kernels::GI_DEVICE
