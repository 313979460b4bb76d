#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/safetensors.h"
#include "tests/cli/run_program.h"

using namespace gi;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::vector<std::string> with(std::vector<std::string> argv, const std::vector<std::string>& more) {
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

json report_of(const std::filesystem::path& folder) { return json::parse(test::text_of(folder / "report.json")); }

/// Relative distance of two tensors of files.
double distance(const models::TensorEntry& a, const models::TensorEntry& b) {
  const std::vector<double> x = a.to_doubles(), y = b.to_doubles();
  REQUIRE(x.size() == y.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < x.size(); ++i) difference += (x[i] - y[i]) * (x[i] - y[i]), size += y[i] * y[i];
  return std::sqrt(difference / size);
}

}  // namespace

TEST_CASE("both sides: pictures, tensors and a report come out", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string a = test::write_picture(folder, "a.png", 0, 40), b = test::write_picture(folder, "b.png", 1, 40);
  const auto outcome = test::run(folder, {"gi_invert", a, b, "--model", "lenetzhu", "--size", "16", "--steps", "30", "--restarts",
                                          "2", "--labels", "3,8", "--crop", "4,4,32,32", "--output", folder / "out"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out,
             Contains("image 0: cost ") && Contains("image 1: cost ") && Contains("mean PSNR ") && Contains("comparison.png"));
  CHECK_THAT(outcome.err, Contains("iteration 30/30  cost ") && Contains(" it/s  "));
  for (const char* name : {"comparison.png", "reconstruction_000.png", "reconstruction_001.png", "reconstruction.safetensors"})
    CHECK(std::filesystem::exists(folder / "out" / name));
  CHECK_FALSE(std::filesystem::exists(folder / "out" / "journal"));
  CHECK(tools::load_image(folder / "out" / "reconstruction_001.png").height == 16);

  const models::TensorFile tensors = models::read_safetensors(folder / "out" / "reconstruction.safetensors");
  const auto* image = tensors.find("image");
  REQUIRE(image != nullptr);
  CHECK(image->shape == std::vector<std::int64_t>{2, 3, 16, 16});
  for (const double v : image->to_doubles()) CHECK((v >= 0 && v <= 1));
  REQUIRE(tensors.find("x") != nullptr);

  const json report = report_of(folder / "out");
  for (const char* key : {"schema", "program", "revision", "completed", "settings", "seed", "labels", "device", "plan", "hashes",
                          "images", "cost_curve", "timings"})
    CHECK(report.contains(key));
  CHECK(report.at("schema") == "gi_invert/1");
  CHECK(report.at("completed") == true);
  CHECK(report.at("labels") == "known");
  CHECK(report.at("settings").at("victims") == 2);
  REQUIRE(report.at("images").size() == 2);
  for (const json& i : report.at("images")) {
    for (const char* key : {"psnr", "ssim", "mse", "constant_psnr", "cost", "restart", "label", "truth", "file"})
      CHECK(i.contains(key));
    CHECK(i.at("psnr").get<double>() == Approx(-10 * std::log10(i.at("mse").get<double>())));
  }
  CHECK(report.at("images")[1].at("label") == 8);
  CHECK(report.at("cost_curve").at("trials").size() == 4);
  for (const char* key : {"seconds_per_iteration", "seconds_per_iteration_per_trial"})
    CHECK(report.at("timings").at(key).get<double>() > 0);
  // The chosen restart is the one of the least cost.
  for (std::size_t v = 0; v < 2; ++v) {
    double least = 1;
    for (const json& t : report.at("cost_curve").at("trials"))
      if (t.at("victim") == v) least = std::min(least, t.at("cost").get<double>());
    CHECK(report.at("images")[v].at("cost") == least);
  }
}

TEST_CASE("gi_client writes gradients in f32 and f64, a file each or one of a batch", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "a.png");
  const std::vector<std::string> network{"--model", "lenetzhu", "--size", "16", "--seed", "5"};
  const auto client =
      test::run(folder, with({"gi_client", "--image", picture, "--labels", "4", "--output", folder / "g.safetensors"}, network));
  INFO(client.err);
  REQUIRE(client.code == 0);
  CHECK_THAT(client.out, Contains("labels 4, loss "));
  const models::TensorFile gradient = models::read_safetensors(folder / "g.safetensors");
  CHECK(gradient.tensors.size() == 8);
  CHECK(gradient.find("body.0.weight")->dtype == models::FileDType::F32);
  REQUIRE(test::run(folder, with({"gi_client", "--image", picture, "--labels", "4", "--dtype", "f64", "--output",
                                  folder / "g64.safetensors"},
                                 network))
              .code == 0);
  const models::TensorFile wide = models::read_safetensors(folder / "g64.safetensors");
  CHECK(wide.find("body.0.weight")->dtype == models::FileDType::F64);
  for (const auto& t : wide.tensors) CHECK(distance(*gradient.find(t.name), t) < 1e-5);
  // Several pictures without --batch: a file each, and each that of its picture.
  const std::string other = test::write_picture(folder, "b.png", 3);
  REQUIRE(test::run(folder, with({"gi_client", "--image", other, "--image", picture, "--labels", "1,4", "--output",
                                  folder / "m.safetensors"},
                                 network))
              .code == 0);
  CHECK(test::text_of(folder / "m-1.safetensors") == test::text_of(folder / "g.safetensors"));
  REQUIRE(test::run(folder, with({"gi_client", "--image", other, "--image", picture, "--batch", "--labels", "1,4", "--output",
                                  folder / "batch.safetensors"},
                                 network))
              .code == 0);
  // The gradient of a batch's mean loss is the mean of the gradients.
  const models::TensorFile batch = models::read_safetensors(folder / "batch.safetensors"),
                           first = models::read_safetensors(folder / "m-0.safetensors");
  for (const auto& t : batch.tensors) {
    const std::vector<double> b = t.to_doubles(), x = first.find(t.name)->to_doubles(), y = gradient.find(t.name)->to_doubles();
    double largest = 0, size = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      largest = std::max(largest, std::abs(b[i] - (x[i] + y[i]) / 2));
      size = std::max(size, std::abs(b[i]));
    }
    CHECK(largest <= 1e-5 * size);
  }
}

TEST_CASE("the server alone scores by a truth it did not use, and recovers one label", "[cli]") {
  const auto weights = test::data_file("weights/untrained/lenetzhu_seed42.safetensors");
  if (!weights) return;
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "a.png", 0, 32);
  const std::vector<std::string> network{"--model", "lenetzhu", "--weights", *weights};
  const std::vector<std::string> steps{"--steps", "40", "--seed", "3"};
  REQUIRE(test::run(folder, with({"gi_client", "--image", picture, "--labels", "6", "--output", folder / "g.safetensors"}, network))
              .code == 0);
  const auto both =
      test::run(folder, with(with({"gi_invert", picture, "--labels", "6", "--output", folder / "both"}, network), steps));
  REQUIRE(both.code == 0);
  const auto alone = test::run(
      folder,
      with(with({"gi_invert", "--gradient", folder / "g.safetensors", "--output", folder / "alone", "--truth", picture}, network),
           steps));
  INFO(alone.err);
  REQUIRE(alone.code == 0);
  CHECK(test::text_of(folder / "both" / "reconstruction.safetensors") ==
        test::text_of(folder / "alone" / "reconstruction.safetensors"));
  const json report = report_of(folder / "alone");
  CHECK(report.at("labels") == "recovered");
  CHECK(report.at("images")[0].at("label_used") == 6);
  CHECK(report.at("images")[0].at("psnr") == report_of(folder / "both").at("images")[0].at("psnr"));
  const auto untold =
      test::run(folder, with({"gi_invert", "--gradient", folder / "g.safetensors", "--shape", "2x3x32x32"}, network));
  CHECK(untold.code == 2);
  CHECK_THAT(untold.err, Contains("--labels: 2 images share a gradient"));
  // Without a truth there is nothing to compare with.
  const auto blind = test::run(
      folder, with(with({"gi_invert", "--gradient", folder / "g.safetensors", "--output", folder / "blind"}, network), steps));
  CHECK(blind.code == 0);
  CHECK_FALSE(std::filesystem::exists(folder / "blind" / "comparison.png"));
  CHECK_FALSE(report_of(folder / "blind").at("images")[0].contains("psnr"));
}

TEST_CASE("a batch comes back matched to its pictures", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string a = test::write_picture(folder, "a.png", 0), b = test::write_picture(folder, "b.png", 2);
  const auto outcome = test::run(folder, {"gi_invert", a, b, "--batch", "--labels", "1,7", "--model", "lenetzhu", "--size", "16",
                                          "--steps", "300", "--output", folder / "out"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json report = report_of(folder / "out");
  CHECK(report.at("settings").at("images_per_victim") == 2);
  CHECK(report.at("images")[0].at("reconstruction") == 0);  // different labels: the attack has them in the labels' order
  CHECK(report.at("images")[1].at("reconstruction") == 1);
  CHECK(report.at("cost_curve").at("trials").size() == 1);
}

TEST_CASE("gi_invert --fresh-networks gives every victim its own, whatever its company", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string a = test::write_picture(folder, "a.png", 0), b = test::write_picture(folder, "b.png", 1);
  const std::vector<std::string> options{"--model",          "lenetzhu", "--size", "16",     "--steps", "5",
                                         "--fresh-networks", "--dtype",  "f64",    "--seed", "11"};
  REQUIRE(test::run(folder, with({"gi_invert", a, b, "--labels", "2,5", "--output", folder / "two"}, options)).code == 0);
  const auto alone = test::run(folder, {"gi_invert", b, "--labels", "5", "--model", "lenetzhu", "--size", "16", "--steps", "5",
                                        "--dtype", "f64", "--seed", "12", "--output", folder / "one"});
  REQUIRE(alone.code == 0);
  // Victim 1 of seed 11 has the network of seed 12, so the client's loss there is that of a run with seed 12.
  CHECK(report_of(folder / "two").at("images")[1].at("client_loss") == report_of(folder / "one").at("images")[0].at("client_loss"));
  CHECK(report_of(folder / "two").at("images")[0].at("client_loss") != report_of(folder / "two").at("images")[1].at("client_loss"));
}

namespace {

struct Candidate {
  std::string model, weights, golden, mode, labels;
  int images;
};

void check_candidate(const Candidate& c) {
  const auto pictures = test::data_file("cifar10/test100");
  const auto weights = test::data_file("weights/untrained/" + c.weights + "_seed42.safetensors");
  const auto golden = test::data_file("weights/golden/" + c.golden + ".safetensors");
  if (!pictures || !weights || !golden) return;
  const test::TemporaryFolder folder;
  const std::vector<std::string> network{"--model", c.model,    "--weights", *weights,  "--mode",
                                         c.mode,    "--labels", c.labels,    "--dtype", "f64"};
  std::vector<std::string> client{"gi_client", "--batch", "--output", folder / "g.safetensors"};
  for (const char* name : {"0000_cat.png", "0001_ship.png", "0002_ship.png", "0003_airplane.png"})
    if (static_cast<int>(client.size()) < 4 + 2 * c.images) client.insert(client.end(), {"--image", (*pictures / name).string()});
  REQUIRE(test::run(folder, with(client, network)).code == 0);
  const auto outcome =
      test::run(folder, with({"gi_invert", "--gradient", folder / "g.safetensors", "--shape", std::to_string(c.images) + "x3x32x32",
                              "--evaluate", *golden, "--output", folder / "out"},
                             network));
  INFO(c.golden << "\n" << outcome.err);
  REQUIRE(outcome.code == 0);
  const models::TensorFile ours = models::read_safetensors(folder / "out" / "evaluation.safetensors"),
                           theirs = models::read_safetensors(*golden);
  const double bound = c.mode == "train" ? 1e-8 : 1e-9;
  for (const char* name : {"loss", "cosine_distance", "l2_distance", "total_variation", "d_cosine_distance_d_x",
                           "d_l2_distance_d_x", "d_total_variation_d_x"}) {
    INFO(name);
    REQUIRE(ours.find(name) != nullptr);
    CHECK(ours.find(name)->shape == theirs.find(name)->shape);
    CHECK(distance(*ours.find(name), *theirs.find(name)) <= bound);
  }
}

}  // namespace

TEST_CASE("gi_invert --evaluate of PyTorch's candidates gives PyTorch's derivatives", "[cli][golden]") {
  check_candidate({"lenetzhu", "lenetzhu", "lenetzhu_matching_eval_img0", "eval", "3", 1});
  check_candidate({"lenetzhu", "lenetzhu", "lenetzhu_matching_eval_img0-3", "eval", "3,8,8,0", 4});
  check_candidate({"resnet20", "resnet20", "resnet20_matching_eval_img0", "eval", "3", 1});
  check_candidate({"resnet20", "resnet20", "resnet20_matching_train_img0-3", "train", "3,8,8,0", 4});
}

TEST_CASE("gi_invert --evaluate of PyTorch's candidates for ConvNet64", "[cli][golden][slow]") {
  check_candidate({"convnet64", "convnet", "convnet64_matching_eval_img0", "eval", "3", 1});
  check_candidate({"convnet64", "convnet", "convnet64_matching_train_img0-3", "train", "3,8,8,0", 4});
}
