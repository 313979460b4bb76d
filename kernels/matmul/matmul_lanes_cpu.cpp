// Products of matrices with trials in the lanes: the register tile of kernels/common/tile.h with one tap.
#include "kernels/common/families.h"
#include "kernels/common/numbers.h"
#include "kernels/common/tile.h"
#include "kernels/matmul/matmul.h"

namespace gi::kernels::GI_ISA {

namespace {

const char* declined(const Problem& problem) {
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    const ConstView& v = problem.in[i];
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != kLanes && !v.shared()) return "an input is neither in packs nor shared";
    if (i % 2 == 1 && v.shared() && problem.in[i - 1].shared()) return "both factors are shared by the trials";
  }
  return nullptr;
}

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

std::int64_t parts(const Problem& problem) { return problem.out[0].dims[0] * problem.attrs_as<MatmulGeometry>().batch; }

template <class Scalar>
void run(const Arguments& args) {
  const auto& geo = args.attrs_as<MatmulGeometry>();
  const std::int64_t number = kLanes * static_cast<std::int64_t>(sizeof(Scalar));
  constexpr Tap kTap{0, 0};
  TileJob job;
  job.taps = &kTap;
  job.channels = geo.k;
  job.parts = kParts<Scalar>;
  for (const std::int64_t product : each_part(args, parts(args))) {
    const std::int64_t block = product / geo.batch, i = product % geo.batch;
    for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
      const ConstView &a = args.in[pair], &b = args.in[pair + 1];
      const Factor left = factor<Scalar>(a, block, i, geo.transpose_a == 0),
                   right = factor<Scalar>(b, block, i, geo.transpose_b != 0);
      // The tile's rows take the shared factor, or else the longer side.
      const bool rows_are_m = a.shared() || (!b.shared() && geo.m >= geo.n);
      const Factor &w = rows_are_m ? left : right, &x = rows_are_m ? right : left;
      job.w = w.data;
      job.w_k = w.outer;
      job.w_channel = w.inner;
      job.x = x.data;
      job.x_q = x.outer;
      job.x_channel = x.inner;
      job.out = static_cast<std::byte*>(args.out[0].data) + product * geo.m * geo.n * number;
      job.out_k = (rows_are_m ? geo.n : 1) * number;
      job.out_q = (rows_are_m ? 1 : geo.n) * number;
      job.accumulate = pair > 0;
      const std::int64_t rows = rows_are_m ? geo.m : geo.n, columns = rows_are_m ? geo.n : geo.m;
      if (a.shared() || b.shared()) multiply<Scalar, true>(job, rows, columns);
      else multiply<Scalar, false>(job, rows, columns);
    }
  }
}

constexpr Kernel kKernels[] = {
    {"matmul", "trial_lanes_tiles", kIsa, DType::f32, kLanes, declined, nullptr, run<float>, parts},
    {"matmul", "trial_lanes_tiles", kIsa, DType::f64, kLanes, declined, nullptr, run<double>, parts},
};

}  // namespace

std::span<const Kernel> matmul_lanes_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
