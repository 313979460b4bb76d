#include "bench/workload.h"

#include "models/random.h"

namespace gi::bench {

using kernels::ConstView;
using kernels::Layout;
using kernels::View;

namespace {

/// Scalars from the first to the last that the layout reaches.
std::size_t scalars_of(const Layout& layout) {
  std::int64_t last = 0;
  for (int axis = 0; axis < layout.rank; ++axis) last += (layout.dims[axis] - 1) * layout.strides[axis];
  return static_cast<std::size_t>((last + 1) * layout.lanes);
}

template <class Scalar>
void draw(Scalar* values, std::size_t count, std::uint64_t seed) {
  models::Random random(seed);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t bits = random.bits();
    const double size = 0.5 + 1.5 * static_cast<double>(bits >> 40) * 0x1p-24;
    values[i] = static_cast<Scalar>((bits & 1) != 0 ? size : -size);
  }
}

}  // namespace

double Workload::bytes() const {
  double sum = 0;
  for (const auto* operands : {&in, &out})
    for (const Layout& l : *operands) {
      double count = static_cast<double>(l.lanes);
      for (int axis = 0; axis < l.rank; ++axis) count *= l.strides[axis] == 0 ? 1.0 : static_cast<double>(l.dims[axis]);
      sum += count * static_cast<double>(kernels::size_of(l.dtype));
    }
  return sum;
}

std::vector<const kernels::Kernel*> Workload::kernels(kernels::Isa isa) const {
  std::vector<ConstView> inputs;
  std::vector<View> outputs;
  for (const Layout& l : in) inputs.push_back({l});
  for (const Layout& l : out) outputs.push_back({l});
  const kernels::Problem problem{attrs_data(), inputs, outputs};
  std::vector<const kernels::Kernel*> list;
  for (const kernels::Kernel& k : isa == kernels::Isa::cuda ? kernels::cuda_kernels() : kernels::cpu_kernels(isa))
    if (kernel == k.op && k.dtype == dtype && k.lanes == lanes && (k.declines == nullptr || k.declines(problem) == nullptr))
      list.push_back(&k);
  return list;
}

Buffer drawn(const Layout& layout, std::uint64_t seed) {
  const std::size_t count = scalars_of(layout);
  Buffer buffer(count * kernels::size_of(layout.dtype));
  if (layout.dtype == DType::f32) draw(reinterpret_cast<float*>(buffer.data()), count, seed);
  else draw(reinterpret_cast<double*>(buffer.data()), count, seed);
  return buffer;
}

Call::Call(const Workload& workload, const kernels::Kernel& kernel) : kernel_(kernel) {
  for (const Layout& l : workload.in) in_.push_back({l, memory_.emplace_back(drawn(l, memory_.size())).data()});
  for (const Layout& l : workload.out) out_.push_back({l, memory_.emplace_back(drawn(l, memory_.size())).data()});
  args_.attrs = workload.attrs_data();
  args_.in = in_;
  args_.out = out_;
  if (kernel.scratch_bytes != nullptr) args_.scratch = memory_.emplace_back(kernel.scratch_bytes(args_)).data();
}

}  // namespace gi::bench
