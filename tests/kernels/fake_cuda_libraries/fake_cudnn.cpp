#include <cudnn.h>

#include <vector>

#include "tests/kernels/fake_cuda_libraries/fake.h"

extern "C" FakeLibrary gi_fake_library;
FakeLibrary gi_fake_library;

struct cudnnContext {};
struct cudnnTensorStruct {
  cudnnDataType_t type;
  int n, c, h, w;
};
struct cudnnFilterStruct {
  cudnnDataType_t type;
  int k, c, r, s;
};
struct cudnnConvolutionStruct {
  int pad_h, pad_w, stride_h, stride_w, groups;
  cudnnDataType_t type;
  cudnnMathType_t math;
};

namespace {

using Tensor = cudnnTensorDescriptor_t;
using Filter = cudnnFilterDescriptor_t;
using Convolution = cudnnConvolutionDescriptor_t;

bool fits(Tensor x, Filter w, Convolution c, Tensor y) {
  const auto out = [](int extent, int filter, int stride, int pad) { return (extent + 2 * pad - filter) / stride + 1; };
  return x->type == c->type && w->type == c->type && y->type == c->type && x->n == y->n && x->c == w->c * c->groups &&
         y->c == w->k && w->k % c->groups == 0 && y->h == out(x->h, w->r, c->stride_h, c->pad_h) &&
         y->w == out(x->w, w->s, c->stride_w, c->pad_w);
}

/// visit(x index, w index, y index) for all factors that meet.
template <class Visit>
void for_each_term(Tensor x, Filter w, Convolution c, Tensor y, Visit visit) {
  for (int n = 0; n < y->n; ++n)
    for (int k = 0; k < y->c; ++k)
      for (int p = 0; p < y->h; ++p)
        for (int q = 0; q < y->w; ++q)
          for (int i = 0; i < w->c; ++i)
            for (int r = 0; r < w->r; ++r)
              for (int s = 0; s < w->s; ++s) {
                const int h = p * c->stride_h + r - c->pad_h, v = q * c->stride_w + s - c->pad_w;
                if (h < 0 || h >= x->h || v < 0 || v >= x->w) continue;
                const int channel = k / (w->k / c->groups) * w->c + i;
                visit(((n * x->c + channel) * x->h + h) * x->w + v, ((k * w->c + i) * w->r + r) * w->s + s,
                      ((n * y->c + k) * y->h + p) * y->w + q);
              }
}

enum class Out { x, w, y };

/// out = alpha * sum + beta * out, where beta 0 reads nothing.
template <class Scalar>
void product(Out which, Tensor x, const void* xs, Filter w, const void* ws, Convolution c, Tensor y, const void* ys,
             const void* alpha, const void* beta, void* out) {
  const int count = which == Out::x   ? x->n * x->c * x->h * x->w
                    : which == Out::w ? w->k * w->c * w->r * w->s
                                      : y->n * y->c * y->h * y->w;
  const auto at = [](const void* p, int i) { return static_cast<double>(static_cast<const Scalar*>(p)[i]); };
  std::vector<double> sums(static_cast<std::size_t>(count), 0.0);
  for_each_term(x, w, c, y, [&](int xi, int wi, int yi) {
    if (which == Out::x) sums[static_cast<std::size_t>(xi)] += at(ws, wi) * at(ys, yi);
    if (which == Out::w) sums[static_cast<std::size_t>(wi)] += at(xs, xi) * at(ys, yi);
    if (which == Out::y) sums[static_cast<std::size_t>(yi)] += at(xs, xi) * at(ws, wi);
  });
  for (int i = 0; i < count; ++i) {
    const double before = at(beta, 0) == 0 ? 0 : at(beta, 0) * at(out, i);
    static_cast<Scalar*>(out)[i] = static_cast<Scalar>(at(alpha, 0) * sums[static_cast<std::size_t>(i)] + before);
  }
}

std::size_t workspace_of(Tensor x, Filter w, int algorithm) { return static_cast<std::size_t>(x->n * w->k * 4 + 40 * algorithm); }

/// As a first choice: no convolutions by channel.
bool has_algorithm(Out which, Convolution c, Filter w, int algorithm) {
  if (which == Out::x) return algorithm == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
  if (which == Out::w) return algorithm == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
  return algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM ||
         (algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM && (c->groups == 1 || w->c > 1));
}

cudnnStatus_t size(Out which, Tensor x, Filter w, Convolution c, Tensor y, int algorithm, std::size_t* bytes) {
  if (!fits(x, w, c, y)) return CUDNN_STATUS_BAD_PARAM;
  if (!has_algorithm(which, c, w, algorithm)) return CUDNN_STATUS_NOT_SUPPORTED;
  *bytes = workspace_of(x, w, algorithm);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t call(Out which, Tensor x, const void* xs, Filter w, const void* ws, Convolution c, Tensor y, const void* ys,
                   int algorithm, void* space, std::size_t bytes, const void* alpha, const void* beta, void* out) {
  std::size_t needed = 0;
  if (const cudnnStatus_t status = size(which, x, w, c, y, algorithm, &needed); status != CUDNN_STATUS_SUCCESS) return status;
  if (!fill_workspace(space, bytes, needed)) return CUDNN_STATUS_BAD_PARAM;
  ++gi_fake_library.products;
  gi_fake_library.math = c->math;
  gi_fake_library.algorithm = algorithm;
  if (gi_fake_library.fails) return gi_fake_library.fails = false, CUDNN_STATUS_EXECUTION_FAILED;
  (c->type == CUDNN_DATA_FLOAT ? product<float> : product<double>)(which, x, xs, w, ws, c, y, ys, alpha, beta, out);
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

std::size_t cudnnGetVersion() { return CUDNN_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t status) {
  switch (status) {
    case CUDNN_STATUS_NOT_INITIALIZED:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_EXECUTION_FAILED:
      return "CUDNN_STATUS_EXECUTION_FAILED";
    case CUDNN_STATUS_BAD_PARAM:
      return "CUDNN_STATUS_BAD_PARAM";
    default:
      return "another status";
  }
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  if (!gi_fake_library.device) return CUDNN_STATUS_NOT_INITIALIZED;
  static cudnnContext context;
  *handle = &context;
  ++gi_fake_library.handles;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t stream) {
  gi_fake_library.stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

// Kept like the handle they belong to.
cudnnStatus_t cudnnCreateTensorDescriptor(Tensor* t) { return *t = new cudnnTensorStruct{}, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnCreateFilterDescriptor(Filter* f) { return *f = new cudnnFilterStruct{}, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnCreateConvolutionDescriptor(Convolution* c) { return *c = new cudnnConvolutionStruct{}, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetTensor4dDescriptor(Tensor t, cudnnTensorFormat_t format, cudnnDataType_t type, int n, int c, int h, int w) {
  if (format != CUDNN_TENSOR_NCHW || n < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
  return *t = {type, n, c, h, w}, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetFilter4dDescriptor(Filter f, cudnnDataType_t type, cudnnTensorFormat_t format, int k, int c, int h, int w) {
  if (format != CUDNN_TENSOR_NCHW || k < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
  return *f = {type, k, c, h, w}, CUDNN_STATUS_SUCCESS;
}
/// Like cuDNN's, it takes back what was set besides.
cudnnStatus_t cudnnSetConvolution2dDescriptor(Convolution c, int pad_h, int pad_w, int u, int v, int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode, cudnnDataType_t type) {
  if (mode != CUDNN_CROSS_CORRELATION || dilation_h != 1 || dilation_w != 1) return CUDNN_STATUS_NOT_SUPPORTED;
  return *c = {pad_h, pad_w, u, v, 1, type, CUDNN_DEFAULT_MATH}, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(Convolution c, int groups) { return c->groups = groups, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetConvolutionMathType(Convolution c, cudnnMathType_t math) { return c->math = math, CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, const Tensor x, const Filter w, const Convolution c,
                                                      const Tensor y, cudnnConvolutionFwdAlgo_t a, std::size_t* bytes) {
  return size(Out::y, x, w, c, y, a, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, const Filter w, const Tensor y, const Convolution c,
                                                           const Tensor x, cudnnConvolutionBwdDataAlgo_t a, std::size_t* bytes) {
  return size(Out::x, x, w, c, y, a, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, const Tensor x, const Tensor y, const Convolution c,
                                                             const Filter w, cudnnConvolutionBwdFilterAlgo_t a,
                                                             std::size_t* bytes) {
  return size(Out::w, x, w, c, y, a, bytes);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t, const void* alpha, const Tensor x, const void* xs, const Filter w,
                                      const void* ws, const Convolution c, cudnnConvolutionFwdAlgo_t a, void* space,
                                      std::size_t bytes, const void* beta, const Tensor y, void* ys) {
  return call(Out::y, x, xs, w, ws, c, y, nullptr, a, space, bytes, alpha, beta, ys);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t, const void* alpha, const Filter w, const void* ws, const Tensor y,
                                           const void* ys, const Convolution c, cudnnConvolutionBwdDataAlgo_t a, void* space,
                                           std::size_t bytes, const void* beta, const Tensor x, void* xs) {
  return call(Out::x, x, nullptr, w, ws, c, y, ys, a, space, bytes, alpha, beta, xs);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t, const void* alpha, const Tensor x, const void* xs, const Tensor y,
                                             const void* ys, const Convolution c, cudnnConvolutionBwdFilterAlgo_t a, void* space,
                                             std::size_t bytes, const void* beta, const Filter w, void* ws) {
  return call(Out::w, x, xs, w, nullptr, c, y, ys, a, space, bytes, alpha, beta, ws);
}

}  // extern "C"
