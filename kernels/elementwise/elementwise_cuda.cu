// Elementwise ops, one thread a number. Every op is a kernel of its own; chains of several are declined, so the Plan takes them
// apart.
#include "kernels/common/families_cuda.h"
#include "kernels/elementwise/elementwise.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = 256;

/// Where a number of the output finds an operand's.
struct Source {
  const void* data;
  int strides[kMaxRank];
  bool wide;  ///< f64, whatever the Plan computes in
};

/// Axes are counted from the last, those that are not there have extent 1.
struct Elements {
  int count;
  int dims[kMaxRank];
  Source in[2];
  bool dense;  ///< all operands are, and of the output's type
};

const char* declined(const Problem& problem) {
  const auto& chain = problem.attrs_as<ElementwiseChain>();
  if (chain.instructions != 1 || chain.outputs != 1) return "a chain of more than one op";
  return too_large(problem);
}

template <Elementwise Op>
constexpr bool kBinary = arity(Op) == 2;  // device code calls no host function, constexpr or not

template <class Scalar, Elementwise Op>
__device__ Scalar apply(Scalar x, Scalar y, Scalar a, Scalar b) {
  using E = Elementwise;
  if constexpr (Op == E::copy) return x;
  else if constexpr (Op == E::add) return x + y;
  else if constexpr (Op == E::sub) return x - y;
  else if constexpr (Op == E::mul) return x * y;
  else if constexpr (Op == E::div) return x / y;
  else if constexpr (Op == E::scale) return a * x;
  else if constexpr (Op == E::offset) return x + a;
  else if constexpr (Op == E::exp) return exp(x);
  else if constexpr (Op == E::log) return log(x);
  else if constexpr (Op == E::sqrt) return sqrt(x);
  else if constexpr (Op == E::rsqrt) return Scalar(1) / sqrt(x);
  else if constexpr (Op == E::recip) return Scalar(1) / x;
  else if constexpr (Op == E::tanh) return tanh(x);
  else if constexpr (Op == E::sigmoid) {
    const Scalar e = exp(x < Scalar(0) ? x : -x);  // at most 1
    return (x < Scalar(0) ? e : Scalar(1)) / (Scalar(1) + e);
  } else if constexpr (Op == E::abs) return x < Scalar(0) ? -x : x == Scalar(0) ? Scalar(0) : x;
  else if constexpr (Op == E::sign) return Scalar(x > Scalar(0)) - Scalar(x < Scalar(0));
  else if constexpr (Op == E::relu_mask) return y <= Scalar(0) ? Scalar(0) : x;
  else if constexpr (Op == E::leaky_relu_mask) return y > Scalar(0) ? x : a * x;
  else if constexpr (Op == E::clamp) return y <= a ? a : y >= b ? b : x;
  else if constexpr (Op == E::clamp_mask) return a < y && y < b ? x : Scalar(0);
  else if constexpr (Op == E::maximum) return x > y ? x : y;
  else return x < y ? x : y;
}

template <class Scalar>
__device__ Scalar number(const Source& source, int at) {
  return source.wide ? static_cast<Scalar>(static_cast<const double*>(source.data)[at])
                     : static_cast<const Scalar*>(source.data)[at];
}

template <class Scalar, Elementwise Op>
__global__ void __launch_bounds__(kThreads) elementwise(Elements e, Scalar a, Scalar b, Scalar* out) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= e.count) return;
  int at[2] = {i, i};
  if (!e.dense) {
    at[0] = at[1] = 0;
    int rest = i;
#pragma unroll
    for (int axis = 0; axis < kMaxRank; ++axis) {
      const int index = rest % e.dims[axis];
      rest /= e.dims[axis];
      at[0] += index * e.in[0].strides[axis];
      at[1] += index * e.in[1].strides[axis];
    }
  }
  const Scalar x = number<Scalar>(e.in[0], at[0]), y = kBinary<Op> ? number<Scalar>(e.in[1], at[1]) : Scalar(0);
  out[i] = apply<Scalar, Op>(x, y, a, b);
}

template <class Scalar>
struct Launchers {
  using Run = void (*)(const Arguments&, const Elements&, const ElementwiseChain::Instruction&);
  Run entries[kElementwiseNames.size()];

  template <std::size_t... Op>
  constexpr explicit Launchers(std::index_sequence<Op...>) : entries{run<static_cast<Elementwise>(Op)>...} {}

  template <Elementwise Op>
  static void run(const Arguments& args, const Elements& e, const ElementwiseChain::Instruction& code) {
    launch(args, elementwise<Scalar, Op>, dim3(static_cast<unsigned>(ceil_div(e.count, kThreads))), dim3(kThreads), 0, e,
           static_cast<Scalar>(code.a), static_cast<Scalar>(code.b), args.out[0].as<Scalar>());
  }
};
template <class Scalar>
constexpr Launchers<Scalar> kLaunchers{std::make_index_sequence<kElementwiseNames.size()>{}};

template <class Scalar>
void run(const Arguments& args) {
  const auto& code = args.attrs_as<ElementwiseChain>().code[0];
  const View& out = args.out[0];
  const auto from_last = [&out](const auto& of_axes, int(&to)[kMaxRank], int none) {
    for (int axis = 0; axis < kMaxRank; ++axis)
      to[axis] = axis < out.rank ? static_cast<int>(of_axes[static_cast<std::size_t>(out.rank - 1 - axis)]) : none;
  };
  Elements e{.count = static_cast<int>(out.count()), .dims = {}, .in = {}, .dense = true};
  from_last(out.dims, e.dims, 1);
  const std::int64_t registers[2] = {code.x, arity(code.op) == 2 ? code.y : code.x};
  for (int k = 0; k < 2; ++k) {
    const ConstView& v = args.in[registers[k]];
    e.in[k] = {v.data, {}, v.dtype == DType::f64};
    from_last(v.strides, e.in[k].strides, 0);
    e.dense = e.dense && v.dense();
  }
  kLaunchers<Scalar>.entries[static_cast<std::size_t>(code.op)](args, e, code);
}

constexpr Kernel kKernels[] = {
    {"elementwise_chain", "cuda_one_op", Isa::cuda, DType::f32, 1, declined, nullptr, run<float>},
    {"elementwise_chain", "cuda_one_op", Isa::cuda, DType::f64, 1, declined, nullptr, run<double>},
};

}  // namespace

std::span<const Kernel> elementwise_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
