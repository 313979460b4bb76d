// Moving elements is one strided copy; what moves is the number, whatever it is made of.
#include "kernels/movement/movement.h"

#include "kernels/common/variants.h"

namespace gi::kernels::GI_ISA {
namespace {

/// One trial's elements: extents and both sides' steps of at most four axes, innermost first.
struct Copy {
  static constexpr int kAxes = kMaxRank - 1;
  int axes = 0;
  std::int64_t extent[kAxes] = {1, 1, 1, 1}, from[kAxes] = {}, to[kAxes] = {};

  /// Axes come innermost first; one that continues the last is merged with it.
  void add(std::int64_t n, std::int64_t from_stride, std::int64_t to_stride) {
    if (n == 1) return;
    const int last = axes - 1;
    if (axes > 0 && from_stride == from[last] * extent[last] && to_stride == to[last] * extent[last]) {
      extent[last] *= n;
    } else {
      extent[axes] = n, from[axes] = from_stride, to[axes] = to_stride;
      ++axes;
    }
  }
};

constexpr std::int64_t kTile = 16;
constexpr std::int64_t tile_end(std::int64_t first, std::int64_t extent) { return first + kTile < extent ? first + kTile : extent; }

/// The two innermost axes: whole rows where both sides have them in one piece, else a tile at a time, so that both sides'
/// cache lines are used up while they last.
template <class Real>
void copy_rows(const Copy& job, const Real* x, Real* y) {
  const std::int64_t columns = job.extent[0], rows = job.extent[1];
  if (job.from[0] == 1 && job.to[0] == 1) {
    for (std::int64_t r = 0; r < rows; ++r)
      __builtin_memcpy(y + r * job.to[1], x + r * job.from[1], static_cast<std::size_t>(columns) * sizeof(Real));
    return;
  }
  for (std::int64_t r0 = 0; r0 < rows; r0 += kTile)
    for (std::int64_t c0 = 0; c0 < columns; c0 += kTile)
      for (std::int64_t r = r0; r < tile_end(r0, rows); ++r)
        for (std::int64_t c = c0; c < tile_end(c0, columns); ++c)
          y[r * job.to[1] + c * job.to[0]] = x[r * job.from[1] + c * job.from[0]];
}

template <class Real>
void copy(const Copy& job, const Real* x, Real* y) {
  for (std::int64_t i = 0; i < job.extent[3]; ++i)
    for (std::int64_t j = 0; j < job.extent[2]; ++j)
      copy_rows(job, x + i * job.from[3] + j * job.from[2], y + i * job.to[3] + j * job.to[2]);
}

template <class Real>
void copy_trials(const Arguments& args, const Copy& job, std::int64_t from_offset, std::int64_t to_offset) {
  const View& y = args.out.data()[0];
  for (std::int64_t t = 0; t < y.dims[0]; ++t)
    copy(job, block_of<Real>(args.in.data()[0], t) + from_offset, block_of<Real>(y, t) + to_offset);
}

/// Both ways between the inner part and the whole.
template <class Real>
void pad_or_crop(const Arguments& args, const Layout& inner, const Layout& outer, bool pad) {
  const auto& amounts = *static_cast<const PadAttrs*>(args.attrs);
  Copy job;
  std::int64_t offset = 0;
  for (int axis = static_cast<int>(inner.rank) - 1; axis >= 1; --axis) {
    offset += amounts.before.data()[axis] * outer.strides[axis];
    if (pad) job.add(inner.dims[axis], inner.strides[axis], outer.strides[axis]);
    else job.add(inner.dims[axis], outer.strides[axis], inner.strides[axis]);
  }
  copy_trials<Real>(args, job, pad ? 0 : offset, pad ? offset : 0);
}

template <class Real>
void pad(const Arguments& args) {
  const View& y = args.out.data()[0];
  __builtin_memset(y.data, 0, static_cast<std::size_t>(y.dims[0] * numbers_per_block(y)) * sizeof(Real));
  pad_or_crop<Real>(args, args.in.data()[0], y, true);
}

template <class Real>
void crop(const Arguments& args) {
  pad_or_crop<Real>(args, args.out.data()[0], args.in.data()[0], false);
}

template <class Real>
void transpose(const Arguments& args) {
  const auto& axes = static_cast<const TransposeAttrs*>(args.attrs)->axes;
  const ConstView& x = args.in.data()[0];
  const View& y = args.out.data()[0];
  Copy job;
  for (int axis = static_cast<int>(y.rank) - 1; axis >= 1; --axis)
    job.add(y.dims[axis], x.strides[axes.data()[axis]], y.strides[axis]);
  copy_trials<Real>(args, job, 0, 0);
}

}  // namespace

std::span<const Kernel> movement_kernels() {
  static constexpr Kernel kTable[] = {
      GI_KERNEL_VARIANTS("pad", "strided_copy", declines_unless_plain, no_scratch, pad, one_part),
      GI_KERNEL_VARIANTS("crop", "strided_copy", declines_unless_plain, no_scratch, crop, one_part),
      GI_KERNEL_VARIANTS("transpose", "strided_copy", declines_unless_plain, no_scratch, transpose, one_part),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
