// Bugs planted in kernels, and the same kernels without: what every build must notice. For the rest see planted/.
#include <catch2/catch.hpp>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/emulator/planted_kernels.h"

using namespace gi::kernels::GI_DEVICE;

// In these builds the process would end with the report that planted/ waits for.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kBounds = true;
#else
constexpr bool kBounds = false;
#endif
#if defined(__SANITIZE_THREAD__)
constexpr bool kRaces = true;
#else
constexpr bool kRaces = false;
#endif

namespace {

/// The fault that launch() throws, or "".
template <class Kernel, class... Values>
std::string fault_of(Kernel kernel, dim3 grid, dim3 block, std::size_t shared, Values... values) {
  try {
    launch({}, kernel, grid, block, shared, values...);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

struct Numbers {
  std::vector<float> x, y;
  Numbers() : x(64), y(64, 0.0f) {
    for (int i = 0; i < 64; ++i) x[i] = static_cast<float>(i);
  }
};

/// The wrong kernel's fault has these words, in every order; the right one has none before and after it.
template <class Kernel>
void check_fault(Kernel wrong, Kernel right, const std::string& words, unsigned threads = 64) {
  constexpr bool kReads = std::is_invocable_v<Kernel, const float*, float*>;
  in_every_order([&](auto) {
    const auto run = [&](Kernel kernel) {
      Numbers n;
      if constexpr (kReads) return fault_of(kernel, 1, threads, 0, n.x.data(), n.y.data());
      else return fault_of(kernel, 1, threads, 0, n.y.data());
    };
    CHECK(run(right) == "");
    CHECK_THAT(run(wrong), Catch::Contains(words));
    CHECK(run(right) == "");
  });
}

/// In one order at least the wrong kernel's numbers are not those of the right one, which are the same in all.
template <class Kernel>
void check_numbers(Kernel wrong, Kernel right, unsigned threads = 64, std::size_t shared = 0) {
  std::vector<float> expected;
  int differ = 0;
  in_every_order([&](auto) {
    Numbers good, bad;
    CHECK(fault_of(right, 1, threads, shared, good.x.data(), good.y.data()) == "");
    if (expected.empty()) expected = good.y;
    CHECK(good.y == expected);
    CHECK(fault_of(wrong, 1, threads, shared, bad.x.data(), bad.y.data()) == "");
    differ += bad.y != expected;  // NaN is not itself
  });
  CHECK(differ > 0);
}

template <class Kernel>
void check_nan(Kernel wrong, Kernel right, int nans, std::size_t shared = 0) {
  in_every_order([&](auto) {
    for (Kernel kernel : {wrong, right}) {
      Numbers n;
      CHECK(fault_of(kernel, 1, 64, shared, n.x.data(), n.y.data()) == "");
      int found = 0;
      for (int i = 0; i < 64; ++i) {
        if (std::isnan(n.y[i])) ++found;
        else CHECK(n.y[i] == n.x[63 - i]);
      }
      CHECK(found == (kernel == wrong ? nans : 0));
    }
  });
}

}  // namespace

#define GI_PAIR(kernel) kernel<true>, kernel<false>

TEST_CASE("reads of shared memory that nobody wrote are NaN", "[checker]") {
  check_nan(GI_PAIR(uninitialised_shared), 1);
  check_nan(GI_PAIR(uninitialised_dynamic), 1, 64 * sizeof(float));
}

TEST_CASE("asynchronous copies are NaN until a wait that covers them", "[checker]") {
  check_nan(GI_PAIR(weak_async_wait), 64);
  check_nan(GI_PAIR(group_left_open), 64);
  check_fault(GI_PAIR(stale_copy), "asynchronous copies that it has not waited for");
  check_fault(GI_PAIR(misaligned_copy), "misaligned address");
}

TEST_CASE("missing barriers give wrong numbers in some order", "[checker]") {
  if (kRaces) return;
  check_numbers(GI_PAIR(missing_syncthreads));
  check_numbers(GI_PAIR(missing_second_syncthreads));
  check_numbers(GI_PAIR(missing_syncwarp), 32);
  check_numbers(GI_PAIR(copy_without_barrier));
}

TEST_CASE("races in a block depend on the order", "[checker]") {
  if (kRaces) return;
  std::vector<float> seen;
  in_every_order([&](auto) {
    Numbers n;
    CHECK(fault_of(race_in_block<true>, 1, 64, 0, n.y.data()) == "");
    seen.push_back(n.y[0]);
  });
  CHECK(seen[0] == 1);  // the last that wrote
  CHECK(seen[1] == 0);
}

TEST_CASE("divergent barriers and exits under one are faults", "[checker]") {
  check_fault(GI_PAIR(divergent_barrier), "threads of a block wait at different barriers, planted_kernels.h:");
  check_fault(GI_PAIR(barrier_for_some), "a thread ends while others wait at __syncthreads");
  check_fault(GI_PAIR(barrier_against_warp), "the threads left wait for one another");
  // Who is first there to notice depends on the order.
  in_every_order([&](gi::emu::Order order) {
    Numbers n;
    CHECK_THAT(fault_of(exit_before_barrier<true>, 1, 64, 0, n.y.data()),
               order == gi::emu::Order::forward
                   ? Catch::Contains("block (0, 0, 0), thread (3, 0, 0): a thread ends while others wait")
                   : Catch::Contains("__syncthreads"));
    CHECK(fault_of(exit_before_barrier<false>, 1, 64, 0, n.y.data()) == "");
  });
}

TEST_CASE("wrong masks of warp operations are faults", "[checker]") {
  check_fault(GI_PAIR(own_lane_left_out), "by a lane that its mask leaves out");
  check_fault(GI_PAIR(masks_differ), "lanes of a warp operation give different masks");
  check_fault(GI_PAIR(shuffle_from_outside), "a lane that is not in its mask");
  check_fault(GI_PAIR(operations_differ), "lanes of a warp meet in different operations");
  in_every_order([&](gi::emu::Order order) {
    Numbers n;
    const std::string fault = fault_of(shuffle_from_ended<true>, 1, 64, 0, n.y.data());
    if (order == gi::emu::Order::reverse) CHECK_THAT(fault, Catch::Contains("names a thread that has ended"));
    CHECK(fault != "");
    CHECK(fault_of(shuffle_from_ended<false>, 1, 64, 0, n.y.data()) == "");
  });
}

TEST_CASE("too many threads, blocks and bytes are faults", "[checker]") {
  Numbers n;
  const auto fault = [&](dim3 grid, dim3 block, std::size_t shared) {
    return fault_of(
        +[](float*) {}, grid, block, shared, n.y.data());
  };
  CHECK(fault(1, 64, 227 * 1024) == "");
  CHECK(fault(1, dim3(1, 1, 64), 0) == "");
  CHECK_THAT(fault(1, 1025, 0), Catch::Contains("a block of (1025, 1, 1) threads"));
  CHECK_THAT(fault(1, dim3(32, 33), 0), Catch::Contains("a block of (32, 33, 1) threads"));
  CHECK_THAT(fault(1, dim3(1, 1, 65), 0), Catch::Contains("threads"));
  CHECK_THAT(fault(1, 0, 0), Catch::Contains("threads"));
  CHECK_THAT(fault(dim3(1, 65536), 64, 0), Catch::Contains("a grid of (1, 65536, 1) blocks"));
  CHECK_THAT(fault(dim3(1, 1, 65536), 64, 0), Catch::Contains("blocks"));
  CHECK_THAT(fault(0, 64, 0), Catch::Contains("blocks"));
  CHECK_THAT(fault(1, 64, 227 * 1024 + 1), Catch::Contains("more than 227 KiB of shared memory"));
  check_fault(GI_PAIR(too_much_static), "more than 48 KiB of static shared memory");
  CHECK(fault_of(too_much_static<false>, 1, 64, 179 * 1024, n.y.data()) == "");
  CHECK_THAT(fault_of(too_much_static<false>, 1, 64, 179 * 1024 + 1, n.y.data()),
             Catch::Contains("more than 227 KiB of shared memory"));
}

TEST_CASE("what is written between shared variables is a fault", "[checker]") {
  if (kBounds) return;
  check_fault(GI_PAIR(shared_write_past_end), "shared memory is written where no variable is");
}
