// Labels of a client's images: drawn, or read off the gradient.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inversion/problem.h"

namespace gi::inversion {

/// The label of a single image from its gradient (Zhao, Mopuri, Bilen, "iDLG", 2020): the last linear layer's weight gradient has
/// rows (p_k - [k = y]) h, and with features h >= 0 only the true class's row sums to less than zero: the least row sum.
///
/// Errors UsageError: the model has no linear layer over the classes.
/// Tests tests/inversion/labels_test.cpp
std::int64_t recover_label(const models::Model& model, std::span<const Tensor> gradient);

/// A class for image `index`, from the seed alone.
std::int64_t draw_label(std::uint64_t seed, std::uint64_t index, std::int64_t classes);

}  // namespace gi::inversion
