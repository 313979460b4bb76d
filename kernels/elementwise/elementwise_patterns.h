// The chains that a device computes in one kernel: a closed list, each compiled for itself. What is not on it, the Plan cuts into
// pieces that are; every single op is. The rows are what attacks on the networks of the zoo come to, and a few pieces for others.
// gi_test_inversion "[.list]" prints all of those with how often they come, and a test fails with those that are missing here.
//
// Registers as in ElementwiseChain: {operands, {instructions}, {results}}.
#pragma once

#include <utility>

#include "kernels/common/elementwise_pattern.h"

namespace gi::kernels {

namespace patterns {

template <std::size_t... Op>
constexpr std::array<Pattern, sizeof...(Op)> single_ops(std::index_sequence<Op...>) {
  return {arity(static_cast<Elementwise>(Op)) == 2 ? Pattern{2, {{static_cast<Elementwise>(Op), 0, 1}}, {2}}
                                                   : Pattern{1, {{static_cast<Elementwise>(Op), 0, 0}}, {1}}...};
}
inline constexpr auto kSingleOps = single_ops(std::make_index_sequence<kElementwiseNames.size()>{});

inline constexpr std::array kOfTensors{
    // pieces of anything
    Pattern{2, {add(0, 1), scale(2)}, {3}},
    Pattern{3, {add(0, 1), mul(3, 2)}, {4}},
    Pattern{3, {mul(0, 1), add(3, 2)}, {4}},
    Pattern{4, {mul(0, 1), mul(2, 3), add(4, 5)}, {6}},
    // the cosine by a parameter's gradient: a g* + b g + b g
    Pattern{4, {mul(0, 1), mul(2, 3), add(4, 5), add(6, 5)}, {7}},
    Pattern{5, {mul(0, 1), mul(0, 2), add(5, 6), mul(3, 4), add(7, 8), add(9, 8)}, {10}},
    // bias and ReLU
    Pattern{2, {add(0, 1), relu_mask(2, 2)}, {3}},
    Pattern{3, {add(0, 1), relu_mask(3, 2)}, {4}},
    // bias and sigmoid, s and s (1 - s), in three sweeps
    Pattern{2, {add(0, 1), sigmoid(2), scale(3), offset(4), mul(3, 5)}, {3, 5, 6}},
    Pattern{6, {add(0, 1), mul(6, 2), mul(6, 3), mul(8, 4), mul(8, 5), scale(10)}, {7, 9, 11}},
    Pattern{6, {add(0, 1), mul(6, 2), mul(6, 3), mul(8, 4), mul(8, 5), scale(10), add(9, 11)}, {7, 12}},
    Pattern{4, {add(0, 1), add(4, 2), mul(5, 3)}, {6}},
    // batch normalisation by running statistics, forward: (x - mean) r, times weight and plus bias, plus a shortcut, ReLU
    Pattern{5, {sub(0, 1), mul(5, 2), mul(6, 3), add(7, 4)}, {6, 8}},
    Pattern{5, {sub(0, 1), mul(5, 2), mul(6, 3), add(7, 4), relu_mask(8, 8)}, {6, 9}},
    Pattern{6, {add(0, 1), sub(6, 2), mul(7, 3), mul(8, 4), add(9, 5), relu_mask(10, 10)}, {8, 11}},
    Pattern{6, {sub(0, 1), mul(6, 2), mul(7, 3), add(8, 4), add(9, 5), relu_mask(10, 10)}, {7, 11}},
    Pattern{10,
            {sub(0, 1), mul(10, 2), mul(11, 3), add(12, 4), sub(5, 6), mul(14, 7), mul(15, 8), add(13, 16), add(17, 9),
             relu_mask(18, 18)},
            {11, 15, 19}},
    // its derivative: the mask, what goes into weight and bias, what goes on
    Pattern{5, {relu_mask(0, 1), mul(5, 2), mul(5, 3), mul(6, 4)}, {5, 7, 8}},
    Pattern{6, {add(0, 1), relu_mask(6, 2), mul(7, 3), mul(7, 4), mul(8, 5)}, {7, 9, 10}},
    Pattern{9,
            {add(0, 1), relu_mask(9, 2), mul(10, 3), mul(10, 4), mul(11, 5), mul(10, 6), mul(10, 7), mul(14, 8)},
            {10, 12, 13, 15, 16}},
    // the derivative's derivative, up
    Pattern{5, {mul(0, 1), mul(5, 2), add(3, 6), relu_mask(7, 4)}, {8}},
    Pattern{7, {mul(0, 1), mul(2, 3), add(4, 8), mul(7, 5), add(9, 10), relu_mask(11, 6)}, {12}},
    Pattern{8, {add(0, 1), mul(8, 2), mul(3, 4), add(5, 10), mul(9, 6), add(11, 12), relu_mask(13, 7)}, {14}},
    Pattern{8, {mul(0, 1), mul(8, 2), add(3, 9), relu_mask(10, 4), add(11, 5), mul(6, 7), add(12, 13)}, {11, 14}},
    Pattern{10,
            {mul(0, 1), mul(2, 3), add(4, 11), mul(10, 5), add(12, 13), relu_mask(14, 6), add(15, 7), mul(8, 9), add(16, 17)},
            {15, 18}},
    Pattern{11,
            {mul(0, 1), mul(2, 3), add(4, 12), mul(11, 5), add(13, 14), add(15, 6), relu_mask(16, 7), add(17, 8), mul(9, 10),
             add(18, 19)},
            {17, 20}},
    Pattern{11,
            {mul(0, 1), add(2, 3), mul(4, 5), add(12, 13), mul(11, 6), add(14, 15), relu_mask(16, 7), add(17, 8), mul(9, 10),
             add(18, 19)},
            {17, 20}},
    Pattern{15,
            {mul(0, 1), mul(2, 3), mul(15, 4), add(16, 17), mul(5, 6), add(18, 7), mul(8, 9), add(20, 21), mul(19, 10), add(22, 23),
             relu_mask(24, 11), add(25, 12), mul(13, 14), add(26, 27)},
            {25, 28}},
    // and down again
    Pattern{6, {mul(0, 1), relu_mask(2, 3), mul(7, 4), add(6, 8), mul(9, 5)}, {10}},
    Pattern{6, {mul(0, 1), relu_mask(2, 3), mul(7, 4), add(6, 8), mul(9, 5)}, {7, 10}},
    Pattern{7, {mul(0, 1), add(2, 3), relu_mask(8, 4), mul(9, 5), add(7, 10), mul(11, 6)}, {12}},
    Pattern{7, {mul(0, 1), add(2, 3), relu_mask(8, 4), mul(9, 5), add(7, 10), mul(11, 6)}, {9, 12}},
    Pattern{10,
            {mul(0, 1), mul(2, 1), add(3, 4), relu_mask(12, 5), mul(13, 6), add(11, 14), mul(15, 7), mul(13, 8), add(10, 17),
             mul(18, 9)},
            {16, 19}},
    // with the statistics of the batch a kernel of its own stands between, which may take the chain along if it is served without
    // (batchnorm/batchnorm_patterns.h): forward,
    Pattern{3, {mul(0, 1), add(3, 2), relu_mask(4, 4)}, {5}},
    Pattern{4, {mul(0, 1), add(4, 2), add(5, 3), relu_mask(6, 6)}, {7}},
    Pattern{6, {mul(0, 1), add(6, 2), mul(3, 4), add(7, 8), add(9, 5), relu_mask(10, 10)}, {11}},
    // derivative,
    Pattern{4, {relu_mask(0, 1), mul(4, 2), mul(4, 3)}, {4, 5, 6}},
    Pattern{5, {add(0, 1), relu_mask(5, 2), mul(6, 3), mul(6, 4)}, {6, 7, 8}},
    Pattern{7, {add(0, 1), relu_mask(7, 2), mul(8, 3), mul(8, 4), mul(8, 5), mul(8, 6)}, {8, 9, 10, 11, 12}},
    // its derivative up,
    Pattern{4, {mul(0, 1), add(2, 4), relu_mask(5, 3)}, {6}},
    Pattern{6, {mul(0, 1), add(2, 6), mul(3, 4), add(7, 8), relu_mask(9, 5)}, {10}},
    Pattern{7, {mul(0, 1), add(2, 7), relu_mask(8, 3), add(9, 4), mul(5, 6), add(10, 11)}, {9, 12}},
    Pattern{9, {mul(0, 1), add(2, 9), mul(3, 4), add(10, 11), relu_mask(12, 5), add(13, 6), mul(7, 8), add(14, 15)}, {13, 16}},
    Pattern{10,
            {mul(0, 1), add(2, 10), mul(3, 4), add(11, 12), add(13, 5), relu_mask(14, 6), add(15, 7), mul(8, 9), add(16, 17)},
            {15, 18}},
    Pattern{10,
            {add(0, 1), mul(2, 3), add(10, 11), mul(4, 5), add(12, 13), relu_mask(14, 6), add(15, 7), mul(8, 9), add(16, 17)},
            {15, 18}},
    Pattern{13,
            {mul(0, 1), mul(2, 3), add(13, 14), add(15, 4), mul(5, 6), add(16, 17), mul(7, 8), add(18, 19), relu_mask(20, 9),
             add(21, 10), mul(11, 12), add(22, 23)},
            {21, 24}},
    // and down
    Pattern{5, {mul(0, 1), relu_mask(2, 3), mul(6, 4), add(5, 7)}, {8}},
    Pattern{5, {mul(0, 1), relu_mask(2, 3), mul(6, 4), add(5, 7)}, {6, 8}},
    Pattern{6, {mul(0, 1), add(2, 3), relu_mask(7, 4), mul(8, 5), add(6, 9)}, {10}},
    Pattern{6, {mul(0, 1), add(2, 3), relu_mask(7, 4), mul(8, 5), add(6, 9)}, {8, 10}},
    Pattern{8, {mul(0, 1), mul(2, 1), add(3, 4), relu_mask(10, 5), mul(11, 6), add(9, 12), mul(11, 7), add(8, 14)}, {13, 15}},
    // Adam: of the gradient or its sign, in a box or not
    Pattern{8,
            {mul(0, 1), add(2, 8), scale(9), scale(3), add(11, 10), mul(9, 9), scale(13), scale(4), add(15, 14), sqrt(16),
             mul(17, 5), offset(18), div(12, 19), mul(6, 20), sub(7, 21)},
            {12, 16, 22}},
    Pattern{8,
            {mul(0, 1), add(2, 8), sign(9), scale(10), scale(3), add(12, 11), mul(10, 10), scale(14), scale(4), add(16, 15),
             sqrt(17), mul(18, 5), offset(19), div(13, 20), mul(6, 21), sub(7, 22)},
            {13, 17, 23}},
    Pattern{10,
            {mul(0, 1), add(2, 10), scale(11), scale(3), add(13, 12), mul(11, 11), scale(15), scale(4), add(17, 16), sqrt(18),
             mul(19, 5), offset(20), div(14, 21), mul(6, 22), sub(7, 23), minimum(24, 8), maximum(25, 9)},
            {14, 18, 26}},
    Pattern{10,
            {mul(0, 1), add(2, 10), sign(11), scale(12), scale(3), add(14, 13), mul(12, 12), scale(16), scale(4), add(18, 17),
             sqrt(19), mul(20, 5), offset(21), div(15, 22), mul(6, 23), sub(7, 24), minimum(25, 8), maximum(26, 9)},
            {15, 19, 27}},
};

/// Of the scalars of a trial [T], which are f64 in every Plan.
inline constexpr std::array kOfScalars{
    // from <g, g>, |g*| and <g, g*> to the cosine and its derivatives
    Pattern{
        4,
        {sqrt(0), mul(4, 1), div(2, 5), scale(6), offset(7), div(3, 5), mul(9, 6), scale(10), mul(11, 1), div(12, 4), scale(13)},
        {8, 9, 14}},
    Pattern{4,
            {sqrt(0), mul(4, 1), div(2, 5), scale(6), offset(7), div(3, 5), mul(9, 6), scale(10), mul(11, 1), div(12, 4), scale(13),
             add(14, 14)},
            {8, 9, 14, 15}},
    // Adam's corrections, and its step with or without three milestones
    Pattern{2,
            {offset(0), scale(2), exp(3), scale(4), offset(5), div(1, 6), scale(2), exp(8), scale(9), offset(10), rsqrt(11)},
            {2, 7, 12}},
    Pattern{3,
            {offset(0),  offset(0),  relu_mask(1, 4),  scale(5),  offset(6),  offset(0),   relu_mask(1, 8), scale(9), offset(10),
             mul(7, 11), offset(0),  relu_mask(1, 13), scale(14), offset(15), mul(12, 16), mul(2, 17),      scale(3), exp(19),
             scale(20),  offset(21), div(18, 22),      scale(3),  exp(24),    scale(25),   offset(26),      rsqrt(27)},
            {3, 23, 28}},
};

}  // namespace patterns

inline constexpr int kTensorPatterns = static_cast<int>(patterns::kSingleOps.size() + patterns::kOfTensors.size());
inline constexpr int kAllPatterns = kTensorPatterns + static_cast<int>(patterns::kOfScalars.size());

/// Single ops first, those of scalars last.
constexpr const ElementwisePattern& elementwise_pattern(int index) {
  auto i = static_cast<std::size_t>(index);
  if (i < patterns::kSingleOps.size()) return patterns::kSingleOps[i];
  i -= patterns::kSingleOps.size();
  return i < patterns::kOfTensors.size() ? patterns::kOfTensors[i] : patterns::kOfScalars[i - patterns::kOfTensors.size()];
}

}  // namespace gi::kernels
