// Loops that do nothing but multiply and add, on plain or on tensor cores, or read. What each thread has in the end is written, so
// that no loop is left out.
#include "kernels/common/ceiling_loops.h"
#include "kernels/common/cuda_ptx.h"
#include "kernels/common/families_cuda.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = kCeilingBlock;

template <class Scalar>
__global__ void __launch_bounds__(kThreads) multiply_add(int rounds, Scalar factor, Scalar term, Scalar* out) {
  constexpr int kSums = 8, kRepeats = kCeilingMultiplyAdds / kSums;
  Scalar sum[kSums];
#pragma unroll
  for (int i = 0; i < kSums; ++i) sum[i] = term * Scalar(i);
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int repeat = 0; repeat < kRepeats; ++repeat)
#pragma unroll
      for (int i = 0; i < kSums; ++i) sum[i] = sum[i] * factor + term;
  Scalar total = 0;
#pragma unroll
  for (int i = 0; i < kSums; ++i) total += sum[i];
  out[blockIdx.x * kThreads + threadIdx.x] = total;
}

__global__ void __launch_bounds__(kThreads) tensor(int rounds, float factor, float term, float* out) {
  constexpr int kTiles = 4, kRepeats = kCeilingProducts / kTiles;
  const unsigned x = to_tf32(factor), y = to_tf32(term);
  const unsigned a[4] = {x, x, x, x}, b[2] = {y, y};
  float d[kTiles][4] = {};
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int repeat = 0; repeat < kRepeats; ++repeat)
#pragma unroll
      for (int i = 0; i < kTiles; ++i) mma_16x8x8_tf32(d[i], a, b);
  float total = 0;
#pragma unroll
  for (int i = 0; i < kTiles; ++i) total += d[i][0] + d[i][1] + d[i][2] + d[i][3];
  out[blockIdx.x * kThreads + threadIdx.x] = total;
}

__global__ void __launch_bounds__(kThreads) read(int rounds, const float4* from, int fours, float* out) {
  constexpr int kAtOnce = 8;
  const int all = static_cast<int>(gridDim.x) * kThreads, first = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  float total = 0;
  for (int round = 0; round < rounds; ++round)
    for (int begin = first; begin < fours; begin += kAtOnce * all) {
      float4 v[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        v[i] = make_float4(0, 0, 0, 0);
        if (begin + i * all < fours) v[i] = __ldcg(from + begin + i * all);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) total += v[i].x + v[i].y + v[i].z + v[i].w;
    }
  out[first] = total;
}

int rounds_of(const Arguments& args) { return static_cast<int>(args.attrs_as<CeilingRounds>().rounds); }
dim3 grid_of(const Arguments& args) { return dim3(static_cast<unsigned>(args.out[0].count() / kThreads)); }

template <class Scalar>
void run_multiply_add(const Arguments& args) {
  launch(args, multiply_add<Scalar>, grid_of(args), dim3(kThreads), 0, rounds_of(args), Scalar(0.75), Scalar(0.25),
         args.out[0].as<Scalar>());
}

void run_tensor(const Arguments& args) {
  launch(args, tensor, grid_of(args), dim3(kThreads), 0, rounds_of(args), 0.75f, 0.25f, args.out[0].as<float>());
}

void run_read(const Arguments& args) {
  launch(args, read, grid_of(args), dim3(kThreads), 0, rounds_of(args), args.in[0].as<float4>(),
         static_cast<int>(args.in[0].count() / 4), args.out[0].as<float>());
}

constexpr Kernel entry(const char* name, DType dtype, void (*run)(const Arguments&)) {
  return {kCeilingOp, name, Isa::cuda, dtype, 1, nullptr, nullptr, run, nullptr, true};
}

constexpr Kernel kKernels[] = {
    entry("cuda_multiply_add", DType::f32, run_multiply_add<float>),
    entry("cuda_multiply_add", DType::f64, run_multiply_add<double>),
    entry("cuda_tensor_tf32", DType::f32, run_tensor),
    entry("cuda_read", DType::f32, run_read),
};

}  // namespace

std::span<const Kernel> ceiling_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
