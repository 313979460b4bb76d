// Twins of the instructions that kernels/common/cuda_ptx.h writes in PTX; what they do is said there.
#pragma once

#include <cmath>

#include "kernels/emu/emulator.h"

namespace gi::emu {

/// A copy that has been started.
struct AsyncCopy {
  void* to;
  const void* from;
  int bytes, there;
  unsigned group;
};
void start_copy(const AsyncCopy& copy);  ///< of the open group
void close_copy_group();
/// The oldest copy that must land for at most `pending` closed groups to be under way; false where there is none.
bool next_landing(unsigned pending, AsyncCopy& copy);

inline unsigned to_tf32(float value) {
  if (std::isnan(value)) return 0x7fffffffu;
  const unsigned bits = __float_as_uint(value);
  return std::isinf(value) ? bits : (bits + 0x1000u) & ~0x1fffu;
}
inline float from_tf32(unsigned bits) { return __uint_as_float(bits); }

inline void mma_16x8x8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  const std::uint32_t words[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const std::uint32_t* all = exchange(Together::matrix, ~0u, words, 6);
  if (lanes_of_warp() != ~0u) fault("a matrix product in a warp that is not whole");
  // What the unit leaves out of a number that to_tf32 has not rounded.
  const auto cut = [](std::uint32_t bits) { return from_tf32(bits & ~0x1fffu); };
  const unsigned g = current.lane / 4, t = current.lane % 4;
  float sums[4] = {};
  for (unsigned k = 0; k < 8; ++k) {
    const std::uint32_t* const of_rows = all + (g * 4 + k % 4) * kExchanged + k / 4 * 2;
    const std::uint32_t* const of_column = all + (2 * t * 4 + k % 4) * kExchanged + 4 + k / 4;
    const float x[2] = {cut(of_rows[0]), cut(of_rows[1])}, y[2] = {cut(of_column[0]), cut(of_column[4 * kExchanged])};
    for (unsigned i = 0; i < 4; ++i) sums[i] += x[i / 2] * y[i % 2];
  }
  for (unsigned i = 0; i < 4; ++i) d[i] += sums[i];
}

/// Until the wait the target is NaN. What happens to memory happens here, where sanitizers look, not in the emulator.
template <int Bytes>
void copy_async(void* shared, const void* global, int there = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  if (there < 0 || there > Bytes) fault("an asynchronous copy of more bytes than it has");
  const auto misaligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % Bytes != 0; };
  if (misaligned(shared) || misaligned(global)) fault("an asynchronous copy at a misaligned address");
  for (int i = 0; i < Bytes; ++i) static_cast<unsigned char*>(shared)[i] = 0xff;
  start_copy({shared, global, Bytes, there, 0});
}
inline void copy_async_commit() { close_copy_group(); }
template <int Pending>
void copy_async_wait() {
  AsyncCopy copy;
  while (next_landing(Pending, copy))
    for (int i = 0; i < copy.bytes; ++i)
      static_cast<unsigned char*>(copy.to)[i] = i < copy.there ? static_cast<const unsigned char*>(copy.from)[i] : 0;
}

}  // namespace gi::emu
