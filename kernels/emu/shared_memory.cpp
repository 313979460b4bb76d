// The shared memory of a block: the dynamic part, and behind it each static variable at its first use, with zones between.
//
// All of it is 0xff at first, a NaN in every type; zones must stay so. AddressSanitizer knows that nothing is there.
#include <sys/mman.h>

#include "kernels/emu/sanitizers.h"
#include "kernels/emu/scheduler.h"

namespace gi::emu {

namespace {

constexpr std::size_t kZone = 384, kArena = 1024 * 1024, kMostStatic = 48 * 1024, kMost = 227 * 1024, kMaxVariables = 256;
constexpr unsigned char kFill = 0xff;

unsigned char* arena;
std::size_t used;  // bytes up to the end of the last variable; a zone follows
std::size_t static_bytes, dynamic_bytes;
struct Extent {
  std::size_t begin, end;
};
Extent variables[kMaxVariables];
unsigned variable_count;

void* map(void* at, std::size_t bytes, int flags) {
  return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

unsigned char* add_variable(std::size_t begin, std::size_t bytes) {
  unpoison(arena + begin, bytes);
  if constexpr (kPoisons) fill(arena + begin, kFill, bytes);
  else fill(arena + used, kFill, begin - used + bytes + kZone);
  used = begin + bytes;
  variables[variable_count++] = {begin, used};
  return arena + begin;
}

bool intact(std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i)
    if (arena[i] != kFill) return false;
  return true;
}

}  // namespace

const char* begin_shared_memory(std::size_t bytes) {
  if (bytes > kMost) return "more than 227 KiB of shared memory";
  if (arena == nullptr) {
    void* memory = map(nullptr, kArena, 0);
    if (memory == MAP_FAILED) return "no memory for shared memory";
    arena = static_cast<unsigned char*>(memory);
    poison(arena, kArena);
  }
  // Mapped anew, what the last block did there is forgotten: blocks have the place in common, not the memory.
  if (kSeesRaces && map(arena, used + kZone, MAP_FIXED) == MAP_FAILED) return "no memory for shared memory";
  poison(arena, used + kZone);
  used = 0;
  variable_count = 0;
  static_bytes = 0;
  dynamic_bytes = bytes;
  current.dynamic_shared = add_variable(kZone, bytes);
  return nullptr;
}

void* shared_in_block(SharedVariable& variable, std::size_t bytes, std::size_t alignment) {
  if (variable.block == block.number) return variable.data;
  static_bytes += bytes;
  if (static_bytes > kMostStatic) fault("more than 48 KiB of static shared memory");
  if (static_bytes + dynamic_bytes > kMost) fault("more than 227 KiB of shared memory");
  if (variable_count == kMaxVariables) fault("more than 255 shared variables, all the emulator has room for");
  // Aligned as the type demands and to no more, as nvcc may do.
  const std::size_t coarse = alignment < 16 ? 32 : 2 * alignment, past_zone = used + kZone;
  variable.data = add_variable((past_zone + coarse - 1) / coarse * coarse + alignment, bytes);
  variable.block = block.number;
  return variable.data;
}

const char* end_shared_memory() {
  if (kPoisons) return nullptr;
  std::size_t zone = 0;
  for (unsigned i = 0; i <= variable_count; ++i) {
    if (!intact(zone, i < variable_count ? variables[i].begin : used + kZone))
      return "shared memory is written where no variable is";
    if (i < variable_count) zone = variables[i].end;
  }
  return nullptr;
}

}  // namespace gi::emu
