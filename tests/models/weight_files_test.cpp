#include "models/weight_files.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>

#include "engine/core/error.h"
#include "models/aliases.h"
#include "models/safetensors.h"
#include "models/zoo.h"
#include "tests/shared_data.h"

using namespace gi;
using namespace gi::models;
using gi::test::data_file;

namespace {

std::vector<std::string> names_of(const Weights& w) {
  std::vector<std::string> out;
  for (const NamedTensor& e : w.entries) out.push_back(e.name);
  return out;
}

/// A small network's checkpoint, to be damaged.
TensorFile checkpoint(const Model& model) {
  TensorFile file;
  for (const NamedTensor& e : initialise(model, 1).entries) {
    const auto dims = e.tensor.shape().dims();
    file.tensors.push_back(TensorEntry::from(e.name, {dims.begin() + 1, dims.end()}, e.tensor));
  }
  return file;
}

TensorEntry& entry(TensorFile& file, const std::string& name) { return *std::ranges::find(file.tensors, name, &TensorEntry::name); }

void rename(TensorFile& file, const std::string& from, const std::string& to) {
  for (TensorEntry& e : file.tensors)
    if (const std::size_t at = e.name.find(from); at != std::string::npos) e.name.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("shared checkpoints hold exactly the tensors their networks declare, in order", "[golden]") {
  struct Row {
    const char* file;
    const char* model;
  };
  const auto row = GENERATE(Row{"untrained/lenetzhu_seed42", "lenetzhu"}, Row{"untrained/convnet_seed42", "convnet64"},
                            Row{"untrained/resnet20_seed42", "resnet20"}, Row{"resnet_cifar10/resnet20-12fca82f", "resnet20-a"},
                            Row{"resnet_cifar10/resnet32-d509ac18", "resnet32-a"});
  const auto path = data_file(std::string("weights/") + row.file + ".safetensors");
  if (!path) return;
  CAPTURE(row.file);
  const Model m = find_model(row.model);
  const TensorFile file = read_safetensors(*path);
  std::vector<std::string> expected;
  for (const TensorEntry& e : file.tensors) expected.push_back(e.name);
  const Weights w = load_weights(*path, m);
  CHECK(names_of(w) == expected);
  CHECK(w.entries[0].tensor.at(7) == file.tensors[0].to_doubles()[7]);
}

TEST_CASE("gradients are read in the order of the parameters", "[golden]") {
  const auto path = data_file("weights/golden/resnet20_grad_eval_img61.safetensors");
  if (!path) return;
  const Model m = find_model("resnet20-a");
  const TensorFile file = read_safetensors(*path);
  const std::vector<Tensor> grads = read_parameter_list(*path, m);
  const auto specs = m.parameters();
  REQUIRE(grads.size() == 59);
  for (std::size_t i = 0; i < grads.size(); ++i) {
    CHECK(grads[i].shape() == specs[i].shape);
    CHECK(grads[i].to_doubles() == file.find(specs[i].name)->to_doubles());
  }
  CHECK_THROWS_AS(load_weights(*path, m), IoError);  // no buffers in it
}

TEST_CASE("a checkpoint of another network is refused with both shapes and a count", "[golden]") {
  const auto path = data_file("weights/untrained/resnet20_seed42.safetensors");
  if (!path) return;
  CHECK_THROWS_WITH(
      load_weights(*path, find_model("resnet20-4")),
      Catch::Contains("resnet20_seed42.safetensors: 'conv1.weight' is [16,3,3,3], model resnet20-4 expects [64,3,3,3]\n  hint: ") &&
          Catch::Contains(" of 107 tensors differ"));
  CHECK_THROWS_AS(load_weights(*path, find_model("resnet20-4")), ShapeError);
  CHECK_THROWS_WITH(
      load_weights(*path, find_model("resnet32")),
      Catch::Contains("'layers.0.3.conv1.weight' is missing, model resnet32 expects it as [16,16,3,3]\n  hint: 60 of 167"));
  CHECK_THROWS_WITH(
      load_weights(*path, find_model("resnet20-a")),
      Catch::Contains("'layers.1.0.downsample.0.weight' [32,16,1,1] is no tensor of model resnet20-a\n  hint: 10 such"));
}

TEST_CASE("other spellings of names are understood", "[unit]") {
  const Model m = find_model("resnet20-1");
  const gi::test::TemporaryFolder folder;
  const auto path = folder / "w.safetensors";
  TensorFile file = checkpoint(m);
  const auto loads = [&] {
    write_safetensors(path, file);
    const Weights w = load_weights(path, m);
    const Weights expected = initialise(m, 1);
    bool same = true;
    for (std::size_t i = 0; i < w.entries.size(); ++i)
      same &= w.entries[i].name == expected.entries[i].name &&
              w.entries[i].tensor.to_doubles() == expected.entries[i].tensor.to_doubles();
    return same;
  };
  CHECK(loads());
  SECTION("torchvision") {
    for (int s = 2; s >= 0; --s) rename(file, "layers." + std::to_string(s), "layer" + std::to_string(s + 1));
    CHECK(loads());
  }
  SECTION("DataParallel, compiled, as a member") {
    for (TensorEntry& e : file.tensors) e.name = "_orig_mod.module.model." + e.name;
    CHECK(loads());
  }
  SECTION("shortcut, linear") {
    rename(file, "downsample", "shortcut");
    rename(file, "fc.", "linear.");
    CHECK(loads());
  }
  SECTION("stem as a sequence, classifier") {
    for (TensorEntry& e : file.tensors) {
      if (e.name.starts_with("conv1.")) e.name = "stem.0." + e.name.substr(6);
      if (e.name.starts_with("bn1.")) e.name = "stem.1." + e.name.substr(4);
    }
    rename(file, "fc.", "classifier.");
    CHECK(loads());
  }
  SECTION("counters of batches") {
    file.tensors.push_back(TensorEntry::from("bn1.num_batches_tracked", {}, std::vector<std::int64_t>{7}));
    file.tensors.push_back(TensorEntry::from("module.layers.0.0.bn1.num_batches_tracked", {}, std::vector<std::int64_t>{7}));
    CHECK(loads());
  }
}

TEST_CASE("canonical names touch whole segments only", "[unit]") {
  CHECK(canonical_name("module.model.layers.0.1.bn1.weight") == canonical_name("layer1.1.bn1.weight"));
  CHECK(canonical_name("layers.1.0.conv1.weight") == canonical_name("layer2.0.conv1.weight"));
  CHECK(canonical_name("layers.1.0.conv1.weight") != canonical_name("layer1.0.conv1.weight"));
  CHECK(canonical_name("layer1.0.shortcut.0.weight") == canonical_name("layers.0.0.downsample.0.weight"));
  CHECK(canonical_name("fc.weight") == canonical_name("linear.weight"));
  CHECK(canonical_name("fc1.weight") == "fc1.weight");
  CHECK(canonical_name("block.fc.weight") == "block.fc.weight");
  CHECK(canonical_name("models.conv1.weight") == "models.conv1.weight");
  CHECK(ignored_name("bn1.num_batches_tracked"));
  CHECK_FALSE(ignored_name("num_batches_tracked.weight"));
}

TEST_CASE("damaged checkpoints are refused by name", "[unit]") {
  const Model m = find_model("lenetzhu");
  const gi::test::TemporaryFolder folder;
  const auto path = folder / "w.safetensors";
  TensorFile file = checkpoint(m);
  const auto message = [&] {
    write_safetensors(path, file);
    try {
      load_weights(path, m);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(message().empty());
  SECTION("not a number") {
    std::vector<double> v = entry(file, "body.2.bias").to_doubles();
    v[5] = std::numeric_limits<double>::quiet_NaN();
    entry(file, "body.2.bias") = TensorEntry::from("body.2.bias", {12}, v);
    CHECK(message() == path.string() + ": 'body.2.bias' holds a NaN or an infinity");
  }
  SECTION("infinite") {
    std::vector<float> v(12, -std::numeric_limits<float>::infinity());
    entry(file, "body.0.bias") = TensorEntry::from("body.0.bias", {12}, v);
    CHECK(message() == path.string() + ": 'body.0.bias' holds a NaN or an infinity");
  }
  SECTION("integers") {
    entry(file, "body.0.bias") = TensorEntry::from("body.0.bias", {12}, std::vector<std::int64_t>(12));
    CHECK_THAT(message(), Catch::Contains("'body.0.bias' is of type I64"));
  }
  SECTION("same count, other shape") {
    entry(file, "body.0.weight").shape = {12, 5, 5, 3};
    CHECK_THAT(message(), Catch::Contains("'body.0.weight' is [12,5,5,3], model lenetzhu expects [12,3,5,5]") &&
                              Catch::Contains("1 of 8 tensors differ"));
  }
  SECTION("two spellings of one tensor, none exact") {
    TensorEntry second = entry(file, "fc.0.bias");
    entry(file, "fc.0.bias").name = "module.fc.0.bias";
    second.name = "linear.0.bias";
    file.tensors.push_back(second);
    CHECK_THAT(message(), Catch::Contains("both spell 'fc.0.bias'"));
  }
  SECTION("two spellings, one exact") {
    TensorEntry second = entry(file, "fc.0.bias");
    second.name = "module.fc.0.bias";
    file.tensors.push_back(second);
    CHECK_THAT(message(), Catch::Contains("'module.fc.0.bias' [10] is no tensor of model lenetzhu"));
  }
  SECTION("no such file") { CHECK_THROWS_AS(load_weights(folder / "none.safetensors", m), IoError); }
}

TEST_CASE("weights and parameter lists survive a round trip", "[unit]") {
  const Model m = find_model("resnet20-1");
  const gi::test::TemporaryFolder folder;
  Weights w = initialise(m, 4);
  w.entries[0].tensor = w.entries[0].tensor.to(DType::f64);
  w.entries[0].tensor.as<double>()[0] = 1.0 / 3;
  save_weights(folder / "w.safetensors", w);
  const Weights back = load_weights(folder / "w.safetensors", m);
  CHECK(names_of(back) == names_of(w));
  CHECK(back.entries[0].tensor.at(0) == 1.0 / 3);

  std::vector<Tensor> list = read_parameter_list(folder / "w.safetensors", m);  // buffers are passed over
  REQUIRE(list.size() == 65);
  write_parameter_list(folder / "g.safetensors", m, list);
  const std::vector<Tensor> again = read_parameter_list(folder / "g.safetensors", m);
  for (std::size_t i = 0; i < list.size(); ++i) CHECK(again[i].to_doubles() == list[i].to_doubles());

  list.pop_back();
  CHECK_THROWS_AS(write_parameter_list(folder / "g.safetensors", m, list), UsageError);
  const std::vector<std::uint64_t> seeds{1, 2};
  CHECK_THROWS_AS(save_weights(folder / "w.safetensors", initialise(m, seeds)), UsageError);
}
