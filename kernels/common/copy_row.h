// Copies of rows too short for memcpy, which is a call. Only for *_cpu.cpp files.
#pragma once

#include <utility>

#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

template <class Scalar, std::size_t N>
struct SmallVectorOf {
  typedef Scalar type __attribute__((vector_size(N * sizeof(Scalar)), aligned(alignof(Scalar)), may_alias));
};

/// N of every `Step`th number.
template <std::size_t Step, class Scalar, std::size_t... I>
[[gnu::always_inline]] inline void copy_vector(const Scalar* from, Scalar* to, std::index_sequence<I...>) {
  constexpr std::size_t n = sizeof...(I);
  using V = typename SmallVectorOf<Scalar, n>::type;
  const auto at = [from](std::size_t i) { return *reinterpret_cast<const V*>(from + i); };
  if constexpr (Step == 1) *reinterpret_cast<V*>(to) = at(0);
  else *reinterpret_cast<V*>(to) = __builtin_shufflevector(at(0), at(n - 1), (2 * I + (I < n / 2 ? 0 : 1))...);
}

/// to[i] = from[i * Step], Step 1 or 2, in vectors of N or, where there are fewer, of less; the last overlaps the one before.
/// Nothing but from[0] to from[(count - 1) * Step] is read.
template <std::size_t Step, class Scalar, std::size_t N = kElements<Scalar>>
[[gnu::always_inline]] inline void copy_row(const Scalar* from, std::int64_t count, Scalar* to) {
  constexpr auto n = static_cast<std::int64_t>(N), step = static_cast<std::int64_t>(Step);
  if constexpr (N == 1) {
    if (count == 1) *to = *from;
  } else if (count < n) {
    copy_row<Step, Scalar, N / 2>(from, count, to);
  } else {
    for (std::int64_t i = 0; i < count; i += n) {
      const std::int64_t first = i < count - n ? i : count - n;
      copy_vector<Step>(from + step * first, to + first, std::make_index_sequence<N>{});
    }
  }
}

/// Zeros, whole vectors of them.
template <class Scalar>
[[gnu::always_inline]] inline void zero_vectors(std::int64_t count, Scalar* to) {
  for (std::int64_t i = 0; i < count; ++i, to += kElements<Scalar>) {
    asm("" : "+r"(to));  // else g++ makes a call of it
    *reinterpret_cast<Vector<Scalar>*>(to) = Vector<Scalar>{};
  }
}

/// to[i] = from[i * step].
template <class Scalar>
[[gnu::always_inline]] inline void copy_strided(const Scalar* from, std::int64_t step, std::int64_t count, Scalar* to) {
  if (step == 1) copy_row<1>(from, count, to);
  else if (step == 2) copy_row<2>(from, count, to);
  else
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * step];
}

}  // namespace gi::kernels::GI_ISA
