// One vector register of the instruction set. A pack of floats fills exactly one, a pack of doubles two.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/common/pack.h"

namespace gi::kernels::GI_ISA {

inline constexpr int kVectorBytes = kLanes * 4;

/// Loads and stores need no alignment; the type may alias its elements.
template <class Scalar>
struct VectorOf {
  typedef Scalar type __attribute__((vector_size(kVectorBytes), aligned(alignof(Scalar)), may_alias));
};
template <class Scalar>
using Vector = typename VectorOf<Scalar>::type;

template <class Scalar>
inline constexpr std::int64_t kElements = kVectorBytes / static_cast<std::int64_t>(sizeof(Scalar));

/// Vectors in a pack.
template <class Scalar>
inline constexpr std::int64_t kParts = kLanes / kElements<Scalar>;

template <class Scalar>
[[gnu::always_inline]] inline Vector<Scalar> broadcast(Scalar value) {
  return value - Vector<Scalar>{};  // x - 0 is x also for -0, so the compiler drops it; x + 0 is not
}

/// Hides from the compiler what a vector holds; costs nothing.
template <class V>
[[gnu::always_inline]] inline void hide([[maybe_unused]] V& v) {
#if defined(__x86_64__) && (defined(GI_AVX512) || !defined(GI_ISA_IS_avx512))  // else it does not fit a register
  asm("" : "+v"(v));
#endif
}

/// Stores a whole vector at its own alignment, past the caches where it is a line of theirs: for what nobody reads before much else
/// was read. Other threads see it after stream_end().
template <class Scalar>
[[gnu::always_inline]] inline void stream(Scalar* to, Vector<Scalar> v) {
#if defined(GI_AVX512)
  _mm512_stream_ps(reinterpret_cast<float*>(to), reinterpret_cast<__m512>(v));
#else
  *reinterpret_cast<Vector<Scalar>*>(to) = v;
#endif
}
inline void stream_end() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

}  // namespace gi::kernels::GI_ISA
