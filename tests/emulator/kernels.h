// What the kernels of these tests are written with: the headers of *_cuda.cu files, in a namespace apart from theirs.
#pragma once

#ifndef GI_DEVICE
#define GI_DEVICE emulator_test
#endif

#include "kernels/common/cuda.h"
#include "kernels/common/cuda_block.h"
#include "kernels/common/cuda_ptx.h"

namespace gi::kernels::GI_DEVICE {

/// Every order; the settings are put back at the end.
template <class Visit>
void in_every_order(Visit visit) {
  struct Restore {
    emu::Config before = emu::config();
    ~Restore() { emu::config() = before; }
  } restore;
  for (emu::Order order : {emu::Order::forward, emu::Order::reverse, emu::Order::shuffled}) {
    emu::config() = {.order = order, .seed = 7};
    visit(order);
  }
}

}  // namespace gi::kernels::GI_DEVICE
