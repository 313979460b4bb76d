// Reference kernels called on small arrays written down in a test.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/api/kernel.h"

namespace gi::kernels {

using Dims = std::vector<std::int64_t>;

struct Array {
  Dims dims;
  std::vector<double> values;
  Dims strides = {};  ///< empty: dense
};

inline std::int64_t count(const Dims& dims) {
  std::int64_t n = 1;
  for (std::int64_t d : dims) n *= d;
  return n;
}

inline Layout layout_of(const Dims& dims, const Dims& strides) {
  Layout l;
  l.rank = static_cast<std::int64_t>(dims.size());
  std::int64_t stride = 1;
  for (std::size_t i = dims.size(); i-- > 0; stride *= dims[i]) {
    l.dims[i] = dims[i];
    l.strides[i] = strides.empty() ? stride : strides[i];
  }
  return l;
}

/// What `op` writes. It starts as NaN, so that an element left out shows.
inline std::vector<double> run_reference(const std::string& op, const Attrs& attrs, const std::vector<Array>& in,
                                         const Dims& out_dims) {
  const ReferenceKernel kernel = reference_kernel(op.c_str());
  if (kernel == nullptr) throw std::runtime_error("no reference kernel for " + op);
  std::vector<double> out(count(out_dims), std::numeric_limits<double>::quiet_NaN());
  std::vector<ConstView> inputs;
  for (const Array& a : in) inputs.push_back({layout_of(a.dims, a.strides), a.values.data()});
  const View output{layout_of(out_dims, {}), out.data()};
  Arguments args;
  args.attrs = attrs.data();
  args.in = inputs;
  args.out = {&output, 1};
  kernel(args);
  return out;
}

template <class Pod>
std::vector<double> reference(const std::string& op, const Pod& attrs, const std::vector<Array>& in, const Dims& out_dims) {
  return run_reference(op, Attrs(attrs), in, out_dims);
}
inline std::vector<double> reference(const std::string& op, const std::vector<Array>& in, const Dims& out_dims) {
  return run_reference(op, {}, in, out_dims);
}

}  // namespace gi::kernels
