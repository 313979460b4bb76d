// Products of matrices of single trials: the register tile of kernels/common/tile.h with lanes along an axis that is
// contiguous in memory.
//
//   b as stored [K,N]      lanes along n: rows of b times scalars of a
//   a [M,K], b [N,K]       lanes along the sum: both are read in vectors, each result is the sum over a vector; where a has
//                          many rows, b is turned round first
//   a [K,M], b [N,K]       the first case for the transpose of y
#include <cstring>

#include "kernels/common/families.h"
#include "kernels/common/numbers.h"
#include "kernels/common/tile.h"
#include "kernels/common/transpose.h"
#include "kernels/matmul/matmul.h"

namespace gi::kernels::GI_ISA {

namespace {

constexpr Tap kTap{0, 0};
constexpr std::int64_t kRows = 12;      ///< of y whose sums over vectors are in scratch at a time
constexpr std::int64_t kPartRows = 48;  ///< of y that are one part of the work
constexpr std::int64_t kChunk = 128;    ///< of the sum at a time: what a tile reads of b stays in the first cache
constexpr std::int64_t kTurnRows = 16;  ///< of a, from which on it pays to turn b round

const char* declined(const Problem& problem) {
  for (const ConstView& v : problem.in) {
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != 1) return "an input is in packs";
  }
  return nullptr;
}

template <class Scalar>
std::byte* bytes(Scalar* p) {
  return reinterpret_cast<std::byte*>(p);
}
template <class Scalar>
const std::byte* bytes(const Scalar* p) {
  return reinterpret_cast<const std::byte*>(p);
}

bool turns_b(const MatmulGeometry& geo) { return geo.transpose_a == 0 && geo.transpose_b != 0 && geo.m >= kTurnRows; }

/// Rows of y that one part computes: all where they have the turning of an operand in common, or would tear a transposed factor
/// to shreds.
std::int64_t part_rows(const MatmulGeometry& geo) {
  return geo.transpose_a != 0 || geo.transpose_b != 0 ? geo.m : even_piece(geo.m, kPartRows);
}
std::int64_t parts_of_product(const MatmulGeometry& geo) { return ceil_div(geo.m, part_rows(geo)); }
std::int64_t parts(const Problem& problem) {
  const auto& geo = problem.attrs_as<MatmulGeometry>();
  return problem.out[0].dims[0] * geo.batch * parts_of_product(geo);
}

template <class Scalar>
std::size_t scratch_bytes(const Problem& problem) {
  const auto& geo = problem.attrs_as<MatmulGeometry>();
  constexpr std::int64_t n = kElements<Scalar>;
  const std::int64_t longer = geo.m > geo.n ? geo.m : geo.n;
  const std::int64_t edge = n * n + n * longer;  // combine_rows
  const std::int64_t sums = kRows * geo.n * n;   // dot_rows
  const std::int64_t turned = turns_b(geo) ? geo.k * geo.n : geo.transpose_a != 0 && geo.transpose_b != 0 ? geo.m * geo.n : 0;
  return ((edge > sums ? edge : sums) + turned) * sizeof(Scalar);
}

/// Rows and summation index of the factor whose scalars are broadcast, steps in numbers.
template <class Scalar>
struct Factor {
  const Scalar* data;
  std::int64_t row, sum;
};

/// y[m][n] (+)= sum_k a[m][k] b[k][n], with b and y row-major of n columns.
template <class Scalar>
void combine_rows(const Factor<Scalar>& a, const Scalar* b, std::int64_t m, std::int64_t n, std::int64_t k, bool add, Scalar* y,
                  Scalar* scratch) {
  constexpr std::int64_t scalar = sizeof(Scalar), lanes = kElements<Scalar>;
  const std::int64_t whole = n / lanes * lanes, rest = n - whole;
  TileJob job;
  job.taps = &kTap;
  job.w = bytes(a.data);
  job.w_k = a.row * scalar;
  job.w_channel = a.sum * scalar;
  job.x_q = job.out_q = kVectorBytes;
  job.channels = k;
  if (whole > 0) {
    job.x_channel = job.out_k = n * scalar;
    job.out = bytes(y);
    const std::int64_t chunk = even_piece(k, kChunk);
    const std::int64_t read = a.sum == 1 ? m * k : m * chunk;  // of a, before what lies behind it in memory is
    for (std::int64_t first = 0; first < k; first += chunk) {
      job.x = bytes(b + first * n);
      job.w = bytes(a.data + first * a.sum);
      job.channels = at_most(chunk, k - first);
      job.ahead = bytes(a.data + read + first * m);
      job.accumulate = add || first > 0;
      multiply<Scalar, true>(job, m, whole / lanes);
    }
    job.w = bytes(a.data);
    job.channels = k;
    job.ahead = nullptr;
  }
  if (rest == 0) return;
  // The last columns: vectors reach into the next row of b, but for the last rows, which are copied.
  Scalar* const tail = scratch;
  Scalar* const sums = scratch + lanes * lanes;
  const std::int64_t outside = (lanes - rest + n - 1) / n, copied = outside < k ? outside : k;
  job.out = bytes(sums);
  job.out_k = kVectorBytes;
  job.accumulate = false;
  if (k > copied) {
    job.x = bytes(b + whole);
    job.x_channel = n * scalar;
    job.channels = k - copied;
    multiply<Scalar, true>(job, m, 1);
    job.accumulate = true;
  }
  std::memset(tail, 0, copied * kVectorBytes);
  for (std::int64_t i = 0; i < copied; ++i) std::memcpy(tail + i * lanes, b + (k - copied + i) * n + whole, rest * scalar);
  job.w += (k - copied) * job.w_channel;
  job.x = bytes(tail);
  job.x_channel = kVectorBytes;
  job.channels = copied;
  multiply<Scalar, true>(job, m, 1);
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < rest; ++j) {
      Scalar& to = y[i * n + whole + j];
      to = (add ? to : Scalar(0)) + sums[i * lanes + j];
    }
}

/// y[m][n] (+)= sum_k a[m][k] b[n][k], all row-major.
template <class Scalar>
void dot_rows(const Scalar* a, const Scalar* b, std::int64_t m, std::int64_t n, std::int64_t k, bool add, Scalar* y, Scalar* sums) {
  constexpr std::int64_t scalar = sizeof(Scalar), lanes = kElements<Scalar>;
  TileJob job;
  job.taps = &kTap;
  job.channels = k / lanes;
  job.x_channel = job.w_channel = job.out_q = kVectorBytes;
  job.x = bytes(b);
  job.w_k = job.x_q = k * scalar;
  job.out = bytes(sums);
  job.out_k = n * kVectorBytes;
  for (std::int64_t i0 = 0; i0 < m; i0 += kRows, y += kRows * n, a += kRows * k) {
    const std::int64_t rows = m - i0 < kRows ? m - i0 : kRows;
    job.w = bytes(a);
    multiply<Scalar, false>(job, rows, n);
    for (std::int64_t i = 0; i < rows * n; ++i) {
      Scalar sum = sum_of<Scalar>(*reinterpret_cast<const Vector<Scalar>*>(sums + i * lanes));
      for (std::int64_t j = job.channels * lanes; j < k; ++j) sum += a[i / n * k + j] * b[i % n * k + j];
      y[i] = (add ? y[i] : Scalar(0)) + sum;
    }
  }
}

template <class Scalar>
void run(const Arguments& args) {
  const auto& geo = args.attrs_as<MatmulGeometry>();
  const std::int64_t m = geo.m, n = geo.n, k = geo.k;
  Scalar* const scratch = reinterpret_cast<Scalar*>(args.scratch);
  const std::int64_t pieces = parts_of_product(geo), piece_rows = part_rows(geo);
  for (const std::int64_t part : each_part(args, parts(args))) {
    const std::int64_t product = part / pieces, t = product / geo.batch, i = product % geo.batch;
    const std::int64_t row = part % pieces * piece_rows, rows = at_most(piece_rows, m - row);
    Scalar* const y = args.out[0].as<Scalar>() + (product * m + row) * n;
    for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
      const Scalar* const a = args.in[pair].as<Scalar>() + t * args.in[pair].strides[0] + i * m * k;
      const Scalar* const b = args.in[pair + 1].as<Scalar>() + t * args.in[pair + 1].strides[0] + i * k * n;
      const bool add = pair > 0;
      if (geo.transpose_b == 0) {
        const Factor<Scalar> factor = geo.transpose_a == 0 ? Factor<Scalar>{a + row * k, k, 1} : Factor<Scalar>{a + row, 1, m};
        combine_rows<Scalar>(factor, b, rows, n, k, add, y, scratch);
      } else if (turns_b(geo)) {
        transpose<Scalar, false>({b, k, k}, n, k, {scratch, n, n});
        combine_rows<Scalar>({a, k, 1}, scratch, m, n, k, add, y, scratch + k * n);
      } else if (geo.transpose_a == 0) {
        dot_rows(a, b, m, n, k, add, y, scratch);
      } else {
        combine_rows<Scalar>({b, k, 1}, a, n, m, k, false, scratch, scratch + m * n);
        if (add) transpose<Scalar, true>({scratch, m, m}, n, m, {y, n, n});
        else transpose<Scalar, false>({scratch, m, m}, n, m, {y, n, n});
      }
    }
  }
}

constexpr Kernel kKernels[] = {
    {"matmul", "single_trial_tiles", kIsa, DType::f32, 1, declined, scratch_bytes<float>, run<float>, parts},
    {"matmul", "single_trial_tiles", kIsa, DType::f64, 1, declined, scratch_bytes<double>, run<double>, parts},
};

}  // namespace

std::span<const Kernel> matmul_single_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
