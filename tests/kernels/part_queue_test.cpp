// Every part is handed out once, whoever comes first and however often.
#include "kernels/api/part_queue.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

using gi::kernels::PartQueue;

namespace {

struct Run {
  bool there;
  std::int64_t first, last;
  bool operator==(const Run&) const = default;
};

Run take(PartQueue& queue, int thread, bool helps = true) {
  Run run{};
  run.there = queue.take(thread, helps, run.first, run.last);
  return run;
}

constexpr Run kNone{false, 0, 0};

}  // namespace

TEST_CASE("a thread takes its share in halves and then what others have left", "[unit]") {
  PartQueue queue(2);
  queue.start(0, 16);
  CHECK(take(queue, 1) == Run{true, 8, 12});
  CHECK(take(queue, 0) == Run{true, 0, 4});
  CHECK(take(queue, 0) == Run{true, 4, 6});
  CHECK(take(queue, 0) == Run{true, 6, 7});
  CHECK(take(queue, 0) == Run{true, 7, 8});
  CHECK(take(queue, 0) == Run{true, 12, 14});  // the other's
  CHECK(take(queue, 1) == Run{true, 14, 15});
  CHECK(take(queue, 0) == Run{true, 15, 16});
  CHECK(take(queue, 0) == kNone);
  CHECK(take(queue, 1) == kNone);
  queue.start(3, 4);  // fewer parts than threads
  CHECK(take(queue, 0) == Run{true, 3, 4});
  CHECK(take(queue, 1) == kNone);
}

TEST_CASE("a thread that does not help takes its share in one run", "[unit]") {
  PartQueue queue(3);
  queue.start(0, 10);
  CHECK(take(queue, 1, false) == Run{true, 3, 6});
  CHECK(take(queue, 1, false) == kNone);
  CHECK(take(queue, 2, false) == Run{true, 6, 10});
  CHECK(take(queue, 0, false) == Run{true, 0, 3});
}

TEST_CASE("what parts need is there before any is taken, whoever made it", "[unit]") {
  constexpr int kThreads = 4;
  constexpr std::int64_t kPieces = 100;
  PartQueue queue(kThreads);
  for (int round = 0; round < 50; ++round) {
    queue.start(0, kThreads);
    std::vector<int> made(kPieces, 0), seen(kThreads, 0);  // to read a piece before it is made would be a race, too
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&queue, &made, &seen, i] {
          queue.beforehand(kPieces, [&made](std::int64_t piece) { ++made[static_cast<std::size_t>(piece)]; });
          for (const int times : made) seen[static_cast<std::size_t>(i)] += times;
        });
    }
    for (const int times : made) REQUIRE(times == 1);
    for (const int sum : seen) REQUIRE(sum == kPieces);
  }
  // One thread alone does not wait for others.
  queue.start(0, 1);
  std::int64_t pieces = 0;
  queue.beforehand(kPieces, [&pieces](std::int64_t) { ++pieces; });
  CHECK(pieces == kPieces);
}

TEST_CASE("threads that take side by side get every part once", "[unit]") {
  constexpr int kThreads = 4;
  constexpr std::int64_t kParts = 10'000;
  PartQueue queue(kThreads);
  for (int round = 0; round < 20; ++round) {
    queue.start(0, kParts);
    std::vector<int> times(kParts, 0);  // a part that two threads had would be a race, too
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&queue, &times, i] {
          for (std::int64_t first = 0, last = 0; queue.take(i, true, first, last);)
            for (std::int64_t part = first; part < last; ++part) ++times[static_cast<std::size_t>(part)];
        });
    }
    for (const int taken : times) REQUIRE(taken == 1);
  }
}
