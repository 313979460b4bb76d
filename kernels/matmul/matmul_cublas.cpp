// Matrix products by NVIDIA's cuBLAS, where it is there.
//
// cuBLAS counts in columns: to it a matrix stored by rows is the transposed one, so it computes y' = op(b)' op(a)'. The products of
// a trial are one call; trials are calls of their own, since cuBLAS promises the same bits for the same call, not for one with more
// products. With four inputs a second call adds to what the first wrote. f32 and f64 are computed as they are ("pedantic"),
// "cublas_tf32" rounds the factors to TF32. Work space is scratch, so that a CUDA graph can record the calls.
#include <cublas_v2.h>

#include "kernels/common/cuda_library.h"
#include "kernels/matmul/matmul.h"

namespace gi::kernels {
namespace {

#define GI_CUBLAS_FUNCTIONS(X) \
  X(cublasGetProperty)         \
  X(cublasGetStatusString)     \
  X(cublasCreate_v2)           \
  X(cublasSetStream_v2)        \
  X(cublasSetWorkspace_v2)     \
  X(cublasGemmStridedBatchedEx_64)

struct Functions {
#define GI_MEMBER(function) decltype(&::function) function;
  GI_CUBLAS_FUNCTIONS(GI_MEMBER)
};
#define GI_NAME(function) #function,
constexpr const char* kNames[] = {GI_CUBLAS_FUNCTIONS(GI_NAME)};

int major_of(void* const* functions) {
  int major = 0;
  reinterpret_cast<decltype(&::cublasGetProperty)>(functions[0])(MAJOR_VERSION, &major);
  return major;
}

#define GI_STRING(x) #x
#define GI_FILE(major) "libcublas.so." GI_STRING(major)
constexpr CudaLibrary kLibrary{"cuBLAS", "GI_CUBLAS", GI_FILE(CUBLAS_VER_MAJOR), kNames, CUBLAS_VER_MAJOR, major_of};

std::string make_handle(const Functions& lib, cublasHandle_t& handle) {
  const cublasStatus_t status = lib.cublasCreate_v2(&handle);
  return status == CUBLAS_STATUS_SUCCESS ? "" : std::string("cuBLAS: no handle: ") + lib.cublasGetStatusString(status);
}

LibraryTable<Functions, cublasHandle_t>& cublas() {
  static auto& table = *new LibraryTable<Functions, cublasHandle_t>(kLibrary, make_handle);
  return table;
}

/// What cuBLAS itself sets aside for a stream.
constexpr std::size_t kWorkspace = std::size_t{4} << 20;
std::size_t scratch_bytes(const Problem&) { return scratch_for(kWorkspace); }

/// The text is the calling thread's until it asks again.
const char* declines(const Problem& problem) {
  if (const char* reason = not_dense(problem); reason != nullptr) return reason;
  static thread_local std::string reason;
  return cublas().lend(reason) == nullptr ? reason.c_str() : nullptr;
}

template <class Scalar, cublasComputeType_t Compute>
void run(const Arguments& args) {
  const auto& geo = args.attrs_as<MatmulGeometry>();
  auto& lib = cublas();
  std::string reason;
  const auto handle = lib.lend(reason);
  if (handle == nullptr) return report_library_error(reason);
  cublasStatus_t status = lib.cublasSetStream_v2(*handle, static_cast<cudaStream_t>(args.stream));
  // In this order: a new stream has the library's own work space.
  if (status == CUBLAS_STATUS_SUCCESS) status = lib.cublasSetWorkspace_v2(*handle, workspace_in(args), kWorkspace);

  constexpr cudaDataType kType = sizeof(Scalar) == 4 ? CUDA_R_32F : CUDA_R_64F;
  const bool a_transposed = geo.transpose_a != 0, b_transposed = geo.transpose_b != 0;
  const cublasOperation_t op_a = a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, op_b = b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const Scalar zero = 0, one = 1;
  for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t)
    for (std::size_t i = 0; i < args.in.size() && status == CUBLAS_STATUS_SUCCESS; i += 2)
      status = lib.cublasGemmStridedBatchedEx_64(
          *handle, op_b, op_a, geo.n, geo.m, geo.k, &one,                                                            //
          of_trial<Scalar>(args.in[i + 1], t), kType, b_transposed ? geo.k : geo.n, geo.k * geo.n,                   //
          of_trial<Scalar>(args.in[i], t), kType, a_transposed ? geo.m : geo.k, geo.m * geo.k,                       //
          i == 0 ? &zero : &one, of_trial<Scalar>(args.out[0], t), kType, geo.n, geo.m * geo.n, geo.batch, Compute,  //
          CUBLAS_GEMM_DEFAULT);
  if (status != CUBLAS_STATUS_SUCCESS) report_library_error(std::string("cuBLAS: matmul: ") + lib.cublasGetStatusString(status));
}

template <class Scalar, cublasComputeType_t Compute>
constexpr Kernel entry(const char* name) {
  return {.op = "matmul",
          .name = name,
          .isa = Isa::cuda,
          .dtype = sizeof(Scalar) == 4 ? DType::f32 : DType::f64,
          .lanes = 1,
          .declines = declines,
          .scratch_bytes = scratch_bytes,
          .run = run<Scalar, Compute>,
          .on_request = true};
}

constexpr Kernel kKernels[] = {
    entry<float, CUBLAS_COMPUTE_32F_PEDANTIC>("cublas"),
    entry<double, CUBLAS_COMPUTE_64F_PEDANTIC>("cublas"),
    entry<float, CUBLAS_COMPUTE_32F_FAST_TF32>("cublas_tf32"),
};

}  // namespace

std::span<const Kernel> cublas_kernels() { return kKernels; }

}  // namespace gi::kernels
