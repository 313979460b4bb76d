// Every thread does its share, once a round, however the rounds follow one another.
#include "engine/exec/thread_pool.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <vector>

using gi::ThreadPool;

TEST_CASE("a pool runs every thread once a round", "[unit]") {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    std::vector<int> rounds(static_cast<std::size_t>(threads), 0);
    for (int round = 1; round <= 500; ++round) {
      pool.run([&](int thread) { ++rounds[static_cast<std::size_t>(thread)]; });
      for (const int done : rounds) REQUIRE(done == round);
    }
  }
}

TEST_CASE("the threads of workers that are through are the others'", "[unit]") {
  gi::ThreadShares shares(7, 3);
  for (const int each : {2, 3, 7, 7}) {
    CHECK(shares.each() == each);
    shares.leave();
  }
}

TEST_CASE("a pool wakes up after a pause, and ends without having worked", "[unit]") {
  ThreadPool idle(3);
  ThreadPool pool(3);
  std::atomic<int> calls = 0;
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the others have gone to sleep
    pool.run([&](int) { ++calls; });
  }
  CHECK(calls == 9);
}
