#include "kernels/api/part_queue.h"

#include <algorithm>
#include <thread>

namespace gi::kernels {
namespace {

/// At what others make, before a thread gives its processor away.
constexpr int kLooks = 10'000;

}  // namespace

void PartQueue::start(std::int64_t first, std::int64_t last) {
  const auto threads = static_cast<std::int64_t>(shares_.size());
  for (std::int64_t i = 0; i < threads; ++i) {
    Share& share = shares_[static_cast<std::size_t>(i)];
    share.next.store(first + (last - first) * i / threads, std::memory_order_relaxed);
    share.last = first + (last - first) * (i + 1) / threads;
  }
  handed_.store(0, std::memory_order_relaxed);
  made_.store(0, std::memory_order_relaxed);
}

void PartQueue::await(std::int64_t made) const {
  // What is left is less than a piece a thread: it pays to sleep only if one of them lost its processor.
  for (int looks = 0; made_.load(std::memory_order_acquire) < made; ++looks)
    if (looks >= kLooks) std::this_thread::yield();
}

bool PartQueue::take(int thread, bool helps, std::int64_t& first, std::int64_t& last) {
  const int threads = static_cast<int>(shares_.size());
  const auto share = [&](int other) -> Share& { return shares_[static_cast<std::size_t>((thread + other) % threads)]; };
  if (!helps) return take(share(0), 1, 1, first, last);
  // The rest may be taken by another, meanwhile.
  if (take(share(0), 1, 2, first, last)) return true;
  for (int other = 1; other < threads; ++other)
    if (take(share(other), 1, 2, first, last)) return true;
  return false;
}

bool PartQueue::take(Share& share, std::int64_t numerator, std::int64_t denominator, std::int64_t& first, std::int64_t& last) {
  std::int64_t next = share.next.load(std::memory_order_relaxed);
  do {
    if (next >= share.last) return false;
    last = next + std::max<std::int64_t>((share.last - next) * numerator / denominator, 1);
  } while (!share.next.compare_exchange_weak(next, last, std::memory_order_relaxed));
  first = next;
  return true;
}

}  // namespace gi::kernels
