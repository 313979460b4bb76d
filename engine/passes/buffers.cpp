#include "engine/passes/buffers.h"

#include <algorithm>
#include <numeric>

namespace gi::passes {

Placement place(const std::vector<Lifetime>& values, std::size_t alignment) {
  const auto rounded = [alignment](std::size_t n) { return (n + alignment - 1) / alignment * alignment; };
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return values[a].bytes > values[b].bytes; });

  Placement result{std::vector<std::size_t>(values.size(), 0), 0};
  std::vector<std::size_t> placed;  // by rising offset
  for (std::size_t v : order) {
    std::size_t offset = 0;
    for (std::size_t other : placed) {
      if (values[other].last < values[v].first || values[v].last < values[other].first) continue;
      if (offset + rounded(values[v].bytes) <= result.offsets[other]) break;
      offset = std::max(offset, result.offsets[other] + rounded(values[other].bytes));
    }
    result.offsets[v] = offset;
    result.bytes = std::max(result.bytes, offset + rounded(values[v].bytes));
    placed.insert(std::ranges::upper_bound(placed, offset, {}, [&](std::size_t p) { return result.offsets[p]; }), v);
  }
  return result;
}

}  // namespace gi::passes
