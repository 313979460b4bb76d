#include "bench/handover.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <thread>

namespace gi::bench {

double handover_seconds() {
  using Clock = std::chrono::steady_clock;
  constexpr int kTurns = 40'000, kPiece = 4'000;
  constexpr int kLooks = 10'000;
  alignas(64) std::atomic<int> turn{0};
  double least = std::numeric_limits<double>::infinity();  // of pieces: the others were disturbed
  Clock::time_point begin = Clock::now();
  const auto play = [&](int mine) {
    for (; mine < kTurns; mine += 2) {
      for (int looks = 1; turn.load(std::memory_order_acquire) != mine; ++looks)
        if (looks % kLooks == 0) std::this_thread::yield();  // there may be one processor only
      if (mine % kPiece == 0 && mine > 0) {
        const Clock::time_point now = Clock::now();
        least = std::min(least, std::chrono::duration<double>(now - begin).count() / kPiece);
        begin = now;
      }
      turn.store(mine + 1, std::memory_order_release);
    }
  };
  const std::jthread other(play, 1);
  play(0);
  return least;
}

}  // namespace gi::bench
