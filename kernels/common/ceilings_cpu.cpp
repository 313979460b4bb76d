// Loops that do nothing but multiply and add, or read.
#include "kernels/common/amx.h"
#include "kernels/common/ceiling_loops.h"
#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

namespace {

// As many as cover the latency of two fused units, and leave room for the factors in sixteen registers.
constexpr int kSums = 12;

// Values the compiler knows nothing of.
volatile double hidden_factor = 0.75, hidden_term = 0.25;
volatile double sink;

template <class Scalar>
double multiply_add(std::int64_t rounds) {
  using V = Vector<Scalar>;
  constexpr int kRepeats = 8;
  const V factor = broadcast<Scalar>(static_cast<Scalar>(hidden_factor)),
          term = broadcast<Scalar>(static_cast<Scalar>(hidden_term));
  V sum[kSums];
  for (int i = 0; i < kSums; ++i) sum[i] = term * static_cast<Scalar>(i);
  for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 8
    for (int repeat = 0; repeat < kRepeats; ++repeat)
#pragma GCC unroll 12
      for (int i = 0; i < kSums; ++i) sum[i] = sum[i] * factor + term;
  V total{};
  for (int i = 0; i < kSums; ++i) total += sum[i];
  sink = static_cast<double>(total[0]);
  return 2.0 * kSums * kRepeats * kElements<Scalar> * static_cast<double>(rounds);
}

void read(const std::byte* data, std::size_t bytes, std::int64_t rounds) {
  using V = Vector<float>;
  constexpr int kStreams = 8;
  V sum[kStreams] = {};
  for (std::int64_t round = 0; round < rounds; ++round)
    for (const std::byte* p = data; p != data + bytes; p += 2 * kStreams * kVectorBytes)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
#pragma GCC unroll 8
        for (int i = 0; i < kStreams; ++i) sum[i] += *reinterpret_cast<const V*>(p + (half * kStreams + i) * kVectorBytes);
  V total{};
  for (int i = 0; i < kStreams; ++i) total += sum[i];
  sink = static_cast<double>(total[0]);
}

}  // namespace

CeilingLoops ceiling_loops() {
  CeilingLoops loops{{multiply_add<float>, multiply_add<double>}, read};
#if defined(GI_AVX512)
  if (has_amx()) loops.multiply_bf16 = amx_products;
#endif
  return loops;
}

}  // namespace gi::kernels::GI_ISA
