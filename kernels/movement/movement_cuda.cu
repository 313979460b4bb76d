// Moving elements is one strided copy of a trial after axes that lie behind one another on both sides are merged. A thread writes
// a few numbers, a block of threads apart, so writes are coalesced; reads are too, unless a transposition moves the innermost axis:
// then a block takes a tile through shared memory, reading along the input's innermost axis and writing along the output's.
#include "kernels/movement/movement.h"

#include "kernels/common/families_cuda.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = 256, kAxes = kMaxRank - 1;
constexpr int kOfThread = 4, kNumbersOfBlock = kThreads * kOfThread;  // several loads of a thread under way
constexpr int kTile = 32, kRowsAtOnce = kThreads / kTile;
/// An axis shorter than this fills too little of a tile: caches serve its strided reads better.
constexpr int kLeastOfTile = 8;

/// Output and input as windows of each other: index i of an axis reads index i + shift, zero outside. Axes innermost first.
struct Window {
  int count, blocks;  ///< numbers of a trial's output; blocks for them
  int axes = 0;
  int out[kAxes] = {1, 1, 1, 1}, in[kAxes] = {1, 1, 1, 1}, shift[kAxes] = {};

  /// Axes come innermost first; one in whose inner neighbour nothing is shifted is merged with it.
  void add(std::int64_t out_extent, std::int64_t in_extent, std::int64_t by) {
    if (out_extent == 1 && in_extent == 1) return;
    const int last = axes - 1;
    if (axes > 0 && out[last] == in[last] && shift[last] == 0) {
      shift[last] = static_cast<int>(by) * in[last];
      out[last] *= static_cast<int>(out_extent), in[last] *= static_cast<int>(in_extent);
    } else {
      out[axes] = static_cast<int>(out_extent), in[axes] = static_cast<int>(in_extent), shift[axes] = static_cast<int>(by);
      ++axes;
    }
  }
};

/// A thread's numbers, those below `count`.
template <class Scalar>
__device__ void put(const Scalar (&values)[kOfThread], Scalar* y, int first, int count) {
#pragma unroll
  for (int k = 0; k < kOfThread; ++k)
    if (first + k * kThreads < count) y[first + k * kThreads] = values[k];
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads) shifted(Window window, const Scalar* x, std::int64_t x_step, Scalar* y) {
  const int t = static_cast<int>(blockIdx.x) / window.blocks;
  const int first = static_cast<int>(blockIdx.x) % window.blocks * kNumbersOfBlock + static_cast<int>(threadIdx.x);
  Scalar values[kOfThread];
#pragma unroll
  for (int k = 0; k < kOfThread; ++k) {
    int rest = first + k * kThreads, at = 0, stride = 1;
    bool inside = rest < window.count;
#pragma unroll
    for (int axis = 0; axis < kAxes; ++axis)
      if (axis < window.axes) {
        const int index = rest % window.out[axis] + window.shift[axis];
        rest /= window.out[axis];
        inside = inside && index >= 0 && index < window.in[axis];
        at += index * stride;
        stride *= window.in[axis];
      }
    values[k] = inside ? x[t * x_step + at] : Scalar(0);
  }
  put(values, y + static_cast<std::int64_t>(t) * window.count, first, window.count);
}

unsigned blocks_of(const View& y, std::int64_t blocks_of_a_trial) { return static_cast<unsigned>(y.dims[0] * blocks_of_a_trial); }

/// pad shifts by -before, crop by before.
template <class Scalar, int Sign>
void run_shifted(const Arguments& args) {
  const auto& amounts = args.attrs_as<PadAttrs>();
  const ConstView& x = args.in[0];
  const View& y = args.out[0];
  const std::int64_t count = y.count_per_block();
  Window window{.count = static_cast<int>(count), .blocks = static_cast<int>(ceil_div(count, kNumbersOfBlock))};
  for (std::size_t axis = static_cast<std::size_t>(y.rank) - 1; axis >= 1; --axis)
    window.add(y.dims[axis], x.dims[axis], Sign * amounts.before[axis]);
  launch(args, shifted<Scalar>, dim3(blocks_of(y, window.blocks)), dim3(kThreads), 0, window, x.as<Scalar>(), trial_step(x),
         y.as<Scalar>());
}

/// A transposition: extents of the output's axes with the steps on both sides, innermost first.
struct Moves {
  int count, blocks;  ///< numbers of a trial; blocks for them
  int axes = 0;
  int extent[kAxes] = {1, 1, 1, 1}, from[kAxes] = {}, to[kAxes] = {};

  /// Axes come innermost first; one that continues the last on both sides is merged with it.
  void add(std::int64_t n, std::int64_t from_stride, std::int64_t to_stride) {
    if (n == 1) return;
    const int last = axes - 1;
    if (axes > 0 && from_stride == std::int64_t{from[last]} * extent[last] && to_stride == std::int64_t{to[last]} * extent[last]) {
      extent[last] *= static_cast<int>(n);
    } else {
      extent[axes] = static_cast<int>(n), from[axes] = static_cast<int>(from_stride), to[axes] = static_cast<int>(to_stride);
      ++axes;
    }
  }
  /// Puts axis `a` in place 1 of the order, which the outer ones may have in any way.
  void bring_next(int a) { std::swap(extent[1], extent[a]), std::swap(from[1], from[a]), std::swap(to[1], to[a]); }
};

template <class Scalar>
__global__ void __launch_bounds__(kThreads) gathered(Moves moves, const Scalar* x, std::int64_t x_step, Scalar* y) {
  const int t = static_cast<int>(blockIdx.x) / moves.blocks;
  const int first = static_cast<int>(blockIdx.x) % moves.blocks * kNumbersOfBlock + static_cast<int>(threadIdx.x);
  Scalar values[kOfThread];
#pragma unroll
  for (int k = 0; k < kOfThread; ++k) {
    int rest = first + k * kThreads, at = 0;
    const bool there = rest < moves.count;
#pragma unroll
    for (int axis = 0; axis < kAxes; ++axis)
      if (axis < moves.axes) {
        at += rest % moves.extent[axis] * moves.from[axis];
        rest /= moves.extent[axis];
      }
    values[k] = there ? x[t * x_step + at] : Scalar(0);
  }
  put(values, y + static_cast<std::int64_t>(t) * moves.count, first, moves.count);
}

/// Axis 0 is the output's innermost, axis 1 the input's.
template <class Scalar>
__global__ void __launch_bounds__(kThreads) tiled(Moves moves, const Scalar* x, std::int64_t x_step, Scalar* y) {
  GI_SHARED(Scalar, tile, [kTile][kTile + 1]);
  const int tiles[2] = {(moves.extent[0] + kTile - 1) / kTile, (moves.extent[1] + kTile - 1) / kTile};
  int block = static_cast<int>(blockIdx.x);
  const int first0 = block % tiles[0] * kTile;
  block /= tiles[0];
  const int first1 = block % tiles[1] * kTile;
  block /= tiles[1];
  const int index2 = block % moves.extent[2];
  block /= moves.extent[2];
  const int index3 = block % moves.extent[3], t = block / moves.extent[3];
  const Scalar* const from = x + t * x_step + index2 * moves.from[2] + index3 * moves.from[3];
  Scalar* const to = y + static_cast<std::int64_t>(t) * moves.count + index2 * moves.to[2] + index3 * moves.to[3];
  const int lane = static_cast<int>(threadIdx.x) % kTile, row = static_cast<int>(threadIdx.x) / kTile;
#pragma unroll
  for (int r = 0; r < kTile; r += kRowsAtOnce) {
    const int at0 = first0 + row + r, at1 = first1 + lane;
    if (at0 < moves.extent[0] && at1 < moves.extent[1]) tile[row + r][lane] = from[at0 * moves.from[0] + at1];
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kTile; r += kRowsAtOnce) {
    const int at0 = first0 + lane, at1 = first1 + row + r;
    if (at0 < moves.extent[0] && at1 < moves.extent[1]) to[at0 + at1 * moves.to[1]] = tile[lane][row + r];
  }
}

template <class Scalar>
void transpose(const Arguments& args) {
  const auto& axes = args.attrs_as<TransposeAttrs>().axes;
  const ConstView& x = args.in[0];
  const View& y = args.out[0];
  // Strides are those of dense operands; the input's own may be anything where an extent is 1.
  std::array<std::int64_t, kMaxRank> from{};
  for (std::int64_t axis = x.rank - 1, stride = 1; axis >= 1; stride *= x.dims[static_cast<std::size_t>(axis--)])
    from[static_cast<std::size_t>(axis)] = stride;
  const std::int64_t count = y.count_per_block();
  Moves moves{.count = static_cast<int>(count), .blocks = static_cast<int>(ceil_div(count, kNumbersOfBlock))};
  std::int64_t to = 1;
  for (std::size_t axis = static_cast<std::size_t>(y.rank) - 1; axis >= 1; to *= y.dims[axis--])
    moves.add(y.dims[axis], from[static_cast<std::size_t>(axes[axis])], to);

  int innermost = 0;  // of the input
  while (innermost < moves.axes && moves.from[innermost] != 1) ++innermost;
  const bool in_tiles =
      0 < innermost && innermost < moves.axes && moves.extent[0] >= kLeastOfTile && moves.extent[innermost] >= kLeastOfTile;
  if (in_tiles) {
    moves.bring_next(innermost);
    const std::int64_t blocks =
        ceil_div(moves.extent[0], kTile) * ceil_div(moves.extent[1], kTile) * moves.extent[2] * moves.extent[3];
    launch(args, tiled<Scalar>, dim3(blocks_of(y, blocks)), dim3(kThreads), 0, moves, x.as<Scalar>(), trial_step(x),
           y.as<Scalar>());
  } else {
    launch(args, gathered<Scalar>, dim3(blocks_of(y, moves.blocks)), dim3(kThreads), 0, moves, x.as<Scalar>(), trial_step(x),
           y.as<Scalar>());
  }
}

constexpr Kernel kKernels[] = {
    {"pad", "cuda_shifted", Isa::cuda, DType::f32, 1, dense_only, nullptr, run_shifted<float, -1>},
    {"pad", "cuda_shifted", Isa::cuda, DType::f64, 1, dense_only, nullptr, run_shifted<double, -1>},
    {"crop", "cuda_shifted", Isa::cuda, DType::f32, 1, dense_only, nullptr, run_shifted<float, 1>},
    {"crop", "cuda_shifted", Isa::cuda, DType::f64, 1, dense_only, nullptr, run_shifted<double, 1>},
    {"transpose", "cuda_tiles", Isa::cuda, DType::f32, 1, dense_only, nullptr, transpose<float>},
    {"transpose", "cuda_tiles", Isa::cuda, DType::f64, 1, dense_only, nullptr, transpose<double>},
};

}  // namespace

std::span<const Kernel> movement_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
