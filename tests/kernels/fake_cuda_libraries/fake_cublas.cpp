#include <cublas_v2.h>

#include <cstdint>

#include "tests/kernels/fake_cuda_libraries/fake.h"

extern "C" FakeLibrary gi_fake_library;
FakeLibrary gi_fake_library;

struct cublasContext {
  void* space = nullptr;
  std::size_t bytes = 0;
};

namespace {

/// Matrices by columns, as BLAS has them.
struct Matrix {
  const void* data;
  std::int64_t leading, step;
  bool transposed = false;
  template <class Scalar>
  double at(std::int64_t product, std::int64_t row, std::int64_t column) const {
    return static_cast<double>(
        static_cast<const Scalar*>(data)[product * step + (transposed ? column + row * leading : row + column * leading)]);
  }
};

template <class Scalar>
void products(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t count, const void* alpha, Matrix a, Matrix b,
              const void* beta, Matrix c, void* out) {
  const double by = static_cast<double>(*static_cast<const Scalar*>(alpha)),
               kept = static_cast<double>(*static_cast<const Scalar*>(beta));
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t row = 0; row < m; ++row)
      for (std::int64_t column = 0; column < n; ++column) {
        double sum = 0;
        for (std::int64_t j = 0; j < k; ++j) sum += a.at<Scalar>(i, row, j) * b.at<Scalar>(i, j, column);
        const double before = kept == 0 ? 0 : kept * c.at<Scalar>(i, row, column);
        static_cast<Scalar*>(out)[i * c.step + row + column * c.leading] = static_cast<Scalar>(by * sum + before);
      }
}

}  // namespace

extern "C" {

cublasStatus_t cublasGetProperty(libraryPropertyType type, int* value) {
  if (type != MAJOR_VERSION) return CUBLAS_STATUS_INVALID_VALUE;
  return *value = CUBLAS_VER_MAJOR, CUBLAS_STATUS_SUCCESS;
}
const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "the function failed to launch on the GPU";
    default:
      return "another status";
  }
}
cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (!gi_fake_library.device) return CUBLAS_STATUS_NOT_INITIALIZED;
  ++gi_fake_library.handles;
  return *handle = new cublasContext, CUBLAS_STATUS_SUCCESS;  // kept, as cuBLAS is asked to
}
/// Like cuBLAS's, it takes back the work space.
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  gi_fake_library.stream = stream;
  return *handle = {}, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* space, std::size_t bytes) {
  return *handle = {space, bytes}, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, std::int64_t m,
                                             std::int64_t n, std::int64_t k, const void* alpha, const void* a, cudaDataType a_type,
                                             std::int64_t lda, long long a_step, const void* b, cudaDataType b_type,
                                             std::int64_t ldb, long long b_step, const void* beta, void* c, cudaDataType c_type,
                                             std::int64_t ldc, long long c_step, std::int64_t count, cublasComputeType_t compute,
                                             cublasGemmAlgo_t algorithm) {
  const bool single = c_type == CUDA_R_32F,
             pedantic = compute == (single ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_64F_PEDANTIC);
  if (a_type != c_type || b_type != c_type || !(pedantic || (single && compute == CUBLAS_COMPUTE_32F_FAST_TF32)))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (lda < (op_a == CUBLAS_OP_N ? m : k) || ldb < (op_b == CUBLAS_OP_N ? k : n) || ldc < m) return CUBLAS_STATUS_INVALID_VALUE;
  if (!fill_workspace(handle->space, handle->bytes, std::size_t{1} << 20)) return CUBLAS_STATUS_INVALID_VALUE;
  ++gi_fake_library.products;
  gi_fake_library.math = compute;
  gi_fake_library.algorithm = algorithm;
  if (gi_fake_library.fails) return gi_fake_library.fails = false, CUBLAS_STATUS_EXECUTION_FAILED;
  const auto run = single ? products<float> : products<double>;
  run(m, n, k, count, alpha, Matrix{a, lda, a_step, op_a != CUBLAS_OP_N}, Matrix{b, ldb, b_step, op_b != CUBLAS_OP_N}, beta,
      Matrix{c, ldc, c_step}, c);
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
