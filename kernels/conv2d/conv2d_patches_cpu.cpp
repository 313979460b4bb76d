// conv2d_grad_weight for single trials of small images: the numbers of a filter in the lanes, as they lie in memory.
//
// The patches of x that the filter meets are copied to [pixel][channel][tap], a few channels at a time, and g gives the scalars.
// Where a number is the sum of few pixels, what counts is that it is written once and to its place.
#include "kernels/common/families.h"
#include "kernels/common/tile.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/conv2d_axis.h"
#include "kernels/conv2d/conv2d_padded.h"

namespace gi::kernels::GI_ISA {

namespace {

constexpr std::int64_t kPatchBytes = 16 << 10;  // half a first cache: what register tiles below each other read of them
constexpr std::int64_t kColumns = 288;          // of a patch, or a vector of channels where that has more
constexpr std::int64_t kPiece = 4;              // numbers that are copied at a time

const char* declined(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  for (const ConstView& v : problem.in) {
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != 1) return "an input is in packs";
  }
  if (geo.groups > 1) return "groups";
  if (geo.k < problem.in[0].dims[1] * geo.p * geo.q) return "too few output channels for the patches to pay";
  return nullptr;
}

struct Correlate {
  std::int64_t rows, pitch;              ///< of x with its halo
  std::int64_t channels, columns, step;  ///< of a patch: input channels, their numbers, from pixel to pixel
  std::int64_t pixels;                   ///< whose patches are there at a time

  Correlate(const Conv2dGeometry& geo, std::int64_t elements)
      : rows(ConvAxis{geo.h, geo.p, geo.r, geo.stride_h, geo.pad_h, false}.window(geo.p)),
        pitch(ConvAxis{geo.w, geo.q, geo.s, geo.stride_w, geo.pad_w, false}.window(geo.q)),
        channels(at_most(geo.c, elements * at_least(kColumns / (geo.r * geo.s * elements), 1))),
        columns(channels * geo.r * geo.s),
        step(ceil_div(columns + kPiece, elements) * elements),
        pixels(even_piece(geo.p * geo.q, kPatchBytes / (kMaxTileColumns * kVectorBytes))) {}
};

/// Scratch: slab of x, patches, what is left of every filter behind whole vectors. Pieces of patches run on over the end.
template <class Scalar>
struct CorrelateScratch {
  std::int64_t patches, rest, end;
  CorrelateScratch(const Conv2dGeometry& geo, const Correlate& sizes)
      : patches(aligned((sizes.channels * sizes.rows * sizes.pitch + kPiece) * sizeof(Scalar))),
        rest(patches + aligned(sizes.pixels * sizes.step * sizeof(Scalar))),
        end(rest + geo.k * kVectorBytes) {}
};

template <class Scalar>
std::size_t correlate_scratch(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return CorrelateScratch<Scalar>(geo, Correlate(geo, kElements<Scalar>)).end;
}

template <class Scalar>
std::int64_t correlate_parts(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return ceil_div(geo.c, Correlate(geo, kElements<Scalar>).channels);
}

/// Patches of output pixels [first, first + count), piece by piece; what a piece has too much the next one overwrites.
template <class Scalar>
void copy_patches(const Conv2dGeometry& geo, const Correlate& sizes, const Scalar* slab, std::int64_t channels, std::int64_t first,
                  std::int64_t count, Scalar* to) {
  for (std::int64_t pixel = first; pixel < first + count; ++pixel, to += sizes.step) {
    const Scalar* from = slab + pixel / geo.q * geo.stride_h * sizes.pitch + pixel % geo.q * geo.stride_w;
    Scalar* piece = to;
    for (std::int64_t c = 0; c < channels; ++c, from += (sizes.rows - geo.r) * sizes.pitch)
      for (std::int64_t r = 0; r < geo.r; ++r, from += sizes.pitch, piece += geo.s)
        for (std::int64_t s = 0; s < geo.s; s += kPiece) copy_vector<1>(from + s, piece + s, std::make_index_sequence<kPiece>{});
  }
}

/// Register tiles below each other, whose x stays in the first cache.
template <class Scalar>
void multiply_rows(TileJob job, const Split& rows, std::int64_t columns) {
  for (const auto& [k, lines] : {std::pair{rows.size, rows.large}, std::pair{rows.size - 1, rows.pieces - rows.large}}) {
    job.lines = lines;
    job.w_line = k * job.w_k;
    job.out_line = k * job.out_k;
    if (lines > 0) multiply<Scalar, true>(job, k, columns);
    job.w += lines * job.w_line;
    job.ahead += lines * job.w_line;
    job.out += lines * job.out_line;
  }
}

template <class Scalar>
void correlate_run(const Arguments& args) {
  constexpr std::int64_t scalar = sizeof(Scalar), elements = kElements<Scalar>;
  const auto& geo = args.attrs_as<Conv2dGeometry>();
  const std::int64_t batch = args.in[0].dims[1], area = geo.r * geo.s, pixels = geo.p * geo.q, filter = geo.c * area;
  const Correlate sizes(geo, elements);
  const CorrelateScratch<Scalar> scratch(geo, sizes);
  Scalar* const slab = reinterpret_cast<Scalar*>(args.scratch);
  Scalar* const patches = reinterpret_cast<Scalar*>(args.scratch + scratch.patches);
  Scalar* const rests = reinterpret_cast<Scalar*>(args.scratch + scratch.rest);
  const Tap tap{0, 0};
  TileJob job;
  job.taps = &tap;
  job.x_channel = sizes.step * scalar;
  job.w_channel = scalar;
  job.w_k = pixels * scalar;
  job.x_q = job.out_q = kVectorBytes;
  for (const std::int64_t part : each_part(args, ceil_div(geo.c, sizes.channels))) {
    const std::int64_t c = part * sizes.channels;
    for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t) {
      const Scalar* const x = args.in[0].as<Scalar>() + t * args.in[0].strides[0];
      const Scalar* const g = args.in[1].as<Scalar>() + t * args.in[1].strides[0];
      const std::int64_t channels = at_most(sizes.channels, geo.c - c);
      const std::int64_t whole = channels * area / elements, rest = channels * area % elements;
      const Split by_column(at_least(whole, 1), kMaxTileColumns), by_row(geo.k, tile_rows(geo.k, by_column.size));
      Scalar* const dw = args.out[0].as<Scalar>() + t * geo.k * filter + c * area;
      for (std::int64_t n = 0; n < batch; ++n) {
        copy_padded(geo, x + (n * geo.c + c) * geo.h * geo.w, channels, sizes.rows, sizes.pitch, slab);
        for (std::int64_t first = 0; first < pixels; first += sizes.pixels) {
          job.channels = at_most(sizes.pixels, pixels - first);
          copy_patches(geo, sizes, slab, channels, first, job.channels, patches);
          job.accumulate = n > 0 || first > 0;
          job.w = reinterpret_cast<const std::byte*>(g + n * geo.k * pixels + first);
          job.ahead = job.w + by_row.size * job.w_k;
          job.out_k = filter * scalar;
          for (std::int64_t piece = 0, v = 0; v < whole; v += by_column[piece++]) {
            job.x = reinterpret_cast<const std::byte*>(patches + v * elements);
            job.out = reinterpret_cast<std::byte*>(dw + v * elements);
            multiply_rows<Scalar>(job, by_row, by_column[piece]);
          }
          if (rest > 0) {
            job.x = reinterpret_cast<const std::byte*>(patches + whole * elements);
            job.out = reinterpret_cast<std::byte*>(rests);
            job.out_k = kVectorBytes;
            multiply<Scalar, true>(job, geo.k, 1);
          }
        }
      }
      for (std::int64_t k = 0; rest > 0 && k < geo.k; ++k)
        std::memcpy(dw + k * filter + whole * elements, rests + k * elements, rest * scalar);
    }
  }
}

template <class Scalar>
constexpr Kernel entry(DType dtype) {
  return {"conv2d_grad_weight",  "patch_lanes_direct",   kIsa, dtype, 1, declined, correlate_scratch<Scalar>,
          correlate_run<Scalar>, correlate_parts<Scalar>};
}

constexpr Kernel kKernels[] = {entry<float>(DType::f32), entry<double>(DType::f64)};

}  // namespace

std::span<const Kernel> conv2d_patches_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
