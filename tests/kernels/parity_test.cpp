// Every fast kernel of every instruction set this processor has, against the reference kernel of its op.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>

#include "kernels/all_cases.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

constexpr bool is_one_of(std::string_view op, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names)
    if (op == name) return true;
  return false;
}

int elementwise_index(std::string_view op) {
  for (std::size_t i = 0; i < kElementwiseNames.size(); ++i)
    if (op == kElementwiseNames[i]) return static_cast<int>(i);
  return -1;
}

/// Ops without a kernel of their own run as a chain of one instruction: views as a copy.
bool is_view(const Case& c) { return is_one_of(c.op, {"broadcast_to", "reshape"}); }
bool is_chain(const Case& c) { return is_view(c) || elementwise_index(c.op) >= 0; }

ElementwiseChain chain_of(const Case& c) {
  ElementwiseChain chain;
  chain.inputs = c.operands;
  chain.instructions = chain.outputs = 1;
  chain.code[0] = {.op = is_view(c) ? Elementwise::copy : static_cast<Elementwise>(elementwise_index(c.op)), .x = 0, .y = 1};
  if (!is_view(c)) chain.code[0].a = c.attrs.as<ElementwiseAttrs>().a, chain.code[0].b = c.attrs.as<ElementwiseAttrs>().b;
  chain.result[0] = c.operands;
  return chain;
}

/// The n of the precision class: the longest reduction, 0 where nothing is rounded. Elementwise arithmetic counts as 4, for its
/// one or two roundings (the constants of an op are rounded too), functions as 16: their error is within 3 units in the last place.
double rounded_terms(const Case& c) {
  const std::string_view op = c.op;
  const auto d = [](const Operand& o, int axis) { return static_cast<double>(o.dims[axis]); };
  if (is_one_of(op, {"conv2d", "conv2d_grad_input", "conv2d_grad_weight"})) {
    const auto& g = c.attrs.as<Conv2dGeometry>();
    if (op == "conv2d") return static_cast<double>(g.c_per_group() * g.r * g.s);
    if (op == "conv2d_grad_input") return static_cast<double>(g.k_per_group() * g.r * g.s);
    return d(c.in[0], 0) * static_cast<double>(g.p * g.q);
  }
  if (op.starts_with("winograd_filter"))
    return static_cast<double>(c.attrs.as<WinogradFilter>().side() * c.attrs.as<WinogradFilter>().side());
  if (op.starts_with("winograd"))
    return static_cast<double>(c.attrs.as<WinogradGeometry>().side() * c.attrs.as<WinogradGeometry>().side());
  if (op == "matmul") return static_cast<double>(c.attrs.as<MatmulGeometry>().k);
  if (op == "sum_to") return static_cast<double>(count(c.in[0])) / static_cast<double>(count(c.out));
  if (is_one_of(op, {"dot", "total_variation"})) return static_cast<double>(count(c.in[0]));
  if (is_one_of(op, {"avg_pool", "avg_pool_grad", "max_scatter"})) {
    const auto& g = c.attrs.as<PoolGeometry>();
    return static_cast<double>(g.r * g.s);
  }
  if (is_one_of(op, {"batchnorm", "batchnorm_grad", "batchnorm_grad2"})) return d(c.in[0], 0) * d(c.in[0], 2) * d(c.in[0], 3);
  if (op == "cross_entropy") return d(c.in[0], 0) * d(c.in[0], 1);
  if (is_one_of(op, {"log_softmax", "softmax_residual", "softmax_vjp"})) return d(c.in[0], 1);
  if (is_one_of(op, {"exp", "log", "tanh", "sigmoid"})) return 16;
  if (is_one_of(
          op, {"add", "sub", "mul", "div", "scale", "offset", "sqrt", "rsqrt", "recip", "leaky_relu_mask", "total_variation_grad"}))
    return 4;
  if (op == "broadcast_to") return c.in[0].rank == 0 ? 1 : 0;  // the scalar of a trial becomes f32
  return 0;                                                    // moves and choices
}

/// By the output: what has rank 1 is f64 in every Plan, and accumulates so.
double tolerance(const Case& c, DType dtype, double terms_factor = 1) {
  return (dtype == DType::f32 && c.out.rank > 0 ? 6e-8 : 4e-15) * std::sqrt(terms_factor * rounded_terms(c));
}

/// What TF32 adds. A factor's error is uniform within 2^-11 of its power of two, so 2^-11 / sqrt(3) of it at most, as a root mean
/// square; two factors make that sqrt(2) times as much, of every product and, the errors being independent, of a sum of any number
/// of them. Over the numbers of an output, whose error is taken as a whole, the mean square scatters.
double tf32_tolerance(const Case& c) {
  return 0x1p-11 * std::sqrt(2.0 / 3.0) * (1 + 2 / std::sqrt(static_cast<double>(count(c.out))));
}

/// Minimal filtering subtracts what it added and TF32 rounds what it multiplies: classes of their own.
double allowed_error(const Case& c, const Kernel& kernel, double terms_factor = 1) {
  const double exact = tolerance(c, kernel.dtype, terms_factor);
  const std::string_view name = kernel.name;
  if (name.ends_with("_tf32")) return exact + tf32_tolerance(c);
  if (name.ends_with("_bf16x3")) return 1e-5;
  if (name.find("winograd") == std::string_view::npos) return exact;
  return (c.attrs.as<Conv2dGeometry>().winograd == 2 ? 2 : 5) * exact;
}

/// The Plan makes these ops for single trials only.
bool for_single_trials(const Case& c) { return std::string_view(c.op).starts_with("winograd"); }

DType dtype_of(const Operand& o, DType plan) { return o.rank == 0 ? DType::f64 : plan; }

/// Dims and strides of a broadcast operand seen with the output's extents.
Dims spread_strides(const Operand& narrow, const Operand& wide) {
  Dims strides(wide.rank, 0);
  std::int64_t stride = 1;
  for (std::int64_t i = narrow.rank; i-- > 0; stride *= narrow.dims[i])
    if (narrow.dims[i] != 1) strides[i] = stride;
  return strides;
}

/// Operands of a case with the reference's results.
struct Sample {
  std::vector<Input> in;
  std::vector<double> expected;
};

/// What the reference gave for one case and dtype, by its first operand's number and which are shared: forms have halves in common.
using Known = std::map<std::pair<int, unsigned>, std::vector<double>>;

constexpr int kDifferent = 5, kDifferentLarge = 3;

/// Bit i of `shared`: operand i is. With `pair`, four operands and the sum of the results.
Sample draw_sample(const Case& c, DType dtype, unsigned shared, bool pair, Known& known) {
  const int trials = c.large ? kDifferentLarge : kDifferent;
  Sample sample;
  Dims out_dims = dims_of(c.out);
  out_dims.insert(out_dims.begin(), trials);
  std::vector<Array> arrays;
  for (int i = 0; i < c.operands * (pair ? 2 : 1); ++i) {
    const Operand& operand = c.in[i % c.operands];
    Input input{.dims = dims_of(operand), .dtype = dtype_of(operand, dtype), .shared = (shared >> i & 1u) != 0};
    input.values = draw(operand, input.dtype, trials, 17 * i + 1);
    Array array{input.dims, input.values};
    array.dims.insert(array.dims.begin(), trials);
    if (input.shared) {
      const auto n = static_cast<std::ptrdiff_t>(input.values.size()) / trials;
      for (int t = 1; t < trials; ++t) std::copy_n(array.values.begin(), n, array.values.begin() + t * n);
    }
    if (std::string_view(c.op) == "broadcast_to") {
      // What the reference makes of it is both what the chain reads and what it gives.
      input.values = run_reference(c.op, c.attrs, {array}, out_dims);
      input.dims = dims_of(c.out);
      input.strides = spread_strides(operand, c.out);
    } else if (std::string_view(c.op) == "reshape") {
      input.dims = dims_of(c.out);
    }
    sample.in.push_back(std::move(input));
    arrays.push_back(std::move(array));
  }
  const auto op_of = [&](int first) -> const std::vector<double>& {
    auto& result = known[{first, shared >> first & ((1u << c.operands) - 1)}];
    const auto begin = arrays.begin() + first;
    if (result.empty()) result = run_reference(c.op, c.attrs, {begin, begin + c.operands}, out_dims);
    return result;
  };
  sample.expected = op_of(0);
  if (pair) {
    const std::vector<double>& second = op_of(static_cast<int>(c.operands));
    for (std::size_t i = 0; i < second.size(); ++i) sample.expected[i] += second[i];
  }
  return sample;
}

/// How near a real device comes to the emulator, which runs the same source.
struct Twins {
  int runs = 0, equal = 0;
  double apart = 0;  // at most
};

/// What the runs of a test amount to.
struct Tally {
  std::set<std::string> served;
  std::map<std::string, std::set<std::string>> declined;  // "kernel: reason" to the cases, with operands of their own
  std::map<std::string, Twins> twins;                     // of a real device's kernels
  int runs = 0;
};

/// Every kernel for one form of a case. True if one serves for each instruction set and lanes.
bool check_form(const Case& c, DType dtype, unsigned shared, bool pair, std::span<const Isa> isas, Known& known, Tally& tally) {
  const bool chain = is_chain(c);
  const ElementwiseChain instructions = chain ? chain_of(c) : ElementwiseChain{};
  const Sample sample = draw_sample(c, dtype, shared, pair, known);
  const Output out{.dims = dims_of(c.out), .dtype = dtype_of(c.out, dtype)};
  const int different = c.large ? kDifferentLarge : kDifferent;
  bool all_served = true;
  for (Isa isa : isas)
    for (std::int64_t lanes : lanes_of(isa)) {
      bool served = false;
      for (const Kernel& kernel : kernels_of(chain ? "elementwise_chain" : c.op, isa, chain ? out.dtype : dtype, lanes)) {
        const std::string who = std::string(c.op) + " " + describe(kernel);
        CAPTURE(who, c.op, c.label, shared, pair);
        Bits bits;
        bool declined = false;
        for (std::int64_t places : {lanes == 1 ? 1 : 2 * lanes, lanes == 1 ? 3 : lanes}) {
          const std::vector<int> trials = trials_at(places, different);
          const Outcome outcome =
              run_kernel(kernel, chain ? static_cast<const void*>(&instructions) : c.attrs.data(), sample.in, {&out, 1}, trials);
          if (declined = !outcome.declined.empty(); declined) {
            if (shared == 0 && !kernel.on_request) tally.declined[who + ": " + outcome.declined].insert(c.label);
            break;
          }
          CAPTURE(places);
          CHECK(outcome.fault == "");
          CHECK(relative_error(outcome.out[0], sample.expected, trials) <= allowed_error(c, kernel, pair ? 2 : 1));
          CHECK(bits.differs(outcome, trials) == -1);
          ++tally.runs;
          if (const Kernel* twin = emulated_twin(kernel); twin != nullptr && !c.large) {
            const void* attrs = chain ? static_cast<const void*>(&instructions) : c.attrs.data();
            const Outcome emulated = run_kernel(*twin, attrs, sample.in, {&out, 1}, trials, nullptr);
            std::vector<int> same(trials.size());
            std::iota(same.begin(), same.end(), 0);
            const double apart = relative_error(outcome.out[0], emulated.out[0], same);
            CHECK(apart <= 2 * allowed_error(c, kernel, pair ? 2 : 1));
            Twins& twins = tally.twins[describe(kernel)];
            ++twins.runs, twins.equal += apart == 0, twins.apart = std::max(twins.apart, apart);
          }
        }
        if (!declined) tally.served.insert(who);
        served = served || (!declined && !kernel.on_request);
      }
      INFO(c.op << ", " << c.label << ", " << kIsaNames[static_cast<std::size_t>(isa)] << ", lanes " << lanes);
      const bool must = for_single_trials(c) ? lanes == 1 && isa != Isa::cuda : true;
      if (shared == 0 && must) CHECK(served);
      all_served = all_served && (served || !must);
    }
  return all_served;
}

/// Forms with shared operands that the Plan counts on; any other is tried and may be declined.
std::vector<unsigned> needed_forms(const Case& c) {
  if (is_chain(c)) return c.operands == 2 ? std::vector{1u, 2u, 3u} : std::vector{1u};
  if (is_one_of(c.op, {"conv2d", "conv2d_grad_input"})) return {2};
  if (std::string_view(c.op) == "dot") return {1, 2, 3};
  return {};
}

void check_op_cases(const std::vector<Case>& cases, const std::vector<Isa>& isas = parity::isas()) {
  Tally tally;
  for (const Case& c : cases)
    for (DType dtype : {DType::f32, DType::f64}) {
      if (is_chain(c) && c.out.rank == 0 && dtype == DType::f32) continue;  // such values are f64
      Known known;
      const std::vector<unsigned> needed = needed_forms(c);
      for (unsigned shared = 0; shared < 1u << c.operands; ++shared) {
        const bool must = std::find(needed.begin(), needed.end(), shared) != needed.end();
        if (shared != 0 && c.large && (!must || is_chain(c))) continue;
        const bool served = check_form(c, dtype, shared, false, isas, known, tally);
        INFO(c.op << ", " << c.label << ", shared operands " << shared);
        if (must) CHECK(served);
      }
      if (is_one_of(c.op, {"conv2d", "conv2d_grad_input", "matmul"}))
        for (unsigned shared : c.large ? std::vector{0u, 10u} : std::vector{0u, 2u, 8u, 10u})
          check_form(c, dtype, shared, true, isas, known, tally);
    }
  // A kernel that declines some cases is named; one that serves none is dead weight.
  for (const auto& [who, labels] : tally.declined) {
    WARN(who << " (" << labels.size() << " cases, e.g. " << *labels.begin() << ")");
    CHECK(tally.served.count(who.substr(0, who.find(':'))) == 1);
  }
  CHECK(tally.runs > 0);
  for (const auto& [kernel, twins] : tally.twins)
    std::printf("%-44s as emulated in %d of %d runs, else within %.1e\n", kernel.c_str(), twins.equal, twins.runs, twins.apart);
}

std::vector<Case> of_size(bool large, std::vector<Case> cases) {
  std::erase_if(cases, [large](const Case& c) { return c.large != large; });
  return cases;
}

}  // namespace

TEST_CASE("elementwise kernels against the references", "[parity]") { check_op_cases(elementwise_cases()); }
TEST_CASE("convolution kernels on small shapes against the references", "[parity]") {
  check_op_cases(of_size(false, conv2d_cases()));
}
TEST_CASE("convolution kernels on large shapes against the references", "[parity][slow]") {
  std::vector<Case> cases = of_size(true, conv2d_cases());
  // Beyond what kernels take at a time, whose blocks of rows are of half a MiB or one; few taps, for the reference's sake.
  const Conv2dGeometry blocks{.c = 16, .k = 16, .h = 40, .w = 230, .r = 3, .s = 1, .p = 40, .q = 230, .pad_h = 1};
  const Operand image = operand({1, 16, 40, 230}), filters = operand({16, 16, 3, 1});
  cases.push_back(make_case("conv2d", "16 to 16 channels at 40x230", blocks, {image, filters}, image, blocks.macs()));
  cases.push_back(make_case("conv2d_grad_input", "16 to 16 channels at 40x230", blocks, {image, filters}, image, blocks.macs()));
  cases.push_back(make_case("conv2d_grad_weight", "16 to 16 channels at 40x230", blocks, {image, image}, filters, blocks.macs()));
  // More than 1 MiB of filters, that are written past the caches.
  const Conv2dGeometry many{
      .c = 256, .k = 144, .h = 3, .w = 4, .r = 3, .s = 3, .p = 3, .q = 4, .pad_h = 1, .pad_w = 1, .winograd = 2};
  cases.push_back(make_case("conv2d_grad_weight", "F(2x2), 256 to 144 channels at 3x4", many,
                            {operand({1, 256, 3, 4}), operand({1, 144, 3, 4})}, operand({144, 256, 3, 3}), many.macs()));
  check_op_cases(cases);
}
TEST_CASE("matmul kernels against the references", "[parity]") { check_op_cases(matmul_cases()); }
TEST_CASE("pooling kernels against the references", "[parity]") { check_op_cases(pool_cases()); }
TEST_CASE("batch normalisation kernels against the references", "[parity]") { check_op_cases(batchnorm_cases()); }
TEST_CASE("softmax kernels against the references", "[parity]") { check_op_cases(softmax_cases()); }
TEST_CASE("reduction kernels against the references", "[parity]") { check_op_cases(reduce_cases()); }
TEST_CASE("movement kernels against the references", "[parity]") { check_op_cases(movement_cases()); }
TEST_CASE("Winograd transforms against the references", "[parity]") { check_op_cases(winograd_cases()); }
TEST_CASE("total variation kernels against the references", "[parity]") { check_op_cases(total_variation_cases()); }

TEST_CASE("CUDA elementwise kernels against the references", "[parity][emulated][gpu]") {
  check_op_cases(elementwise_cases(), {Isa::cuda});
}
TEST_CASE("CUDA convolution kernels on small shapes against the references", "[parity][emulated][gpu]") {
  check_op_cases(of_size(false, conv2d_cases()), {Isa::cuda});
}
TEST_CASE("CUDA convolution kernels on large shapes against the references", "[parity][emulated][gpu][slow]") {
  check_op_cases(of_size(true, conv2d_cases()), {Isa::cuda});
}
TEST_CASE("CUDA movement kernels against the references", "[parity][emulated][gpu]") {
  check_op_cases(movement_cases(), {Isa::cuda});
}
TEST_CASE("CUDA pooling kernels against the references", "[parity][emulated][gpu]") {
  std::vector<Case> cases = pool_cases();
  const PoolGeometry large{.h = 9, .w = 8, .r = 7, .s = 6, .p = 2, .q = 3, .stride_h = 3, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  cases.push_back(make_case("avg_pool", "7x6, a window a warp", large, {operand({2, 5, 9, 8})}, operand({2, 5, 2, 3})));
  check_op_cases(cases, {Isa::cuda});
}
TEST_CASE("CUDA softmax kernels against the references", "[parity][emulated][gpu]") {
  check_op_cases(softmax_cases(), {Isa::cuda});
}
TEST_CASE("CUDA batch normalisation kernels against the references", "[parity][emulated][gpu]") {
  std::vector<Case> cases = batchnorm_cases();
  const Operand sliced = operand({3, 2, 50, 49});
  cases.push_back(make_case("batchnorm", "3x2x50x49, in slices", BatchnormAttrs{}, {sliced}, sliced));
  cases.push_back(make_case("batchnorm_grad", "3x2x50x49, in slices", BatchnormAttrs{}, {sliced, sliced}, sliced));
  cases.push_back(make_case("batchnorm_grad2", "3x2x50x49, in slices", BatchnormAttrs{}, {sliced, sliced, sliced}, sliced));
  check_op_cases(cases, {Isa::cuda});
}
TEST_CASE("CUDA total variation kernels against the references", "[parity][emulated][gpu]") {
  check_op_cases(total_variation_cases(), {Isa::cuda});
}
TEST_CASE("CUDA matmul kernels against the references", "[parity][emulated][gpu]") {
  std::vector<Case> cases = matmul_cases();
  const MatmulGeometry sliced{.m = 35, .n = 19, .k = 333};
  cases.push_back(make_case("matmul", "35x333 by 333x19, in slices", sliced, {operand({35, 333}), operand({333, 19})},
                            operand({35, 19}), 35 * 19 * 333));
  check_op_cases(cases, {Isa::cuda});
}
TEST_CASE("CUDA reduction kernels against the references", "[parity][emulated][gpu]") {
  std::vector<Case> cases = reduce_cases();
  cases.push_back(make_case("sum_to", "over 700 rows, in slices", NoAttrs{}, {operand({700, 37})}, operand({1, 37})));
  cases.push_back(make_case("sum_to", "over 4x35 rows, per slab", NoAttrs{}, {operand({4, 3, 35, 37})}, operand({1, 3, 1, 37})));
  check_op_cases(cases, {Isa::cuda});
}
TEST_CASE("CUDA convolutions give a trial the same bits beside many others", "[parity][emulated][gpu][slow]") {
  // Many enough for other tiles, and for blocks that add their slices themselves.
  const auto geometry = [](std::int64_t c, std::int64_t k, std::int64_t h, std::int64_t w) {
    return Conv2dGeometry{.c = c, .k = k, .h = h, .w = w, .r = 3, .s = 3, .p = h, .q = w, .pad_h = 1, .pad_w = 1};
  };
  const Conv2dGeometry small = geometry(29, 33, 9, 9), wide = geometry(8, 33, 17, 16);
  const Operand x = operand({1, 29, 9, 9}), w = operand({33, 29, 3, 3}), y = operand({1, 33, 9, 9});
  const Case cases[] = {
      make_case("conv2d", "slices", small, {x, w}, y),
      make_case("conv2d_grad_input", "slices", small, {y, w}, x),
      make_case("conv2d_grad_weight", "slices", wide, {operand({1, 8, 17, 16}), operand({1, 33, 17, 16})}, operand({33, 8, 3, 3})),
  };
  for (const Case& c : cases)
    for (const Kernel& kernel : kernels_of(c.op, Isa::cuda, DType::f32, 1)) {
      CAPTURE(c.op, kernel.name);
      Known known;
      const Sample sample = draw_sample(c, DType::f32, 0, false, known);
      const Output out{.dims = dims_of(c.out), .dtype = DType::f32};
      Bits bits;
      for (std::int64_t places : {1, 3, 530}) {
        const std::vector<int> trials = trials_at(places, 3);
        const Outcome outcome = run_kernel(kernel, c.attrs.data(), sample.in, {&out, 1}, trials);
        if (!outcome.declined.empty()) break;
        CAPTURE(places);
        CHECK(outcome.fault == "");
        CHECK(relative_error(outcome.out[0], sample.expected, trials) <= allowed_error(c, kernel));
        CHECK(bits.differs(outcome, trials) == -1);
      }
    }
}
