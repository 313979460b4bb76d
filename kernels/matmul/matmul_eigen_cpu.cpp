// Products of matrices of single trials, by Eigen.
#include <Eigen/Core>

#include "kernels/common/families.h"
#include "kernels/matmul/matmul.h"

namespace gi::kernels::GI_ISA {

namespace {

const char* declined(const Problem& problem) {
  for (const ConstView& v : problem.in) {
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != 1) return "an input is in packs";
  }
  return nullptr;
}

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class Scalar>
Eigen::Map<const RowMajor<Scalar>> matrix(const ConstView& v, std::int64_t trial) {
  return {v.as<Scalar>() + trial * v.strides[0], v.dims[1], v.dims[2]};
}

template <class Y, class A, class B>
void product(Y& y, const A& a, const B& b, bool add) {
  if (a.cols() == 1) {  // an outer product, a row at a time
    for (Eigen::Index m = 0; m < y.rows(); ++m) {
      if (add) y.row(m) += a.coeff(m, 0) * b.row(0);
      else y.row(m) = a.coeff(m, 0) * b.row(0);
    }
  } else if (y.rows() == 1) {
    if (!add) y.setZero();
    y.row(0).noalias() += a.row(0) * b;
  } else if (add) {
    y.noalias() += a * b;
  } else {
    y.noalias() = a * b;
  }
}

template <class Scalar>
void run(const Arguments& args) {
  const auto& geo = args.attrs_as<MatmulGeometry>();
  for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t) {
    Eigen::Map<RowMajor<Scalar>> y(args.out[0].as<Scalar>() + t * geo.m * geo.n, geo.m, geo.n);
    for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
      const auto a = matrix<Scalar>(args.in[pair], t), b = matrix<Scalar>(args.in[pair + 1], t);
      const bool add = pair > 0;
      if (geo.transpose_a != 0 && geo.transpose_b != 0) product(y, a.transpose(), b.transpose(), add);
      else if (geo.transpose_a != 0) product(y, a.transpose(), b, add);
      else if (geo.transpose_b != 0) product(y, a, b.transpose(), add);
      else product(y, a, b, add);
    }
  }
}

constexpr Kernel kKernels[] = {
    {"matmul", "eigen", kIsa, DType::f32, 1, declined, nullptr, run<float>},
    {"matmul", "eigen", kIsa, DType::f64, 1, declined, nullptr, run<double>},
};

}  // namespace

std::span<const Kernel> matmul_eigen_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
