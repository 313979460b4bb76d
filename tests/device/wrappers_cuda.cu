#include "kernels/common/cuda_ptx.h"
#include "tests/device/wrappers.h"

namespace gi::kernels::GI_DEVICE {
namespace {

constexpr int kThreads = 32;

__global__ void round_each(const float* x, unsigned* y, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) y[i] = to_tf32(x[i]);
}

__global__ void multiply(const unsigned* a, const unsigned* b, float* d) {
  const unsigned lane = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned of_a[4] = {a[4 * lane], a[4 * lane + 1], a[4 * lane + 2], a[4 * lane + 3]};
  const unsigned of_b[2] = {b[2 * lane], b[2 * lane + 1]};
  float of_d[4] = {d[4 * lane], d[4 * lane + 1], d[4 * lane + 2], d[4 * lane + 3]};
  mma_16x8x8_tf32(of_d, of_a, of_b);
  for (int i = 0; i < 4; ++i) d[4 * lane + i] = of_d[i];
}

template <int Words>
struct alignas(4 * Words) Piece {
  unsigned words[Words];
};

template <int Words>
__global__ void copy_pieces(const Piece<Words>* from, const int* there, Piece<Words>* to) {
  GI_SHARED(Piece<Words>, tile, [3][kThreads]);
  const int t = static_cast<int>(threadIdx.x), first = static_cast<int>(blockIdx.x) * 3 * kThreads + t;
  for (int group = 0; group < 3; ++group) {
    const int i = first + group * kThreads;
    copy_async<4 * Words>(&tile[group][t], &from[i], there[i]);
    copy_async_commit();
  }
  copy_async_wait<2>();
  to[first] = tile[0][t];
  copy_async_wait<1>();
  to[first + kThreads] = tile[1][t];
  copy_async_wait<0>();
  to[first + 2 * kThreads] = tile[2][t];
}

Arguments on(void* stream) {
  Arguments args;
  args.stream = stream;
  return args;
}

template <int Words>
void run_copy(void* stream, const unsigned char* from, const int* there, unsigned char* to, int blocks) {
  launch(on(stream), copy_pieces<Words>, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0,
         reinterpret_cast<const Piece<Words>*>(from), there, reinterpret_cast<Piece<Words>*>(to));
}

}  // namespace

const test::Wrappers& wrappers() {
  static const test::Wrappers all{
      [](void* stream, const float* x, unsigned* y, int count) {
        launch(on(stream), round_each, dim3(static_cast<unsigned>(ceil_div(count, 128))), dim3(128), 0, x, y, count);
      },
      [](void* stream, const unsigned* a, const unsigned* b, float* d, int warps) {
        launch(on(stream), multiply, dim3(static_cast<unsigned>(warps)), dim3(kThreads), 0, a, b, d);
      },
      [](void* stream, int bytes, const unsigned char* from, const int* there, unsigned char* to, int blocks) {
        if (bytes == 4) run_copy<1>(stream, from, there, to, blocks);
        else if (bytes == 8) run_copy<2>(stream, from, there, to, blocks);
        else run_copy<4>(stream, from, there, to, blocks);
      },
  };
  return all;
}

}  // namespace gi::kernels::GI_DEVICE
