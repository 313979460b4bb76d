// The parts of the op table, one a family; op_table.cpp joins them.
#pragma once

#include <vector>

#include "engine/graph/op_def.h"

namespace gi::ops {

std::vector<OpDef> leaf_ops();
std::vector<OpDef> elementwise_ops();
std::vector<OpDef> reduce_ops();
std::vector<OpDef> movement_ops();
std::vector<OpDef> conv2d_ops();
std::vector<OpDef> matmul_ops();
std::vector<OpDef> pool_ops();
std::vector<OpDef> batchnorm_ops();
std::vector<OpDef> loss_ops();
std::vector<OpDef> winograd_ops();

}  // namespace gi::ops
