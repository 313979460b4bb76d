// What lanes of a warp do together: __syncwarp, shuffles, votes. Part of emulator.h.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/emu/emulator.h"

namespace gi::emu {

/// Lanes that meet do so for the same kind of operation.
enum class Together { sync, shuffle, vote, matrix };

inline constexpr unsigned kExchanged = 8;  ///< words of 32 bits a lane can give

/// Waits for the lanes of `mask`; each gives `count` words, and may read what all gave, [lane][kExchanged], until its next such
/// operation. Only Together::sync orders memory.
const std::uint32_t* exchange(Together what, unsigned mask, const std::uint32_t* words, unsigned count);

/// Lanes that have a thread.
unsigned lanes_of_warp();

/// The value that lane `from` gives.
template <class Value>
Value shuffle(unsigned mask, const Value& value, unsigned from) {
  static_assert(sizeof(Value) % 4 == 0 && sizeof(Value) <= 4 * kExchanged);
  std::uint32_t words[sizeof(Value) / 4];
  __builtin_memcpy(words, &value, sizeof(Value));
  const std::uint32_t* all = exchange(Together::shuffle, mask, words, sizeof(Value) / 4);
  if (((mask & lanes_of_warp()) >> from & 1u) == 0) fault("a shuffle reads a lane that is not in its mask or has no thread");
  Value result;
  __builtin_memcpy(&result, all + from * kExchanged, sizeof(Value));
  return result;
}

/// The first lane of the segment this one is in.
inline unsigned segment(unsigned lane, int width) {
  if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width)))
    fault("the width of a shuffle is no power of 2 up to 32");
  return lane & ~(static_cast<unsigned>(width) - 1);
}

}  // namespace gi::emu

inline void __syncwarp(unsigned mask = ~0u) { gi::emu::exchange(gi::emu::Together::sync, mask, nullptr, 0); }

template <class Value>
Value __shfl_sync(unsigned mask, Value value, int from, int width = 32) {
  const unsigned first = gi::emu::segment(gi::emu::current.lane, width);
  return gi::emu::shuffle(mask, value, first + (static_cast<unsigned>(from) & (static_cast<unsigned>(width) - 1)));
}
/// Lanes of later segments are out of reach, of earlier ones not.
template <class Value>
Value __shfl_xor_sync(unsigned mask, Value value, int bits, int width = 32) {
  const unsigned lane = gi::emu::current.lane, from = lane ^ static_cast<unsigned>(bits);
  const unsigned end = gi::emu::segment(lane, width) + static_cast<unsigned>(width);
  return gi::emu::shuffle(mask, value, from < end ? from : lane);
}
template <class Value>
Value __shfl_down_sync(unsigned mask, Value value, unsigned step, int width = 32) {
  const unsigned lane = gi::emu::current.lane, left = gi::emu::segment(lane, width) + static_cast<unsigned>(width) - lane;
  return gi::emu::shuffle(mask, value, step < left ? lane + step : lane);
}
template <class Value>
Value __shfl_up_sync(unsigned mask, Value value, unsigned step, int width = 32) {
  const unsigned lane = gi::emu::current.lane;
  return gi::emu::shuffle(mask, value, step <= lane - gi::emu::segment(lane, width) ? lane - step : lane);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const std::uint32_t word = predicate != 0;
  const std::uint32_t* all = gi::emu::exchange(gi::emu::Together::vote, mask, &word, 1);
  mask &= gi::emu::lanes_of_warp();
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1u) != 0) result |= all[lane * gi::emu::kExchanged] << lane;
  return result;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }
