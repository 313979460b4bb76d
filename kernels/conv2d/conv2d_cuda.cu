// The convolutions as implicit matrix products (conv2d_index.h): a block makes a tile of the output, its threads up to 8x8 numbers
// each in registers. The terms go by in steps of 16 through two tiles in shared memory, one filled by asynchronous copies that
// gather straight from the image (zeros where a tap falls outside) while the other is multiplied.
//
// The terms may be cut into slices (conv2d_slices.h). Every number of the output is a chain over the terms of a slice, then one
// over the slices; so its bits depend neither on the shape of the tile nor on the number of trials.
//
// A pair of convolutions is one with twice the terms.
#include "kernels/common/cuda_ptx.h"
#include "kernels/common/families_cuda.h"
#include "kernels/conv2d/conv2d_block.h"

namespace gi::kernels::GI_DEVICE {

namespace {

/// Rows by Cols of the output for Threads threads, each with one or two runs of four of both.
template <int Rows, int Cols, int Threads>
struct Tile {
  static constexpr int kRows = Rows, kCols = Cols, kThreads = Threads;
  static constexpr int kRowQuads = Rows * Cols / Threads == 16 ? 1 : 2, kColQuads = Rows * Cols / Threads == 64 ? 2 : 1;
  static constexpr int kAcross = Cols / (4 * kColQuads);  // threads beside each other
  static_assert(kAcross * (Rows / (4 * kRowQuads)) == Threads);
};

template <class Scalar>
struct alignas(16) Quad {
  Scalar v[4];
};

/// RowsFirst: neighbours in a are rows rather than terms.
template <class Scalar, class Tile, ConvOp Op, bool RowsFirst>
__global__ void __launch_bounds__(Tile::kThreads, (sizeof(Scalar) == 4 ? 512 : 256) / Tile::kThreads)
    conv2d_tiles(Conv conv, ConvOperands<Scalar> in, Spread spread, Scalar* out) {
  using Four = Quad<Scalar>;
  GI_SHARED(Four, a_tile, [2][kDepth][Tile::kRows / 4 + 1]);
  GI_SHARED(Four, b_tile, [2][kDepth][Tile::kCols / 4 + 1]);
  GI_SHARED(Place, of_col, [Tile::kCols]);
  GI_SHARED(Place, of_term, [2][kDepth]);
  GI_SHARED(Common<Scalar>, common, [1]);

  const int thread = static_cast<int>(threadIdx.x);
  const BlockPart part = block_part_of<Tile>(conv, spread);
  const int first_col = part.first_col, first_row = part.first_row;
  if (thread == 0) set_up<Op>(*common, conv, in, part);
  __syncthreads();
  const Product& m = common->m;
  if (first_col >= m.cols) return;  // phases differ in size
  out += part.first_slice * spread.all + part.trial * spread.trial + part.group * m.out_group;
  for (int i = thread; i < Tile::kCols; i += Tile::kThreads) of_col[i] = place_of_col(m, first_col + i);
  const int steps_a_slice = (common->steps + spread.slices - 1) / spread.slices;

  // Places of the terms of a step, by the first threads.
  const auto look_up = [&](int step) {
    if (thread < kDepth) of_term[step & 1][thread] = place_of_term(*common, step, thread);
  };
  const auto fetch = [&](int step) {
    const int to = step & 1, pair = step >= common->steps_each;
    const Scalar *const a = common->a[pair], *const b = common->b[pair];
#pragma unroll 4
    for (int pass = 0; pass < Tile::kRows * kDepth / Tile::kThreads; ++pass) {
      const int i = pass * Tile::kThreads + thread;
      const int row = RowsFirst ? i % Tile::kRows : i / kDepth, term = RowsFirst ? i / Tile::kRows : i % kDepth;
      const int at = of_term[to][term].other;
      const bool there = at >= 0 && first_row + row < m.rows;
      copy_async<sizeof(Scalar)>(&a_tile[to][term][row / 4].v[row % 4], a + (there ? (first_row + row) * m.a_row + at : 0),
                                 there ? static_cast<int>(sizeof(Scalar)) : 0);
    }
#pragma unroll 4
    for (int pass = 0; pass < Tile::kCols * kDepth / Tile::kThreads; ++pass) {
      constexpr bool kTermsFirst = Op == ConvOp::grad_weight;  // there the terms are pixels
      const int i = pass * Tile::kThreads + thread;
      const int col = kTermsFirst ? i / kDepth : i % Tile::kCols, term = kTermsFirst ? i % kDepth : i / Tile::kCols;
      const Place c = of_col[col], t = of_term[to][term];
      const bool there = m.inside(c.h + t.h, c.w + t.w);
      copy_async<sizeof(Scalar)>(&b_tile[to][term][col / 4].v[col % 4], b + (there ? c.b + t.b : 0),
                                 there ? static_cast<int>(sizeof(Scalar)) : 0);
    }
  };

  const int x = thread % Tile::kAcross, y = thread / Tile::kAcross;
  constexpr int kI = Tile::kRowQuads, kJ = Tile::kColQuads;
  for (int slice = part.first_slice; slice < part.last_slice; ++slice) {
    const int begin = slice * steps_a_slice, end = begin + steps_a_slice < common->steps ? begin + steps_a_slice : common->steps;
    Scalar sum[kI * 4][kJ * 4] = {};
    __syncthreads();  // the slice before may still be read
    look_up(begin);
    look_up(begin + 1);
    __syncthreads();
    if (begin < end) fetch(begin);
    copy_async_commit();
    for (int step = begin; step < end; ++step) {
      const int from = step & 1;
      copy_async_wait<0>();
      __syncthreads();
      if (step + 1 < end) fetch(step + 1);
      copy_async_commit();
      look_up(step + 2);
#pragma unroll
      for (int term = 0; term < kDepth; ++term) {
        Four a[kI], b[kJ];
#pragma unroll
        for (int i = 0; i < kI; ++i) a[i] = a_tile[from][term][i * (Tile::kRows / 4 / kI) + y];
#pragma unroll
        for (int j = 0; j < kJ; ++j) b[j] = b_tile[from][term][j * Tile::kAcross + x];
#pragma unroll
        for (int i = 0; i < kI * 4; ++i)
#pragma unroll
          for (int j = 0; j < kJ * 4; ++j) sum[i][j] += a[i / 4].v[i % 4] * b[j / 4].v[j % 4];
      }
    }
    const int rows = m.rows, out_row = m.out_row;
#pragma unroll
    for (int j = 0; j < kJ * 4; ++j) {
      const int col = (j / 4 * Tile::kAcross + x) * 4 + j % 4, at = of_col[col].other;
      if (at < 0) continue;
#pragma unroll
      for (int i = 0; i < kI * 4; ++i) {
        const int row = first_row + (i / 4 * (Tile::kRows / 4 / kI) + y) * 4 + i % 4;
        if (row >= rows) continue;
        Scalar& to = out[row * out_row + at];
        to = slice == part.first_slice ? sum[i][j] : to + sum[i][j];
      }
    }
  }
}

template <class Scalar, ConvOp Op>
void run(const Arguments& args) {
  run_product<Scalar, Op>(
      args, [&]<int Rows, int Cols>(TileSize<Rows, Cols>, const Conv& g, const Spread& spread, dim3 blocks, Scalar* to) {
        using OfThreads = Tile<Rows, Cols, 128>;
        auto* kernel = conv2d_tiles<Scalar, OfThreads, Op, false>;
        if constexpr (Op == ConvOp::grad_input)
          if (g.r * g.s == 1) kernel = conv2d_tiles<Scalar, OfThreads, Op, true>;
        launch(args, kernel, blocks, dim3(OfThreads::kThreads), 0, g, operands_of<Scalar>(args), spread, to);
      });
}

template <class Scalar, ConvOp Op>
constexpr Kernel entry(const char* op) {
  return {op, "cuda_tiles", Isa::cuda, kDType<Scalar>, 1, dense_only, scratch_bytes<Scalar, Op>, run<Scalar, Op>};
}

constexpr Kernel kKernels[] = {
    entry<float, ConvOp::forward>("conv2d"),
    entry<double, ConvOp::forward>("conv2d"),
    entry<float, ConvOp::grad_input>("conv2d_grad_input"),
    entry<double, ConvOp::grad_input>("conv2d_grad_input"),
    entry<float, ConvOp::grad_weight>("conv2d_grad_weight"),
    entry<double, ConvOp::grad_weight>("conv2d_grad_weight"),
};

}  // namespace

std::span<const Kernel> conv2d_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
