// Hand-worked values of the reference kernels: elementwise ops, sums, movement, matrix products.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <set>

#include "engine/graph/op_def.h"
#include "kernels/all_cases.h"
#include "tests/kernels/reference_run.h"

using namespace gi::kernels;
using Values = std::vector<double>;

namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInfinity = std::numeric_limits<double>::infinity();

Values elementwise(const char* op, const Values& x, const Values& y = {}, ElementwiseAttrs attrs = {}) {
  const Dims dims{static_cast<std::int64_t>(x.size())};
  std::vector<Array> in{{dims, x}};
  if (!y.empty()) in.push_back({dims, y});
  return reference(op, attrs, in, dims);
}

auto close_to(const Values& expected) { return Catch::Matchers::Approx(expected).epsilon(1e-15); }

const Values kOneToTwelve{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

}  // namespace

TEST_CASE("every op of the engine has a reference kernel and two cases", "[unit]") {
  std::map<std::string, int> cases;
  for (const Case& c : all_cases()) ++cases[c.op];
  for (const gi::OpDef& op : gi::all_ops()) {
    if (op.kind == gi::OpKind::leaf) continue;
    CAPTURE(op.name);
    CHECK(reference_kernel(std::string(op.name).c_str()) != nullptr);
    CHECK(cases[std::string(op.name)] >= 2);
  }
  CHECK(reference_kernel("no such op") == nullptr);
  CHECK(reference_kernel("conv") == nullptr);
}

TEST_CASE("arithmetic, element by element", "[unit]") {
  CHECK(elementwise("copy", {1, -2}) == Values{1, -2});
  CHECK(elementwise("add", {1, 2}, {3, -5}) == Values{4, -3});
  CHECK(elementwise("sub", {1, 2}, {3, -5}) == Values{-2, 7});
  CHECK(elementwise("mul", {3, 2}, {3, -5}) == Values{9, -10});
  CHECK(elementwise("div", {1, 6}, {4, -3}) == Values{0.25, -2});
  CHECK(elementwise("scale", {1, -2}, {}, {.a = -3}) == Values{-3, 6});
  CHECK(elementwise("offset", {1, -2}, {}, {.a = -3}) == Values{-2, -5});
  CHECK(elementwise("recip", {-4, 0.5}) == Values{-0.25, 2});
  CHECK(elementwise("sqrt", {0, 9, 0.25}) == Values{0, 3, 0.5});
  CHECK(elementwise("rsqrt", {4, 0.0625}) == Values{0.5, 4});
  CHECK(elementwise("abs", {-3, 0, 2}) == Values{3, 0, 2});
  CHECK(elementwise("sign", {-3, 0, 2}) == Values{-1, 0, 1});
  CHECK(elementwise("maximum", {1, 4, -2}, {3, -4, -2}) == Values{3, 4, -2});
  CHECK(elementwise("minimum", {1, 4, -2}, {3, -4, -2}) == Values{1, -4, -2});
}

TEST_CASE("transcendental ops at arguments whose values are rational", "[unit]") {
  const double log2 = 0.693147180559945309, log3 = 1.09861228866810969, e = 2.71828182845904524;
  CHECK_THAT(elementwise("exp", {0, 1, log3}), close_to({1, e, 3}));
  CHECK_THAT(elementwise("log", {1, e, 0.5}), close_to({0, 1, -log2}));
  CHECK_THAT(elementwise("tanh", {0, log2, -log3}), close_to({0, 0.6, -0.8}));        // (a - 1/a) / (a + 1/a)
  CHECK_THAT(elementwise("sigmoid", {0, log3, -log3}), close_to({0.5, 0.75, 0.25}));  // a / (a + 1)
  CHECK(elementwise("sigmoid", {1000, -1000}) == Values{1, 0});
}

TEST_CASE("piecewise ops decide by d and take their value from the first operand", "[unit]") {
  CHECK(elementwise("relu_mask", {5, 6, 7}, {-1, 0, 2}) == Values{0, 0, 7});
  CHECK(elementwise("leaky_relu_mask", {5, 6, 7}, {-1, 0, 2}, {.a = 0.5}) == Values{2.5, 3, 7});
  CHECK(elementwise("clamp", {10, 20, 30, 40, 50}, {-2, -1, 0.5, 1, 3}, {.a = -1, .b = 1}) == Values{-1, -1, 30, 1, 1});
  CHECK(elementwise("clamp_mask", {10, 20, 30, 40, 50}, {-2, -1, 0.5, 1, 3}, {.a = -1, .b = 1}) == Values{0, 0, 30, 0, 0});
  CHECK(elementwise("relu_mask", {5, 5}, {kInfinity, -kInfinity}) == Values{5, 0});
}

TEST_CASE("a NaN among the decisions passes through relu_mask and clamp, not through clamp_mask", "[unit]") {
  CHECK(elementwise("relu_mask", {5}, {kNan}) == Values{5});
  CHECK(std::isnan(elementwise("relu_mask", {kNan}, {kNan})[0]));
  CHECK(elementwise("clamp", {5}, {kNan}, {.a = -1, .b = 1}) == Values{5});
  CHECK(elementwise("clamp_mask", {5}, {kNan}, {.a = -1, .b = 1}) == Values{0});
}

TEST_CASE("elementwise operands of any strides", "[unit]") {
  const Dims dims{2, 2, 3};
  const Array shared{dims, {1, 2, 3, 4, 5, 6}, {0, 3, 1}};         // by both trials
  const Array per_trial{dims, {100, 200}, {1, 0, 0}};              // [T] spread out
  const Array columns{dims, {10, 40, 20, 50, 30, 60}, {0, 1, 2}};  // stored column by column
  CHECK(reference("add", ElementwiseAttrs{}, {shared, per_trial}, dims) ==
        Values{101, 102, 103, 104, 105, 106, 201, 202, 203, 204, 205, 206});
  CHECK(reference("sub", ElementwiseAttrs{}, {columns, shared}, dims) == Values{9, 18, 27, 36, 45, 54, 9, 18, 27, 36, 45, 54});
}

TEST_CASE("sum_to sums the axes that became 1", "[unit]") {
  const Array x{{2, 2, 3}, kOneToTwelve};  // trials [1 2 3; 4 5 6] and [7 8 9; 10 11 12]
  CHECK(reference("sum_to", {x}, {2, 1, 3}) == Values{5, 7, 9, 17, 19, 21});
  CHECK(reference("sum_to", {x}, {2, 2, 1}) == Values{6, 15, 24, 33});
  CHECK(reference("sum_to", {x}, {2, 1, 1}) == Values{21, 57});
  CHECK(reference("sum_to", {x}, {2, 2, 3}) == kOneToTwelve);
  CHECK(reference("sum_to", {x}, {2}) == Values{21, 57});
}

TEST_CASE("sum_to over the trial axis", "[unit]") {
  const Array x{{2, 2, 3}, kOneToTwelve};
  CHECK(reference("sum_to", {x}, {1, 2, 3}) == Values{8, 10, 12, 14, 16, 18});
  CHECK(reference("sum_to", {x}, {1, 1, 3}) == Values{22, 26, 30});
  CHECK(reference("sum_to", {x}, {1, 1, 1}) == Values{78});
  CHECK(reference("sum_to", {{{3}, {1, 2, 4}}}, {1}) == Values{7});
  CHECK(reference("sum_to", {{{1, 2, 3}, {1, 2, 3, 4, 5, 6}}}, {1}) == Values{21});
}

TEST_CASE("sum_to counts a shared operand once a trial", "[unit]") {
  const Array shared{{3, 2}, {1, 2}, {0, 1}};
  CHECK(reference("sum_to", {shared}, {3}) == Values{3, 3, 3});
  CHECK(reference("sum_to", {shared}, {1, 2}) == Values{3, 6});
}

TEST_CASE("broadcast_to repeats along axes of extent 1, and a scalar of a trial everywhere", "[unit]") {
  CHECK(reference("broadcast_to", {{{2, 1, 2}, {1, 2, 3, 4}}}, {2, 2, 2}) == Values{1, 2, 1, 2, 3, 4, 3, 4});
  CHECK(reference("broadcast_to", {{{1, 2, 1}, {1, 2}}}, {2, 2, 2}) == Values{1, 1, 2, 2, 1, 1, 2, 2});
  CHECK(reference("broadcast_to", {{{2}, {1, 2}}}, {2, 1, 2}) == Values{1, 1, 2, 2});
  CHECK(reference("broadcast_to", {{{2}, {1, 2}}}, {2, 3}) == Values{1, 1, 1, 2, 2, 2});
  CHECK(reference("broadcast_to", {{{1, 2}, {1, 2}}}, {2, 2}) == Values{1, 2, 1, 2});
}

TEST_CASE("dot, trial by trial", "[unit]") {
  const Array a{{2, 3}, {1, 2, 3, 4, 5, 6}};
  CHECK(reference("dot", {a, {{2, 3}, {7, 8, 9, 1, 0, -1}}}, {2}) == Values{50, -2});
  CHECK(reference("dot", {a, {{2, 3}, {1, 10, 100}, {0, 1}}}, {2}) == Values{321, 654});
}

TEST_CASE("pad and crop", "[unit]") {
  const PadAttrs amounts{{0, 1, 0}, {0, 0, 2}};
  const Values padded{0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0};
  CHECK(reference("pad", amounts, {{{1, 2, 2}, {1, 2, 3, 4}}}, {1, 3, 4}) == padded);
  CHECK(reference("crop", amounts, {{{1, 3, 4}, kOneToTwelve}}, {1, 2, 2}) == Values{5, 6, 9, 10});
  CHECK(reference("pad", PadAttrs{{0, 1}, {0, 1}}, {{{2, 1}, {7}, {0, 1}}}, {2, 3}) == Values{0, 7, 0, 0, 7, 0});
}

TEST_CASE("transpose", "[unit]") {
  const Array x{{2, 2, 3}, kOneToTwelve};
  CHECK(reference("transpose", TransposeAttrs{{0, 2, 1}}, {x}, {2, 3, 2}) == Values{1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12});
  // axes (0, 2, 3, 1) of [1,2,2,3]: y[i,j,k] = x[k,i,j]
  CHECK(reference("transpose", TransposeAttrs{{0, 2, 3, 1}}, {{{1, 2, 2, 3}, kOneToTwelve}}, {1, 2, 3, 2}) ==
        Values{1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12});
}

TEST_CASE("reshape keeps the row-major order, whatever the strides", "[unit]") {
  CHECK(reference("reshape", {{{2, 6}, kOneToTwelve}}, {2, 2, 3}) == kOneToTwelve);
  CHECK(reference("reshape", {{{2, 2, 2}, {1, 2, 3, 4}, {0, 1, 2}}}, {2, 4}) == Values{1, 3, 2, 4, 1, 3, 2, 4});
}

TEST_CASE("matmul in every transposition", "[unit]") {
  const Values product{58, 64, 139, 154};  // [1 2 3; 4 5 6] [7 8; 9 10; 11 12]
  const Array a{{1, 2, 3}, {1, 2, 3, 4, 5, 6}}, at{{1, 3, 2}, {1, 4, 2, 5, 3, 6}};
  const Array b{{1, 3, 2}, {7, 8, 9, 10, 11, 12}}, bt{{1, 2, 3}, {7, 9, 11, 8, 10, 12}};
  const auto geo = [](std::int64_t ta, std::int64_t tb) {
    return MatmulGeometry{.m = 2, .n = 2, .k = 3, .transpose_a = ta, .transpose_b = tb};
  };
  CHECK(reference("matmul", geo(0, 0), {a, b}, {1, 2, 2}) == product);
  CHECK(reference("matmul", geo(1, 0), {at, b}, {1, 2, 2}) == product);
  CHECK(reference("matmul", geo(0, 1), {a, bt}, {1, 2, 2}) == product);
  CHECK(reference("matmul", geo(1, 1), {at, bt}, {1, 2, 2}) == product);
}

TEST_CASE("matmul of shared operands and of pairs", "[unit]") {
  const MatmulGeometry geo{.m = 1, .n = 2, .k = 2};
  const Array a{{2, 1, 2}, {1, 10, 2, 20}}, shared{{2, 2, 2}, {1, 2, 3, 4}, {0, 2, 1}};
  CHECK(reference("matmul", geo, {a, shared}, {2, 1, 2}) == Values{31, 42, 62, 84});
  const Array c{{2, 1, 2}, {1, 0, 0, 1}}, d{{2, 2, 2}, {100, 200, 300, 400, 500, 600, 700, 800}};
  CHECK(reference("matmul", geo, {a, shared, c, d}, {2, 1, 2}) == Values{131, 242, 762, 884});
}
