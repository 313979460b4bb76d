// One list of all kernels of this instruction set, in the order the Plan asks them.
#include "kernels/common/families.h"

namespace gi::kernels::GI_ISA {

namespace {

struct Table {
  static constexpr std::size_t kCapacity = 1024;
  Kernel entries[kCapacity];
  std::size_t size = 0;

  void add(std::span<const Kernel> family) {
    const Kernel* entry = family.data();
    for (std::size_t i = 0; i < family.size(); ++i) {
      if (size == kCapacity) __builtin_trap();  // a build without room for its own kernels cannot go on
      entries[size++] = entry[i];
    }
  }

  Table() {
    add(batchnorm_kernels());
    add(conv2d_amx_kernels());
    add(conv2d_winograd_kernels());
    add(conv2d_channels_winograd_kernels());
    add(conv2d_correlate_winograd_kernels());
    add(conv2d_lanes_kernels());
    add(conv2d_correlate_lanes_kernels());
    add(conv2d_patches_kernels());
    add(conv2d_channels_kernels());
    add(conv2d_pixels_kernels());
    add(elementwise_kernels());
    add(matmul_lanes_kernels());
    add(matmul_single_kernels());
    add(movement_kernels());
    add(pool_kernels());
    add(reduce_kernels());
    add(softmax_kernels());
    add(total_variation_kernels());
    add(winograd_single_kernels());
  }
};

}  // namespace

std::span<const Kernel> kernels() {
  static const Table table;
  return {table.entries, table.size};
}

}  // namespace gi::kernels::GI_ISA
