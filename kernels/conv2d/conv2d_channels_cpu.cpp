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

constexpr std::int64_t kFilterBytes = 20 << 10;    // of a first cache of 32 KiB or more, that all pixels of a block meet
constexpr std::int64_t kSumBytes = 128 << 10;      // of a second cache, of a block
constexpr std::int64_t kLeastPixels = 48;          // of a phase, that pay for putting filters in another order
constexpr std::int64_t kTogetherBytes = 64 << 10;  // of sums of tiles that take turns, so that both sources come once for all
constexpr std::int64_t kPartVectors = 2;           // at most, of a part whose filters come as they are
constexpr std::int64_t kPieces = 4;                // of a source, that threads copy side by side
constexpr std::int64_t kMaxPairs = 2;
struct Sizes : FilterOrder {
  ConvAxis h, w;
  bool in_place;                          ///< whether the source has no halo and is read where it lies
  std::int64_t rows, columns;             ///< of the source with its halo
  std::int64_t pitch, block_rows;         ///< of the sums
  std::int64_t sums_channel, phase_sums;  ///< of a phase of the results, by channels
  std::int64_t held;                      ///< input channels whose filters are in the other order at a time
  bool once;                              ///< whether filters are needed but once
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
        once(held < in),
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
  /// Bytes of a tile's sums.
  std::int64_t sums() const { return phases() * sums_channel * tile * kVectorBytes; }
  /// Tiles that meet one source before they meet the other.
  std::int64_t together(std::int64_t pairs) const {
    return once && pairs > 1 ? at_most(at_least(kTogetherBytes / sums(), 1), ceil_div(vectors, tile)) : 1;
  }
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
        phases(sums + sizes.together(pairs) * sizes.sums()),
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
/// something to fetch beside. Filters `in_order` have come so: then what follows them is fetched, and that beside the last.
template <class Scalar>
void sum_block(const Sizes& sizes, const Scalar* source, std::int64_t channels, const Scalar* filters, std::int64_t i0,
               std::int64_t vectors, bool accumulate, bool in_order, Fetch beside, std::int64_t* places, Scalar* sums) {
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
      if (in_order && (c + some < channels || phase + 1 < sizes.phases())) {
        const std::int64_t bytes = some * taps * filter * sizeof(Scalar);
        following = Fetch(reinterpret_cast<const std::byte*>(filters) + bytes, bytes, 1, 0,
                          sizes.fetches(i1 - i0, split.pieces, some * taps));
        tiles.of(filters, some, accumulate || c > 0, &following);
      } else {
        tiles.of(filters, some, accumulate || c > 0, &beside);
      }
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

/// Output channels of a register tile.
struct OutputTile {
  std::int64_t first, count, vectors;
};

template <class Scalar, bool Adjoint>
class Direct {
 public:
  explicit Direct(const Arguments& args)
      : args_(args),
        pairs_(static_cast<std::int64_t>(args.in.size()) / 2),
        images_(args.out[0].dims[1]),
        sizes_(args.attrs_as<Conv2dGeometry>(), Adjoint, n, images_),
        scratch_(sizes_, pairs_),
        one_image_(args.out[0].dims[0] * images_ == 1),
        taps_(reinterpret_cast<TapPlace*>(args.scratch)) {
    place_taps(sizes_, taps_);
  }

  void run() {
    if (one_image_ && !sizes_.in_place)
      beforehand(args_, pairs_ * kPieces, [this](std::int64_t i) {
        const std::int64_t piece = i % kPieces;
        pad(0, 0, i / kPieces, {sizes_.in * piece / kPieces, sizes_.in * (piece + 1) / kPieces});
      });
    const std::int64_t part = part_vectors(args_, sizes_);
    for (PartRuns runs(args_, ceil_div(sizes_.vectors, part)); runs.next();) {
      first_ = runs.first * part;
      last_ = at_most(runs.last * part, sizes_.vectors);
      const std::int64_t tiles = ceil_div(last_ - first_, sizes_.tile), together = sizes_.together(pairs_);
      for (std::int64_t t = 0; t < args_.out[0].dims[0]; ++t)
        for (std::int64_t tile = 0; tile < tiles; tile += together) run_tiles(t, {tile, at_most(tile + together, tiles)});
    }
  }

 private:
  static constexpr std::int64_t n = kElements<Scalar>;

  Scalar* at(std::int64_t offset) const { return reinterpret_cast<Scalar*>(args_.scratch + offset); }
  Bank<Scalar, Adjoint> bank(std::int64_t t, std::int64_t pair) const { return {args_.in[2 * pair + 1], t, sizes_}; }

  /// A tile of this run of parts: where prepared filters come in tiles, those, else as even as they go.
  OutputTile tile(std::int64_t i) const {
    const Split split(last_ - first_, sizes_.tile);
    const bool whole = part_vectors(args_, sizes_) == sizes_.tile;
    const std::int64_t before = whole ? i * sizes_.tile : i * split.size - at_least(i - split.large, 0);
    const std::int64_t vectors = whole ? at_most(sizes_.tile, last_ - first_ - before) : split[i], first = (first_ + before) * n;
    return {first, at_most(vectors * n, sizes_.out - first), vectors};
  }
  Piece piece(const OutputTile& tile, std::int64_t c) const {
    return {c, at_most(sizes_.held, sizes_.in - c), tile.first, tile.count};
  }
  Fetch fetch(std::int64_t t, std::int64_t pair, const OutputTile& tile, std::int64_t c) const {
    const std::int64_t across = ceil_div(sizes_.w.count(0), max_pixels(static_cast<int>(tile.vectors)));
    return bank(t, pair).fetch(piece(tile, c), sizes_.fetches(sizes_.h.count(0), across, sizes_.held * sizes_.taps));
  }

  const Scalar* source(std::int64_t t, std::int64_t image, std::int64_t pair) const {
    const ConstView& view = args_.in[2 * pair];
    return view.as<Scalar>() + t * view.strides[0] + image * sizes_.in * sizes_.source();
  }
  /// That with its halo; of the only image it is for all threads.
  Scalar* padded(std::int64_t pair) const {
    return reinterpret_cast<Scalar*>((one_image_ ? args_.common() : args_.scratch) + scratch_.source + pair * scratch_.source_pair);
  }
  void pad(std::int64_t t, std::int64_t image, std::int64_t pair, Range channels) const {
    copy_padded(sizes_.padded(), source(t, image, pair) + channels.first * sizes_.source(), channels.last - channels.first,
                sizes_.rows, sizes_.columns, padded(pair) + channels.first * sizes_.rows * sizes_.columns);
  }

  void run_tiles(std::int64_t t, Range tiles) {
    for (std::int64_t image = 0; image < images_; ++image) {
      for (std::int64_t pair = 0; pair < pairs_ && !sizes_.in_place && !one_image_ && copied_ != t * images_ + image; ++pair)
        pad(t, image, pair, {0, sizes_.in});
      copied_ = t * images_ + image;
      for (std::int64_t i = 0; i < sizes_.h.count(0); i += sizes_.block_rows) {
        for (std::int64_t pair = 0; pair < pairs_; ++pair)
          for (std::int64_t nth = tiles.first; nth < tiles.last; ++nth)
            add(t, image, pair, tile(nth), i, next(t, pair, nth, tiles), sums(nth - tiles.first));
        for (std::int64_t nth = tiles.first; nth < tiles.last; ++nth) write(t, image, tile(nth), i, sums(nth - tiles.first));
      }
    }
  }
  Scalar* sums(std::int64_t nth) const { return at(scratch_.sums + nth * sizes_.sums()); }
  /// Fetches the filters that come after those of a tile.
  Fetch next(std::int64_t t, std::int64_t pair, std::int64_t nth, Range tiles) const {
    if (!sizes_.once) return {};
    if (nth + 1 < tiles.last) return fetch(t, pair, tile(nth + 1), 0);
    if (pair + 1 < pairs_) return fetch(t, pair + 1, tile(tiles.first), 0);
    if (tiles.last < ceil_div(last_ - first_, sizes_.tile)) return fetch(t, 0, tile(tiles.last), 0);
    return {};
  }

  /// A pair to the sums of output rows from i0 on.
  void add(std::int64_t t, std::int64_t image, std::int64_t pair, const OutputTile& tile, std::int64_t i0, const Fetch& next,
           Scalar* sums) {
    const Scalar* const from = sizes_.in_place ? source(t, image, pair) : padded(pair);
    std::int64_t* const pixels = reinterpret_cast<std::int64_t*>(args_.scratch + scratch_.pixels);
    const Bank<Scalar, Adjoint> filters = bank(t, pair);
    if (filters.prepared())
      return sum_block(sizes_, from, sizes_.in, filters.at(0, tile.first), i0, tile.vectors, pair > 0, true, next, pixels, sums);
    Scalar* const copy = at(scratch_.filters + pair * scratch_.filters_pair);
    for (std::int64_t c = 0; c < sizes_.in; c += sizes_.held) {
      if (sizes_.once || (image == 0 && i0 == 0)) filters.copy(piece(tile, c), taps_, copy);
      const bool more = c + sizes_.held < sizes_.in;
      sum_block<Scalar>(sizes_, from + c * sizes_.rows * sizes_.columns, piece(tile, c).channels, copy, i0, tile.vectors,
                        pair > 0 || c > 0, false, more ? fetch(t, pair, tile, c + sizes_.held) : next, pixels, sums);
    }
  }
  void write(std::int64_t t, std::int64_t image, const OutputTile& tile, std::int64_t i0, const Scalar* sums) {
    const std::int64_t dest = sizes_.h.dest * sizes_.w.dest, width = tile.vectors * n;
    Scalar* const out = args_.out[0].as<Scalar>() + ((t * images_ + image) * sizes_.out + tile.first) * dest;
    if (sizes_.phases() == 1) {
      const std::int64_t done = at_most(sizes_.block_rows, sizes_.h.count(0) - i0) * sizes_.pitch;
      return transpose<Scalar, false>({sums, width, width}, done, tile.count, {out + i0 * sizes_.w.dest, dest, done});
    }
    Scalar* const by_channel = at(scratch_.phases);
    for (std::int64_t phase = 0; phase < sizes_.phases(); ++phase)
      transpose<Scalar, false>({sums + phase * sizes_.sums_channel * width, width, width}, sizes_.sums_channel, tile.count,
                               {by_channel + phase * sizes_.phase_sums, sizes_.sums_channel, sizes_.sums_channel});
    write_rows(sizes_, by_channel, i0, {0, tile.count}, out);
  }

  const Arguments& args_;
  std::int64_t pairs_, images_;
  Sizes sizes_;
  Scratch<Scalar> scratch_;
  bool one_image_;
  TapPlace* taps_;
  std::int64_t first_ = 0, last_ = 0;  // vectors of a run of parts
  std::int64_t copied_ = -1;           // the image in scratch
};

template <class Scalar, bool Adjoint>
void run(const Arguments& args) {
  Direct<Scalar, Adjoint>(args).run();
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
