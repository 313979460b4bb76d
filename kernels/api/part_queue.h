// Who does which part of a kernel's work: threads have even shares, and one that is through takes over what others have left.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace gi::kernels {

/// The parts [0, count) of one call of a kernel by several threads. Any thread may take any part; a thread's first ones are those
/// of its share, the same in every call, whose operands its caches may still have.
class PartQueue {
 public:
  explicit PartQueue(int threads) : shares_(static_cast<std::size_t>(threads)) {}

  /// Hands out [first, last) from now on. Not while others take.
  void start(std::int64_t first, std::int64_t last);
  /// The next run of parts for a thread: half of what is left of its share or, where all of that is taken and `helps`, some of
  /// another's. All of its share at once where it does not help. False: there is nothing left.
  bool take(int thread, bool helps, std::int64_t& first, std::int64_t& last);
  /// make(piece) for all pieces [0, count) of what every part needs, each by one of the threads that come before they take parts;
  /// returns when all are made. Once a call.
  template <class Make>
  void beforehand(std::int64_t count, Make make) {
    for (std::int64_t piece; (piece = handed_.fetch_add(1, std::memory_order_relaxed)) < count;) {
      make(piece);
      made_.fetch_add(1, std::memory_order_release);
    }
    await(count);
  }

 private:
  struct alignas(64) Share {
    std::atomic<std::int64_t> next{0};
    std::int64_t last = 0;
  };
  void await(std::int64_t made) const;
  static bool take(Share& share, std::int64_t numerator, std::int64_t denominator, std::int64_t& first, std::int64_t& last);

  std::vector<Share> shares_;
  alignas(64) std::atomic<std::int64_t> handed_{0};
  std::atomic<std::int64_t> made_{0};
};

}  // namespace gi::kernels
