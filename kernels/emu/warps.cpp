// Operations of lanes together. Groups of lanes with masks apart may be at different ones, so a warp has several under way; a lane
// keeps what it can read until its next.
#include "kernels/emu/sanitizers.h"
#include "kernels/emu/scheduler.h"

namespace gi::emu {

namespace {

struct Exchange {
  unsigned mask, arrived, readers;
  Together what;
  unsigned count;
};

struct Exchanges {
  int used;  ///< the first so many have ever been
  Exchange of[kExchanges];
  std::uint32_t words[kExchanges][32][kExchanged];
};
Exchanges warps[kMaxWarps];

bool open(const Exchange& e) { return e.readers != 0 && e.arrived != e.mask; }

/// The open exchange with this mask, or a new one.
int find(Exchanges& warp, unsigned mask, Together what, unsigned count, unsigned lane) {
  int unused = -1;
  for (int i = 0; i < warp.used; ++i) {
    const Exchange& e = warp.of[i];
    if (e.readers == 0) {
      unused = i;
    } else if (open(e) && e.mask == mask) {
      if (e.what != what || e.count != count) fault("lanes of a warp meet in different operations");
      return i;
    } else if (open(e) && (e.mask >> lane & 1u) != 0 && (e.arrived & mask) != 0) {
      fault("lanes of a warp operation give different masks");
    }
  }
  if (unused < 0) unused = warp.used++;
  warp.of[unused] = {mask, 0, 0, what, count};
  return unused;
}

}  // namespace

void begin_warps() {
  for (unsigned w = 0; w < (block.threads + 31) / 32; ++w) {
    block.warp[w].live = block.warp[w].present;
    warps[w].used = 0;
  }
}

unsigned lanes_of_warp() { return block.warp[block.thread[self()].warp].present; }

const char* end_thread_in_warp() {
  const Thread& thread = block.thread[self()];
  Exchanges& warp = warps[thread.warp];
  block.warp[thread.warp].live &= ~(1u << thread.lane);
  if (thread.exchange >= 0) --warp.of[thread.exchange].readers;
  for (int i = 0; i < warp.used; ++i)
    if (open(warp.of[i]) && (warp.of[i].mask >> thread.lane & 1u) != 0) return "a thread ends while lanes of its warp wait for it";
  return nullptr;
}

const std::uint32_t* exchange(Together what, unsigned mask, const std::uint32_t* words, unsigned count) {
  const unsigned mine = self();
  Thread& thread = block.thread[mine];
  Exchanges& warp = warps[thread.warp];
  mask &= block.warp[thread.warp].present;
  if ((mask >> thread.lane & 1u) == 0) fault("a warp operation by a lane that its mask leaves out");
  if ((mask & ~block.warp[thread.warp].live) != 0) fault("the mask of a warp operation names a thread that has ended");
  if (thread.exchange >= 0) --warp.of[thread.exchange].readers;
  thread.exchange = find(warp, mask, what, count, thread.lane);
  Exchange& e = warp.of[thread.exchange];
  std::uint32_t(&given)[32][kExchanged] = warp.words[thread.exchange];
  ++e.readers;
  e.arrived |= 1u << thread.lane;
  for (unsigned i = 0; i < count; ++i) given[thread.lane][i] = words[i];
  void* token = block_token(kWarpTokens + thread.warp * kExchanges + static_cast<unsigned>(thread.exchange));
  if (what == Together::sync) release(token);
  if (e.arrived == mask)
    for (unsigned i = 0; i < 32; ++i)
      if (const unsigned lane = in_reverse() ? 31 - i : i; (mask >> lane & 1u) != 0) make_ready(thread.warp * 32 + lane);
  wait();
  if (what == Together::sync) acquire(token);
  return &given[0][0];
}

}  // namespace gi::emu
