// Built with -march=native: Eigen chooses its instructions when it is compiled.
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>

#include "bench/libraries/libraries.h"

namespace gi::bench {

namespace {

template <class Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class Scalar>
void multiply(const kernels::MatmulGeometry& geo, const Scalar* a_data, const Scalar* b_data, bool add, Scalar* y_data) {
  const bool ta = geo.transpose_a != 0, tb = geo.transpose_b != 0;
  const Eigen::Map<const Matrix<Scalar>> a(a_data, ta ? geo.k : geo.m, ta ? geo.m : geo.k);
  const Eigen::Map<const Matrix<Scalar>> b(b_data, tb ? geo.n : geo.k, tb ? geo.k : geo.n);
  Eigen::Map<Matrix<Scalar>> y(y_data, geo.m, geo.n);
  const auto write = [&](const auto& product) {
    if (add) y.noalias() += product;
    else y.noalias() = product;
  };
  if (ta && tb) write(a.transpose() * b.transpose());
  else if (ta) write(a.transpose() * b);
  else if (tb) write(a * b.transpose());
  else write(a * b);
}

}  // namespace

Work eigen_work(const Workload& workload, const kernels::Arguments& args) {
  if (workload.op != "matmul" || workload.lanes != 1) return {};
  if (workload.dtype == DType::f32) return products(args, multiply<float>);
  return products(args, multiply<double>);
}

}  // namespace gi::bench
