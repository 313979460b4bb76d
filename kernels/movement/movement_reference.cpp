#include "kernels/movement/movement.h"

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {
namespace {

/// inner[i] <-> outer[i + before] for all i of the inner extents.
template <class Visit>
void for_each_inner(const PadAttrs& amounts, const Layout& inner, Visit visit) {
  for_each_index(inner, [&](const Index& i) {
    Index moved = i;
    for (int axis = 0; axis < inner.rank; ++axis) moved[axis] += amounts.before[axis];
    visit(i, moved);
  });
}

}  // namespace

void pad_reference(const Arguments& args) {
  const auto x = elements(args.in[0]);
  const auto y = elements(args.out[0]);
  fill_zero(args.out[0]);
  for_each_inner(args.attrs_as<PadAttrs>(), args.in[0], [&](const Index& inner, const Index& outer) { y[outer] = x[inner]; });
}

void crop_reference(const Arguments& args) {
  const auto x = elements(args.in[0]);
  const auto y = elements(args.out[0]);
  for_each_inner(args.attrs_as<PadAttrs>(), args.out[0], [&](const Index& inner, const Index& outer) { y[inner] = x[outer]; });
}

void transpose_reference(const Arguments& args) {
  const auto& axes = args.attrs_as<TransposeAttrs>().axes;
  const auto x = elements(args.in[0]);
  const auto y = elements(args.out[0]);
  for_each_index(args.out[0], [&](const Index& yi) {
    Index xi{};
    for (int axis = 0; axis < args.out[0].rank; ++axis) xi[axes[axis]] = yi[axis];
    y[yi] = x[xi];
  });
}

void reshape_reference(const Arguments& args) {
  double* y = args.out[0].as<double>();
  for_each_index(args.in[0], [&, x = elements(args.in[0])](const Index& i) { *y++ = x[i]; });
}

}  // namespace gi::kernels
