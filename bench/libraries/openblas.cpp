#include <cblas.h>

#include "bench/libraries/libraries.h"

namespace gi::bench {

namespace {

void multiply(const kernels::MatmulGeometry& geo, const float* a, const float* b, bool add, float* y) {
  const auto m = static_cast<blasint>(geo.m), n = static_cast<blasint>(geo.n), k = static_cast<blasint>(geo.k);
  const bool ta = geo.transpose_a != 0, tb = geo.transpose_b != 0;
  const float beta = add ? 1 : 0;
  // Products with a vector have routines of their own, and a user would call them.
  if (m == 1)
    cblas_sgemv(CblasRowMajor, tb ? CblasNoTrans : CblasTrans, tb ? n : k, tb ? k : n, 1, b, tb ? k : n, a, 1, beta, y, 1);
  else if (n == 1)
    cblas_sgemv(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, ta ? k : m, ta ? m : k, 1, a, ta ? m : k, b, 1, beta, y, 1);
  else
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, 1, a, ta ? m : k, b,
                tb ? k : n, beta, y, n);
}

void multiply(const kernels::MatmulGeometry& geo, const double* a, const double* b, bool add, double* y) {
  const auto m = static_cast<blasint>(geo.m), n = static_cast<blasint>(geo.n), k = static_cast<blasint>(geo.k);
  const bool ta = geo.transpose_a != 0, tb = geo.transpose_b != 0;
  const double beta = add ? 1 : 0;
  if (m == 1)
    cblas_dgemv(CblasRowMajor, tb ? CblasNoTrans : CblasTrans, tb ? n : k, tb ? k : n, 1, b, tb ? k : n, a, 1, beta, y, 1);
  else if (n == 1)
    cblas_dgemv(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, ta ? k : m, ta ? m : k, 1, a, ta ? m : k, b, 1, beta, y, 1);
  else
    cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, 1, a, ta ? m : k, b,
                tb ? k : n, beta, y, n);
}

}  // namespace

Work openblas_work(const Workload& workload, const kernels::Arguments& args) {
  if (workload.op != "matmul" || workload.lanes != 1) return {};
  openblas_set_num_threads(1);
  if (workload.dtype == DType::f32) return products<float>(args, multiply);
  return products<double>(args, multiply);
}

}  // namespace gi::bench
