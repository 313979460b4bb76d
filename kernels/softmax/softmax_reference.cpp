#include "kernels/softmax/softmax.h"

#include <cmath>

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {
namespace {

/// One row of logits. Exponentials are relative to the largest logit, the first of them if several.
class Row {
 public:
  Row(const ConstView& z, std::int64_t t, std::int64_t n) : z_(elements(z)), t_(t), n_(n), k_(z.dims[2]) {
    for (std::int64_t k = 1; k < k_; ++k)
      if (logit(k) > logit(largest_)) largest_ = k;
    others_ = sum_without(largest_, [this](std::int64_t k) { return std::exp(logit(k) - logit(largest_)); });
  }
  std::int64_t size() const { return k_; }
  /// logsumexp(z) - z_k, of full relative accuracy where it is small.
  double surprise(std::int64_t k) const { return std::log1p(others_) + (logit(largest_) - logit(k)); }
  double probability(std::int64_t k) const { return std::exp(logit(k) - logit(largest_)) / (1.0 + others_); }

  template <class Term>
  double sum_without(std::int64_t j, Term term) const {
    double sum = 0;
    for (std::int64_t k = 0; k < k_; ++k)
      if (k != j) sum += term(k);
    return sum;
  }

 private:
  double logit(std::int64_t k) const { return z_(t_, n_, k); }

  Strided<const double> z_;
  std::int64_t t_, n_, k_, largest_ = 0;
  double others_;  ///< sum of the exponentials but the largest's, which is 1
};

template <class Run>
void for_each_row(const ConstView& z, Run run) {
  for (std::int64_t t = 0; t < z.dims[0]; ++t)
    for (std::int64_t n = 0; n < z.dims[1]; ++n) run(t, n, Row(z, t, n));
}

}  // namespace

void log_softmax_reference(const Arguments& args) {
  const auto y = elements(args.out[0]);
  for_each_row(args.in[0], [&](std::int64_t t, std::int64_t n, const Row& row) {
    for (std::int64_t k = 0; k < row.size(); ++k) y(t, n, k) = -row.surprise(k);
  });
}

void cross_entropy_reference(const Arguments& args) {
  const auto l = elements(args.in[1]);
  const auto y = elements(args.out[0]);
  fill_zero(args.out[0]);
  for_each_row(args.in[0], [&](std::int64_t t, std::int64_t n, const Row& row) {
    for (std::int64_t k = 0; k < row.size(); ++k) y(t) += l(t, n, k) * row.surprise(k) / static_cast<double>(args.in[0].dims[1]);
  });
}

void softmax_residual_reference(const Arguments& args) {
  const auto l = elements(args.in[1]);
  const auto y = elements(args.out[0]);
  for_each_row(args.in[0], [&](std::int64_t t, std::int64_t n, const Row& row) {
    for (std::int64_t j = 0; j < row.size(); ++j)
      y(t, n, j) = row.probability(j) * row.sum_without(j, [&](std::int64_t k) { return l(t, n, k); }) -
                   l(t, n, j) * row.sum_without(j, [&](std::int64_t k) { return row.probability(k); });
  });
}

void softmax_vjp_reference(const Arguments& args) {
  const auto u = elements(args.in[1]);
  const auto y = elements(args.out[0]);
  for_each_row(args.in[0], [&](std::int64_t t, std::int64_t n, const Row& row) {
    for (std::int64_t i = 0; i < row.size(); ++i)
      y(t, n, i) =
          row.probability(i) * row.sum_without(i, [&](std::int64_t k) { return row.probability(k) * (u(t, n, i) - u(t, n, k)); });
  });
}

}  // namespace gi::kernels
