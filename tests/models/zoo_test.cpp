// Names of networks, and what each declares.
#include <catch2/catch.hpp>

#include <algorithm>

#include "engine/core/error.h"
#include "models/normalization.h"
#include "models/zoo.h"

using namespace gi;
using namespace gi::models;

namespace {

std::vector<std::string> parameter_names(const Model& m) {
  std::vector<std::string> out;
  for (const TensorSpec& t : m.parameters()) out.push_back(t.name);
  return out;
}

}  // namespace

TEST_CASE("networks have the published numbers of parameters", "[unit]") {
  struct Row {
    const char* name;
    std::int64_t parameters;
    std::size_t tensors;
  };
  // Parameters and trainable tensors for 10 classes (1000 with the ImageNet stem).
  const auto row = GENERATE(
      Row{"lenetzhu", 15'826, 8}, Row{"convnet64", 2'904'970, 34}, Row{"convnet", 2'904'970, 34}, Row{"resnet20", 272'474, 65},
      Row{"resnet32", 466'906, 101}, Row{"resnet44", 661'338, 137}, Row{"resnet56", 855'770, 173}, Row{"resnet110", 1'730'714, 335},
      Row{"resnet20-4", 4'327'754, 65}, Row{"resnet32-10", 46'371'370, 101}, Row{"resnet28-10", 36'690'090, 83},
      Row{"resnet18", 11'173'962, 62}, Row{"resnet34", 21'282'122, 110}, Row{"resnet50", 23'520'842, 161},
      Row{"resnet101", 42'512'970, 314}, Row{"resnet152", 58'156'618, 467}, Row{"resnet18-imagenet", 11'689'512, 62},
      Row{"resnet152-imagenet", 60'192'808, 467}, Row{"mlp", 5'256'202, 8}, Row{"twolp", 6'313'994, 4});
  CAPTURE(row.name);
  const Model m = find_model(row.name);
  CHECK(m.parameter_count() == row.parameters);
  CHECK(m.parameters().size() == row.tensors);
}

TEST_CASE("option A shortcuts have no parameters", "[unit]") {
  // Option B's two shortcuts: 16*32 + 2*32 and 32*64 + 2*64 parameters in six tensors.
  CHECK(find_model("resnet20-a").parameter_count() == 272'474 - (16 * 32 + 64) - (32 * 64 + 128));
  CHECK(find_model("resnet20-a").parameters().size() == 59);
}

TEST_CASE("parameters stand in the order of registration", "[unit]") {
  CHECK(parameter_names(find_model("lenetzhu")) == std::vector<std::string>{"body.0.weight", "body.0.bias", "body.2.weight",
                                                                            "body.2.bias", "body.4.weight", "body.4.bias",
                                                                            "fc.0.weight", "fc.0.bias"});
  const auto names = parameter_names(find_model("resnet50"));
  const auto at = std::find(names.begin(), names.end(), "layer1.0.bn3.bias");
  REQUIRE(at != names.end());
  CHECK(at[1] == "layer1.0.downsample.0.weight");
  CHECK(at[2] == "layer1.0.downsample.1.weight");
  CHECK(at[4] == "layer1.1.conv1.weight");
  CHECK(names.front() == "conv1.weight");
  CHECK(names.back() == "fc.bias");
}

TEST_CASE("shapes follow the image and the classes", "[unit]") {
  const Model m = find_model("lenetzhu", {.image = ImageShape{3, 64, 64}, .classes = 100});
  CHECK(m.parameters()[6].shape == Shape{1, 100, 3072});
  CHECK(find_model("lenetzhu", {.image = ImageShape{1, 28, 28}}).parameters()[6].shape == Shape{1, 10, 588});
  CHECK(find_model("lenetzhu", {.image = ImageShape{1, 28, 28}}).parameters()[0].shape == Shape{1, 12, 1, 5, 5});
  CHECK(find_model("resnet18", {.image = ImageShape{3, 33, 47}, .classes = 7}).parameters().back().shape == Shape{1, 7});
  CHECK(find_model("resnet20-a", {.image = ImageShape{3, 33, 47}}).parameters().size() == 59);
  CHECK_THROWS_AS(find_model("convnet", {.image = ImageShape{3, 8, 8}}), ShapeError);
  CHECK_THROWS_AS(find_model("convnet", {.classes = 0}), UsageError);
  CHECK_THROWS_AS(find_model("convnet", {.image = ImageShape{0, 8, 8}}), UsageError);
}

TEST_CASE("every listed network is found under its own name", "[unit]") {
  for (const ModelInfo& info : list_models()) {
    CAPTURE(info.name);
    CHECK_FALSE(info.description.empty());
    CHECK_NOTHROW(normalization(info.normalization));
    const Model m = find_model(info.name);
    CHECK(m.name == info.name);
    CHECK(m.image == info.image);
    CHECK(m.classes == info.classes);
  }
}

TEST_CASE("widths and multiples outside the list are found", "[unit]") {
  CHECK(find_model("convnet7").tensors[0].shape == Shape{1, 7, 3, 3, 3});
  CHECK(find_model("resnet44-3").tensors[0].shape == Shape{1, 48, 3, 3, 3});
  CHECK(find_model("resnet20-2-a").parameters().size() == 59);
  CHECK(find_model("resnet34-w8-imagenet").tensors[0].shape == Shape{1, 8, 3, 7, 7});
}

TEST_CASE("unknown names are refused with near ones", "[unit]") {
  for (const char* name :
       {"", "resnet", "resnet21", "resnet20-", "resnet20-0", "resnet20-x", "resnet18-4", "resnet18-a", "resnet20-imagenet",
        "convnet-1", "convnet0", "convnet99999", "convnet64x", "resnet18-w", "lenetzhu2", "resnet20--a"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(find_model(name), UsageError);
  }
  CHECK_THROWS_WITH(find_model("resent18"), Catch::Contains("'resent18'") && Catch::Contains("resnet18"));
  CHECK_THROWS_WITH(find_model("LeNetZhu"), Catch::Contains("lenetzhu"));
}

TEST_CASE("normalisations by name", "[unit]") {
  CHECK(normalization("imagenet").mean == std::vector<double>{.485, .456, .406});
  CHECK(normalization("resnet20-a").std == normalization("imagenet").std);
  CHECK(normalization("mnist").mean.size() == 1);
  CHECK_THROWS_WITH(normalization("cifar"), Catch::Contains("cifar10, cifar100"));
}
