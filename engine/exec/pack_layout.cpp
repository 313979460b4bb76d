#include "engine/exec/pack_layout.h"

namespace gi {
namespace {

/// Calls visit(index in the Tensor, index in memory) for every number that `layout` stores.
template <class Visit>
void for_each(const Shape& shape, const kernels::Layout& l, Visit visit) {
  const std::int64_t per_trial = shape.count_per_trial();
  const bool shared = l.strides[0] == 0;
  for (std::int64_t t = 0; t < shape.trials(); ++t)
    for (std::int64_t i = 0; i < per_trial; ++i)
      visit(t * per_trial + i, shared ? i : (t / l.lanes * per_trial + i) * l.lanes + t % l.lanes);
}

}  // namespace

void write_packed(const Tensor& value, const kernels::Layout& layout, std::byte* memory) {
  const Shape shape = layout.strides[0] == 0 ? value.shape().with(0, 1) : value.shape();
  for_each(shape, layout, [&](std::int64_t from, std::int64_t to) {
    if (layout.dtype == DType::f32) reinterpret_cast<float*>(memory)[to] = static_cast<float>(value.at(from));
    else reinterpret_cast<double*>(memory)[to] = value.at(from);
  });
}

Tensor read_packed(const std::byte* memory, const kernels::Layout& layout, const Shape& shape) {
  Tensor value(shape, layout.dtype);
  for_each(shape, layout, [&](std::int64_t to, std::int64_t from) {
    if (layout.dtype == DType::f32) value.as<float>()[to] = reinterpret_cast<const float*>(memory)[from];
    else value.as<double>()[to] = reinterpret_cast<const double*>(memory)[from];
  });
  return value;
}

}  // namespace gi
