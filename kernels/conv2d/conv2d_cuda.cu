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
#include "kernels/conv2d/conv2d_slices.h"

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

__device__ inline int take(int& index, int extent) {
  const int rest = index / extent, taken = index - rest * extent;
  index = rest;
  return taken;
}

/// What the threads of a block have in common. In shared memory, for the registers are full of sums.
template <class Scalar>
struct Common {
  Product m;
  const Scalar *a[2], *b[2];
  int steps_each, steps;  ///< of one of a pair, of both
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

  int index = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int first_col = take(index, spread.col_tiles) * Tile::kCols, first_row = take(index, spread.row_tiles) * Tile::kRows;
  const int group = take(index, conv.groups), phase = take(index, spread.phases);
  const int first_slice = spread.slice_blocks ? take(index, spread.slices) : 0;
  const int last_slice = spread.slice_blocks ? first_slice + 1 : spread.slices;
  const std::int64_t trial = index;

  if (thread == 0) {
    const Product product = product_of<Op>(conv, phase);
    common->m = product;
    for (int pair = 0; pair < 2; ++pair) {
      common->a[pair] = in.a[pair] + trial * in.a_trial[pair] + group * product.a_group;
      common->b[pair] = in.b[pair] + trial * in.b_trial[pair] + group * product.b_group;
    }
    common->steps_each = (product.terms + kDepth - 1) / kDepth;
    common->steps = common->steps_each * in.pairs;
  }
  __syncthreads();
  const Product& m = common->m;
  if (first_col >= m.cols) return;  // phases differ in size
  out += first_slice * spread.all + trial * spread.trial + group * m.out_group;
  for (int i = thread; i < Tile::kCols; i += Tile::kThreads)
    of_col[i] = first_col + i < m.cols ? m.col.at(first_col + i, m.width) : no_place();
  const int steps_a_slice = (common->steps + spread.slices - 1) / spread.slices;

  // Places of the terms of a step, by the first threads.
  const auto look_up = [&](int step) {
    if (thread >= kDepth) return;
    const int term = (step < common->steps_each ? step : step - common->steps_each) * kDepth + thread;
    of_term[step & 1][thread] = step < common->steps && term < m.terms ? m.term.at(term, m.width) : no_place();
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
  for (int slice = first_slice; slice < last_slice; ++slice) {
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
        to = slice == first_slice ? sum[i][j] : to + sum[i][j];
      }
    }
  }
}

template <class Scalar, ConvOp Op>
std::size_t scratch_bytes(const Problem& problem) {
  const Conv g = conv_of<Op>(problem);
  const Spread spread = spread_of<Op>(problem, g, largest_product<Op>(g));
  return spread.slice_blocks ? static_cast<std::size_t>(spread.slices * spread.all) * sizeof(Scalar) : 0;
}

/// Whether the images of all trials may pass for those of one: they meet the same filters and lie one after the other.
template <class Scalar>
bool one_batch(const Arguments& args, const ConvOperands<Scalar>& in) {
  for (int i = 0; i < in.pairs; ++i)
    if (in.a_trial[i] != 0 || in.b_trial[i] != args.in[static_cast<std::size_t>(2 * i)].count_per_block()) return false;
  return true;
}

template <class Scalar, class Tile, ConvOp Op>
void run_tiles(const Arguments& args, const Conv& g, const Product& m, Spread spread, std::int64_t copies) {
  spread.row_tiles = static_cast<int>(ceil_div(m.rows, Tile::kRows));
  spread.col_tiles = static_cast<int>(ceil_div(m.cols, Tile::kCols));
  const std::int64_t blocks = copies * spread.phases * g.groups * spread.row_tiles * spread.col_tiles;
  Scalar* const out = args.out[0].as<Scalar>();
  Scalar* const to = spread.slice_blocks ? reinterpret_cast<Scalar*>(args.scratch) : out;
  auto* kernel = conv2d_tiles<Scalar, Tile, Op, false>;
  if constexpr (Op == ConvOp::grad_input)
    if (g.r * g.s == 1) kernel = conv2d_tiles<Scalar, Tile, Op, true>;
  launch(args, kernel, dim3(static_cast<unsigned>(blocks)), dim3(Tile::kThreads), 0, g, operands_of<Scalar>(args), spread, to);
  if (spread.slice_blocks)
    launch(args, conv2d_add_slices<Scalar>, dim3(static_cast<unsigned>(ceil_div(spread.all, kAddThreads))), dim3(kAddThreads), 0,
           to, spread.slices, spread.all, out);
}

template <class Scalar, ConvOp Op>
void run(const Arguments& args) {
  Conv g = conv_of<Op>(args);
  const Spread spread = spread_of<Op>(args, g, largest_product<Op>(g));
  std::int64_t trials = args.out[0].dims[0];
  if (Op != ConvOp::grad_weight && one_batch(args, operands_of<Scalar>(args))) {
    g.images *= static_cast<int>(trials);
    trials = 1;
  }
  const Product m = largest_product<Op>(g);
  const std::int64_t copies = trials * (spread.slice_blocks ? spread.slices : 1);
  if (m.rows <= 16) return run_tiles<Scalar, Tile<16, 128, 128>, Op>(args, g, m, spread, copies);
  if constexpr (sizeof(Scalar) == 4) {
    if (m.rows <= 32) return run_tiles<Scalar, Tile<32, 128, 128>, Op>(args, g, m, spread, copies);
    if (m.cols > 64 && usual_tiles(g, m) * copies >= 4 * kEnoughBlocks)
      return run_tiles<Scalar, Tile<64, 128, 128>, Op>(args, g, m, spread, copies);
  }
  run_tiles<Scalar, Tile<64, 64, 128>, Op>(args, g, m, spread, copies);
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
