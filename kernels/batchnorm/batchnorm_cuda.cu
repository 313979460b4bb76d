// A block does a channel of a trial (batchnorm_channel.h has the arithmetic). A large channel is cut into slices, their number
// given by the geometry: one launch leaves the sums of every slice in scratch, a second adds them up, each of its blocks for
// itself, and computes the results.
//
// Those are written, or go through the chain of a closed list (batchnorm_patterns.h) that they are the head of, rounded as if they
// had been written. Of other operands a chain reads the number it is about to write only, so that its results may lie where these
// did.
#include "kernels/batchnorm/batchnorm.h"

#include "kernels/batchnorm/batchnorm_channel.h"
#include "kernels/batchnorm/batchnorm_patterns.h"
#include "kernels/common/families_cuda.h"

namespace gi::kernels::GI_DEVICE {

namespace {

/// Where the values go.
template <class Scalar>
struct Written {
  static constexpr int kBlocksAtLeast = 4;  ///< of a multiprocessor: 64 registers a thread, for several loads under way
  Scalar* y;

  template <class Batch, int kWidth>
  __device__ void take(const Group<Scalar, kWidth>& values, const Batch& batch, int, int, int first) const {
#pragma unroll
    for (int j = 0; j < kWidth; ++j)
      if (batch.there[j]) y[first + batch.at[j]] = values.number[j];
  }
};

/// A chain's operand: a number for each of the head's values, or one for all of a channel.
struct Source {
  enum Form { kEach, kOfChannel, kWideOfChannel };  ///< wide: f64, whatever the Plan computes in
  const void* data;
  int of_trial, of_channel;  ///< from the first number of one to that of the next
  Form form;

  template <class Scalar, class Batch, int kWidth>
  __device__ void load(Group<Scalar, kWidth>& to, const Batch& batch, int t, int c) const {
    const int first = t * of_trial + c * of_channel;
    const auto* const numbers = static_cast<const Scalar*>(data) + first;
    to.number[0] = form == kWideOfChannel ? static_cast<Scalar>(static_cast<const double*>(data)[first])
                                          : numbers[form == kEach ? batch.at[0] : 0];
#pragma unroll
    for (int j = 1; j < kWidth; ++j) to.number[j] = form == kEach ? numbers[batch.at[j]] : to.number[0];
  }
};

template <class Scalar, class Code>
struct Chained {
  static constexpr int kBlocksAtLeast = Code::kInputs < 7 ? 4 : Code::kInputs < 9 ? 3 : 2;  ///< 64, 80 or 128 registers a thread
  Source in[Code::kInputs];  ///< the first is the head's value and not used
  Scalar* out[Code::kOutputs];
  Scalar a[Code::kInstructions], b[Code::kInstructions];

  template <class Batch, int kWidth>
  __device__ void take(const Group<Scalar, kWidth>& values, const Batch& batch, int t, int c, int first) const {
    Group<Scalar, kWidth> registers[Code::kRegisters];
    registers[0] = values;
#pragma unroll
    for (int k = 1; k < Code::kInputs; ++k) in[k].load(registers[k], batch, t, c);
    run_instructions<Code>(registers, a, b);
    write(registers, batch, first, std::make_integer_sequence<int, Code::kOutputs>{});
  }
  template <class Batch, int kWidth, int... kOutput>
  __device__ void write(const Group<Scalar, kWidth> (&registers)[Code::kRegisters], const Batch& batch, int first,
                        std::integer_sequence<int, kOutput...>) const {
#pragma unroll
    for (int j = 0; j < kWidth; ++j)
      if (batch.there[j]) ((out[kOutput][first + batch.at[j]] = registers[Code::template kResult<kOutput>].number[j]), ...);
  }
};

template <class Scalar, int kOperands, class Sink>
__global__ void __launch_bounds__(kMostThreads, Sink::kBlocksAtLeast)
    whole_channels(Geometry geo, Operands<Scalar, kOperands> operands, Sink sink) {
  const int t = static_cast<int>(blockIdx.x) / geo.channels, c = static_cast<int>(blockIdx.x) % geo.channels;
  const Channel<Scalar, kOperands> channel(geo, operands, t, c);
  const int first = t * geo.numbers * geo.channels + c * geo.pixels;
  channel.normalise(geo, 0, channel.sums_of(geo, 0),
                    [&](const auto& values, const auto& batch) { sink.take(values, batch, t, c, first); });
}

template <class Scalar, int kOperands>
__global__ void __launch_bounds__(kMostThreads, Written<Scalar>::kBlocksAtLeast)
    sum_slices(Geometry geo, Operands<Scalar, kOperands> operands, Sums<kOperands>* sums) {
  const int slice = static_cast<int>(blockIdx.x) % geo.slices, channels = static_cast<int>(blockIdx.x) / geo.slices;
  const Channel<Scalar, kOperands> channel(geo, operands, channels / geo.channels, channels % geo.channels);
  const Sums<kOperands> of_slice = channel.sums_of(geo, slice);
  if (threadIdx.x == 0) sums[blockIdx.x] = of_slice;
}

template <class Scalar, int kOperands, class Sink>
__global__ void __launch_bounds__(kMostThreads, Sink::kBlocksAtLeast)
    normalise_slices(Geometry geo, Operands<Scalar, kOperands> operands, const Sums<kOperands>* sums, Sink sink) {
  const int slice = static_cast<int>(blockIdx.x) % geo.slices, channels = static_cast<int>(blockIdx.x) / geo.slices;
  const int t = channels / geo.channels, c = channels % geo.channels;
  const Channel<Scalar, kOperands> channel(geo, operands, t, c);
  Sums<kOperands> all{};
  if (const int i = static_cast<int>(threadIdx.x); i < geo.slices) all = sums[channels * geo.slices + i];
  sum_all_over_block(all.of);
  const int first = t * geo.numbers * geo.channels + c * geo.pixels;
  channel.normalise(geo, slice, all, [&](const auto& values, const auto& batch) { sink.take(values, batch, t, c, first); });
}
static_assert(kMostSlices <= kMostThreads);

// ---- the host's part ------------------------------------------------------------------------------------------------------

template <int kOperands>
std::size_t sums_bytes(const Problem& problem) {
  const Geometry geo = geometry_of(problem, 0);
  if (geo.slices == 1) return 0;
  return static_cast<std::size_t>(problem.out[0].dims[0] * geo.channels * geo.slices) * sizeof(Sums<kOperands>);
}

/// Of the first operands; those after them are a chain's.
template <class Scalar, int kOperands, class Sink>
void normalise(const Arguments& args, double eps, const Sink& sink) {
  const Geometry geo = geometry_of(args, eps);
  Operands<Scalar, kOperands> operands;
  for (int k = 0; k < kOperands; ++k) {
    const ConstView& v = args.in[static_cast<std::size_t>(kOperands - 1 - k)];
    operands.data[k] = v.as<Scalar>(), operands.step[k] = trial_step(v);
  }
  auto* const sums = reinterpret_cast<Sums<kOperands>*>(args.scratch);
  const dim3 grid(static_cast<unsigned>(args.out[0].dims[0] * geo.channels * geo.slices)),
      block(static_cast<unsigned>(geo.threads));
  if (geo.slices == 1) {
    launch(args, whole_channels<Scalar, kOperands, Sink>, grid, block, 0, geo, operands, sink);
  } else {
    launch(args, sum_slices<Scalar, kOperands>, grid, block, 0, geo, operands, sums);
    launch(args, normalise_slices<Scalar, kOperands, Sink>, grid, block, 0, geo, operands, sums, sink);
  }
}

template <class Scalar, int kOperands>
void run(const Arguments& args) {
  normalise<Scalar, kOperands>(args, args.attrs_as<BatchnormAttrs>().eps, Written<Scalar>{args.out[0].as<Scalar>()});
}

bool one_for_channel(const ConstView& v) {
  const auto repeats = [&v](int axis) { return v.dims[axis] == 1 || v.strides[axis] == 0; };
  return repeats(1) && repeats(3) && repeats(4);
}

template <int kOperands>
int pattern_of(const Problem& problem, ElementwiseMatch& match) {
  return find_pattern(batchnorm_pattern<kOperands>, kBatchnormPatterns<kOperands>, problem.attrs_as<ElementwiseChain>(), match);
}

template <class Scalar, int kOperands>
const char* chain_declined(const Problem& problem) {
  ElementwiseMatch match;
  if (pattern_of<kOperands>(problem, match) < 0) return "a chain that is not on the list";
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    const ConstView& v = problem.in[i];
    if (v.dense_from(1) && v.dtype == kDType<Scalar>) continue;
    if (i < kOperands || !one_for_channel(v)) return "an operand is neither dense from axis 1 on nor one number for a channel";
  }
  return too_large(problem);
}

template <class Scalar, int kOperands, int kPattern>
void run_pattern(const Arguments& args, const ElementwiseMatch& match) {
  using Code = PatternCode<batchnorm_pattern<kOperands>, kPattern>;
  const auto& attrs = args.attrs_as<ElementwiseChain>();
  Chained<Scalar, Code> chained{};
  for (int k = 1; k < Code::kInputs; ++k) {
    const ConstView& v = args.in[static_cast<std::size_t>(kOperands - 1 + match.input[k])];
    const bool wide = v.dtype != kDType<Scalar>;
    chained.in[k] = {.data = v.data,
                     .of_trial = static_cast<int>(trial_step(v)),
                     .of_channel = static_cast<int>(v.strides[2]),
                     .form = wide                 ? Source::kWideOfChannel
                             : one_for_channel(v) ? Source::kOfChannel
                                                  : Source::kEach};
  }
  for (int k = 0; k < Code::kOutputs; ++k) chained.out[k] = args.out[match.output[k]].template as<Scalar>();
  fill_constants(attrs, chained.a, chained.b);
  normalise<Scalar, kOperands>(args, attrs.head.as<BatchnormAttrs>().eps, chained);
}

template <class Scalar, int kOperands>
struct Launchers {
  using Run = void (*)(const Arguments&, const ElementwiseMatch&);
  Run entries[kBatchnormPatterns<kOperands>];

  template <int... kPattern>
  constexpr explicit Launchers(std::integer_sequence<int, kPattern...>) : entries{run_pattern<Scalar, kOperands, kPattern>...} {}
};
template <class Scalar, int kOperands>
constexpr Launchers<Scalar, kOperands> kLaunchers{std::make_integer_sequence<int, kBatchnormPatterns<kOperands>>{}};

template <class Scalar, int kOperands>
void run_chain(const Arguments& args) {
  ElementwiseMatch match;
  const int pattern = pattern_of<kOperands>(args, match);
  kLaunchers<Scalar, kOperands>.entries[pattern](args, match);
}

template <class Scalar, int kOperands>
constexpr Kernel channels(const char* op) {
  return {op, "cuda_channels", Isa::cuda, kDType<Scalar>, 1, dense_only, sums_bytes<kOperands>, run<Scalar, kOperands>};
}
template <class Scalar, int kOperands>
constexpr Kernel chained_channels(const char* op) {
  return {op,
          "cuda_channels",
          Isa::cuda,
          kDType<Scalar>,
          1,
          chain_declined<Scalar, kOperands>,
          sums_bytes<kOperands>,
          run_chain<Scalar, kOperands>};
}

constexpr Kernel kKernels[] = {
    channels<float, 1>("batchnorm"),
    channels<double, 1>("batchnorm"),
    channels<float, 2>("batchnorm_grad"),
    channels<double, 2>("batchnorm_grad"),
    channels<float, 3>("batchnorm_grad2"),
    channels<double, 3>("batchnorm_grad2"),
    chained_channels<float, 1>("batchnorm_chain"),
    chained_channels<double, 1>("batchnorm_chain"),
    chained_channels<float, 2>("batchnorm_grad_chain"),
    chained_channels<double, 2>("batchnorm_grad_chain"),
    chained_channels<float, 3>("batchnorm_grad2_chain"),
    chained_channels<double, 3>("batchnorm_grad2_chain"),
};

}  // namespace

std::span<const Kernel> batchnorm_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
