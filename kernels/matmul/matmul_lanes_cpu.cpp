// Products of matrices with trials in the lanes: the register tile of kernels/common/tile.h with one tap.
#include "kernels/common/families.h"
#include "kernels/common/numbers.h"
#include "kernels/common/tile.h"
#include "kernels/common/transpose.h"
#include "kernels/matmul/matmul.h"

namespace gi::kernels::GI_ISA {

namespace {

/// A factor seen as rows of the result by summation index, steps in bytes.
struct Factor {
  const std::byte* data;
  std::int64_t outer, inner;  ///< along the result's axis, along the sum
};

template <class Scalar>
Factor factor(const ConstView& v, std::int64_t block, std::int64_t product, bool result_axis_first) {
  const std::int64_t number = v.lanes * static_cast<std::int64_t>(sizeof(Scalar)), row = v.dims[v.rank - 1] * number;
  const std::int64_t matrix = v.rank == 4 ? product * v.strides[1] : 0;
  return {static_cast<const std::byte*>(v.data) + (block * v.strides[0] + matrix) * number, result_axis_first ? row : number,
          result_axis_first ? number : row};
}

/// Rows of the register tiles in one part.
constexpr std::int64_t kRowsOfPart = 2 * kMaxTileRows;

/// Whether the tile's rows are those of the product: they take the shared factor, or else the longer side.
bool rows_are_m(const MatmulGeometry& geo, const ConstView& a, const ConstView& b) {
  return a.shared() || (!b.shared() && geo.m >= geo.n);
}

/// Of one product: all of it where pairs lie in different ways.
std::int64_t parts_of_product(const Problem& problem) {
  const auto& geo = problem.attrs_as<MatmulGeometry>();
  const bool by_m = rows_are_m(geo, problem.in[0], problem.in[1]);
  for (std::size_t pair = 2; pair < problem.in.size(); pair += 2)
    if (rows_are_m(geo, problem.in[pair], problem.in[pair + 1]) != by_m) return 1;
  return ceil_div(by_m ? geo.m : geo.n, kRowsOfPart);
}

std::int64_t parts(const Problem& problem) {
  return problem.out[0].dims[0] * problem.attrs_as<MatmulGeometry>().batch * parts_of_product(problem);
}

template <class Scalar>
void run(const Arguments& args) {
  const auto& geo = args.attrs_as<MatmulGeometry>();
  const std::int64_t number = kLanes * static_cast<std::int64_t>(sizeof(Scalar)), pieces = parts_of_product(args);
  constexpr Tap kTap{0, 0};
  TileJob job;
  job.taps = &kTap;
  job.channels = geo.k;
  job.parts = kParts<Scalar>;
  // Rows [first, last) of one product, cut as its parts are.
  const auto add_rows = [&](std::int64_t product, std::int64_t first, std::int64_t last) {
    const std::int64_t block = product / geo.batch, i = product % geo.batch;
    for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
      const ConstView &a = args.in[pair], &b = args.in[pair + 1];
      const Factor left = factor<Scalar>(a, block, i, geo.transpose_a == 0),
                   right = factor<Scalar>(b, block, i, geo.transpose_b != 0);
      const bool by_m = rows_are_m(geo, a, b);
      const Factor &w = by_m ? left : right, &x = by_m ? right : left;
      const std::int64_t all = by_m ? geo.m : geo.n, columns = by_m ? geo.n : geo.m;
      const std::int64_t row = first * kRowsOfPart, rows = last == pieces ? all - row : (last - first) * kRowsOfPart;
      job.out_k = (by_m ? geo.n : 1) * number;
      job.out_q = (by_m ? 1 : geo.n) * number;
      job.w_k = w.outer;
      job.w_channel = w.inner;
      job.w = w.data + row * job.w_k;
      job.x = x.data;
      job.x_q = x.outer;
      job.x_channel = x.inner;
      job.out = static_cast<std::byte*>(args.out[0].data) + product * geo.m * geo.n * number + row * job.out_k;
      job.accumulate = pair > 0;
      if (a.shared() || b.shared()) multiply<Scalar, true>(job, rows, columns);
      else multiply<Scalar, false>(job, rows, columns);
    }
  };
  for (PartRuns runs(args, parts(args)); runs.next();)
    for (std::int64_t part = runs.first, next; part < runs.last; part = next) {
      const std::int64_t product = part / pieces, first = part % pieces, last = at_most(pieces, first + runs.last - part);
      next = part + last - first;
      add_rows(product, first, last);
    }
}

// ---- matmul_sum: over the trials as well ------------------------------------------------------------------------------
//
// A product over K and the trials: their lanes are neighbours in a row of op(a), and op(b)' is transposed so that its columns are
// vectors.

const char* sum_declined(const Problem& problem) {
  if (problem.in.size() != 2 || problem.attrs_as<MatmulGeometry>().batch != 1) return "a sum of several products";
  for (const ConstView& v : problem.in) {
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != kLanes) return "an input is shared by the trials";
  }
  return nullptr;
}

constexpr std::int64_t kVectorsOfPart = 8;

template <class Scalar>
std::int64_t sum_parts(const Problem& problem) {
  return ceil_div(problem.attrs_as<MatmulGeometry>().n, kVectorsOfPart * kElements<Scalar>);
}

/// Columns of op(b) at one summation index, all lanes; then the product's last columns, where they are no whole vector.
template <class Scalar>
std::size_t sum_scratch(const Problem& problem) {
  return static_cast<std::size_t>((kLanes * kVectorsOfPart + problem.attrs_as<MatmulGeometry>().m) * kVectorBytes);
}

template <class Scalar>
void sum_run(const Arguments& args) {
  constexpr std::int64_t size = sizeof(Scalar), vector = kElements<Scalar>, width = kVectorsOfPart * vector;
  const auto& geo = args.attrs_as<MatmulGeometry>();
  auto* const columns = reinterpret_cast<Scalar*>(args.scratch);
  std::byte* const rest = args.scratch + kLanes * kVectorsOfPart * kVectorBytes;
  auto* const out = args.out[0].as<Scalar>();
  constexpr Tap kTap{0, 0};
  TileJob job;
  job.taps = &kTap;
  job.channels = kLanes;
  job.w_channel = size;
  job.x_channel = width * size;
  job.x_q = job.out_q = kVectorBytes;
  for (const std::int64_t part : each_part(args, sum_parts<Scalar>(args))) {
    const std::int64_t first = part * width, n = at_most(width, geo.n - first), whole = n / vector, left = n % vector;
    for (std::int64_t block = 0; block < args.in[0].dims[0]; ++block) {
      const Factor a = factor<Scalar>(args.in[0], block, 0, geo.transpose_a == 0),
                   b = factor<Scalar>(args.in[1], block, 0, geo.transpose_b != 0);
      job.w_k = a.outer;
      for (std::int64_t k = 0; k < geo.k; ++k) {
        const auto* packs = reinterpret_cast<const Scalar*>(b.data + k * b.inner + first * b.outer);
        transpose<Scalar, false>({packs, b.outer / size, kLanes}, n, kLanes, {columns, width, width});
        job.w = a.data + k * a.inner;
        job.accumulate = block > 0 || k > 0;
        job.x = args.scratch;
        job.out = reinterpret_cast<std::byte*>(out + first);
        job.out_k = geo.n * size;
        if (whole > 0) multiply<Scalar, true>(job, geo.m, whole);
        job.x += whole * kVectorBytes;
        job.out = rest;
        job.out_k = kVectorBytes;
        if (left > 0) multiply<Scalar, true>(job, geo.m, 1);
      }
    }
    for (std::int64_t m = 0; m < geo.m && left > 0; ++m)
      std::memcpy(out + m * geo.n + first + whole * vector, rest + m * kVectorBytes, left * size);
  }
}

constexpr Kernel kKernels[] = {
    {"matmul", "trial_lanes_tiles", kIsa, DType::f32, kLanes, factors_declined, nullptr, run<float>, parts},
    {"matmul", "trial_lanes_tiles", kIsa, DType::f64, kLanes, factors_declined, nullptr, run<double>, parts},
    {"matmul_sum", "trial_lanes_tiles", kIsa, DType::f32, kLanes, sum_declined, sum_scratch<float>, sum_run<float>,
     sum_parts<float>},
    {"matmul_sum", "trial_lanes_tiles", kIsa, DType::f64, kLanes, sum_declined, sum_scratch<double>, sum_run<double>,
     sum_parts<double>},
};

}  // namespace

std::span<const Kernel> matmul_lanes_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
