#include "kernels/common/amx.h"

#if defined(GI_AVX512) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace gi::kernels::GI_ISA {

#if defined(GI_AVX512)

namespace {

/// Whether the processor has tiles, bf16 in them and in vectors, and the system lets this process use them. It has to be asked:
/// the tiles are eight KiB more to save with every thread.
bool allowed() {
#if defined(__linux__)
  constexpr unsigned kTile = 1u << 24, kTileBf16 = 1u << 22, kVectorBf16 = 1u << 5;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kTile) == 0 || (d & kTileBf16) == 0) return false;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & kVectorBf16) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// Compilers know nothing of what tile instructions read and write: hence the clobbers of memory.
template <int Tile>
void load(const std::byte* from, std::int64_t row) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row), "i"(Tile) : "memory");
}
template <int Tile>
void store(std::byte* to, std::int64_t row) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row), "i"(Tile) : "memory");
}
template <int Tile>
void clear() {
  asm volatile("tilezero %%tmm%c0" ::"i"(Tile));
}
/// Tile Sum += A B.
template <int Sum, int A, int B>
void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sum), "i"(A), "i"(B));
}

constexpr int kA = 4, kB = 6;  // tiles 0 to 3 are sums

template <int R, int Q>
void multiply_all() {
  multiply_tiles<0, kA, kB>();
  if constexpr (Q > 1) multiply_tiles<1, kA, kB + 1>();
  if constexpr (R > 1) multiply_tiles<2, kA + 1, kB>();
  if constexpr (R > 1 && Q > 1) multiply_tiles<3, kA + 1, kB + 1>();
}

/// R x Q tiles of sums.
template <int R, int Q>
void run(const AmxJob& job, const std::byte* a_hi, const std::byte* a_lo, const std::byte* b_hi, const std::byte* b_lo,
         float* out) {
  const std::int64_t out_row = job.out_row * static_cast<std::int64_t>(sizeof(float));
  const auto place = [&](int r, int q) { return reinterpret_cast<std::byte*>(out + r * job.out_tile + q * job.out_column); };
  if (job.accumulate) {
    load<0>(place(0, 0), out_row);
    if constexpr (Q > 1) load<1>(place(0, 1), out_row);
    if constexpr (R > 1) load<2>(place(1, 0), out_row);
    if constexpr (R > 1 && Q > 1) load<3>(place(1, 1), out_row);
  } else {
    clear<0>(), clear<1>(), clear<2>(), clear<3>();
  }
  const auto load_a = [&](const std::byte* a) {
    load<kA>(a, job.a_row);
    if constexpr (R > 1) load<kA + 1>(a + job.a_tile, job.a_row);
  };
  const auto load_b = [&](const std::byte* b) {
    load<kB>(b, job.b_row);
    if constexpr (Q > 1) load<kB + 1>(b + job.b_tile, job.b_row);
  };
  for (const AmxStep *step = job.steps, *end = step + job.step_count; step != end; ++step) {
    load_a(a_hi + step->a);
    load_b(b_lo + step->b);
    multiply_all<R, Q>();
    load_b(b_hi + step->b);
    multiply_all<R, Q>();
    load_a(a_lo + step->a);
    multiply_all<R, Q>();
  }
  store<0>(place(0, 0), out_row);
  if constexpr (Q > 1) store<1>(place(0, 1), out_row);
  if constexpr (R > 1) store<2>(place(1, 0), out_row);
  if constexpr (R > 1 && Q > 1) store<3>(place(1, 1), out_row);
}

struct alignas(64) TileShapes {
  unsigned char palette = 1, start = 0, reserved[14] = {};
  unsigned short row_bytes[16] = {};
  unsigned char rows[16] = {};
};

}  // namespace

bool has_amx() {
  static const bool is_allowed = allowed();
  return is_allowed;
}

AmxTiles::AmxTiles() {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.row_bytes[tile] = kAmxRowBytes, shapes.rows[tile] = kAmxRows;
  asm volatile("ldtilecfg %0" ::"m"(shapes));
}
AmxTiles::~AmxTiles() { asm volatile("tilerelease"); }

void AmxTiles::multiply(const AmxJob& job, std::int64_t tiles, std::int64_t columns) const {
  for (std::int64_t q = 0; q < columns; q += 2)
    for (std::int64_t r = 0; r < tiles; r += 2) {
      const std::byte *const a_hi = job.a_hi + r * job.a_tile, *const a_lo = job.a_lo + r * job.a_tile;
      const std::byte *const b_hi = job.b_hi + q * job.b_tile, *const b_lo = job.b_lo + q * job.b_tile;
      float* const out = job.out + r * job.out_tile + q * job.out_column;
      const bool rows = r + 1 < tiles, wide = q + 1 < columns;
      if (rows) (wide ? run<2, 2> : run<2, 1>)(job, a_hi, a_lo, b_hi, b_lo, out);
      else (wide ? run<1, 2> : run<1, 1>)(job, a_hi, a_lo, b_hi, b_lo, out);
    }
}

double amx_products(std::int64_t rounds) {
  constexpr std::int64_t kProducts = 32, kFlops = 2 * kAmxRows * kAmxRows * kAmxTerms;
  const AmxTiles tiles;
  clear<0>(), clear<1>(), clear<2>(), clear<3>(), clear<kA>(), clear<kA + 1>(), clear<kB>(), clear<kB + 1>();
  for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 8
    for (std::int64_t i = 0; i < kProducts / 4; ++i) multiply_all<2, 2>();
  return static_cast<double>(kProducts * kFlops * rounds);
}

void split_columns(const float* from, std::int64_t step, std::int64_t count, std::int64_t columns, Halves to, std::int64_t row) {
  for (std::int64_t j = 0; j < columns; j += 16) {
    Vector<float> half[2][16];
    for (int h = 0; h < 2; ++h) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i)
        half[h][i] = 16 * h + i < count ? load_some(from + (16 * h + i) * step + j, columns - j) : Vector<float>{};
      turn(half[h]);
    }
    for (std::int64_t i = 0; i < at_most(16, columns - j); ++i) to.put((j + i) * row, split_row(half[0][i], half[1][i]));
  }
}

void split_rows_turned(const float* from, std::int64_t step, std::int64_t rows, std::int64_t count, Halves to, std::int64_t row) {
  Vector<float> hi[16], lo[16];
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j) {
    const float* const at = from + j * step;
    const std::int64_t there = j < rows ? count : 0;
    const Bf16Halves halves = split_row(load_some(at, there), load_some(at + 16, there - 16));
    hi[j] = reinterpret_cast<Vector<float>>(halves.hi), lo[j] = reinterpret_cast<Vector<float>>(halves.lo);
  }
  turn(hi);
  turn(lo);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) to.put(i * row, {reinterpret_cast<Bf16>(hi[i]), reinterpret_cast<Bf16>(lo[i])});
}

#endif

}  // namespace gi::kernels::GI_ISA
