// Softmax by rows, all of it in f64: rows are short, and what is left of a confident row after cancellation is the point.
// Exponentials are relative to the largest logit, the first of them if several, whose own is 1.
#include "kernels/softmax/softmax.h"

#include "kernels/common/variants.h"
#include "kernels/common/vector_math.h"

namespace gi::kernels::GI_ISA {
namespace {

double log1p_of(double x) { return __builtin_log1p(x); }
PackF64 log1p_of(PackF64 x) {
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_log1p(x[i]);
  return x;
}

/// The rows of one trial (block) share the scratch space of one.
template <class Real>
struct Row {
  using W = Wide<Real>;
  using Bits = typename FloatFormat<W>::Bits;
  static constexpr std::int64_t kArrays = 3;

  const Real* z;
  std::int64_t size;
  W* exponential;
  W largest;   // logit
  Bits where;  // its index
  W others;    // sum of all exponentials but the largest

  Row(const Real* z, std::int64_t size, std::byte* scratch)
      : z(z), size(size), exponential(reinterpret_cast<W*>(scratch)), largest(widen(z[0])), where{}, others{} {
    for (std::int64_t k = 1; k < size; ++k) {
      const W logit = widen(z[k]);
      where = logit > largest ? Bits{} + k : where;
      largest = logit > largest ? logit : largest;
    }
    for (std::int64_t k = 0; k < size; ++k) exponential[k] = exp_of(W(widen(z[k]) - largest));
    for (std::int64_t k = 0; k < size; ++k) others += where == k ? W{} : exponential[k];
  }

  W* array(int i) const { return exponential + (1 + i) * size; }
  W total() const { return 1.0 + others; }

  /// visit(k, sums) with sums[i] = term(k, i) summed over all k but this one, for i < kSums; nothing is subtracted.
  template <int kSums, class Term, class Visit>
  void for_each_without(Term term, Visit visit) const {
    for (int i = 0; i < kSums; ++i) {
      W behind{};
      for (std::int64_t k = size - 1; k >= 0; --k) {
        array(i)[k] = behind;
        behind += term(k, i);
      }
    }
    W before[kSums] = {};
    for (std::int64_t k = 0; k < size; ++k) {
      W sums[kSums];
      for (int i = 0; i < kSums; ++i) {
        sums[i] = before[i] + array(i)[k];
        before[i] += term(k, i);
      }
      visit(k, sums);
    }
  }
};

template <class Real>
std::size_t scratch_bytes(const Problem& problem) {
  return static_cast<std::size_t>(Row<Real>::kArrays * problem.in.data()[0].dims[2]) * sizeof(Wide<Real>);
}

template <class Real>
void log_softmax(const Arguments& args) {
  const ConstView& z = args.in.data()[0];
  const std::int64_t rows = z.dims[1], size = z.dims[2];
  for (std::int64_t t = 0; t < z.dims[0]; ++t)
    for (std::int64_t n = 0; n < rows; ++n) {
      const Row<Real> row(block_of<Real>(z, t) + n * size, size, args.scratch);
      Real* y = block_of<Real>(args.out.data()[0], t) + n * size;
      const auto log_total = log1p_of(row.others);
      for (std::int64_t k = 0; k < size; ++k) y[k] = narrow<Real>((widen(row.z[k]) - row.largest) - log_total);
    }
}

template <class Real>
void cross_entropy(const Arguments& args) {
  const ConstView& z = args.in.data()[0];
  const std::int64_t rows = z.dims[1], size = z.dims[2];
  for (std::int64_t t = 0; t < z.dims[0]; ++t) {
    Wide<Real> sum{};
    for (std::int64_t n = 0; n < rows; ++n) {
      const Row<Real> row(block_of<Real>(z, t) + n * size, size, args.scratch);
      const Real* label = block_of<Real>(args.in.data()[1], t) + n * size;
      const auto log_total = log1p_of(row.others);
      for (std::int64_t k = 0; k < size; ++k) sum += widen(label[k]) * (log_total + (row.largest - widen(row.z[k])));
    }
    *block_of<Wide<Real>>(args.out.data()[0], t) = sum / static_cast<double>(rows);
  }
}

template <class Real>
void softmax_residual(const Arguments& args) {
  using W = Wide<Real>;
  const ConstView& z = args.in.data()[0];
  const std::int64_t rows = z.dims[1], size = z.dims[2];
  for (std::int64_t t = 0; t < z.dims[0]; ++t)
    for (std::int64_t n = 0; n < rows; ++n) {
      const Row<Real> row(block_of<Real>(z, t) + n * size, size, args.scratch);
      const Real* label = block_of<Real>(args.in.data()[1], t) + n * size;
      Real* y = block_of<Real>(args.out.data()[0], t) + n * size;
      const W scale = 1.0 / row.total();
      row.template for_each_without<2>([&](std::int64_t k, int i) { return i == 0 ? W(widen(label[k])) : row.exponential[k]; },
                                       [&](std::int64_t k, const W* sums) {
                                         y[k] = narrow<Real>((row.exponential[k] * sums[0] - widen(label[k]) * sums[1]) * scale);
                                       });
    }
}

/// u is taken relative to its value at the largest logit, so that the sums for the others stay as small as they are.
template <class Real>
void softmax_vjp(const Arguments& args) {
  using W = Wide<Real>;
  const ConstView& z = args.in.data()[0];
  const std::int64_t rows = z.dims[1], size = z.dims[2];
  for (std::int64_t t = 0; t < z.dims[0]; ++t)
    for (std::int64_t n = 0; n < rows; ++n) {
      const Row<Real> row(block_of<Real>(z, t) + n * size, size, args.scratch);
      const Real* u = block_of<Real>(args.in.data()[1], t) + n * size;
      Real* y = block_of<Real>(args.out.data()[0], t) + n * size;
      W origin{};
      for (std::int64_t k = 0; k < size; ++k) origin = row.where == k ? W(widen(u[k])) : origin;
      const W scale = 1.0 / row.total();
      const W* e = row.exponential;
      row.template for_each_without<2>([&](std::int64_t k, int i) { return i == 0 ? e[k] : e[k] * (widen(u[k]) - origin); },
                                       [&](std::int64_t k, const W* sums) {
                                         const W here = widen(u[k]) - origin;
                                         y[k] = narrow<Real>((e[k] * scale) * (here * sums[0] - sums[1]) * scale);
                                       });
    }
}

}  // namespace

std::span<const Kernel> softmax_kernels() {
  static constexpr Kernel kTable[] = {
      GI_KERNEL_VARIANTS("log_softmax", "rows", declines_unless_plain, scratch_bytes, log_softmax),
      GI_KERNEL_VARIANTS("cross_entropy", "rows", declines_unless_plain, scratch_bytes, cross_entropy),
      GI_KERNEL_VARIANTS("softmax_residual", "rows", declines_unless_plain, scratch_bytes, softmax_residual),
      GI_KERNEL_VARIANTS("softmax_vjp", "rows", declines_unless_plain, scratch_bytes, softmax_vjp),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
