// conv2d and conv2d_grad_input of single trials with pixels in the lanes: how images lie in scratch. Only for *_cpu.cpp files.
//
// The source is copied to scratch with its halo, a slab of rows one after the other at one pitch; then output position
// i * pitch + j reads every tap at a fixed distance, so a vector of neighbouring positions runs on over the ends of rows. What
// falls between the rows is computed and thrown away: as little as can be, so the zeros behind a row are those in front of the
// next. For strides above 1 the copy takes the source apart into stride_h * stride_w images that are read with step 1.
#pragma once

#include <cstring>

#include "kernels/common/transpose.h"
#include "kernels/conv2d/conv2d_axis.h"
#include "kernels/conv2d/conv2d_padded.h"
#include "kernels/conv2d/conv2d_rows.h"

namespace gi::kernels::GI_ISA {

constexpr std::int64_t kBlockBytes = 512 << 10;  // source and sums of a block of rows, of a second cache of 1 MiB or more

struct Gather {
  ConvAxis h, w;
  std::int64_t groups, in, out;                      ///< channels of a group on either side
  std::int64_t filter_in, filter_out, filter_group;  ///< steps of the filter bank, in numbers
  std::int64_t images_h, images_w;                   ///< the copy's images by phase of the source
  std::int64_t pitch, overrun;                       ///< numbers from row to row; bytes that are read beyond a slab
  std::int64_t block_rows, image_rows;
  std::int64_t slab_channel, sums_channel;  ///< numbers of one channel
  std::int64_t phase_sums;                  ///< numbers from the sums of one phase to those of the next

  /// In `least_blocks` blocks of rows or more, if there are as many rows.
  Gather(const Conv2dGeometry& geo, bool adjoint, std::int64_t scalar_bytes, std::int64_t block_bytes = kBlockBytes,
         std::int64_t least_blocks = 1)
      : h{adjoint ? geo.p : geo.h, adjoint ? geo.h : geo.p, geo.r, geo.stride_h, geo.pad_h, adjoint},
        w{adjoint ? geo.q : geo.w, adjoint ? geo.w : geo.q, geo.s, geo.stride_w, geo.pad_w, adjoint},
        groups(geo.groups),
        in(adjoint ? geo.k_per_group() : geo.c_per_group()),
        out(adjoint ? geo.c_per_group() : geo.k_per_group()),
        filter_in((adjoint ? geo.c_per_group() : 1) * geo.r * geo.s),
        filter_out((adjoint ? 1 : geo.c_per_group()) * geo.r * geo.s),
        filter_group(geo.k_per_group() * geo.c_per_group() * geo.r * geo.s),
        images_h(at_most(h.step(), h.spread() + 1)),
        images_w(at_most(w.step(), w.spread() + 1)),
        pitch(w.count(0) + w.spread() / w.step() - shared_halo()),
        overrun(kVectorBytes + shared_halo() * scalar_bytes) {
    const std::int64_t row_bytes = groups * (in * images_h * images_w + out * phases()) * pitch * scalar_bytes;
    const std::int64_t most_rows = h.count(0) / least_blocks;
    block_rows = even_piece(h.count(0), at_most(block_bytes / row_bytes - h.spread() / h.step(), most_rows));
    image_rows = block_rows + h.spread() / h.step();
    slab_channel = images_h * images_w * image_rows * pitch;
    sums_channel = vectors(block_rows, kVectorBytes / scalar_bytes) * kVectorBytes / scalar_bytes;
    phase_sums = groups * out * sums_channel;
  }
  /// Places by which a row may run on into the next one's, since there are zeros on both sides.
  std::int64_t shared_halo() const {
    std::int64_t most = w.spread() / w.step();
    for (std::int64_t image = 0; image < images_w; ++image) {
      const std::int64_t places = w.count(0) + w.spread() / w.step();
      const Range there = inside(w.lowest() + image, w.step(), w.source, places);
      most = at_most(most, at_most(there.first, places - there.last));
    }
    return most;
  }
  std::int64_t phases() const { return h.phases() * w.phases(); }
  /// Whether `rows` rows of the source are read where they lie: nothing beside them, no steps, whole vectors.
  bool reads_in_place(std::int64_t rows, std::int64_t elements) const {
    return h.filter == 1 && w.filter == 1 && h.pad == 0 && w.pad == 0 && h.step() == 1 && w.step() == 1 && pitch == w.source &&
           rows * pitch % elements == 0;
  }
  /// Whether they are written where they belong.
  bool writes_in_place(std::int64_t rows, std::int64_t elements) const {
    return phases() == 1 && pitch == w.dest && rows * pitch % elements == 0;
  }
  std::int64_t tap_count() const { return h.filter * w.filter; }
  std::int64_t phase(std::int64_t r, std::int64_t s) const { return h.phase(r) * w.phases() + w.phase(s); }
  std::int64_t tap_count(std::int64_t phase) const { return h.taps(phase / w.phases()) * w.taps(phase % w.phases()); }
  /// Where an output's number of tap (r, s) lies in a slab, from where its position is.
  std::int64_t tap_offset(std::int64_t r, std::int64_t s) const {
    const std::int64_t down = h.offset(r) - h.lowest(), right = w.offset(s) - w.lowest();
    const std::int64_t image = down % h.step() * images_w + right % w.step();
    return (image * image_rows + down / h.step()) * pitch + right / w.step();
  }
  /// Vectors from the first to the last output of `rows` rows.
  std::int64_t vectors(std::int64_t rows, std::int64_t elements) const {
    return ceil_div((rows - 1) * pitch + w.count(0), elements);
  }
};

/// The slab for output rows from i0 on: the images of `channels` channels of the source, zero outside of it.
template <class Scalar>
void copy_source(const Gather& gather, const Scalar* source, std::int64_t channels, std::int64_t i0, Scalar* to) {
  const std::int64_t step_w = gather.w.step();
  std::memset(to, 0, channels * gather.slab_channel * sizeof(Scalar) + gather.overrun);
  for (std::int64_t image = 0; image < gather.images_h * gather.images_w; ++image) {
    // Places 0 <= column + j * step_w < width, and likewise down.
    const std::int64_t column = gather.w.lowest() + image % gather.images_w;
    const std::int64_t row = gather.h.lowest() + image / gather.images_w + i0 * gather.h.step();
    const Range across = inside(column, step_w, gather.w.source, gather.pitch);
    const Range down = inside(row, gather.h.step(), gather.h.source, gather.image_rows);
    for (std::int64_t c = 0; c < channels; ++c) {
      const Scalar* from = source + c * gather.h.source * gather.w.source + column + across.first * step_w;
      Scalar* const rows = to + c * gather.slab_channel + image * gather.image_rows * gather.pitch + across.first;
      for (std::int64_t i = down.first; i < down.last; ++i)
        copy_strided(from + (row + i * gather.h.step()) * gather.w.source, step_w, across.last - across.first,
                     rows + i * gather.pitch);
    }
  }
}

}  // namespace gi::kernels::GI_ISA
