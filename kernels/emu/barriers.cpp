// __syncthreads and its votes: the last thread that arrives makes all ready, itself behind the others.
#include <cstring>

#include "kernels/emu/sanitizers.h"
#include "kernels/emu/scheduler.h"

namespace gi::emu {

namespace {

unsigned arrived;
// Of barriers in turn: a thread may come from one while others are at the next.
unsigned turn;
int votes[2];

bool same(Place a, Place b) { return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0); }

}  // namespace

void begin_barriers() {
  arrived = turn = 0;
  votes[0] = votes[1] = 0;
}

bool threads_wait_at_barrier() { return arrived > 0; }

int block_barrier(bool predicate, const char* file, int line) {
  const unsigned mine = turn;
  const Place here{file, line};
  if (block.live != block.threads) fault("__syncthreads after threads of the block have ended");
  block.thread[self()].barrier = here;
  votes[mine] += predicate ? 1 : 0;
  release(block_token(kBarrierTokens + mine));
  if (++arrived == block.threads) {
    for (unsigned t = 0; t < block.threads; ++t)
      if (!same(block.thread[t].barrier, here))
        fault_at("threads of a block wait at different barriers", block.thread[t].barrier, here);
    arrived = 0;
    turn = 1 - turn;
    votes[turn] = 0;
    for (unsigned i = 0; i < block.threads; ++i) make_ready(in_reverse() ? block.threads - 1 - i : i);
  }
  wait();
  acquire(block_token(kBarrierTokens + mine));
  return votes[mine];
}

void block_fence() {
  release(block_token(kFenceToken));
  acquire(block_token(kFenceToken));
}

}  // namespace gi::emu
