// The block under way and its threads. Only for kernels/emu/*.cpp.
#pragma once

#include <cstdint>

#include "kernels/emu/emulator.h"
#include "kernels/emu/ptx.h"

namespace gi::emu {

inline constexpr unsigned kMaxThreads = 1024, kMaxWarps = kMaxThreads / 32;

struct Place {
  const char* file = nullptr;
  int line = 0;
};

struct Thread {
  uint3 index;
  unsigned lane, warp;
  int fiber;     ///< -1: not begun
  int exchange;  ///< of its warp, that it may still read; or -1
  Place barrier;
};

struct Warp {
  unsigned present, live;  ///< lanes that have a thread, and one that has not ended
};

struct Block {
  std::uint64_t number;  ///< counted through all launches, from 1
  unsigned threads, live;
  Thread thread[kMaxThreads];
  Warp warp[kMaxWarps];
};
extern Block block;

/// What threads of the block wait with, for ThreadSanitizer: numbers below kBlockTokens. Each of a thousand blocks in turn has its
/// own, so that one block's barriers do not order it after another.
inline constexpr unsigned kExchanges = 33;  ///< every lane of a warp can hold one, and one more is wanted
inline constexpr unsigned kBarrierTokens = 0, kFenceToken = 2, kWarpTokens = 3, kBlockTokens = kWarpTokens + kMaxWarps * kExchanges;
void* block_token(unsigned number);

bool in_reverse();
/// The running thread.
unsigned self();
/// Puts a thread behind those that can go on.
void make_ready(unsigned thread);
/// Lets others go on. Returns after make_ready(self()).
void wait();
/// fault(), where two places meet that must not.
[[noreturn]] void fault_at(const char* what, Place here, Place there);

// barriers.cpp, warps.cpp, async_copies.cpp and shared_memory.cpp at the ends of blocks and of threads. What is not null is a
// fault.
void begin_barriers();
void begin_warps();
const char* end_thread_in_warp();
void begin_copies();
const char* end_thread_copies();
const char* begin_shared_memory(std::size_t dynamic_bytes);
const char* end_shared_memory();
bool threads_wait_at_barrier();

}  // namespace gi::emu
