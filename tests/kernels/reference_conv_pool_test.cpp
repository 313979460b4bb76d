// Hand-worked values of the reference kernels of images: convolution and pooling.
#include <catch2/catch.hpp>
#include <cmath>

#include "kernels/conv2d/conv2d.h"
#include "kernels/pool/pool.h"
#include "tests/kernels/reference_run.h"

using namespace gi::kernels;
using Values = std::vector<double>;

namespace {

const Values kOneToNine{1, 2, 3, 4, 5, 6, 7, 8, 9};
const Array kImage{{1, 1, 1, 3, 3}, kOneToNine};  // [1 2 3; 4 5 6; 7 8 9]

auto close_to(const Values& expected) { return Catch::Matchers::Approx(expected).epsilon(1e-15); }

}  // namespace

TEST_CASE("2x2 filter over a 3x3 image", "[unit]") {
  const Conv2dGeometry geo{.h = 3, .w = 3, .r = 2, .s = 2, .p = 2, .q = 2};
  const Array filter{{1, 1, 1, 2, 2}, {1, 2, 3, 4}};
  const Array g{{1, 1, 1, 2, 2}, {1, 0, 0, 2}};
  CHECK(reference("conv2d", geo, {kImage, filter}, {1, 1, 1, 2, 2}) == Values{37, 47, 67, 77});
  // the filter at the upper left, twice the filter at the lower right
  CHECK(reference("conv2d_grad_input", geo, {g, filter}, {1, 1, 1, 3, 3}) == Values{1, 2, 0, 3, 6, 4, 0, 6, 8});
  // the upper left of the image plus twice its lower right
  CHECK(reference("conv2d_grad_weight", geo, {kImage, g}, {1, 1, 1, 2, 2}) == Values{11, 14, 20, 23});
}

TEST_CASE("3x3 filter, stride 2, padding 1", "[unit]") {
  const Conv2dGeometry geo{.h = 3, .w = 3, .r = 3, .s = 3, .p = 2, .q = 2, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  const Array filter{{1, 1, 1, 3, 3}, kOneToNine};
  const Array diagonal{{1, 1, 1, 2, 2}, {1, 0, 0, 1}}, upper_right{{1, 1, 1, 2, 2}, {0, 1, 0, 0}};
  // each corner of the image under the opposite corner of the filter: 5*1 + 6*2 + 8*4 + 9*5, ...
  CHECK(reference("conv2d", geo, {kImage, filter}, {1, 1, 1, 2, 2}) == Values{94, 106, 106, 94});
  CHECK(reference("conv2d_grad_input", geo, {diagonal, filter}, {1, 1, 1, 3, 3}) == Values{5, 6, 0, 8, 10, 2, 0, 4, 5});
  CHECK(reference("conv2d_grad_input", geo, {upper_right, filter}, {1, 1, 1, 3, 3}) == Values{0, 4, 5, 0, 7, 8, 0, 0, 0});
  CHECK(reference("conv2d_grad_weight", geo, {kImage, upper_right}, {1, 1, 1, 3, 3}) == Values{0, 0, 0, 2, 3, 0, 5, 6, 0});
}

TEST_CASE("stride 2 over an even extent leaves the right padding unused", "[unit]") {
  const Conv2dGeometry geo{.h = 1, .w = 4, .r = 1, .s = 3, .p = 1, .q = 2, .stride_h = 1, .stride_w = 2, .pad_h = 0, .pad_w = 1};
  REQUIRE(conv_output_extent(4, 3, 2, 1) == 2);
  const Array x{{1, 1, 1, 1, 4}, {1, 2, 3, 4}}, filter{{1, 1, 1, 1, 3}, {1, 2, 3}}, g{{1, 1, 1, 1, 2}, {1, 10}};
  CHECK(reference("conv2d", geo, {x, filter}, {1, 1, 1, 1, 2}) == Values{8, 20});
  CHECK(reference("conv2d_grad_input", geo, {g, filter}, {1, 1, 1, 1, 4}) == Values{2, 13, 20, 30});
  CHECK(reference("conv2d_grad_weight", geo, {x, g}, {1, 1, 1, 1, 3}) == Values{20, 31, 42});
}

TEST_CASE("a stride above the filter skips pixels, whose gradient is zero", "[unit]") {
  const Conv2dGeometry geo{.h = 1, .w = 4, .r = 1, .s = 1, .p = 1, .q = 2, .stride_h = 1, .stride_w = 3};
  const Array x{{1, 1, 1, 1, 4}, {1, 2, 3, 4}}, filter{{1, 1, 1, 1, 1}, {5}}, g{{1, 1, 1, 1, 2}, {1, 10}};
  CHECK(reference("conv2d", geo, {x, filter}, {1, 1, 1, 1, 2}) == Values{5, 20});
  CHECK(reference("conv2d_grad_input", geo, {g, filter}, {1, 1, 1, 1, 4}) == Values{5, 0, 0, 50});
}

TEST_CASE("channels and images: a 1x1 convolution is a matrix product", "[unit]") {
  const Conv2dGeometry geo{.c = 2, .k = 3};
  const Array x{{1, 2, 2, 1, 1}, {1, 2, 3, 4}}, filter{{1, 3, 2, 1, 1}, {1, 10, 2, 20, 3, 30}};
  const Array g{{1, 2, 3, 1, 1}, {1, 0, 0, 0, 1, 1}};
  CHECK(reference("conv2d", geo, {x, filter}, {1, 2, 3, 1, 1}) == Values{21, 42, 63, 43, 86, 129});
  CHECK(reference("conv2d_grad_input", geo, {g, filter}, {1, 2, 2, 1, 1}) == Values{1, 10, 5, 50});
  CHECK(reference("conv2d_grad_weight", geo, {x, g}, {1, 3, 2, 1, 1}) == Values{1, 2, 3, 4, 3, 4});  // summed over images
}

TEST_CASE("grouped and depthwise convolution", "[unit]") {
  const Array x{{1, 1, 4, 1, 1}, {1, 2, 3, 4}};
  SECTION("two groups of two channels, one output each") {
    const Conv2dGeometry geo{.c = 4, .k = 2, .groups = 2};
    const Array filter{{1, 2, 2, 1, 1}, {10, 100, 1000, 10000}}, g{{1, 1, 2, 1, 1}, {1, 2}};
    CHECK(reference("conv2d", geo, {x, filter}, {1, 1, 2, 1, 1}) == Values{210, 43000});
    CHECK(reference("conv2d_grad_input", geo, {g, filter}, {1, 1, 4, 1, 1}) == Values{10, 100, 2000, 20000});
    CHECK(reference("conv2d_grad_weight", geo, {x, g}, {1, 2, 2, 1, 1}) == Values{1, 2, 6, 8});
  }
  SECTION("depthwise, two outputs a channel") {
    const Conv2dGeometry geo{.c = 2, .k = 4, .groups = 2};
    const Array pair{{1, 1, 2, 1, 1}, {3, 5}}, filter{{1, 4, 1, 1, 1}, {1, 2, 10, 20}}, g{{1, 1, 4, 1, 1}, {1, 1, 0, 2}};
    CHECK(reference("conv2d", geo, {pair, filter}, {1, 1, 4, 1, 1}) == Values{3, 6, 50, 100});
    CHECK(reference("conv2d_grad_input", geo, {g, filter}, {1, 1, 2, 1, 1}) == Values{3, 40});
    CHECK(reference("conv2d_grad_weight", geo, {pair, g}, {1, 4, 1, 1, 1}) == Values{3, 3, 0, 10});
  }
}

TEST_CASE("trials have their own images, share or own filters, and never mix", "[unit]") {
  const Conv2dGeometry geo{.h = 1, .w = 3, .r = 1, .s = 2, .p = 1, .q = 2};
  const Array x{{2, 1, 1, 1, 3}, {1, 2, 3, 10, 20, 30}};
  const Array shared{{2, 1, 1, 1, 2}, {1, 5}, {0, 2, 2, 2, 1}}, own{{2, 1, 1, 1, 2}, {1, 5, 2, 3}};
  const Array g{{2, 1, 1, 1, 2}, {1, 0, 0, 1}};
  CHECK(reference("conv2d", geo, {x, shared}, {2, 1, 1, 1, 2}) == Values{11, 17, 110, 170});
  CHECK(reference("conv2d", geo, {x, own}, {2, 1, 1, 1, 2}) == Values{11, 17, 80, 130});
  CHECK(reference("conv2d_grad_input", geo, {g, own}, {2, 1, 1, 1, 3}) == Values{1, 5, 0, 0, 2, 3});
  CHECK(reference("conv2d_grad_weight", geo, {x, g}, {2, 1, 1, 1, 2}) == Values{1, 2, 20, 30});
}

TEST_CASE("four operands: the sum of two convolutions that share an output", "[unit]") {
  const Conv2dGeometry geo{.h = 1, .w = 3, .r = 1, .s = 2, .p = 1, .q = 2};
  const Array x{{1, 1, 1, 1, 3}, {1, 2, 3}}, w{{1, 1, 1, 1, 2}, {1, 5}};
  const Array u{{1, 1, 1, 1, 3}, {0, 100, 0}}, v{{1, 1, 1, 1, 2}, {2, 3}}, g{{1, 1, 1, 1, 2}, {1, 0}};
  CHECK(reference("conv2d", geo, {x, w, u, v}, {1, 1, 1, 1, 2}) == Values{311, 217});
  CHECK(reference("conv2d_grad_input", geo, {g, w, v, v}, {1, 1, 1, 1, 3}) == Values{5, 17, 9});
}

TEST_CASE("average pooling: padding counts as zero and in the divisor", "[unit]") {
  const PoolGeometry halves{.h = 4, .w = 4, .r = 2, .s = 2, .p = 2, .q = 2, .stride_h = 2, .stride_w = 2};
  CHECK(reference("avg_pool", halves, {{{1, 1, 1, 4, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}},
                  {1, 1, 1, 2, 2}) == Values{3.5, 5.5, 11.5, 13.5});
  const PoolGeometry padded{.h = 3, .w = 3, .r = 3, .s = 3, .p = 2, .q = 2, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  CHECK_THAT(reference("avg_pool", padded, {kImage}, {1, 1, 1, 2, 2}), close_to({12. / 9, 16. / 9, 24. / 9, 28. / 9}));
  CHECK_THAT(reference("avg_pool_grad", padded, {{{1, 1, 1, 2, 2}, {9, 18, 27, 36}}}, {1, 1, 1, 3, 3}),
             close_to({1, 3, 2, 4, 10, 6, 3, 7, 4}));
}

TEST_CASE("max_select takes v where d is largest, the first if several", "[unit]") {
  const PoolGeometry geo{.h = 3, .w = 3, .r = 2, .s = 2, .p = 2, .q = 2};
  const Array d{{1, 1, 1, 3, 3}, {1, 5, 5, 2, 5, 0, 9, 9, 3}};
  CHECK(reference("max_select", geo, {kImage, d}, {1, 1, 1, 2, 2}) == Values{2, 2, 7, 8});
  CHECK(reference("max_select", geo, {d, d}, {1, 1, 1, 2, 2}) == Values{5, 5, 9, 9});
  const Array g{{1, 1, 1, 2, 2}, {1, 10, 100, 1000}};
  CHECK(reference("max_scatter", geo, {g, d}, {1, 1, 1, 3, 3}) == Values{0, 11, 0, 0, 0, 0, 100, 1000, 0});
}

TEST_CASE("a NaN wins a pooling window, the first of them if several", "[unit]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const PoolGeometry geo{.h = 2, .w = 2, .r = 2, .s = 2};
  const Array v{{1, 1, 1, 2, 2}, {1, 2, 3, 4}}, g{{1, 1, 1, 1, 1}, {7}};
  const Array d{{1, 1, 1, 2, 2}, {1, nan, nan, 9}}, first{{1, 1, 1, 2, 2}, {nan, 2, 3, 4}};
  CHECK(reference("max_select", geo, {v, d}, {1, 1, 1, 1, 1}) == Values{2});
  CHECK(reference("max_select", geo, {v, first}, {1, 1, 1, 1, 1}) == Values{1});
  CHECK(reference("max_scatter", geo, {g, d}, {1, 1, 1, 2, 2}) == Values{0, 7, 0, 0});
  CHECK(std::isnan(reference("max_select", geo, {d, d}, {1, 1, 1, 1, 1})[0]));
}

TEST_CASE("padding never wins a pooling window", "[unit]") {
  const double inf = std::numeric_limits<double>::infinity();
  const PoolGeometry geo{.h = 2, .w = 2, .r = 3, .s = 3, .p = 2, .q = 2, .pad_h = 1, .pad_w = 1};
  const Array v{{1, 1, 1, 2, 2}, {1, 2, 3, 4}};
  const Array negative{{1, 1, 1, 2, 2}, {-4, -3, -2, -1}}, lowest{{1, 1, 1, 2, 2}, {-inf, -inf, -inf, -inf}};
  CHECK(reference("max_select", geo, {v, negative}, {1, 1, 1, 2, 2}) == Values{4, 4, 4, 4});
  CHECK(reference("max_select", geo, {v, lowest}, {1, 1, 1, 2, 2}) == Values{1, 1, 1, 1});
  CHECK(reference("max_scatter", geo, {{{1, 1, 1, 2, 2}, {1, 10, 100, 1000}}, negative}, {1, 1, 1, 2, 2}) == Values{0, 0, 0, 1111});
}

TEST_CASE("windows that do not reach the last row leave it out", "[unit]") {
  const PoolGeometry geo{.h = 3, .w = 3, .r = 2, .s = 2, .p = 1, .q = 1, .stride_h = 2, .stride_w = 2};
  CHECK(reference("avg_pool", geo, {kImage}, {1, 1, 1, 1, 1}) == Values{3});
  CHECK(reference("avg_pool_grad", geo, {{{1, 1, 1, 1, 1}, {4}}}, {1, 1, 1, 3, 3}) == Values{1, 1, 0, 1, 1, 0, 0, 0, 0});
  CHECK(reference("max_select", geo, {kImage, kImage}, {1, 1, 1, 1, 1}) == Values{5});
}
