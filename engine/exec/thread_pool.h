// Threads that share the steps of one Workspace.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace gi {

/// `threads` threads, the caller's among them, that take up work within a fraction of a microsecond: between calls they spin for
/// a while and then sleep. One caller at a time.
class ThreadPool {
 public:
  /// Errors std::system_error: no more threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(others_.size()) + 1; }

  /// work(i) for every thread i < threads(), side by side; returns when all have. `work` must not throw.
  template <class Work>
  void run(const Work& work) {
    start([](const void* w, int thread) { (*static_cast<const Work*>(w))(thread); }, &work);
  }

 private:
  using Call = void (*)(const void* work, int thread);
  void start(Call call, const void* work);
  void serve(int thread);

  Call call_ = nullptr;
  const void* work_ = nullptr;
  std::atomic<std::uint32_t> round_{0};  // raised when there is work; its last round has no call
  std::atomic<int> busy_{0};
  std::vector<std::jthread> others_;
};

/// How many threads each of several workers may use, which take pieces of work one by one until there are none: the threads of one
/// that is through are the others'.
class ThreadShares {
 public:
  ThreadShares(int threads, int workers) : threads_(threads), workers_(workers) {}
  int each() const { return threads_ / std::max(workers_.load(std::memory_order_relaxed), 1); }
  /// Of a worker that is through.
  void leave() { workers_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  const int threads_;
  std::atomic<int> workers_;
};

}  // namespace gi
