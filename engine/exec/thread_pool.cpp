#include "engine/exec/thread_pool.h"

namespace gi {
namespace {

/// Looks at a condition before a thread gives its processor away: some 50 microseconds.
constexpr int kSpins = 4000;

void rest() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) others_.emplace_back([this, i] { serve(i); });
}

ThreadPool::~ThreadPool() {
  if (!others_.empty()) start(nullptr, nullptr);
}

void ThreadPool::start(Call call, const void* work) {
  call_ = call;
  work_ = work;
  busy_.store(static_cast<int>(others_.size()), std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  if (call == nullptr) return;
  call(work, 0);
  for (int spins = 0; busy_.load(std::memory_order_acquire) > 0;) {
    rest();
    if (++spins % kSpins == 0) std::this_thread::yield();
  }
}

void ThreadPool::serve(int thread) {
  for (std::uint32_t seen = 0;;) {
    for (int spins = 0; round_.load(std::memory_order_acquire) == seen;) {
      rest();
      if (++spins == kSpins) round_.wait(seen, std::memory_order_acquire);
    }
    ++seen;
    if (call_ == nullptr) return;
    call_(work_, thread);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace gi
