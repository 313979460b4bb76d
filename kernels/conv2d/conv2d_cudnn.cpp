// Convolutions by NVIDIA's cuDNN, where it is there.
//
// Of the algorithms that NVIDIA calls deterministic, the first in a fixed order that cuDNN has for the geometry; nothing is timed.
// The same call gives the same bits on one architecture, that is promised; that an image's bits do not depend on how many images
// are in the call is not. So every trial is a call of its own, which costs launches, fewer in a CUDA graph. With four inputs a
// second call adds to what the first wrote. "cudnn" computes f32 by fused multiply-adds, "cudnn_tf32" may round factors to TF32.
#include <cudnn.h>

#include <initializer_list>
#include <limits>
#include <type_traits>

#include "kernels/common/cuda_library.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::kernels {
namespace {

#define GI_CUDNN_FUNCTIONS(X)                       \
  X(cudnnGetVersion)                                \
  X(cudnnGetErrorString)                            \
  X(cudnnCreate)                                    \
  X(cudnnSetStream)                                 \
  X(cudnnCreateTensorDescriptor)                    \
  X(cudnnSetTensor4dDescriptor)                     \
  X(cudnnCreateFilterDescriptor)                    \
  X(cudnnSetFilter4dDescriptor)                     \
  X(cudnnCreateConvolutionDescriptor)               \
  X(cudnnSetConvolution2dDescriptor)                \
  X(cudnnSetConvolutionGroupCount)                  \
  X(cudnnSetConvolutionMathType)                    \
  X(cudnnGetConvolutionForwardWorkspaceSize)        \
  X(cudnnGetConvolutionBackwardDataWorkspaceSize)   \
  X(cudnnGetConvolutionBackwardFilterWorkspaceSize) \
  X(cudnnConvolutionForward)                        \
  X(cudnnConvolutionBackwardData)                   \
  X(cudnnConvolutionBackwardFilter)

struct Functions {
#define GI_MEMBER(function) decltype(&::function) function;
  GI_CUDNN_FUNCTIONS(GI_MEMBER)
};
#define GI_NAME(function) #function,
constexpr const char* kNames[] = {GI_CUDNN_FUNCTIONS(GI_NAME)};

#define GI_STRING(x) #x
#define GI_FILE(major) "libcudnn.so." GI_STRING(major)
constexpr CudaLibrary kLibrary{"cuDNN", "GI_CUDNN", GI_FILE(CUDNN_MAJOR), kNames, CUDNN_MAJOR, [](void* const* functions) {
                                 return static_cast<int>(reinterpret_cast<decltype(&::cudnnGetVersion)>(functions[0])() / 10000);
                               }};

/// What a call needs besides memory. x and y are the images of the forward direction.
struct Session {
  cudnnHandle_t handle;
  cudnnTensorDescriptor_t x, y;
  cudnnFilterDescriptor_t w;
  cudnnConvolutionDescriptor_t convolution;
};

cudnnStatus_t first_failure(std::initializer_list<cudnnStatus_t> calls) {
  for (cudnnStatus_t status : calls)
    if (status != CUDNN_STATUS_SUCCESS) return status;
  return CUDNN_STATUS_SUCCESS;
}

std::string make_session(const Functions& lib, Session& s) {
  cudnnStatus_t status = lib.cudnnCreate(&s.handle);
  if (status == CUDNN_STATUS_SUCCESS)
    status = first_failure({lib.cudnnCreateTensorDescriptor(&s.x), lib.cudnnCreateTensorDescriptor(&s.y),
                            lib.cudnnCreateFilterDescriptor(&s.w), lib.cudnnCreateConvolutionDescriptor(&s.convolution)});
  return status == CUDNN_STATUS_SUCCESS ? "" : std::string("cuDNN: no handle: ") + lib.cudnnGetErrorString(status);
}

LibraryTable<Functions, Session>& cudnn() {
  static auto& table = *new LibraryTable<Functions, Session>(kLibrary, make_session);
  return table;
}

struct Forward {
  static constexpr cudnnConvolutionFwdAlgo_t kAlgorithms[] = {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                                                              CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM};
  static std::int64_t images(const Problem& p) { return p.out[0].dims[1]; }
  static cudnnStatus_t size(const Functions& lib, const Session& s, cudnnConvolutionFwdAlgo_t algorithm, std::size_t* bytes) {
    return lib.cudnnGetConvolutionForwardWorkspaceSize(s.handle, s.x, s.w, s.convolution, s.y, algorithm, bytes);
  }
  static cudnnStatus_t call(const Functions& lib, const Session& s, cudnnConvolutionFwdAlgo_t algorithm, std::byte* space,
                            std::size_t bytes, const void* one, const void* x, const void* w, const void* beta, void* y) {
    return lib.cudnnConvolutionForward(s.handle, one, s.x, x, s.w, w, s.convolution, algorithm, space, bytes, beta, s.y, y);
  }
};

struct GradInput {
  static constexpr cudnnConvolutionBwdDataAlgo_t kAlgorithms[] = {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1};
  static std::int64_t images(const Problem& p) { return p.out[0].dims[1]; }
  static cudnnStatus_t size(const Functions& lib, const Session& s, cudnnConvolutionBwdDataAlgo_t algorithm, std::size_t* bytes) {
    return lib.cudnnGetConvolutionBackwardDataWorkspaceSize(s.handle, s.w, s.y, s.convolution, s.x, algorithm, bytes);
  }
  static cudnnStatus_t call(const Functions& lib, const Session& s, cudnnConvolutionBwdDataAlgo_t algorithm, std::byte* space,
                            std::size_t bytes, const void* one, const void* g, const void* w, const void* beta, void* dx) {
    return lib.cudnnConvolutionBackwardData(s.handle, one, s.w, w, s.y, g, s.convolution, algorithm, space, bytes, beta, s.x, dx);
  }
};

struct GradWeight {
  static constexpr cudnnConvolutionBwdFilterAlgo_t kAlgorithms[] = {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1};
  static std::int64_t images(const Problem& p) { return p.in[0].dims[1]; }
  static cudnnStatus_t size(const Functions& lib, const Session& s, cudnnConvolutionBwdFilterAlgo_t algorithm, std::size_t* bytes) {
    return lib.cudnnGetConvolutionBackwardFilterWorkspaceSize(s.handle, s.x, s.y, s.convolution, s.w, algorithm, bytes);
  }
  static cudnnStatus_t call(const Functions& lib, const Session& s, cudnnConvolutionBwdFilterAlgo_t algorithm, std::byte* space,
                            std::size_t bytes, const void* one, const void* x, const void* g, const void* beta, void* dw) {
    return lib.cudnnConvolutionBackwardFilter(s.handle, one, s.x, x, s.y, g, s.convolution, algorithm, space, bytes, beta, s.w, dw);
  }
};

/// One trial's operands and the convolution, in cuDNN's words.
cudnnStatus_t describe(const Functions& lib, const Session& s, const Conv2dGeometry& geo, std::int64_t images, cudnnDataType_t type,
                       cudnnMathType_t math) {
  const auto i = [](std::int64_t extent) { return static_cast<int>(extent); };
  return first_failure({
      lib.cudnnSetTensor4dDescriptor(s.x, CUDNN_TENSOR_NCHW, type, i(images), i(geo.c), i(geo.h), i(geo.w)),
      lib.cudnnSetTensor4dDescriptor(s.y, CUDNN_TENSOR_NCHW, type, i(images), i(geo.k), i(geo.p), i(geo.q)),
      lib.cudnnSetFilter4dDescriptor(s.w, type, CUDNN_TENSOR_NCHW, i(geo.k), i(geo.c_per_group()), i(geo.r), i(geo.s)),
      lib.cudnnSetConvolution2dDescriptor(s.convolution, i(geo.pad_h), i(geo.pad_w), i(geo.stride_h), i(geo.stride_w), 1, 1,
                                          CUDNN_CROSS_CORRELATION, type),
      lib.cudnnSetConvolutionGroupCount(s.convolution, i(geo.groups)),
      lib.cudnnSetConvolutionMathType(s.convolution, math),
  });
}

template <class Scalar>
constexpr cudnnDataType_t kType = sizeof(Scalar) == 4 ? CUDNN_DATA_FLOAT : CUDNN_DATA_DOUBLE;

/// An algorithm and its work space; the last one's error where there is none.
template <class Op>
struct Choice {
  std::remove_const_t<std::remove_extent_t<decltype(Op::kAlgorithms)>> algorithm{};
  std::size_t bytes = 0;
  cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;
};

template <class Op, class Scalar, cudnnMathType_t Math>
Choice<Op> choose(const Functions& lib, const Session& s, const Problem& problem) {
  Choice<Op> choice;
  choice.status = describe(lib, s, problem.attrs_as<Conv2dGeometry>(), Op::images(problem), kType<Scalar>, Math);
  if (choice.status != CUDNN_STATUS_SUCCESS) return choice;
  for (auto algorithm : Op::kAlgorithms) {
    choice.algorithm = algorithm;
    choice.status = Op::size(lib, s, algorithm, &choice.bytes);
    if (choice.status == CUDNN_STATUS_SUCCESS) break;
  }
  return choice;
}

/// The text is the calling thread's until it asks again.
template <class Op, class Scalar, cudnnMathType_t Math>
const char* declines(const Problem& problem) {
  if (const char* reason = not_dense(problem); reason != nullptr) return reason;
  for (const Layout& v : {Layout(problem.in[0]), Layout(problem.in[1]), Layout(problem.out[0])})
    if (v.count_per_block() > std::numeric_limits<int>::max()) return "an operand of a trial has more than 2^31 numbers";
  static thread_local std::string reason;
  auto& lib = cudnn();
  const auto session = lib.lend(reason);
  if (session == nullptr) return reason.c_str();
  const cudnnStatus_t status = choose<Op, Scalar, Math>(lib, *session, problem).status;
  if (status == CUDNN_STATUS_SUCCESS) return nullptr;
  reason = std::string("cuDNN: no deterministic algorithm: ") + lib.cudnnGetErrorString(status);
  return reason.c_str();
}

template <class Op, class Scalar, cudnnMathType_t Math>
std::size_t scratch_bytes(const Problem& problem) {
  std::string ignored;  // run() says it
  const auto session = cudnn().lend(ignored);
  return session != nullptr ? scratch_for(choose<Op, Scalar, Math>(cudnn(), *session, problem).bytes) : 0;
}

template <class Op, class Scalar, cudnnMathType_t Math>
void run(const Arguments& args) {
  auto& lib = cudnn();
  std::string reason;
  const auto session = lib.lend(reason);
  if (session == nullptr) return report_library_error(reason);
  const Choice<Op> choice = choose<Op, Scalar, Math>(lib, *session, args);
  cudnnStatus_t status =
      first_failure({choice.status, lib.cudnnSetStream(session->handle, static_cast<cudaStream_t>(args.stream))});
  std::byte* const space = choice.bytes > 0 ? workspace_in(args) : nullptr;
  const Scalar zero = 0, one = 1;
  for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t)
    for (std::size_t i = 0; i < args.in.size() && status == CUDNN_STATUS_SUCCESS; i += 2)
      status = Op::call(lib, *session, choice.algorithm, space, choice.bytes, &one, of_trial<Scalar>(args.in[i], t),
                        of_trial<Scalar>(args.in[i + 1], t), i == 0 ? &zero : &one, of_trial<Scalar>(args.out[0], t));
  if (status != CUDNN_STATUS_SUCCESS) report_library_error(std::string("cuDNN: convolution: ") + lib.cudnnGetErrorString(status));
}

template <class Op, class Scalar, cudnnMathType_t Math>
constexpr Kernel entry(const char* op, const char* name) {
  return {.op = op,
          .name = name,
          .isa = Isa::cuda,
          .dtype = sizeof(Scalar) == 4 ? DType::f32 : DType::f64,
          .lanes = 1,
          .declines = declines<Op, Scalar, Math>,
          .scratch_bytes = scratch_bytes<Op, Scalar, Math>,
          .run = run<Op, Scalar, Math>,
          .on_request = true};
}

constexpr Kernel kKernels[] = {
    entry<Forward, float, CUDNN_FMA_MATH>("conv2d", "cudnn"),
    entry<Forward, double, CUDNN_DEFAULT_MATH>("conv2d", "cudnn"),
    entry<Forward, float, CUDNN_DEFAULT_MATH>("conv2d", "cudnn_tf32"),
    entry<GradInput, float, CUDNN_FMA_MATH>("conv2d_grad_input", "cudnn"),
    entry<GradInput, double, CUDNN_DEFAULT_MATH>("conv2d_grad_input", "cudnn"),
    entry<GradInput, float, CUDNN_DEFAULT_MATH>("conv2d_grad_input", "cudnn_tf32"),
    entry<GradWeight, float, CUDNN_FMA_MATH>("conv2d_grad_weight", "cudnn"),
    entry<GradWeight, double, CUDNN_DEFAULT_MATH>("conv2d_grad_weight", "cudnn"),
    entry<GradWeight, float, CUDNN_DEFAULT_MATH>("conv2d_grad_weight", "cudnn_tf32"),
};

}  // namespace

std::span<const Kernel> cudnn_kernels() { return kKernels; }

}  // namespace gi::kernels
