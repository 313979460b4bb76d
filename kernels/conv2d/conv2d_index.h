// The three ops of the family as one matrix product, for the CUDA kernels:
//
//   out[row, col] = sum over terms of  a[row, term] * b[place(col) + place(term)]      where that place is inside b's image
//
//   op           rows                cols                 terms                a          b
//   conv2d       filters             output pixels        channels and taps    w          x
//   grad_input   input channels      pixels of a phase    filters and taps     w          g
//   grad_weight  filters             channels and taps    output pixels        g          x
//
// each of one trial and group. A place adds up from a column's part and a term's, so a kernel looks both up in small tables and
// divides by nothing in between. grad_input gathers too: under a stride the pixels fall into phases (conv2d_axis.h has the same for
// the CPU), each with the taps that reach it, and a phase is a product of its own.
#pragma once

#include "kernels/common/cuda.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::kernels::GI_DEVICE {

enum class ConvOp { forward, grad_input, grad_weight };

/// The geometry in int, with the number of images.
struct Conv {
  int images, c, k;  ///< channels of a group
  int groups;
  int h, w, r, s, p, q;
  int stride_h, stride_w, pad_h, pad_w;
  int phases_h, phases_w;  ///< 1 but for grad_input
};

/// Where a column or a term points to.
struct alignas(16) Place {
  int b;      ///< its part of the index into b
  int h, w;   ///< its part of the position in b's image
  int other;  ///< of a column: index into the output; of a term: index into a; negative where there is none
};

/// Columns or terms: numbered (u, v, w), w fastest, each with its part of a place.
struct Part {
  int extent_v, extent_w;
  int h, step_h, w, step_w;
  int b_u;  ///< numbers of b from a u to the next
  int other, other_u, other_v, other_w;

  __host__ __device__ constexpr Place at(int i, int width) const {
    const int line = i / extent_w, x = i - line * extent_w, u = line / extent_v, y = line - u * extent_v;
    const int at_h = h + y * step_h, at_w = w + x * step_w;
    return {u * b_u + at_h * width + at_w, at_h, at_w, other + u * other_u + y * other_v + x * other_w};
  }
};

/// Neither a column nor a term: no sum with another place is inside an image.
__host__ __device__ constexpr Place no_place() { return {0, -(1 << 29), 0, -1}; }

struct Product {
  int rows, cols, terms;
  int a_row, out_row;               ///< numbers from a row to the next
  int a_group, b_group, out_group;  ///< numbers from a group to the next
  int height, width;                ///< of b's images
  Part col, term;

  __host__ __device__ constexpr bool inside(int y, int x) const {
    return static_cast<unsigned>(y) < static_cast<unsigned>(height) && static_cast<unsigned>(x) < static_cast<unsigned>(width);
  }
};

/// One axis of a gathering op: the pixel i of a phase, at first_pixel + i * pixel_step, reads b at base + i * step + dir * j
/// through the tap first_tap + j * tap_step.
struct Line {
  int pixels, first_pixel, pixel_step;
  int taps, first_tap, tap_step;
  int base, step, dir;
};

__host__ __device__ constexpr Line forward_line(int output, int filter, int stride, int pad) {
  return {output, 0, 1, filter, 0, 1, -pad, stride, 1};
}

__host__ __device__ constexpr Line adjoint_line(int input, int filter, int stride, int pad, int phase) {
  const int first_tap = (phase + pad) % stride;
  const int taps = first_tap >= filter ? 0 : (filter - first_tap + stride - 1) / stride;
  return {(input - phase + stride - 1) / stride, phase, stride, taps, first_tap, stride, (phase + pad) / stride, 1, -1};
}

__host__ __device__ constexpr Product gather_product(const Conv& g, bool adjoint, Line y, Line x) {
  const int filter = g.r * g.s, input = g.h * g.w, output = g.p * g.q;
  const int from = adjoint ? output : input, to = adjoint ? input : output;  // numbers of an image of b and of the result
  const int rows = adjoint ? g.c : g.k, channels = adjoint ? g.k : g.c, width = adjoint ? g.w : g.q;
  Product m{};
  m.rows = rows, m.cols = g.images * y.pixels * x.pixels, m.terms = channels * y.taps * x.taps;
  m.a_row = adjoint ? filter : g.c * filter, m.out_row = to;
  m.a_group = g.k * g.c * filter, m.b_group = channels * from, m.out_group = rows * to;
  m.height = adjoint ? g.p : g.h, m.width = adjoint ? g.q : g.w;
  m.col = {.extent_v = y.pixels,
           .extent_w = x.pixels,
           .h = y.base,
           .step_h = y.step,
           .w = x.base,
           .step_w = x.step,
           .b_u = g.groups * channels * from,
           .other = y.first_pixel * width + x.first_pixel,
           .other_u = g.groups * rows * to,
           .other_v = y.pixel_step * width,
           .other_w = x.pixel_step};
  m.term = {.extent_v = y.taps,
            .extent_w = x.taps,
            .h = 0,
            .step_h = y.dir,
            .w = 0,
            .step_w = x.dir,
            .b_u = from,
            .other = y.first_tap * g.s + x.first_tap,
            .other_u = adjoint ? g.c * filter : filter,
            .other_v = y.tap_step * g.s,
            .other_w = x.tap_step};
  return m;
}

__host__ __device__ constexpr Product weight_product(const Conv& g) {
  const int filter = g.r * g.s, input = g.h * g.w, output = g.p * g.q;
  Product m{};
  m.rows = g.k, m.cols = g.c * filter, m.terms = g.images * output;
  m.a_row = output, m.out_row = g.c * filter;
  m.a_group = g.k * output, m.b_group = g.c * input, m.out_group = g.k * g.c * filter;
  m.height = g.h, m.width = g.w;
  m.col = {.extent_v = g.r,
           .extent_w = g.s,
           .h = -g.pad_h,
           .step_h = 1,
           .w = -g.pad_w,
           .step_w = 1,
           .b_u = input,
           .other = 0,
           .other_u = filter,
           .other_v = g.s,
           .other_w = 1};
  m.term = {.extent_v = g.p,
            .extent_w = g.q,
            .h = 0,
            .step_h = g.stride_h,
            .w = 0,
            .step_w = g.stride_w,
            .b_u = g.groups * g.c * input,
            .other = 0,
            .other_u = g.groups * g.k * output,
            .other_v = g.q,
            .other_w = 1};
  return m;
}

template <ConvOp Op>
__host__ __device__ constexpr Product product_of(const Conv& g, int phase) {
  if constexpr (Op == ConvOp::forward)
    return gather_product(g, false, forward_line(g.p, g.r, g.stride_h, g.pad_h), forward_line(g.q, g.s, g.stride_w, g.pad_w));
  else if constexpr (Op == ConvOp::grad_input)
    return gather_product(g, true, adjoint_line(g.h, g.r, g.stride_h, g.pad_h, phase / g.phases_w),
                          adjoint_line(g.w, g.s, g.stride_w, g.pad_w, phase % g.phases_w));
  else return weight_product(g);
}

template <ConvOp Op>
Conv conv_of(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  const auto number = [](std::int64_t n) { return static_cast<int>(n); };
  Conv g{};
  g.images = number(problem.in[0].dims[1]);
  g.c = number(geo.c_per_group()), g.k = number(geo.k_per_group()), g.groups = number(geo.groups);
  g.h = number(geo.h), g.w = number(geo.w), g.r = number(geo.r), g.s = number(geo.s), g.p = number(geo.p), g.q = number(geo.q);
  g.stride_h = number(geo.stride_h), g.stride_w = number(geo.stride_w), g.pad_h = number(geo.pad_h), g.pad_w = number(geo.pad_w);
  const bool phases = Op == ConvOp::grad_input;  // a phase beyond the image has no pixels
  g.phases_h = phases ? (g.stride_h < g.h ? g.stride_h : g.h) : 1;
  g.phases_w = phases ? (g.stride_w < g.w ? g.stride_w : g.w) : 1;
  return g;
}

/// Both operands of up to two products, the trials of each so many numbers apart.
template <class Scalar>
struct ConvOperands {
  const Scalar *a[2], *b[2];
  std::int64_t a_trial[2], b_trial[2];
  int pairs;
};

template <class Scalar>
ConvOperands<Scalar> operands_of(const Arguments& args) {
  ConvOperands<Scalar> in{};
  in.pairs = static_cast<int>(args.in.size() / 2);
  for (int i = 0; i < 2; ++i) {
    const std::size_t first = i < in.pairs ? static_cast<std::size_t>(2 * i) : 0;
    const ConstView &b = args.in[first], &a = args.in[first + 1];
    in.a[i] = a.as<Scalar>(), in.b[i] = b.as<Scalar>();
    in.a_trial[i] = trial_step(a), in.b_trial[i] = trial_step(b);
  }
  return in;
}

}  // namespace gi::kernels::GI_DEVICE
