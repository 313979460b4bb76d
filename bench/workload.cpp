#include "bench/workload.h"

#include <algorithm>
#include <cstring>
#include <utility>

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

std::int64_t Workload::trials() const {
  std::int64_t most = 1;
  for (const auto* operands : {&in, &out})
    for (const Layout& l : *operands) most = std::max(most, l.dims[0] * l.lanes);
  return most;
}

const char* Workload::declined(const kernels::Kernel& k) const {
  std::vector<ConstView> inputs;
  std::vector<View> outputs;
  for (const Layout& l : in) inputs.push_back({l});
  for (const Layout& l : out) outputs.push_back({l});
  return k.declines != nullptr ? k.declines({attrs_data(), inputs, outputs}) : nullptr;
}

std::vector<const kernels::Kernel*> Workload::kernels(std::span<const kernels::Kernel> list) const {
  if (prepared_for != nullptr) return {prepared_for};
  std::vector<const kernels::Kernel*> serving;
  for (const kernels::Kernel& k : list)
    if (is_for(k) && declined(k) == nullptr) serving.push_back(&k);
  return serving;
}

Buffer drawn(const Layout& layout, std::uint64_t seed) {
  const std::size_t count = scalars_of(layout);
  Buffer buffer(count * kernels::size_of(layout.dtype));
  if (layout.dtype == DType::f32) draw(reinterpret_cast<float*>(buffer.data()), count, seed);
  else draw(reinterpret_cast<double*>(buffer.data()), count, seed);
  return buffer;
}

Call::Call(const Workload& workload, const kernels::Kernel& kernel, Device* device) : kernel_(kernel), device_(device) {
  for (const Layout& l : workload.in) in_.push_back({l, place(drawn(l, in_.size()))});
  for (const Layout& l : workload.out) out_.push_back({l, place(drawn(l, in_.size() + out_.size()))});
  args_.attrs = workload.attrs_data();
  args_.in = in_;
  args_.out = out_;
  if (device != nullptr) args_.stream = device->stream();
  const std::size_t scratch = kernel.scratch_bytes != nullptr ? kernel.scratch_bytes(args_) : 0;
  args_.scratch = device != nullptr ? on_device_.emplace_back(*device, scratch).data() : memory_.emplace_back(scratch).data();
}

std::byte* Call::place(Buffer values) {
  if (device_ == nullptr) return memory_.emplace_back(std::move(values)).data();
  std::byte* const there = on_device_.emplace_back(*device_, values.size()).data();
  device_->upload(there, values.data(), values.size());
  return there;
}

void Call::run() const {
  kernel_.run(args_);
  if (device_ != nullptr) device_->check();
}

Buffer Call::output(std::size_t i) const {
  const View& view = out_[i];
  Buffer values(scalars_of(view) * kernels::size_of(view.dtype));
  if (device_ != nullptr) device_->download(values.data(), view.as<std::byte>(), values.size());
  else std::memcpy(values.data(), view.data, values.size());
  return values;
}

}  // namespace gi::bench
