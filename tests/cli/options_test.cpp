#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/cli/run_program.h"

using namespace gi;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

TEST_CASE("help, version and the list of models go to stdout", "[cli]") {
  const test::TemporaryFolder folder;
  for (const std::string program : {"gi_invert", "gi_client"}) {
    const auto help = test::run(folder, {program, "--help"});
    CHECK(help.code == 0);
    CHECK(help.err.empty());
    CHECK_THAT(help.out, Contains("Usage: " + program) && Contains("--weights FILE") && Contains("--normalization") &&
                             Contains("--mode eval|train=eval"));
    const auto version = test::run(folder, {program, "--version"});
    CHECK(version.code == 0);
    CHECK_THAT(version.out, StartsWith(program + " 0."));
  }
  CHECK_THAT(test::run(folder, {"gi_invert", "--help"}).out,
             Contains("--steps N=4800") && Contains("--lr X=0.1") && Contains("--tv X=0.01") && Contains("--restarts N=1"));
  const auto list = test::run(folder, {"gi_invert", "--list-models"});
  CHECK(list.code == 0);
  for (const char* line : {"lenetzhu                    15826", "convnet64                 2904970",
                           "resnet20                   272474", "resnet152                58156618"})
    CHECK_THAT(list.out, Contains(line));
}

TEST_CASE("wrong options end with code 2 and say what was expected", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png");
  struct Case {
    std::vector<std::string> options;
    const char* message;
  };
  const Case cases[] = {
      {{"--steps", "many"}, "gi_invert: error: --steps: expected a whole number from 1 to 1000000, got 'many'"},
      {{"--steps", "0"}, "--steps: expected a whole number from 1 to 1000000, got '0'"},
      {{"--steps", "5x"}, "got '5x'"},
      {{"--lr", "nan"}, "--lr: expected a number from 0 to"},
      {{"--tv", "-1"}, "--tv: expected a number from 0 to"},
      {{"--dtype", "f16"}, "--dtype: expected f32, f64, got 'f16'"},
      {{"--sign", "maybe"}, "--sign: expected yes or no, got 'maybe'"},
      {{"--labels", "3,x"}, "--labels: expected a whole number from 0 to 1000000, got 'x'"},
      {{"--labels", "3,8"}, "--labels: expected one an image, 1, got 2"},
      {{"--labels", "10"}, "labels: expected classes from 0 to 9, got 10"},
      {{"--size", "0"}, "--size: expected"},
      {{"--size", "4x4x4x4"}, "--size: expected 1 to 3 numbers"},
      {{"--mean", "1,2"}, "--mean: expected 1 or 3 numbers for 3 channels, got 2"},
      {{"--crop", "1,2,3"}, "--crop: expected X,Y,W,H, got 3 numbers"},
      {{"--crop", "0,0,100,100"}, "p.png"},
      {{"--normalization", "cifar"}, "--normalization: expected cifar10"},
      {{"--preset", "unheard"}, "--preset: expected invertinggradients, got 'unheard'"},
      {{"--model", "lenet"}, "model: no such name 'lenet'\n  hint: near names are lenetzhu"},
      {{"--impl", "conv2d"}, "--impl: expected OP=KERNEL, got 'conv2d'"},
      {{"--impl", "conv2d=wishful"}, "wishful"},
      {{"--impl", "products=tf33"}, "--impl: no kernel for this processor has products of kind 'tf33'"},
      {{"--lanes", "3"}, "--lanes: expected 1 or this processor's"},
      {{"--truth", "t.png"}, "--truth: goes with --gradient"},
      {{"--gradient", "g.safetensors"}, "pictures and --gradient do not go together"},
      {{"--fresh-networks", "--weights", "w"}, "--fresh-networks: draws a network for every victim"},
      {{"--resume", "--checkpoint-every", "0"}, "--resume: needs a journal"},
      {{"--tune", "a.json", "--plan-file", "a.json"}, "--plan-file: goes without --tune"},
      {{"--tune", "a.json", "--resume"}, "--tune: would change the run that --resume goes on with\n  hint: --plan-file a.json"},
      {{"--plan-file", "a.json", "--evaluate", "c.safetensors"}, "--evaluate: runs another plan than the attack"},
      {{"--tune-seconds", "0"}, "--tune-seconds: expected a number from 1"},
      {{"--unheard-of"}, "--unheard-of"},
  };
  for (const Case& c : cases) {
    std::vector<std::string> argv{"gi_invert", picture,   "--model", "lenetzhu", "--size",
                                  "16",        "--steps", "2",       "--output", folder / "out"};
    for (const std::string& o : c.options)  // an option is given once: the case's value takes the place of ours
      if (const auto ours = std::find(argv.begin(), argv.end(), o); ours != argv.end()) argv.erase(ours, ours + 2);
    argv.insert(argv.end(), c.options.begin(), c.options.end());
    const auto outcome = test::run(folder, argv);
    INFO(c.message << "\n" << outcome.err);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, StartsWith("gi_invert: error: ") && Contains(c.message));
  }
  CHECK(test::run(folder, {"gi_invert"}).code == 2);
  CHECK(test::run(folder, {"gi_invert", picture}).code == 2);
  CHECK_THAT(test::run(folder, {"gi_invert", "--gradient", "g", "--model", "lenetzhu"}).err, Contains("--weights: not given"));
  CHECK_THAT(test::run(folder, {"gi_client", "--image", picture, "--model", "lenetzhu"}).err,
             Contains("gi_client: error: --output: not given"));
  CHECK_THAT(test::run(folder, {"gi_invert", picture, picture, "--batch", "--labels-known", "no", "--model", "lenetzhu"}).err,
             Contains("labels can be recovered for a single one only"));
}

TEST_CASE("a device that is not there ends with code 3", "[cli]") {
  const test::TemporaryFolder folder;
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);  // none, wherever this runs
  const auto outcome = test::run(folder, {"gi_invert", "p.png", "--model", "lenetzhu", "--device", "cuda"});
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  CHECK(outcome.code == 3);
  CHECK_THAT(outcome.err, Contains("no CUDA device"));
  CHECK_THAT(outcome.err, Contains("--device cpu serves everywhere"));
}

TEST_CASE("the command line goes before the configuration file, that before the preset", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png");
  test::write_text(folder / "s.toml",
                   "model = \"lenetzhu\"\nsize = \"16\"\npreset = \"invertinggradients\"\n[attack]\nsteps = 7\ntv = 0.5\nlabels = "
                   "[3]\nbatch = true\n");
  const auto outcome =
      test::run(folder, {"gi_invert", picture, "--config", folder / "s.toml", "--steps", "3", "--output", folder / "out"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto settings = nlohmann::json::parse(test::text_of(folder / "out" / "report.json")).at("settings");
  CHECK(settings.at("steps") == 3);
  CHECK(settings.at("tv") == 0.5);
  CHECK(settings.at("lr") == 0.1);
  CHECK(settings.at("preset") == "invertinggradients");
  const auto preset = test::run(folder, {"gi_invert", "--explain-plan", "--model", "lenetzhu", "--preset", "invertinggradients"});
  CHECK_THAT(preset.out, Contains("for 24000 iterations"));

  test::write_text(folder / "s.toml", "stepz = 3\n");
  auto wrong = test::run(folder, {"gi_invert", picture, "--config", folder / "s.toml"});
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, Contains("s.toml: no option is called 'stepz'"));
  test::write_text(folder / "s.toml", "steps = \n");
  wrong = test::run(folder, {"gi_invert", picture, "--config", folder / "s.toml"});
  CHECK(wrong.code == 1);
  CHECK_THAT(wrong.err, Contains("s.toml: line 1"));
  test::write_text(folder / "s.toml", "steps = 0\n");
  wrong = test::run(folder, {"gi_invert", picture, "--config", folder / "s.toml"});
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, Contains("s.toml: --steps: expected a whole number from 1 to 1000000, got '0'"));
}

TEST_CASE("gi_invert --explain-plan tells kernels, memory, work and time, and runs nothing", "[cli]") {
  const test::TemporaryFolder folder;
  const auto one = test::run(folder, {"gi_invert", "--explain-plan", "--model", "resnet20", "--output", folder / "out"});
  CHECK(one.code == 0);
  CHECK_THAT(one.out,
             Contains("conv2d") && Contains("memory     ") && Contains("GFLOP an iteration") && Contains("time       about"));
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
  const auto many = test::run(folder, {"gi_invert", "--explain-plan", "--model", "lenetzhu", "--restarts", "40", "--threads", "1"});
  CHECK_THAT(many.out, Contains("trials     40 in "));
  // The guess of the time is this machine's: doubles take about twice as long.
  const auto guess = [&](const char* dtype) {
    const auto outcome = test::run(folder, {"gi_invert", "--explain-plan", "--model", "resnet20", "--dtype", dtype});
    const std::string about = "time       about ";
    const std::size_t at = outcome.out.find(about);
    REQUIRE(at != std::string::npos);
    return std::stod(outcome.out.substr(at + about.size()));
  };
  const double ratio = guess("f64") / guess("f32");
  CHECK((ratio > 1.2 && ratio < 3.5));
  const auto little = test::run(folder, {"gi_invert", "--explain-plan", "--model", "resnet18", "--memory", "1"});
  CHECK(little.code == 1);
  CHECK_THAT(little.err, Contains("one trial of resnet18 needs"));
}
