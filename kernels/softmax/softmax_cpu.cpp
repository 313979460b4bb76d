// Softmax by rows, all of it in f64: rows are short, and what is left of a confident row after cancellation is the point.
// Exponentials are relative to the largest logit, the first of them if several, whose own is 1.
#include "kernels/softmax/softmax.h"

#include "kernels/common/steps.h"
#include "kernels/common/vector_math.h"

namespace gi::kernels::GI_ISA {
namespace {

/// What stands for a number in f64: a double, or each of the two vectors its pack widens to in turn.
template <class Real>
struct WideNumber {
  using W = double;
  static constexpr int kCount = 1;
  static W load(const Real* p, int) { return *p; }
  static void store(Real* p, int, W value) { *p = static_cast<Real>(value); }
};
template <class Real>
requires(1 < kLanesOf<Real>) struct WideNumber<Real> {
  using W = Vector<double>;
  static constexpr int kCount = 2;
  static const ScalarOf<Real>* at(const Real* p, int part) {
    return reinterpret_cast<const ScalarOf<Real>*>(p) + part * kElements<double>;
  }
  static W load(const Real* p, int part) { return widen_half(at(p, part)); }
  static void store(Real* p, int part, W value) { store_half(const_cast<ScalarOf<Real>*>(at(p, part)), value); }
};

double log1p_of(double x) { return __builtin_log1p(x); }
Vector<double> log1p_of(Vector<double> x) {
  for (int i = 0; i < kElements<double>; ++i) x[i] = __builtin_log1p(x[i]);
  return x;
}

/// One row of logits, of the trials of one part. Rows share the scratch space.
template <class Real>
struct Row {
  using W = typename WideNumber<Real>::W;
  using Bits = typename FloatFormat<W>::Bits;
  static constexpr std::int64_t kArrays = 3;

  const Real* z;
  std::int64_t size;
  int part;
  W* exponential;
  W largest;   // logit
  Bits where;  // its index
  W others;    // sum of all exponentials but the largest

  Row(const Real* z, std::int64_t size, int part, std::byte* scratch)
      : z(z), size(size), part(part), exponential(reinterpret_cast<W*>(scratch)), largest(logit(0)), where{}, others{} {
    for (std::int64_t k = 1; k < size; ++k) {
      where = logit(k) > largest ? Bits{} + static_cast<std::uint64_t>(k) : where;
      largest = logit(k) > largest ? logit(k) : largest;
    }
    for (std::int64_t k = 0; k < size; ++k) exponential[k] = exp_of(W(logit(k) - largest));
    for (std::int64_t k = 0; k < size; ++k) others += where == static_cast<std::uint64_t>(k) ? W{} : exponential[k];
  }

  W logit(std::int64_t k) const { return at(z, k); }
  /// Element k of another operand's row, and of the result's.
  W at(const Real* row, std::int64_t k) const { return WideNumber<Real>::load(row + k, part); }
  void put(Real* row, std::int64_t k, W value) const { WideNumber<Real>::store(row + k, part, value); }
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
  return static_cast<std::size_t>(Row<Real>::kArrays * problem.in.data()[0].dims[2]) * sizeof(typename Row<Real>::W);
}

/// body(row, the row of the second operand if there is one, the row of the result, trial block) for all rows.
template <class Real, class Body>
void for_each_row(const Arguments& args, Body body) {
  const ConstView& z = args.in.data()[0];
  const ConstView& other = args.in.data()[args.in.size() - 1];
  const View& y = args.out.data()[0];
  const std::int64_t rows = z.dims[1], size = z.dims[2];
  for (std::int64_t t = 0; t < y.dims[0]; ++t)
    for (int part = 0; part < WideNumber<Real>::kCount; ++part)
      for (std::int64_t n = 0; n < rows; ++n)
        body(Row<Real>(block_of<Real>(z, t) + n * size, size, part, args.scratch), block_of<Real>(other, t) + n * size,
             block_of<Real>(y, t) + n * size, t);
}

template <class Real>
void log_softmax(const Arguments& args) {
  for_each_row<Real>(args, [](const Row<Real>& row, const Real*, Real* y, std::int64_t) {
    const auto log_total = log1p_of(row.others);
    for (std::int64_t k = 0; k < row.size; ++k) row.put(y, k, (row.logit(k) - row.largest) - log_total);
  });
}

template <class Real>
void cross_entropy(const Arguments& args) {
  using W = typename Row<Real>::W;
  using Result = Wide<Real>;
  const View& y = args.out.data()[0];
  __builtin_memset(y.data, 0, static_cast<std::size_t>(y.dims[0]) * sizeof(Result));
  const double scale = 1.0 / static_cast<double>(args.in.data()[0].dims[1]);
  for_each_row<Real>(args, [&](const Row<Real>& row, const Real* label, Real*, std::int64_t t) {
    const auto log_total = log1p_of(row.others);
    W sum{};
    for (std::int64_t k = 0; k < row.size; ++k) sum += row.at(label, k) * (log_total + (row.largest - row.logit(k)));
    Result* loss = block_of<Result>(y, t);
    WideNumber<Result>::store(loss, row.part, WideNumber<Result>::load(loss, row.part) + sum * scale);
  });
}

template <class Real>
void softmax_residual(const Arguments& args) {
  using W = typename Row<Real>::W;
  for_each_row<Real>(args, [](const Row<Real>& row, const Real* label, Real* y, std::int64_t) {
    const W scale = 1.0 / row.total();
    row.template for_each_without<2>(
        [&](std::int64_t k, int i) { return i == 0 ? row.at(label, k) : row.exponential[k]; },
        [&](std::int64_t k, const W* sums) { row.put(y, k, (row.exponential[k] * sums[0] - row.at(label, k) * sums[1]) * scale); });
  });
}

/// u is taken relative to its value at the largest logit, so that the sums for the others stay as small as they are.
template <class Real>
void softmax_vjp(const Arguments& args) {
  using W = typename Row<Real>::W;
  for_each_row<Real>(args, [](const Row<Real>& row, const Real* u, Real* y, std::int64_t) {
    W origin{};
    for (std::int64_t k = 0; k < row.size; ++k) origin = row.where == static_cast<std::uint64_t>(k) ? row.at(u, k) : origin;
    const W scale = 1.0 / row.total();
    const W* e = row.exponential;
    row.template for_each_without<2>([&](std::int64_t k, int i) { return i == 0 ? e[k] : e[k] * (row.at(u, k) - origin); },
                                     [&](std::int64_t k, const W* sums) {
                                       row.put(y, k, (e[k] * scale) * ((row.at(u, k) - origin) * sums[0] - sums[1]) * scale);
                                     });
  });
}

}  // namespace

std::span<const Kernel> softmax_kernels() {
  static constexpr Kernel kTable[] = {
      GI_KERNEL_VARIANTS("log_softmax", "rows", declines_unless_plain, scratch_bytes, log_softmax, one_part),
      GI_KERNEL_VARIANTS("cross_entropy", "rows", declines_unless_plain, scratch_bytes, cross_entropy, one_part),
      GI_KERNEL_VARIANTS("softmax_residual", "rows", declines_unless_plain, scratch_bytes, softmax_residual, one_part),
      GI_KERNEL_VARIANTS("softmax_vjp", "rows", declines_unless_plain, scratch_bytes, softmax_vjp, one_part),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
