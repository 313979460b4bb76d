// Runs one kernel with a bug that only a sanitizer sees: gi_planted_bugs NAME. `gi_planted_bugs NAME right` runs it without.
// Exits 0 if nothing was reported; 2 for an unknown name.
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "tests/emulator/planted_kernels.h"

using namespace gi::kernels::GI_DEVICE;

namespace {

template <class... Parameters, class... Values>
void run(bool planted, void (*wrong)(Parameters...), void (*right)(Parameters...), dim3 grid, unsigned threads, std::size_t shared,
         Values... values) {
  launch({}, planted ? wrong : right, grid, dim3(threads), shared, values...);
}

#define GI_PAIR(kernel) kernel<true>, kernel<false>

using Run = std::function<void(bool planted, const float* x, float* y)>;

int count = 0;

const std::map<std::string, Run> kBugs{
    // AddressSanitizer
    {"read_past_end", [](bool p, const float* x, float* y) { run(p, GI_PAIR(read_past_end), 1, 64, 0, x, y); }},
    {"write_before_begin", [](bool p, const float*, float* y) { run(p, GI_PAIR(write_before_begin), 1, 64, 0, y); }},
    {"shared_past_end", [](bool p, const float*, float* y) { run(p, GI_PAIR(shared_past_end), 1, 64, 0, y); }},
    {"shared_write_past_end", [](bool p, const float*, float* y) { run(p, GI_PAIR(shared_write_past_end), 1, 64, 0, y); }},
    {"dynamic_past_end", [](bool p, const float*, float* y) { run(p, GI_PAIR(dynamic_past_end), 1, 64, 64 * 4, y); }},
    {"copy_past_end", [](bool p, const float* x, float* y) { run(p, GI_PAIR(copy_past_end), 1, 16, 64 * 4, x + 4, y); }},
    // UndefinedBehaviorSanitizer
    {"index_overflow", [](bool p, const float*, float* y) { run(p, GI_PAIR(index_overflow), 1, 64, 0, y, 40000); }},
    {"misaligned_vector", [](bool p, const float* x, float* y) { run(p, GI_PAIR(misaligned_vector), 1, 1, 0, x, y); }},
    {"misaligned_shared_vector", [](bool p, const float*, float* y) { run(p, GI_PAIR(misaligned_shared_vector), 1, 64, 0, y); }},
    // ThreadSanitizer
    {"missing_syncthreads", [](bool p, const float* x, float* y) { run(p, GI_PAIR(missing_syncthreads), 1, 64, 0, x, y); }},
    {"missing_second_syncthreads",
     [](bool p, const float* x, float* y) { run(p, GI_PAIR(missing_second_syncthreads), 1, 64, 0, x, y); }},
    {"missing_syncwarp", [](bool p, const float* x, float* y) { run(p, GI_PAIR(missing_syncwarp), 1, 32, 0, x, y); }},
    {"shuffle_for_syncwarp", [](bool p, const float* x, float* y) { run(p, GI_PAIR(shuffle_for_syncwarp), 1, 32, 0, x, y); }},
    {"race_in_block", [](bool p, const float*, float* y) { run(p, GI_PAIR(race_in_block), 1, 64, 0, y); }},
    {"race_between_blocks", [](bool p, const float*, float*) { run(p, GI_PAIR(race_between_blocks), 4, 1, 0, &count); }},
    {"race_behind_barriers", [](bool p, const float*, float* y) { run(p, GI_PAIR(race_behind_barriers), 2, 32, 0, y); }},
    {"missing_fence", [](bool p, const float* x, float* y) { run(p, GI_PAIR(missing_fence), 4, 32, 0, x, y + 8, &count, y); }},
    {"copy_without_barrier", [](bool p, const float* x, float* y) { run(p, GI_PAIR(copy_without_barrier), 1, 64, 0, x, y); }},
};

}  // namespace

int main(int argc, char** argv) {
  const auto found = argc < 2 ? kBugs.end() : kBugs.find(argv[1]);
  if (found == kBugs.end()) return 2;
  const auto x = std::make_unique<float[]>(64), y = std::make_unique<float[]>(64);
  // Twice: a launch must not be taken for a race with the one before.
  for (int round = 0; round < 2; ++round) {
    count = 0;
    found->second(argc < 3, x.get(), y.get());
  }
  return 0;
}
