// The elementwise chains that a device computes in one kernel with the batch normalisation that is their head, by its order: a
// closed list, each compiled for itself, of what attacks on the networks of the zoo come to in training mode. gi_test_inversion
// "[.list]" prints all of those with how often they come, and a test fails with those that are missing here.
//
// Registers as in ElementwiseChain, the head's value being the first: {operands, {instructions}, {results}}.
#pragma once

#include "kernels/common/elementwise_pattern.h"

namespace gi::kernels {

namespace patterns {

/// By the number of the head's operands.
template <int kOperands>
inline constexpr std::array<Pattern, 0> kAfterBatchnorm{};

// Forward: times weight and plus bias, plus a shortcut or one normalised likewise, ReLU. The derivative reads the head's value
// again.
template <>
inline constexpr std::array kAfterBatchnorm<1>{
    Pattern{3, {mul(0, 1), add(3, 2), relu_mask(4, 4)}, {0, 5}},
    Pattern{4, {mul(0, 1), add(4, 2), add(5, 3), relu_mask(6, 6)}, {0, 7}},
    Pattern{6, {mul(0, 1), add(6, 2), mul(3, 4), add(7, 8), add(9, 5), relu_mask(10, 10)}, {0, 11}},
};
// The derivative's derivative, up: what goes into weight and bias besides, the mask, and what a sum of two branches has of its own.
template <>
inline constexpr std::array kAfterBatchnorm<2>{
    Pattern{4, {mul(0, 1), add(2, 4), relu_mask(5, 3)}, {6}},
    Pattern{6, {mul(1, 2), add(3, 6), mul(0, 4), add(7, 8), relu_mask(9, 5)}, {10}},
    Pattern{7, {mul(0, 1), add(2, 7), relu_mask(8, 3), add(9, 4), mul(5, 6), add(10, 11)}, {9, 12}},
    Pattern{9, {mul(1, 2), add(3, 9), mul(0, 4), add(10, 11), relu_mask(12, 5), add(13, 6), mul(7, 8), add(14, 15)}, {13, 16}},
    Pattern{10,
            {mul(1, 2), add(3, 10), mul(0, 4), add(11, 12), add(13, 5), relu_mask(14, 6), add(15, 7), mul(8, 9), add(16, 17)},
            {15, 18}},
    Pattern{10,
            {add(1, 2), mul(3, 4), add(10, 11), mul(0, 5), add(12, 13), relu_mask(14, 6), add(15, 7), mul(8, 9), add(16, 17)},
            {15, 18}},
    Pattern{13,
            {mul(1, 2), mul(0, 3), add(13, 14), add(15, 4), mul(5, 6), add(16, 17), mul(7, 8), add(18, 19), relu_mask(20, 9),
             add(21, 10), mul(11, 12), add(22, 23)},
            {21, 24}},
};
// And down: plus order 1.
template <>
inline constexpr std::array kAfterBatchnorm<3>{
    Pattern{2, {add(0, 1)}, {2}},
};

}  // namespace patterns

template <int kOperands>
inline constexpr int kBatchnormPatterns = static_cast<int>(patterns::kAfterBatchnorm<kOperands>.size());

template <int kOperands>
constexpr const ElementwisePattern& batchnorm_pattern(int index) {
  return patterns::kAfterBatchnorm<kOperands>[static_cast<std::size_t>(index)];
}

}  // namespace gi::kernels
