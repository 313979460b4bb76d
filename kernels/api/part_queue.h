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

 private:
  struct alignas(64) Share {
    std::atomic<std::int64_t> next{0};
    std::int64_t last = 0;
  };
  static bool take(Share& share, std::int64_t numerator, std::int64_t denominator, std::int64_t& first, std::int64_t& last);

  std::vector<Share> shares_;
};

}  // namespace gi::kernels
