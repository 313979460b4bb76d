// conv2d and conv2d_grad_input of single trials with output channels in the lanes.
//
// Transposed filters (conv2d_channels.h) give the vectors, the padded source gives the scalars, from where stride and tap say. So
// no place in a vector is wasted on a halo and no load straddles cache lines, however narrow or strided the image. What it costs is
// the transposing, which pays from some tens of pixels on; filters that stay as they are in all iterations are transposed once,
// where that is much beside the work.
//
// conv2d_grad_input is the same with taps backwards; under a stride its outputs fall into phases (conv2d_axis.h), each with filters
// of fewer taps.
#include "kernels/common/families.h"
#include "kernels/conv2d/conv2d_axis.h"
#include "kernels/conv2d/conv2d_channels.h"
#include "kernels/conv2d/conv2d_padded.h"
#include "kernels/conv2d/conv2d_rows.h"

namespace gi::kernels::GI_ISA {

namespace {

constexpr std::int64_t kFilterBytes = 20 << 10;  // of a first cache of 32 KiB or more, that all pixels of a block meet
constexpr std::int64_t kSumBytes = 128 << 10;    // of a second cache, of a block
constexpr std::int64_t kLeastPixels = 48;        // of a phase, that pay for putting filters in another order
constexpr std::int64_t kPartVectors = 2;
constexpr std::int64_t kMaxPairs = 2;
struct Sizes : FilterOrder {
  ConvAxis h, w;
  bool in_place;                          ///< whether the source has no halo and is read where it lies
  std::int64_t rows, columns;             ///< of the source with its halo
  std::int64_t pitch, block_rows;         ///< of the sums
  std::int64_t sums_channel, phase_sums;  ///< of a phase of the results, by channels
  std::int64_t held;                      ///< input channels whose filters are in the other order at a time
  bool prepared;                          ///< whether filters that stay as they are had better come so

  Sizes(const Conv2dGeometry& geo, bool adjoint, std::int64_t elements, std::int64_t images)
      : FilterOrder(adjoint ? geo.k : geo.c, adjoint ? geo.c : geo.k, geo.r * geo.s, elements, kMaxVectors),
        h{adjoint ? geo.p : geo.h, adjoint ? geo.h : geo.p, geo.r, geo.stride_h, geo.pad_h, adjoint},
        w{adjoint ? geo.q : geo.w, adjoint ? geo.w : geo.q, geo.s, geo.stride_w, geo.pad_w, adjoint},
        in_place(h.lowest() == 0 && w.lowest() == 0 && h.window(h.count(0)) <= h.source && w.window(w.count(0)) <= w.source),
        rows(in_place ? h.source : h.window(h.count(0))),
        columns(in_place ? w.source : w.window(w.count(0))),
        pitch(w.count(0)),
        block_rows(even_piece(h.count(0), kSumBytes / (phases() * pitch * tile * kVectorBytes))),
        sums_channel(ceil_div(block_rows * pitch, elements) * elements),
        phase_sums(sums_channel * tile * elements),
        // All where there are more pixels to come that meet them, else those of the phase with most taps.
        held(images > 1 || block_rows < h.count(0) ? in : chunk(most_taps(), tile)),
        prepared(images == 1 && block_rows == h.count(0) && chunk(taps, tile) < in) {}
  std::int64_t phases() const { return h.phases() * w.phases(); }
  /// Rows and columns of the padded source that a phase's first output reads no tap at.
  std::int64_t first_row(std::int64_t phase) const { return first(h, phase); }
  std::int64_t first_column(std::int64_t phase) const { return first(w, phase); }
  static std::int64_t first(const ConvAxis& axis, std::int64_t phase) {
    for (std::int64_t tap = axis.filter - 1; axis.adjoint && tap >= 0; --tap)
      if (axis.phase(tap) == phase) return axis.offset(tap) - axis.lowest();
    return 0;
  }
  /// How often register tiles of that many rows, pieces and taps fetch something.
  static std::int64_t fetches(std::int64_t rows, std::int64_t pieces, std::int64_t taps) {
    return at_least(rows * pieces * taps / (kTapsBesideFetch + 1), 1);
  }
  std::int64_t source() const { return h.source * w.source; }  ///< numbers of a channel
  /// The source as an input with its halo for padding.
  Conv2dGeometry padded() const { return {.h = h.source, .w = w.source, .pad_h = -h.lowest(), .pad_w = -w.lowest()}; }
  /// Taps of phases of the results before one.
  std::int64_t taps_before(std::int64_t phase) const {
    std::int64_t before = 0;
    for (std::int64_t other = 0; other < phase; ++other) before += taps_of(other);
    return before;
  }
  std::int64_t most_taps() const { return ceil_div(h.filter, h.phases()) * ceil_div(w.filter, w.phases()); }
  std::int64_t taps_of(std::int64_t phase) const { return h.taps(phase / w.phases()) * w.taps(phase % w.phases()); }
  /// Input channels whose filters of a phase stay in the first cache.
  std::int64_t chunk(std::int64_t phase_taps, std::int64_t vectors) const {
    return even_piece(in, kFilterBytes / (phase_taps * vectors * kVectorBytes));
  }
};

/// Scratch: places of taps, and of pixels that meet them; of both pairs the padded source and the filters of a tile; sums, and
/// phases by channels.
template <class Scalar>
struct Scratch {
  std::int64_t pixels, source, source_pair, filters, filters_pair, sums, phases, end;
  Scratch(const Sizes& sizes, std::int64_t pairs)
      : pixels(aligned(sizes.taps * sizeof(TapPlace))),
        source(pixels + aligned(at_least(kFilterBytes / kVectorBytes, sizes.taps) * sizeof(std::int64_t))),
        source_pair(sizes.in_place ? 0 : aligned(sizes.in * sizes.rows * sizes.columns * sizeof(Scalar))),
        filters(source + pairs * source_pair),
        filters_pair(sizes.held * sizes.taps * sizes.tile * kVectorBytes),
        sums(filters + pairs * filters_pair),
        phases(sums + sizes.phases() * sizes.sums_channel * sizes.tile * kVectorBytes),
        end(phases + (sizes.phases() > 1 ? sizes.phases() * sizes.phase_sums * sizeof(Scalar) + kVectorBytes : 0)) {}
};

template <class Scalar, bool Adjoint>
std::size_t scratch_bytes(const Problem& problem) {
  const Sizes sizes(problem.attrs_as<Conv2dGeometry>(), Adjoint, kElements<Scalar>, problem.out[0].dims[1]);
  return Scratch<Scalar>(sizes, problem.in.size() / 2).end;
}

/// Vectors of a part: a tile where prepared filters come in tiles, else what leaves threads something to take over.
inline std::int64_t part_vectors(const Problem& problem, const Sizes& sizes) {
  for (std::size_t i = 1; i < problem.in.size(); i += 2)
    if (is_prepared(problem.in[i])) return sizes.tile;
  return at_most(sizes.tile, kPartVectors);
}

template <class Scalar, bool Adjoint>
std::int64_t parts(const Problem& problem) {
  const Sizes sizes(problem.attrs_as<Conv2dGeometry>(), Adjoint, kElements<Scalar>, problem.out[0].dims[1]);
  return ceil_div(sizes.vectors, part_vectors(problem, sizes));
}

template <class Scalar, bool Adjoint>
const char* declined(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  for (const ConstView& v : problem.in) {
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != 1) return "an input is in packs";
  }
  const Sizes sizes(geo, Adjoint, kElements<Scalar>, problem.out[0].dims[1]);
  if (problem.in.size() > 2 * kMaxPairs) return "more products than two are added";
  if (geo.groups > 1) return "a group has few channels";
  if (8 * sizes.out < 7 * sizes.vectors * kElements<Scalar>) return "lanes without a channel";
  if (sizes.w.step() > 2) return "pixels are far apart";
  if (sizes.taps < sizes.phases()) return "most outputs have no tap";
  if (problem.out[0].dims[1] * sizes.h.count(0) * sizes.w.count(0) < kLeastPixels) return "too few pixels for each filter";
  return nullptr;
}

/// Where each tap lies: one phase after the other, in the order in which they meet the source.
inline void place_taps(const Sizes& sizes, TapPlace* places) {
  for (std::int64_t phase = 0; phase < sizes.phases(); ++phase) {
    TapPlace place{sizes.taps_before(phase), sizes.taps_of(phase), 0};
    for (std::int64_t i = 0; i < sizes.taps; ++i) {
      const std::int64_t tap = sizes.h.adjoint ? sizes.taps - 1 - i : i, r = tap / sizes.w.filter, s = tap % sizes.w.filter;
      if (sizes.h.phase(r) * sizes.w.phases() + sizes.w.phase(s) != phase) continue;
      places[tap] = place;
      ++place.place;
    }
  }
}

/// Register tiles of a phase.
template <class Scalar>
class PhaseTiles {
 public:
  /// `pixels`: memory for the places of those that meet a chunk's taps.
  PhaseTiles(const Sizes& sizes, std::int64_t rows, std::int64_t taps, std::int64_t chunk, std::int64_t vectors,
             std::int64_t* pixels)
      : in_rows_(taps == 3), vectors_(vectors), step_(sizes.w.step()) {
    rows_.width = taps_.width = sizes.tile * kElements<Scalar>;
    rows_.rows = rows;
    rows_.taps = taps;
    rows_.filter_channel = rows * taps * rows_.width;
    rows_.channel = sizes.rows * sizes.columns;
    rows_.row = sizes.columns;
    taps_.places = pixels;
    for (std::int64_t c = 0; c < chunk && !in_rows_; ++c)
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t s = 0; s < taps; ++s) *pixels++ = c * rows_.channel + r * rows_.row + s;
  }
  /// Of `channels` input channels.
  void of(const Scalar* filters, std::int64_t channels, bool accumulate, Fetch* fetch) {
    rows_.filters = taps_.filters = filters;
    rows_.accumulate = taps_.accumulate = accumulate;
    rows_.fetch = taps_.fetch = fetch;
    rows_.channels = channels;
    taps_.taps = channels * rows_.rows * rows_.taps;
  }
  void add(std::int64_t count, const Scalar* pixels, Scalar* sums) const {
    const std::int64_t q = vectors_ - 1, k = count - 1;
    if (!in_rows_) (step_ == 1 ? kTiles<OfTaps<Scalar, 1>>.entries : kTiles<OfTaps<Scalar, 2>>.entries)[q][k](taps_, pixels, sums);
    else (step_ == 1 ? kTiles<OfRows<Scalar, 3, 1>>.entries : kTiles<OfRows<Scalar, 3, 2>>.entries)[q][k](rows_, pixels, sums);
  }

 private:
  bool in_rows_;
  std::int64_t vectors_, step_;
  RowsJob<Scalar> rows_{};
  TapsJob<Scalar> taps_{};
};

/// `channels` of a source and their filters to the sums [phase][row][column][tile's channels] of output rows from i0 on, and
/// something to fetch beside. Without it filters are those that were prepared, and what follows them is fetched.
template <class Scalar>
void sum_block(const Sizes& sizes, const Scalar* source, std::int64_t channels, const Scalar* filters, std::int64_t i0,
               std::int64_t vectors, bool accumulate, Fetch* beside, std::int64_t* places, Scalar* sums) {
  const std::int64_t width = vectors * kElements<Scalar>, filter = sizes.tile * kElements<Scalar>;
  for (std::int64_t phase = 0; phase < sizes.phases(); ++phase) {
    const std::int64_t phase_h = phase / sizes.w.phases(), phase_w = phase % sizes.w.phases();
    const std::int64_t i1 = at_most(i0 + sizes.block_rows, sizes.h.count(phase_h)), pixels = sizes.w.count(phase_w);
    const std::int64_t taps = sizes.taps_of(phase);
    Scalar* const out = sums + phase * sizes.sums_channel * width;
    if (taps == 0) {
      if (!accumulate) std::memset(out, 0, sizes.sums_channel * width * sizeof(Scalar));
      continue;
    }
    const std::int64_t chunk = sizes.chunk(taps, vectors);
    const Split split(pixels, max_pixels(static_cast<int>(vectors)));
    PhaseTiles<Scalar> tiles(sizes, sizes.h.taps(phase_h), sizes.w.taps(phase_w), chunk, vectors, places);
    for (std::int64_t c = 0, some; c < channels; c += some, filters += some * taps * filter) {
      some = at_most(chunk, channels - c);
      Fetch following;
      if (beside == nullptr) {
        const std::int64_t bytes = some * taps * filter * sizeof(Scalar);
        following = Fetch(reinterpret_cast<const std::byte*>(filters) + bytes, bytes, 1, 0,
                          sizes.fetches(i1 - i0, split.pieces, some * taps));
      }
      tiles.of(filters, some, accumulate || c > 0, beside == nullptr ? &following : beside);
      for (std::int64_t i = i0; i < i1; ++i) {
        const Scalar* const row = source + c * sizes.rows * sizes.columns +
                                  (i * sizes.h.step() + sizes.first_row(phase_h)) * sizes.columns + sizes.first_column(phase_w);
        for (std::int64_t piece = 0, j = 0, count; piece < split.pieces; ++piece, j += count) {
          count = split[piece];
          tiles.add(count, row + j * sizes.w.step(), out + ((i - i0) * sizes.pitch + j) * width);
        }
      }
    }
  }
}

template <class Scalar, bool Adjoint>
void run(const Arguments& args) {
  constexpr std::int64_t elements = kElements<Scalar>;
  const std::int64_t pairs = static_cast<std::int64_t>(args.in.size()) / 2, images = args.out[0].dims[1];
  const Sizes sizes(args.attrs_as<Conv2dGeometry>(), Adjoint, elements, images);
  const Scratch<Scalar> scratch(sizes, pairs);
  TapPlace* const taps = reinterpret_cast<TapPlace*>(args.scratch);
  Scalar* const sums = reinterpret_cast<Scalar*>(args.scratch + scratch.sums);
  std::int64_t* const pixels = reinterpret_cast<std::int64_t*>(args.scratch + scratch.pixels);
  Scalar* const by_channel = reinterpret_cast<Scalar*>(args.scratch + scratch.phases);
  const std::int64_t dest = sizes.h.dest * sizes.w.dest;
  place_taps(sizes, taps);
  std::int64_t copied = -1;  // the image in scratch
  const std::int64_t part = part_vectors(args, sizes);
  for (PartRuns runs(args, ceil_div(sizes.vectors, part)); runs.next();) {
    const std::int64_t first_vector = runs.first * part, vectors = at_most(runs.last * part, sizes.vectors) - first_vector;
    const Split tiles(vectors, sizes.tile);
    for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t) {
      for (std::int64_t nth = 0, v = first_vector, tile; nth < tiles.pieces; ++nth, v += tile) {
        tile = part == sizes.tile ? at_most(sizes.tile, first_vector + vectors - v) : tiles[nth];
        const std::int64_t first = v * elements, count = at_most(tile * elements, sizes.out - first), places = tile * elements;
        const std::int64_t times = sizes.fetches(sizes.h.count(0), ceil_div(sizes.w.count(0), max_pixels(static_cast<int>(tile))),
                                                 sizes.held * sizes.taps);
        const auto bank = [&](std::int64_t pair) { return Bank<Scalar, Adjoint>(args.in[2 * pair + 1], t, sizes); };
        const auto piece = [&](std::int64_t c) { return Piece{c, at_most(sizes.held, sizes.in - c), first, count}; };
        for (std::int64_t n = 0; n < images; ++n) {
          const Scalar* from[kMaxPairs];
          for (std::int64_t pair = 0; pair < pairs; ++pair) {
            const ConstView& source = args.in[2 * pair];
            from[pair] = source.as<Scalar>() + t * source.strides[0] + n * sizes.in * sizes.source();
            if (sizes.in_place) continue;
            Scalar* const to = reinterpret_cast<Scalar*>(args.scratch + scratch.source + pair * scratch.source_pair);
            if (copied != t * images + n) copy_padded(sizes.padded(), from[pair], sizes.in, sizes.rows, sizes.columns, to);
            from[pair] = to;
          }
          copied = t * images + n;
          Scalar* const out = args.out[0].as<Scalar>() + ((t * images + n) * sizes.out + first) * dest;
          for (std::int64_t i = 0; i < sizes.h.count(0); i += sizes.block_rows) {
            for (std::int64_t pair = 0; pair < pairs; ++pair) {
              if (bank(pair).prepared()) {
                sum_block<Scalar>(sizes, from[pair], sizes.in, bank(pair).at(0, first), i, tile, pair > 0, nullptr, pixels, sums);
                continue;
              }
              Scalar* const copy = reinterpret_cast<Scalar*>(args.scratch + scratch.filters + pair * scratch.filters_pair);
              const bool once = sizes.held < sizes.in;
              for (std::int64_t c = 0; c < sizes.in; c += sizes.held) {
                if (once || (n == 0 && i == 0)) bank(pair).copy(piece(c), taps, copy);
                Fetch next;
                if (once && c + sizes.held < sizes.in) next = bank(pair).fetch(piece(c + sizes.held), times);
                else if (once && pair + 1 < pairs) next = bank(pair + 1).fetch(piece(0), times);
                sum_block<Scalar>(sizes, from[pair] + c * sizes.rows * sizes.columns, piece(c).channels, copy, i, tile,
                                  pair > 0 || c > 0, &next, pixels, sums);
              }
            }
            if (sizes.phases() == 1) {
              const std::int64_t done = at_most(sizes.block_rows, sizes.h.count(0) - i) * sizes.pitch;
              transpose<Scalar, false>({sums, places, places}, done, count, {out + i * sizes.w.dest, dest, done});
              continue;
            }
            for (std::int64_t phase = 0; phase < sizes.phases(); ++phase)
              transpose<Scalar, false>({sums + phase * sizes.sums_channel * places, places, places}, sizes.sums_channel, count,
                                       {by_channel + phase * sizes.phase_sums, sizes.sums_channel, sizes.sums_channel});
            write_rows(sizes, by_channel, i, {0, count}, out);
          }
        }
      }
    }
  }
}

/// Filters in the kernel's order.
template <class Scalar, bool Adjoint>
void prepare(const Arguments& args) {
  const Sizes sizes(args.attrs_as<Conv2dGeometry>(), Adjoint, kElements<Scalar>, 1);
  TapPlace* const taps = reinterpret_cast<TapPlace*>(args.scratch);
  place_taps(sizes, taps);
  prepare_filters<Scalar, Adjoint>(args, sizes, taps);
}

template <class Scalar, bool Adjoint>
std::size_t preparing_scratch(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return geo.r * geo.s * sizeof(TapPlace);
}

constexpr const char* kName = "channel_lanes_direct";

template <class Scalar, bool Adjoint>
constexpr Kernel kPreparing = preparing_kernel<Scalar, Adjoint>(kName, preparing_scratch<Scalar, Adjoint>,
                                                                prepare<Scalar, Adjoint>);

template <class Scalar, bool Adjoint>
Prepared prepared(const Problem& problem, std::size_t operand) {
  constexpr std::int64_t n = kElements<Scalar>;
  const Sizes sizes(problem.attrs_as<Conv2dGeometry>(), Adjoint, n, problem.out[0].dims[1]);
  return operand % 2 == 1 && sizes.prepared ? Prepared{&kPreparing<Scalar, Adjoint>, sizes.bank(n)} : Prepared{};
}

template <class Scalar, bool Adjoint>
constexpr Kernel entry() {
  return channels_kernel<Scalar, Adjoint>(kName, declined<Scalar, Adjoint>, scratch_bytes<Scalar, Adjoint>, run<Scalar, Adjoint>,
                                          parts<Scalar, Adjoint>, prepared<Scalar, Adjoint>);
}

constexpr Kernel kKernels[] = {entry<float, false>(), entry<double, false>(), entry<float, true>(), entry<double, true>()};

}  // namespace

std::span<const Kernel> conv2d_channels_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
