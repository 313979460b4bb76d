// Copies that threads have started and not waited for, oldest first.
#include "kernels/emu/scheduler.h"

namespace gi::emu {

namespace {

constexpr unsigned kUnderWay = 128;

struct Copies {
  AsyncCopy copy[kUnderWay];
  unsigned first, end, groups;
};
Copies copies[kMaxThreads];

}  // namespace

void begin_copies() {
  for (unsigned t = 0; t < block.threads; ++t) copies[t].first = copies[t].end = copies[t].groups = 0;
}

const char* end_thread_copies() {
  const Copies& mine = copies[self()];
  return mine.first == mine.end ? nullptr : "a thread ends with asynchronous copies that it has not waited for";
}

void start_copy(const AsyncCopy& copy) {
  Copies& mine = copies[self()];
  if (mine.end - mine.first == kUnderWay)
    fault("more than 128 asynchronous copies of one thread under way, all the emulator has room for");
  AsyncCopy& place = mine.copy[mine.end++ % kUnderWay];
  place = copy;
  place.group = mine.groups;
}

void close_copy_group() { ++copies[self()].groups; }

bool next_landing(unsigned pending, AsyncCopy& copy) {
  Copies& mine = copies[self()];
  if (mine.first == mine.end || mine.copy[mine.first % kUnderWay].group + pending >= mine.groups) return false;
  copy = mine.copy[mine.first++ % kUnderWay];
  return true;
}

}  // namespace gi::emu
