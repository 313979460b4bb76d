// Who runs next. A thread gets a fiber when its turn first comes and gives it back at its end; from its waits it goes straight to
// the next thread. The stack of launch() is come back to when nobody can go on: the block is done, stuck, or at fault.
#include "kernels/emu/scheduler.h"

#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>

#include "kernels/emu/fiber.h"
#include "kernels/emu/sanitizers.h"

namespace gi::emu {

constinit Current current{};
Block block;

namespace {

// A race is seen between two fibers, not within one. So idle fibers wait in line, more than a block needs: the same thread of the
// next block is another fiber.
constexpr unsigned kSpare = kSeesRaces ? 37 : 0;
constexpr unsigned kMaxFibers = kMaxThreads + kSpare;

struct Fault {
  const char* what;
  bool of_thread;
  uint3 thread;
  Place here, there;
};

Fiber main_fiber, fibers[kMaxFibers];
unsigned fiber_count, idle[kMaxFibers], idle_first, idle_count;
unsigned ready[kMaxThreads], ready_first, ready_count;
unsigned running;
Fault found;
void (*body)(void*);
void* argument;
std::uint64_t random_state;
char launched, ended, fences;  // tokens

std::uint64_t random() {  // xorshift64*, Vigna 2016
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 0x2545f4914f6cdd1dull;
}

void set_current(unsigned thread) {
  running = thread;
  current.thread = block.thread[thread].index;
  current.lane = block.thread[thread].lane;
}

void run_threads() noexcept;

void take_idle_fiber(Thread& thread) {
  if (idle_count == 0) {
    if (fiber_count == kMaxFibers || !create(fibers[fiber_count], run_threads)) {
      found = {"no memory for the stack of a thread", false, {}, {}, {}};
      return;
    }
    idle[(idle_first + idle_count++) % kMaxFibers] = fiber_count++;
  }
  // The first of the line, or the last that ran, whose stack is in the cache.
  const unsigned at = kSeesRaces ? idle_first++ : idle_first + idle_count - 1;
  thread.fiber = static_cast<int>(idle[at % kMaxFibers]);
  --idle_count;
}

/// Makes the next thread the running one; its fiber, or launch()'s.
Fiber& next() {
  if (ready_count == 0 || found.what != nullptr) return main_fiber;
  if (config().order == Order::shuffled) {
    unsigned& any = ready[(ready_first + random() % ready_count) % kMaxThreads];
    const unsigned chosen = any;
    any = ready[ready_first % kMaxThreads];
    ready[ready_first % kMaxThreads] = chosen;
  }
  set_current(ready[ready_first++ % kMaxThreads]);
  --ready_count;
  Thread& thread = block.thread[running];
  if (thread.fiber < 0) take_idle_fiber(thread);
  return thread.fiber < 0 ? main_fiber : fibers[thread.fiber];
}

void end_thread() {
  --block.live;
  const char* what = end_thread_copies();
  if (what == nullptr) what = end_thread_in_warp();
  if (what == nullptr && threads_wait_at_barrier()) what = "a thread ends while others wait at __syncthreads";
  if (what != nullptr) fault(what);
  release(&ended);
}

/// What a fiber does: one thread after another. noexcept, as no exception can leave its stack.
void run_threads() noexcept {
  arrived_first();
  for (;;) {
    const auto mine = static_cast<unsigned>(block.thread[running].fiber);
    acquire(&launched);
    body(argument);
    end_thread();
    idle[(idle_first + idle_count++) % kMaxFibers] = mine;
    Fiber& to = next();
    if (&to != &fibers[mine]) switch_to(fibers[mine], to);
  }
}

std::string words(Place place) {
  const std::string file = place.file;
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(place.line);
}
std::string words(uint3 index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

[[noreturn]] void throw_found() {
  std::string message = "emulated kernel, block " + words(current.block);
  if (found.of_thread) message += ", thread " + words(found.thread);
  message += std::string(": ") + found.what;
  if (found.here.file != nullptr) message += ", " + words(found.here) + " and " + words(found.there);
  throw std::runtime_error(message);
}

void run_block(uint3 index, std::size_t dynamic_bytes) {
  current.block = index;
  ++block.number;
  block.live = block.threads;
  ready_first = ready_count = 0;
  found.what = begin_shared_memory(dynamic_bytes);
  found.of_thread = false;
  found.here = found.there = {};
  begin_barriers();
  begin_warps();
  begin_copies();
  for (unsigned i = 0; i < block.threads; ++i) {
    const unsigned t = in_reverse() ? block.threads - 1 - i : i;
    block.thread[t].fiber = block.thread[t].exchange = -1;
    make_ready(t);
  }
  release(&launched);
  if (Fiber& first = next(); &first != &main_fiber) switch_to(main_fiber, first);
  if (found.what == nullptr && block.live > 0)
    found.what = "the threads left wait for one another, some at __syncthreads and some for lanes of their warps";
  if (found.what == nullptr) found.what = end_shared_memory();
  if (found.what == nullptr) return;
  while (fiber_count > 0) destroy(fibers[--fiber_count]);  // with the threads that stand on them
  idle_count = 0;
  throw_found();
}

void check_launch(dim3 grid, dim3 extents) {
  const auto fail = [](const std::string& what) { throw std::runtime_error("emulated launch: " + what); };
  const std::uint64_t threads = std::uint64_t{extents.x} * extents.y * extents.z;
  if (threads == 0 || threads > kMaxThreads || extents.z > 64)
    fail("a block of " + words({extents.x, extents.y, extents.z}) + " threads; at most 1024, and 64 along z");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    fail("a grid of " + words({grid.x, grid.y, grid.z}) + " blocks; at most 2^31 - 1 along x and 65535 along y and z");
}

/// Block `i` of those in order: i, or backwards, or a permutation i -> start + i step, where step and count have no common factor.
struct BlockOrder {
  std::uint64_t count, start = 0, step = 1;
  explicit BlockOrder(std::uint64_t blocks) : count(blocks) {
    if (config().order == Order::forward) return;
    start = config().order == Order::reverse ? count - 1 : random() % count;
    step = config().order == Order::reverse ? count - 1 : random() % count;
    while (std::gcd(step, count) != 1) step = (step + 1) % count;
  }
  std::uint64_t operator()(std::uint64_t i) const {
    return static_cast<std::uint64_t>((start + static_cast<unsigned __int128>(i) * step) % count);
  }
};

}  // namespace

Config& config() {
  static constinit Config config;
  return config;
}

void* block_token(unsigned number) {
  static constinit char tokens[kSeesRaces ? 1024 : 1][kBlockTokens]{};
  return &tokens[kSeesRaces ? block.number % 1024 : 0][number];
}

bool in_reverse() { return config().order == Order::reverse; }
unsigned self() { return running; }
void make_ready(unsigned thread) { ready[(ready_first + ready_count++) % kMaxThreads] = thread; }

void wait() {
  Fiber& mine = fibers[block.thread[running].fiber];
  Fiber& to = next();
  if (&to != &mine) switch_to(mine, to);
}

void fault_at(const char* what, Place here, Place there) {
  found = {what, true, current.thread, here, there};
  switch_to(fibers[block.thread[running].fiber], main_fiber);
  __builtin_unreachable();
}
void fault(const char* what) { fault_at(what, {}, {}); }

void device_fence() {
  release(&fences);
  acquire(&fences);
}

void run_grid(dim3 grid, dim3 extents, std::size_t dynamic_bytes, void (*kernel)(void*), void* call) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  check_launch(grid, extents);
  adopt(main_fiber);
  body = kernel;
  argument = call;
  random_state = (config().seed + 1) * 0x9e3779b97f4a7c15ull | 1;
  current.block_extents = extents;
  current.grid_extents = grid;
  block.threads = extents.x * extents.y * extents.z;
  for (unsigned t = 0; t < block.threads; ++t)
    block.thread[t] = {{t % extents.x, t / extents.x % extents.y, t / (extents.x * extents.y)}, t % 32, t / 32, -1, -1, {}};
  for (unsigned w = 0; w < (block.threads + 31) / 32; ++w) {
    const unsigned lanes = block.threads - w * 32;
    block.warp[w].present = lanes < 32 ? (1u << lanes) - 1 : ~0u;
  }
  while (kSeesRaces && fiber_count < block.threads + kSpare && create(fibers[fiber_count], run_threads))
    idle[(idle_first + idle_count++) % kMaxFibers] = fiber_count++;

  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  const BlockOrder order(blocks);
  for (std::uint64_t i = 0; i < blocks; ++i) {
    const std::uint64_t b = order(i);
    run_block(
        {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y), static_cast<unsigned>(b / grid.x / grid.y)},
        dynamic_bytes);
  }
  acquire(&ended);
}

}  // namespace gi::emu
