// Elementwise chains, those of the closed list in elementwise_patterns.h: a kernel each, in which the instructions are unrolled and
// values stay in registers. A thread reads all operands of its numbers before it writes, for a result may lie where an operand did.
//
// Axes are merged as far as every operand allows, those of a trial first. A thread does a group of four neighbours on the innermost
// axis where f32 groups come out even within a trial, else one number; so how a trial is computed does not depend on the others.
#include "kernels/common/cuda_elementwise.h"
#include "kernels/common/families_cuda.h"
#include "kernels/elementwise/elementwise_patterns.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = 256;

/// The merged axes, innermost first, whose extent counts groups.
struct Axes {
  int groups = 1, count = 0;
  int extents[kMaxRank];
};

/// Where an operand's numbers are found.
struct Source {
  enum Form { kVector, kEqual, kEach };
  const void* data;
  int strides[kMaxRank];  ///< of `Axes`
  int step;               ///< to the next number of a group
  Form form;              ///< how a group lies: as one aligned vector, as one number, or as numbers
  bool wide;              ///< f64, whatever the Plan computes in; never a vector
};

template <int kPattern>
using Code = PatternCode<elementwise_pattern, kPattern>;

template <class Scalar, int kPattern>
struct Operands {
  Axes axes;
  Source in[Code<kPattern>::kInputs];
  Scalar* out[Code<kPattern>::kOutputs];
  Scalar a[Code<kPattern>::kInstructions], b[Code<kPattern>::kInstructions];
};

template <class Scalar>
__device__ Scalar number(const Source& source, int at) {
  return source.wide ? static_cast<Scalar>(static_cast<const double*>(source.data)[at])
                     : static_cast<const Scalar*>(source.data)[at];
}

template <class Scalar, int kWidth>
__device__ Group<Scalar, kWidth> group(const Source& source, int at) {
  Group<Scalar, kWidth> g;
  if (kWidth > 1 && source.form == Source::kVector)
    return *reinterpret_cast<const Group<Scalar, kWidth>*>(static_cast<const Scalar*>(source.data) + at);
  g.number[0] = number<Scalar>(source, at);
#pragma unroll
  for (int j = 1; j < kWidth; ++j)
    g.number[j] = source.form == Source::kEqual ? g.number[0] : number<Scalar>(source, at + j * source.step);
  return g;
}

template <class Scalar, int kPattern, int kWidth, int... kInput, int... kOutput>
__device__ void run_group(const Operands<Scalar, kPattern>& o, const int (&at)[Code<kPattern>::kInputs], int i,
                          std::integer_sequence<int, kInput...>, std::integer_sequence<int, kOutput...>) {
  Group<Scalar, kWidth> registers[Code<kPattern>::kRegisters];
  ((registers[kInput] = group<Scalar, kWidth>(o.in[kInput], at[kInput])), ...);
  run_instructions<Code<kPattern>>(registers, o.a, o.b);
  ((*reinterpret_cast<Group<Scalar, kWidth>*>(o.out[kOutput] + i * kWidth) = registers[Code<kPattern>::template kResult<kOutput>]),
   ...);
}

template <class Scalar, int kPattern, int kWidth>
__global__ void __launch_bounds__(kThreads) chain(Operands<Scalar, kPattern> o) {
  constexpr int kInputs = Code<kPattern>::kInputs;
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= o.axes.groups) return;
  int at[kInputs] = {}, rest = i;
#pragma unroll
  for (int axis = 0; axis < kMaxRank; ++axis) {
    if (axis >= o.axes.count) break;
    int index = rest;
    if (axis + 1 < o.axes.count) {
      rest /= o.axes.extents[axis];
      index -= rest * o.axes.extents[axis];
    }
#pragma unroll
    for (int k = 0; k < kInputs; ++k) at[k] += index * o.in[k].strides[axis];
  }
  run_group<Scalar, kPattern, kWidth>(o, at, i, std::make_integer_sequence<int, kInputs>{},
                                      std::make_integer_sequence<int, Code<kPattern>::kOutputs>{});
}

// ---- the host's part ------------------------------------------------------------------------------------------------------

template <class Scalar>
constexpr int kWidest = sizeof(Scalar) == 4 ? 4 : 1;

/// Merges the axes of `out` and fills in how `in` are read; the width of a group.
template <class Scalar>
int merge_axes(const View& out, std::span<const ConstView* const> in, Axes& axes, Source* sources) {
  const auto append = [&](std::int64_t axis) {
    const int extent = static_cast<int>(out.dims[axis]), inner = axes.count - 1;
    if (extent == 1) return;
    axes.groups *= extent;
    const auto stride = [&](std::size_t k) { return static_cast<int>(axis == 0 ? trial_step(*in[k]) : in[k]->strides[axis]); };
    bool merges = axes.count > 0;
    for (std::size_t k = 0; k < in.size(); ++k) merges = merges && stride(k) == sources[k].strides[inner] * axes.extents[inner];
    if (merges) {
      axes.extents[inner] *= extent;
      return;
    }
    for (std::size_t k = 0; k < in.size(); ++k) sources[k].strides[axes.count] = stride(k);
    axes.extents[axes.count++] = extent;
  };
  for (std::int64_t axis = out.rank - 1; axis > 0; --axis) append(axis);
  const int width = axes.count > 0 && axes.extents[0] % kWidest<Scalar> == 0 ? kWidest<Scalar> : 1;
  append(0);
  if (axes.count == 0) return width;

  axes.groups /= width;
  axes.extents[0] /= width;
  for (std::size_t k = 0; k < in.size(); ++k) {
    Source& source = sources[k];
    source.step = source.strides[0];
    source.strides[0] *= width;
    bool aligned = source.step == 1 && !source.wide;
    for (int axis = 0; axis < axes.count; ++axis) aligned = aligned && source.strides[axis] % width == 0;
    source.form = aligned ? Source::kVector : source.step == 0 ? Source::kEqual : Source::kEach;
  }
  return width;
}

template <class Scalar, int kPattern>
void run_pattern(const Arguments& args, const ElementwiseMatch& match) {
  constexpr int kInputs = Code<kPattern>::kInputs;
  Operands<Scalar, kPattern> o{};
  const ConstView* in[kInputs];
  for (int k = 0; k < kInputs; ++k) {
    in[k] = &args.in[match.input[k]];
    o.in[k].data = in[k]->data;
    o.in[k].wide = in[k]->dtype != kDType<Scalar>;
  }
  for (int k = 0; k < Code<kPattern>::kOutputs; ++k) o.out[k] = args.out[match.output[k]].template as<Scalar>();
  fill_constants(args.attrs_as<ElementwiseChain>(), o.a, o.b);
  const int width = merge_axes<Scalar>(args.out[0], in, o.axes, o.in);
  const dim3 grid(static_cast<unsigned>(ceil_div(o.axes.groups, kThreads)));
  if (width == 1) launch(args, chain<Scalar, kPattern, 1>, grid, dim3(kThreads), 0, o);
  else launch(args, chain<Scalar, kPattern, kWidest<Scalar>>, grid, dim3(kThreads), 0, o);
}

/// Scalars of a trial are f64.
template <class Scalar>
constexpr int kPatterns = sizeof(Scalar) == 4 ? kTensorPatterns : kAllPatterns;

template <class Scalar>
struct Launchers {
  using Run = void (*)(const Arguments&, const ElementwiseMatch&);
  Run entries[kPatterns<Scalar>];

  template <int... kPattern>
  constexpr explicit Launchers(std::integer_sequence<int, kPattern...>) : entries{run_pattern<Scalar, kPattern>...} {}
};
template <class Scalar>
constexpr Launchers<Scalar> kLaunchers{std::make_integer_sequence<int, kPatterns<Scalar>>{}};

template <class Scalar>
const char* declined(const Problem& problem) {
  ElementwiseMatch match;
  if (find_pattern(elementwise_pattern, kPatterns<Scalar>, problem.attrs_as<ElementwiseChain>(), match) < 0)
    return "a chain that is not on the list";
  return too_large(problem);
}

template <class Scalar>
void run(const Arguments& args) {
  ElementwiseMatch match;
  const int pattern = find_pattern(elementwise_pattern, kPatterns<Scalar>, args.attrs_as<ElementwiseChain>(), match);
  kLaunchers<Scalar>.entries[pattern](args, match);
}

constexpr Kernel kKernels[] = {
    {"elementwise_chain", "cuda_patterns", Isa::cuda, DType::f32, 1, declined<float>, nullptr, run<float>},
    {"elementwise_chain", "cuda_patterns", Isa::cuda, DType::f64, 1, declined<double>, nullptr, run<double>},
};

}  // namespace

std::span<const Kernel> elementwise_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
